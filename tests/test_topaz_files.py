"""What is written for Topaz and read from it; tests/clients/test_topaz.py has Topaz itself."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slabkit.errors import FormatError, InputError, SlabkitError, SlabkitWarning
from slabkit.formats.picks2d import read_picks2d_any
from slabkit.formats.programs.topaz.export import export_topaz
from slabkit.formats.programs.topaz.names import restored_names, safe_names
from slabkit.formats.registry import detect_format
from slabkit.formats.results import read_results
from slabkit.formats.source import Source
from slabkit.formats.tables.native import write_labels, write_minislabs, write_slabs
from slabkit.labels import label_minislabs
from slabkit.minislabs.galleries import GalleryLayout, geometry_table, minislab_table
from slabkit.tables import LABELS, SLABS, make_table

LAYOUT = GalleryLayout(24, 3, 4, 0)  # galleries of 96 × 72 pixels
HEADER = "image_name\tx_coord\ty_coord\tscore\n"


def minislabs(count: int = 29, names: tuple[str, ...] = ("g_0", "g_1", "g_2")) -> Any:
    return minislab_table(
        LAYOUT,
        galleries=[f"minislabs/{name}.mrc" for name in names],
        pick_ids=[f"id-{number}" for number in range(count)],
        tomograms=["00255"] * count,
        tilts=np.zeros(count),
        inside_fraction=np.ones(count),
        set_id="set-0",
    )


def write_table(folder: Path, table: Any, contrast: Any = "dark") -> Path:
    geometry = geometry_table(
        LAYOUT,
        tiles=len(table),
        pixel_size=7.3,
        box=175.2,
        depth=300.0,
        contrast=contrast,
        set_id="set-0",
    )
    for name in table["rlnMicrographName"].unique():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"image")
    path = folder / "minislabs.star"
    write_minislabs(path, table, geometry)
    return path


def write_decisions(folder: Path, decisions: dict[int, str]) -> Path:
    columns = {
        "slabkitPickId": [f"id-{number}" for number in decisions],
        "slabkitDecision": list(decisions.values()),
    }
    write_labels(folder / "labels.star", make_table(LABELS, columns))
    return folder / "labels.star"


def rows_of(text: str) -> list[list[str]]:
    return [line.split("\t") for line in text.splitlines()]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_training_set(here: Path) -> None:
    table = write_table(here, minislabs())
    # Gallery 0: all decided, 3 good. Gallery 1: 4 decided, 1 good. Gallery 2 (5 tiles): none.
    decisions = {n: "accepted" if n in (0, 6, 11) else "rejected" for n in range(12)}
    decisions |= {12: "rejected", 14: "accepted", 20: "rejected", 23: "rejected", 25: "undecided"}
    labels = write_decisions(here, decisions)
    made = export_topaz(table, "topaz", labels=labels)
    texts = {path.name: text for path, text in made.files.items()}
    assert rows_of(texts["images.txt"]) == [
        ["image_name", "path"],
        ["g_0", "topaz/normalized/g_0.mrc"],
        ["g_1", "topaz/normalized/g_1.mrc"],
    ]
    # Tile centres at 12 + 24 n, in images a quarter the size.
    assert rows_of(texts["targets.txt"]) == [
        ["image_name", "x_coord", "y_coord"],
        ["g_0", "3", "3"],
        ["g_0", "15", "9"],
        ["g_0", "21", "15"],
        ["g_1", "15", "3"],
    ]
    # 3 of 12, and a quarter of the other gallery's 12.
    assert made.counts["expected_per_gallery"] == 3.0
    assert made.counts["radius_px"] == 1  # 35.04 Å are 1.2 pixels of 29.2 Å
    assert "topaz train -n 3 --radius 1 " in texts["topaz.sh"]
    assert "topaz normalize -s 4 " in texts["topaz.sh"]
    assert "-r 1 -x 4 -t -100" in texts["topaz.sh"]
    assert rows_of(texts["names.txt"])[1:] == [[f"g_{n}", f"minislabs/g_{n}.mrc"] for n in range(3)]
    assert made.links[Path("topaz/micrographs/g_2.mrc")] == Path("minislabs/g_2.mrc")
    wide = export_topaz(table, "topaz", labels=labels, downsample=2, radius=73.0)
    assert wide.counts["radius_px"] == 5
    assert "g_0\t6\t6\n" in wide.files[Path("topaz/targets.txt")]


def test_tiles_of_every_view_are_targets(here: Path) -> None:
    table = minislabs(6)
    table["slabkitPickId"] = table["rlnParticleName"] = ["a", "b", "c"] * 2
    path = write_table(here, table)
    columns = {"slabkitPickId": ["a", "b"], "slabkitDecision": ["accepted", "rejected"]}
    write_labels(here / "labels.star", make_table(LABELS, columns))
    made = export_topaz(path, "topaz", labels=here / "labels.star")
    assert made.counts["targets"] == 2
    assert made.counts["expected_per_gallery"] == 3.0


def test_sizes_that_do_not_shrink_evenly(here: Path) -> None:
    """Topaz rounds sizes down, so that 96 × 72 pixels become 19 × 14 when shrunk by 5."""
    table = write_table(here, minislabs(12))
    labels = write_decisions(here, dict.fromkeys(range(12), "accepted"))
    made = export_topaz(table, "topaz", labels=labels, downsample=5)
    targets = rows_of(made.files[Path("topaz/targets.txt")])[1:]
    place = np.array([row[1:] for row in targets], dtype=float)
    column, row = np.arange(12) % 4, np.arange(12) // 4
    np.testing.assert_array_equal(place[:, 0], np.round((12 + 24 * column) * 19 / 96))
    np.testing.assert_array_equal(place[:, 1], np.round((12 + 24 * row) * 14 / 72))
    with pytest.warns(SlabkitWarning, match="do not shrink evenly by 7: .* up to 5 pixels off"):
        export_topaz(table, "topaz", labels=labels, downsample=7)


@pytest.mark.parametrize(
    ("options", "decisions", "message"),
    [
        ({}, {0: "rejected"}, "accepts none of the minislabs"),
        ({}, {99: "accepted"}, "has no label of any pick in"),
        ({"downsample": 0}, {0: "accepted"}, "--downsample must be 1 or more"),
        ({"radius": -1.0}, {0: "accepted"}, "--radius must be a positive number"),
    ],
)
def test_training_sets_that_cannot_be(
    here: Path, options: Any, decisions: dict[int, str], message: str
) -> None:
    table = write_table(here, minislabs())
    with pytest.raises(InputError, match=message):
        export_topaz(table, "topaz", labels=write_decisions(here, decisions), **options)
    with pytest.raises(InputError, match="needs --labels"):
        export_topaz(table, "topaz")
    with pytest.raises(InputError, match="splits its lists at spaces"):
        export_topaz(table, "my topaz", labels=here / "labels.star")
    assert not (here / "topaz").exists()


def test_what_a_training_set_warns_and_refuses(here: Path) -> None:
    bright = write_table(here, minislabs(), "bright")
    labels = write_decisions(here, {0: "accepted"})
    with pytest.warns(SlabkitWarning, match="know dark particles"):
        export_topaz(bright, "topaz", labels=labels)
    (here / "minislabs" / "g_1.mrc").unlink()
    warnings.simplefilter("ignore")  # pytest puts it back
    with pytest.raises(InputError, match=r"names the image minislabs/g_1\.mrc, which is not there"):
        export_topaz(bright, "topaz", labels=labels)


def slab_table(folder: Path, names: tuple[str, ...] = ("TS_1_10.00Apx_slab000", "b")) -> Any:
    table = make_table(
        SLABS,
        {
            "rlnMicrographName": [f"slabs/{name}.mrc" for name in names],
            "rlnTomoName": [f"T{n}" for n in range(len(names))],
            "slabkitZStart": 0,
            "slabkitZCount": 30,
            "slabkitVoxelSize": [10.012, 7.3, 7.3, 7.3][: len(names)],
            "slabkitContrast": "dark",
            "slabkitTomogramContrast": "dark",
            "slabkitTomogramSizeX": 120,
            "slabkitTomogramSizeY": 90,
            "slabkitTomogramSizeZ": 30,
        },
    )
    (folder / "slabs").mkdir(exist_ok=True)
    for name in names:
        (folder / "slabs" / f"{name}.mrc").write_bytes(b"")
    write_slabs(folder / "slabs.star", table)
    return table


def test_slabs_for_the_pretrained_detector(here: Path) -> None:
    slab_table(here)
    made = export_topaz("slabs.star", "topaz", radius=120)
    script = made.files[Path("topaz/topaz.sh")]
    # 7.3 Å shrinks by 3, 10.012 Å by 2, towards 20 Å a pixel.
    assert "normalize -s 3 -o topaz/normalized/ topaz/micrographs/b.mrc" in script
    assert "extract -r 5 -x 3" in script
    assert "normalize -s 2 -o topaz/normalized/ topaz/micrographs/TS_1_10_00Apx_slab000" in script
    assert "extract -r 6 -x 2" in script
    with pytest.raises(InputError, match="give --radius"):
        export_topaz("slabs.star", "topaz")
    with pytest.raises(InputError, match="--labels goes with a minislab table"):
        export_topaz("slabs.star", "topaz", labels="labels.star", radius=120)


def test_export_by_command(slabkit: Any, here: Path) -> None:
    write_table(here, minislabs(names=("g.0", "g.1", "g 2")))
    write_decisions(here, {0: "accepted", 13: "rejected"})
    arguments = ("export", "topaz", "minislabs.star", "--labels", "labels.star", "-o", "topaz")
    done = slabkit(*arguments)
    assert "next: bash topaz/topaz.sh" in done.stderr
    assert os.access(here / "topaz" / "topaz.sh", os.X_OK)
    links = sorted((here / "topaz" / "micrographs").iterdir())
    assert [link.name for link in links] == ["g_0.mrc", "g_1.mrc", "g_2.mrc"]
    assert all(link.read_bytes() == b"image" for link in links)
    assert "finished already" in slabkit(*arguments).stderr
    slabkit(*arguments, "--downsample", "2", code=2)
    slabkit(*arguments, "--downsample", "2", "--overwrite")


def test_names_that_topaz_keeps() -> None:
    names = ["a/x.1.mrc", "b/x_1.mrc", "00255.mrc", "1e5", "nan.mrc", "two words.tif", "X_1.mrc"]
    made = safe_names(names)
    assert made["b/x_1.mrc"] == "x_1"  # fit already, so it keeps its name
    assert made["00255.mrc"] == "image_00255"
    assert made["nan.mrc"] == "image_nan"
    assert made["two words.tif"] == "two_words"
    assert list(made) == names
    folded = [name.lower() for name in made.values()]
    assert len(set(folded)) == len(names)
    assert all(name.replace("_", "a").isalnum() and name[0].isalpha() for name in made.values())
    assert restored_names(list(made.values()), names, "t")[2] == "00255.mrc"
    assert restored_names(["x_1", "foreign"], names, "t") == ["x_1", "foreign"]


def test_names_that_topaz_cut_at_their_last_dot() -> None:
    names = ["s/TS_1_10.00Apx.mrc", "s/TS_2_10.00Apx_slab000.mrc", "s/TS_2_10.00Apx_slab001.mrc"]
    assert restored_names(["TS_1_10", "TS_2"], names, "t") == [names[0], "TS_2"]
    with pytest.raises(InputError, match=r"t: image TS_2_10 could be .*slab000\.mrc or .*slab001"):
        restored_names(["TS_1_10", "TS_2_10"], names, "t")
    # What is a name as it stands is never taken for a cut one.
    assert restored_names(["a"], ["a.b.mrc", "a.mrc"], "t") == ["a"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=8), max_size=8))
def test_safe_names_come_back(names: list[str]) -> None:
    names = list(dict.fromkeys(names))
    made = safe_names(names)
    assert len({safe.lower() for safe in made.values()}) == len(names)
    stems = {name: safe_names([name]) for name in names}
    back = restored_names(list(made.values()), names, "t")
    for name, safe, found in zip(names, made.values(), back, strict=True):
        assert found in (name, safe), (name, stems[name])


def test_scores_on_galleries_with_dots_in_their_names(tmp_path: Path) -> None:
    table = minislabs(names=("g.0", "g.1", "g 2"))
    rows = [("g_0", 12, 12, 3.5), ("g_1", 60, 36, -2.0), ("g_2", 13, 11, 0.5)]
    text = HEADER + "".join("\t".join(map(str, row)) + "\n" for row in rows)
    (tmp_path / "extracted.txt").write_text(text)
    read = read_results([tmp_path / "extracted.txt"], table)
    assert read.kind == "topaz"
    labels, report = label_minislabs(
        read.table, table, LAYOUT, threshold=0.0, y_axis="down", unlisted="undecided"
    )
    by_id = dict(zip(labels["slabkitPickId"], labels["slabkitDecision"], strict=True))
    assert {i: d for i, d in by_id.items() if d != "undecided"} == {
        "id-0": "accepted",
        "id-18": "rejected",
        "id-24": "accepted",
    }
    assert report.matched == 3


def test_places_on_shrunk_galleries_are_noticed(tmp_path: Path) -> None:
    table = minislabs()

    def write(scale: int) -> Path:
        path = tmp_path / f"by_{scale}.txt"
        columns = table[["rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY"]].to_numpy()
        rows = [f"{Path(g).stem}\t{x / scale:.0f}\t{y / scale:.0f}\t1\n" for g, x, y in columns]
        path.write_text(HEADER + "".join(rows))
        return path

    read_results([write(1)], table)
    with pytest.warns(SlabkitWarning, match="all 29 places lie in the first 25% of their galler"):
        read_results([write(4)], table)


def read_text(text: str, slabs: Any) -> Any:
    return read_picks2d_any([Source("picks.txt", text.encode())], slabs)


def test_picks_on_slabs(here: Path) -> None:
    slabs = slab_table(here)
    text = HEADER + "TS_1_10.00Apx_slab000\t7\t80\t1.5\nTS_1_10_00Apx_slab000\t100\t3\t-4\n"
    assert detect_format(Source("x", text.encode()), "picks2d").name == "topaz"
    found = read_text(text + "b\t1\t2\t0.25\r\n\n", slabs)
    names = [Path(name).stem for name in found["rlnMicrographName"]]
    assert names == ["TS_1_10.00Apx_slab000"] * 2 + ["b"]
    assert found["rlnCoordinateX"].tolist() == [7, 100, 1]
    assert found["rlnCoordinateY"].tolist() == [80, 3, 2]
    assert found["rlnAutopickFigureOfMerit"].tolist() == [1.5, -4, 0.25]
    assert set(found["slabkitScoreKind"]) == {"topaz"}
    bare = read_text("image_name\tx_coord\ty_coord\nb\t1\t2\n", slabs)
    assert bare["rlnAutopickFigureOfMerit"].isna().all()
    assert not len(read_text(HEADER, slabs))


@pytest.mark.parametrize(
    ("row", "error", "message"),
    [
        ("b\t1\t2", FormatError, "row 1 has 3 values for 4 columns"),
        ("\t1\t2\t3", FormatError, "row 1 has no image_name"),
        ("b\tx\t2\t3", InputError, "x_coord is 'x' in row 1"),
        ("b\t1\tnan\t3", InputError, "y_coord is 'nan'"),
        ("c_slab000\t1\t2\t3", InputError, "micrograph c_slab000 is not in the slab table"),
    ],
)
def test_tables_that_are_refused(
    here: Path, row: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_text(HEADER + row + "\n", slab_table(here))
    with pytest.raises(InputError, match="made in tomograms"):
        read_text("image_name\tx_coord\ty_coord\tz_coord\nb\t1\t2\t3\n", slab_table(here))


def test_coordinates_of_shrunk_images_are_noticed(here: Path) -> None:
    slabs = slab_table(here)
    rows = [f"b\t{x}\t{y}\t1\n" for x in range(0, 30, 6) for y in range(0, 22, 5)]
    with pytest.warns(SlabkitWarning, match="all 25 places lie in the first 22%.*without -x"):
        read_text(HEADER + "".join(rows), slabs)
    read_text(HEADER + "".join(rows) + "b\t110\t3\t1\n", slabs)


@settings(max_examples=80, deadline=None)
@given(st.text(alphabet="b12.\t\n -xe_na", max_size=60), st.integers(0, 40))
def test_damaged_tables_are_refused_or_read(text: str, cut: int) -> None:
    slabs = make_table(
        SLABS,
        {
            "rlnMicrographName": ["b.mrc"],
            "rlnTomoName": ["T"],
            "slabkitZStart": 0,
            "slabkitZCount": 1,
            "slabkitVoxelSize": 10.0,
            "slabkitContrast": "dark",
            "slabkitTomogramContrast": "dark",
            "slabkitTomogramSizeX": 9,
            "slabkitTomogramSizeY": 9,
            "slabkitTomogramSizeZ": 9,
        },
    )
    whole = HEADER + text
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = read_text(whole[: len(whole) - cut], slabs)
        except SlabkitError:
            return
    assert np.isfinite(found[["rlnCoordinateX", "rlnCoordinateY"]].to_numpy(float)).all()
