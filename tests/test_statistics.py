"""Numbers of pick lists and of labelling against tables made by hand; their pictures and page."""

from __future__ import annotations

import errno
import json
import os
import time

import numpy as np
import pytest
from curation_tables import NO, OPEN, YES, label_table, pick_table

from slabkit.curation import curate_picks, pick_statistics
from slabkit.errors import InputError
from slabkit.execution.labelling_speed import labelling_pace
from slabkit.formats.tables.native import PickList, write_picks
from slabkit.pictures.figures import histograms, lines_chart, stacked_bars
from slabkit.pictures.statistics_page import statistics_drawings, statistics_page
from slabkit.tables import TOMOGRAMS, make_table


def tomogram_table(*names):
    return make_table(
        TOMOGRAMS,
        {
            "slabkitTomogram": list(names),
            "slabkitTomogramSizeX": 100,
            "slabkitTomogramSizeY": 100,
            "slabkitTomogramSizeZ": 41,
            "slabkitVoxelSize": 10.0,
        },
    )


def test_counts_are_of_all_combinations_and_sum_to_the_list():
    picks = pick_table(
        [YES, YES, NO, OPEN, YES],
        slabkitTomogram=["a", "a", "a", "b", "b"],
        slabkitSpecies=["ribosome", "ribosome", "", "ribosome", "thyroglobulin"],
        slabkitSource=["blob", "blob", "blob", "template", "blob"],
    )
    found = pick_statistics(picks, tomogram_table("a", "b", "c"))
    rows = {tuple(row[:4]): row[4] for row in found.counts.itertuples(index=False, name=None)}
    assert rows == {
        ("a", "", NO, "blob"): 1,
        ("a", "ribosome", YES, "blob"): 2,
        ("b", "ribosome", OPEN, "template"): 1,
        ("b", "thyroglobulin", YES, "blob"): 1,
        ("c", "", OPEN, ""): 0,
    }


def test_neighbours_are_of_the_same_tomogram_and_not_rejected():
    picks = pick_table(
        [YES, YES, NO, OPEN, YES, YES],
        slabkitTomogram=["a", "a", "a", "a", "a", "b"],
        slabkitSpecies=["x", "y", "x", "x", "x", "x"],
        slabkitX=[0.0, 10.0, 1.0, 30.0, 0.0, 0.5],
        slabkitY=[0.0, 0.0, 0.0, 40.0, 0.0, 0.0],
        slabkitZ=[0.0, 0.0, 0.0, 0.0, 400.0, 200.0],
        slabkitDiameter=110.0,
    )
    found = pick_statistics(picks, tomogram_table("a", "b"))
    nearest = found.picks["slabkitNearest"].to_numpy()
    same = found.picks["slabkitNearestSame"].to_numpy()
    np.testing.assert_allclose(nearest, [10, 10, np.nan, np.hypot(20, 40), 400, np.nan])
    np.testing.assert_allclose(same, [50, np.nan, np.nan, 50, 400, np.nan])
    np.testing.assert_allclose(found.picks["slabkitDepth"], [0, 0, 0, 0, 1, 0.5])
    row = found.neighbours.set_index("slabkitSpecies").loc["x"]
    assert (row["slabkitPicks"], row["slabkitLeast"], row["slabkitMedian"]) == (4, 50, 50)
    assert row["slabkitTooClose"] == 2
    assert pick_statistics(picks).picks["slabkitDepth"].isna().all()


def test_labels_count_once_wherever_they_stand():
    kim = label_table((0, YES), (1, NO), (2, OPEN), author="kim", round_name="class2d")
    lee = label_table((0, YES), (1, YES), author="lee")
    picks = curate_picks(pick_table([OPEN] * 3), [kim], keep="all").kept
    labelling = pick_statistics(picks, labels=[kim, lee]).labelling.set_index("slabkitAuthor")
    columns = ["Labels", "Picks", "Accepted", "Rejected", "Undecided"]
    numbers = labelling[[f"slabkit{name}" for name in columns]]
    assert numbers.loc["kim"].tolist() == [3, 3, 1, 1, 1]
    assert numbers.loc["lee"].tolist() == [2, 2, 2, 0, 0]


def test_an_empty_list_has_statistics_and_a_page():
    found = pick_statistics(pick_table([]), tomogram_table("a"))
    pace = labelling_pace([])
    page = statistics_page(
        found.counts, found.picks, found.neighbours, found.labelling, pace, "<empty>"
    )
    assert "&lt;empty&gt;" in page
    assert "nan" not in page


def test_drawings_show_what_was_counted():
    words = [YES] * 30 + [NO] * 10 + [OPEN] * 5
    names = [f"t{i:02d}" for i in range(45)]
    picks = pick_table(words, slabkitTomogram=names, slabkitScore=np.arange(45.0))
    found = pick_statistics(picks, tomogram_table(*names))
    drawn = statistics_drawings(found.counts, found.picks, found.labelling, labelling_pace([]))
    assert {"tomograms", "species", "sources", "depth", "scores"} == set(drawn)
    assert "15 others" in drawn["tomograms"].svg()
    bars = [s for s in drawn["species"]._shapes if s[0] == "rectangle" and s[3] != 11]
    widths = {style: width for _, _, _, width, _, style in bars}
    assert widths[YES] / widths[NO] == pytest.approx(3)
    assert widths[NO] / widths[OPEN] == pytest.approx(2)
    picture = drawn["species"].picture()
    left = next(s for s in bars if s[5] == NO)
    middle = picture[round((left[2] + left[4] / 2) * 2), round((left[1] + left[3] / 2) * 2)]
    assert middle.tolist() == [200, 90, 60]
    np.testing.assert_array_equal(picture, drawn["species"].picture())


def test_charts_of_little_are_defined():
    for drawing in (
        stacked_bars({}, title="none"),
        histograms({"a": []}, title="none", label="x"),
        histograms({"a": [5.0, 5.0, np.nan]}, title="one", label="x"),
        lines_chart({"a": ([1.0], [2.0])}, title="point", label_x="x", label_y="y"),
    ):
        assert "nan" not in drawing.svg()
        assert drawing.picture(1).size


def test_histograms_lose_nothing():
    values = np.random.default_rng(0).normal(10, 3, 500)
    drawing = histograms({"a": values}, title="t", label="x", bins=20, span=(8.0, 12.0))
    line = next(s for s in drawing._shapes if s[0] == "line" and s[2] == "series0")
    y = np.array([place[1] for place in line[1]])
    ticks = [s for s in drawing._shapes if s[0] == "text" and s[4] == "end"]
    unit = (ticks[0][2] - ticks[-1][2]) / (float(ticks[-1][3]) - float(ticks[0][3]))
    assert ((y.max() - y[1:-1:2]) / unit).sum() == pytest.approx(500, abs=1)


def project(slabkit, tmp_path, body):
    """A pick list, minislabs made an hour ago as their record says, and kim's labels."""
    picks = pick_table([OPEN] * 6)
    write_picks(tmp_path / "p.star", PickList(picks, tomogram_table("a")))
    from slabkit.arrays.tiling import GalleryLayout
    from slabkit.execution.records import Record, finish_record, load_record, save_record
    from slabkit.formats.tables.native import write_minislabs
    from slabkit.minislabs.galleries import gallery_set_id, geometry_table, minislab_table

    layout, names, tilts = GalleryLayout(20, 2, 3), picks["slabkitPickId"].tolist(), np.zeros(6)
    name = gallery_set_id(layout, 10, names, tilts)
    table = minislab_table(
        layout, galleries=["g.mrc"], pick_ids=names, tomograms=["a"] * 6, tilts=tilts,
        inside_fraction=np.ones(6), set_id=name,
    )  # fmt: skip
    geometry = geometry_table(
        layout, tiles=6, pixel_size=10, box=200, depth=300, contrast="dark", set_id=name
    )
    write_minislabs(tmp_path / "m.star", table, geometry)
    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        finish_record(Record("minislab", {}, []), "m.star")
        record = load_record("m.star")
        record.finished = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(time.time() - 3600))
        save_record(record, "m.star")
    finally:
        os.chdir(here)
    (tmp_path / "kim.csv").write_text(body)
    slabkit("label", "kim.csv", "--minislabs", "m.star", "--author", "kim", "-o", "kim.star")


TIMED = """pick_id,decision,time
p0,accepted,2026-05-01T10:00:00
p1,accepted,2026-05-01T10:00:10
p2,rejected,2026-05-01T10:00:20
p3,rejected,2026-05-01T12:00:00
p4,accepted,2026-05-01T12:00:20
p5,undecided,
"""


def test_pace_is_what_records_and_times_tell(slabkit, tmp_path):
    project(slabkit, tmp_path, TIMED)
    row = labelling_pace([tmp_path / "kim.star"]).iloc[0]
    assert (row["author"], row["labels"], row["timed_labels"]) == ("kim", 5, 5)
    # Three steps of 10, 10 and 20 s; the pause between them is none.
    assert row["hours"] == pytest.approx(40 / 3600)
    assert row["labels_per_hour"] == pytest.approx(3 / (40 / 3600))
    assert row["hours_since_images"] == pytest.approx(1, abs=0.05)
    assert row["labels_per_hour_at_least"] == pytest.approx(5, abs=0.3)
    short = labelling_pace([tmp_path / "kim.star"], pause=15).iloc[0]
    assert short["labels_per_hour"] == pytest.approx(360)
    text = (tmp_path / "kim.star").read_text()
    assert "T10:00" not in text  # no times in the table
    # A file that was changed since is not believed.
    (tmp_path / "kim.csv").write_text(TIMED.replace("10:00:10", "10:00:15"))
    assert np.isnan(labelling_pace([tmp_path / "kim.star"]).iloc[0]["labels_per_hour"])
    (tmp_path / "kim.star.json").unlink()
    row = labelling_pace([tmp_path / "kim.star"]).iloc[0]
    assert (row["made"], row["labels"]) == ("", 5)
    with pytest.raises(InputError, match="positive number of seconds"):
        labelling_pace([], pause=0)


def test_times_that_are_none_are_refused(slabkit, tmp_path):
    project(slabkit, tmp_path, TIMED.replace("2026-05-01T10:00:20", "ten"))
    with pytest.raises(InputError, match="row 3: time is 'ten'; it must be a time as"):
        labelling_pace([tmp_path / "kim.star"])


def test_a_full_disk_leaves_no_pictures(slabkit, tmp_path, monkeypatch):
    project(slabkit, tmp_path, TIMED)
    replace = os.replace

    def full(source, target):
        if str(target).endswith("stats.html"):  # which comes last
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        done = slabkit("stats", "p.star", "--labels", "kim.star", "-o", "st", code=75)
    assert "No space left" in done.stderr
    assert not (tmp_path / "st").exists()
    slabkit("stats", "p.star", "--labels", "kim.star", "-o", "st")
    assert (tmp_path / "st" / "tomograms.png").exists()


def test_command(slabkit, tmp_path):
    project(slabkit, tmp_path, TIMED)
    slabkit("curate", "p.star", "kim.star", "--keep", "all", "-o", "c.star")
    done = slabkit("stats", "c.star", "--labels", "kim.star", "-o", "st", "--json")
    found = json.loads(done.stdout)
    assert (found["accepted"], found["rejected"], found["undecided"]) == (3, 2, 1)
    assert found["labels"] == 6
    assert found["pace"][0]["labels_per_hour"] == pytest.approx(270)
    made = {path.name for path in (tmp_path / "st").iterdir()}
    assert {"stats.html", "stats.star", "tomograms.png", "labels.png", "pace.png"} <= made
    page = (tmp_path / "st" / "stats.html").read_text()
    assert "://" not in page.replace("http://www.w3.org", "")
    assert "statistics of picks" in slabkit("info", "st/stats.star").stdout
    first = (tmp_path / "st" / "stats.star").read_bytes()
    slabkit("stats", "c.star", "--labels", "kim.star", "-o", "st2", "--quiet")
    assert (tmp_path / "st2" / "stats.star").read_bytes() == first
    for name in ("tomograms.png", "depth.png"):
        assert (tmp_path / "st" / name).read_bytes() == (tmp_path / "st2" / name).read_bytes()
    before = sorted(tmp_path.rglob("*"))
    for arguments, message in (
        (("p.star", "-o", "-"), "-o takes a folder"),
        (("p.star", "./p.star"), "given twice"),
        (("p.star", "--labels", "p.star"), "no block data_labels"),
        (("kim.star",), "kim.star"),
        (("c.star", "--labels", "kim.star", "--pause", "-1"), "positive number of seconds"),
    ):
        assert message in slabkit("stats", *arguments, code=2).stderr
    assert sorted(tmp_path.rglob("*")) == before
    assert "accepted" in slabkit("stats", "c.star").stderr
