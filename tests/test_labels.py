"""Labels: results of people and programs joined to minislabs, in any order and in part."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slabkit.arrays.tiling import GalleryLayout
from slabkit.errors import FormatError, InputError, SlabkitWarning
from slabkit.formats.results import read_results
from slabkit.formats.tables.star_writing import format_star
from slabkit.labels import label_minislabs, parse_classes
from slabkit.minislabs.galleries import gallery_set_id, minislab_table
from slabkit.tables import LABELS, probability_column

LAYOUT = GalleryLayout(40, 16, 15, 0)
SMALL = GalleryLayout(20, 3, 4, 7)


def minislab_rows(count, layout=SMALL, tilts=(0.0,), stacks=True, prefix="p"):
    ids = [f"{prefix}{number:05d}" for number in range(count) for _ in tilts]
    angles = np.tile(tilts, count)
    galleries = range(layout.galleries(len(ids)))
    return minislab_table(
        layout,
        galleries=[f"minislabs/minislabs_{g:03d}.mrc" for g in galleries],
        stacks=[f"minislabs/minislabs_{g:03d}.mrcs" for g in galleries] if stacks else None,
        pick_ids=ids,
        tomograms=["a"] * len(ids),
        tilts=angles,
        inside_fraction=np.ones(len(ids)),
        set_id=gallery_set_id(layout, 10, ids, angles),
    )


def decisions(labels):
    return dict(zip(labels["slabkitPickId"], labels["slabkitDecision"], strict=True))


def results(tmp_path, text, name="result.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_results([path])


def label_text(tmp_path, text, minislabs, name="result.csv", layout=SMALL, **options):
    read = results(tmp_path, text, name)
    by_value = "classes" in options or "threshold" in options
    options.setdefault("unlisted", read.unlisted(by_value))
    return label_minislabs(read.table, minislabs, layout, **options)


# ---- CSV ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_csv_of_ids(tmp_path, mark):
    text = "\ufeffpick_id,decision,class,score\r\np00002,accepted,7,0.5\r\np00000,NO,,\r\n"
    labels, report = label_text(tmp_path, text.replace(",", mark), minislab_rows(5))
    assert list(labels.columns) == LABELS.names
    assert decisions(labels) == {"p00000": "rejected", "p00002": "accepted"}
    accepted = labels.iloc[1]
    assert (accepted["slabkitClass"], accepted["slabkitScore"]) == ("7", 0.5)
    assert accepted["slabkitSource"] == "result.csv"
    assert (report.joined_by, report.matched, report.unlisted) == ("pick id", 2, 3)
    assert (report.accepted, report.rejected, report.undecided) == (1, 1, 3)


def test_csv_of_tiles_counts_from_0(tmp_path):
    minislabs = minislab_rows(30)  # galleries of 12: two whole ones and one of 6
    text = "gallery,row,column,decision\nminislabs_001.mrc,2,3,1\n2,0,1,0\nminislabs_000,0,0,good\n"
    labels, report = label_text(tmp_path, text, minislabs)
    assert decisions(labels) == {"p00000": "accepted", "p00023": "accepted", "p00025": "rejected"}
    assert report.joined_by == "row and column"
    with pytest.raises(InputError, match=r"row 3, column 1; rows count from 0 to 2 .* 0 to 3"):
        label_text(tmp_path, "gallery,row,column,decision\n0,3,1,1\n", minislabs)


def test_names_stay_strings(tmp_path):
    minislabs = minislab_rows(3).assign(slabkitPickId=["00255", "1e5", "nan"])
    text = "pick_id,decision\n1e5,yes\n00255,yes\nnan,no\n"
    labels, _ = label_text(tmp_path, text, minislabs)
    assert decisions(labels) == {"00255": "accepted", "1e5": "accepted", "nan": "rejected"}


def test_an_empty_decision_is_none(tmp_path):
    labels, report = label_text(
        tmp_path, "pick_id,decision\np00000,\np00001,yes\n", minislab_rows(3)
    )
    assert decisions(labels) == {"p00000": "undecided", "p00001": "accepted"}
    assert (report.undecided, report.rejected) == (2, 0)


def test_unknown_ids_are_reported(tmp_path):
    text = "pick_id,decision\np00000,yes\nghost,no\n"
    with pytest.warns(SlabkitWarning, match=r"1 of 2 rows belong to no minislab.*row 2: ghost"):
        _, report = label_text(tmp_path, text, minislab_rows(3))
    assert (report.matched, report.unmatched) == (1, 1)
    with pytest.raises(InputError, match=r"none of the 1 rows.*'ghost'.*'p00000'"):
        label_text(tmp_path, "pick_id,decision\nghost,no\n", minislab_rows(3))


def test_csv_refusals(tmp_path):
    minislabs = minislab_rows(3)
    for text, message in (
        ("pick_id,desicion\np00000,yes\n", "column 'desicion' is not known"),
        ("pick_id,decision\np00000,perhaps\n", "decision is 'perhaps' in row 1; .* accepted"),
        ("pick_id,decision,score\np00000,yes,0,5\n", "line 2: 4 values for 3 columns"),
        ("pick_id;decision;score\np00000;yes;0,5\n", "score is '0,5' in row 1"),
        ("decision,score\nyes,1\n", "nothing in it says which minislab"),
        ("pick_id,score\np00000,1\n", "no column decision; add one, or give --classes"),
        ("pick_id,id,decision\np00000,p00000,yes\n", "two columns mean the same as 'id'"),
        ("gallery,row,column,decision\n0,0.5,1,yes\n", "slabkitTileRow is '0.5' in row 1"),
        ("gallery,x,y,decision\n0,nan,1,yes\n", "rlnCoordinateX is 'nan' in row 1"),
        ("", "is empty; a header line is needed"),
        ('pick_id,decision\n"p0,yes\n', "not well-formed CSV"),
    ):
        with pytest.raises(InputError, match=message):
            label_text(tmp_path, text, minislabs)


def test_contradicting_rows_stop_unless_scores_decide(tmp_path):
    minislabs = minislab_rows(3)
    text = "pick_id,decision\np00001,yes\np00000,yes\np00001,no\n"
    with pytest.raises(InputError, match=r"row 1 and result.csv row 3 contradict each other"):
        label_text(tmp_path, text, minislabs)
    text = "pick_id,decision,score\np00001,yes,0.2\np00000,yes,1\np00001,no,0.7\n"
    labels, report = label_text(tmp_path, text, minislabs)
    assert decisions(labels) == {"p00000": "accepted", "p00001": "rejected"}
    assert report.doubly_hit == 1


def test_several_files_are_one_result(tmp_path):
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    one.write_text("pick_id,decision\np00000,yes\n")
    two.write_text("pick_id,decision,class\np00001,no,4\n")
    read = read_results([one, two])
    labels, _ = label_minislabs(read.table, minislab_rows(3), SMALL)
    assert decisions(labels) == {"p00000": "accepted", "p00001": "rejected"}
    assert labels["slabkitSource"].tolist() == ["one.csv", "two.csv"]
    assert labels["slabkitClass"].tolist() == ["", "4"]
    with pytest.raises(InputError, match="given twice"):
        read_results([one, one])
    (tmp_path / "t.txt").write_text("image_name\tx_coord\ty_coord\nminislabs_000\t1\t1\n")
    with pytest.raises(InputError, match=r"several kinds: .*one.csv \(csv\).*\(topaz\)"):
        read_results([one, tmp_path / "t.txt"])


def test_binary_and_missing_files(tmp_path):
    path = tmp_path / "particles.cs"
    np.save(path.open("wb"), np.zeros(3))
    with pytest.raises(FormatError, match="is a plain array without fields"):
        read_results([path])
    with pytest.raises(InputError, match=r"nowhere.csv: cannot be read"):
        read_results([tmp_path / "nowhere.csv"])
    path.write_text("data_optics\n\nloop_\n_rlnVoltage #1\n300\n")
    with pytest.raises(InputError, match="no block data_particles"):
        read_results([path])


# ---- RELION ---------------------------------------------------------------------------------


def star(table, drop=()):
    return format_star({"particles": table.drop(columns=list(drop))})


@settings(max_examples=25, deadline=None)
@given(
    count=st.sampled_from([1, 11, 12, 13, 24, 25, 40]),
    data=st.data(),
    key=st.sampled_from(["slabkitPickId", "rlnParticleName", "rlnImageName", "tile", "place"]),
)
@pytest.mark.filterwarnings("ignore::slabkit.errors.SlabkitWarning")
def test_shuffled_subset_by_every_key(tmp_path_factory, count, data, key):
    minislabs = minislab_rows(count)
    chosen = data.draw(st.lists(st.integers(0, count - 1), unique=True, min_size=1))
    keys = {
        "slabkitPickId": ["slabkitPickId"],
        "rlnParticleName": ["rlnParticleName"],
        "rlnImageName": ["rlnImageName"],
        "tile": ["rlnMicrographName", "slabkitTileRow", "slabkitTileColumn"],
        "place": ["rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY"],
    }
    text = star(minislabs.iloc[chosen][keys[key]])
    labels, report = label_text(tmp_path_factory.mktemp("s"), text, minislabs, "particles.star")
    expected = {
        name: "accepted" if number in chosen else "rejected"
        for number, name in enumerate(minislabs["slabkitPickId"])
    }
    assert decisions(labels) == expected
    assert labels["slabkitPickId"].tolist() == minislabs["slabkitPickId"].tolist()
    assert (report.matched, report.unlisted) == (len(chosen), count - len(chosen))


@pytest.mark.parametrize("count", [239, 240, 241, 480, 481])
def test_borders_between_galleries_of_240(tmp_path, count):
    minislabs = minislab_rows(count, LAYOUT)
    last = minislabs.iloc[[count - 1, 0]]
    place = ["rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY"]
    for keys in (["rlnImageName"], place):
        labels, _ = label_text(
            tmp_path, star(last[keys]), minislabs, "s.star", LAYOUT, y_axis="down"
        )
        accepted = [n for n, d in decisions(labels).items() if d == "accepted"]
        assert accepted == ["p00000", f"p{count - 1:05d}"]
        assert len(labels) == count


@pytest.mark.parametrize("name", ["0@minislabs/minislabs_000.mrcs", "000000@x.mrcs"])
def test_image_0_is_refused(tmp_path, name):
    table = minislab_rows(3)[["rlnImageName"]].assign(rlnImageName=name)
    with pytest.raises(InputError, match=r"rlnImageName is .* images of a stack count from 1"):
        label_text(tmp_path, star(table), minislab_rows(3), "s.star")


def test_a_reextracted_stack_is_not_taken_for_ours(tmp_path):
    minislabs = minislab_rows(12)
    # Extract's stacks have our galleries' names in another folder, and another order.
    table = minislabs.iloc[::-1].reset_index(drop=True)
    table["rlnImageName"] = [
        f"{i + 1:06d}@Extract/job007/minislabs/minislabs_000.mrcs" for i in range(12)
    ]
    table = table[["rlnImageName", "rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY"]]
    with pytest.warns(SlabkitWarning, match="no empty tile"):
        labels, report = label_text(tmp_path, star(table.iloc[:3]), minislabs, "s.star")
    assert report.joined_by == "nearest tile"
    accepted = [n for n, d in decisions(labels).items() if d == "accepted"]
    assert accepted == ["p00009", "p00010", "p00011"]


def test_classes(tmp_path):
    minislabs = minislab_rows(6)
    table = minislabs.iloc[[5, 1, 2, 0]].assign(rlnClassNumber=[4, 1, 3, 9])
    labels, report = label_text(tmp_path, star(table), minislabs, "data.star", classes="1,3-5")
    assert decisions(labels) == {
        "p00000": "rejected",
        "p00001": "accepted",
        "p00002": "accepted",
        "p00005": "accepted",
    }
    assert labels["slabkitClass"].tolist() == ["9", "1", "3", "4"]
    assert (report.undecided, report.unlisted) == (2, 2)  # lost on the way is not rejected
    labels, _ = label_text(
        tmp_path, star(table), minislabs, "data.star", classes="1", unlisted="rejected"
    )
    assert len(labels) == 6
    with pytest.raises(InputError, match=r"no class 0 in the result; it has classes 1, 3-4, 9"):
        label_text(tmp_path, star(table), minislabs, "data.star", classes="0")
    with pytest.raises(InputError, match="--classes is given, but the result has no classes"):
        label_text(tmp_path, star(minislabs), minislabs, "data.star", classes="1")


def test_classes_that_are_not_probable_enough_decide_nothing(tmp_path):
    minislabs = minislab_rows(5)
    rows = {
        "slabkitPickId": [f"p0000{n}" for n in range(5)],
        "rlnClassNumber": [1, 1, 1, 2, 1],
        "rlnMaxValueProbDistribution": [0.95, 0.9, 0.6, 0.3, np.nan],
    }
    text = format_star({"particles": rows})
    options = {"classes": "1", "name": "classified.star"}
    labels, report = label_text(tmp_path, text, minislabs, **options, min_probability=0.9)
    assert decisions(labels) == dict(
        zip(
            rows["slabkitPickId"],
            ["accepted"] * 2 + ["undecided", "rejected", "undecided"],
            strict=True,
        )
    )
    assert report.improbable == 2
    assert dict(report.by_probability) == {0.5: 3, 0.7: 2, 0.8: 2, 0.9: 2, 0.95: 1, 0.99: 0}
    _, plain = label_text(tmp_path, text, minislabs, **options)
    assert (plain.accepted, plain.improbable, plain.by_probability) == (4, 0, ())
    for value in (-0.1, 1.1, np.nan):
        with pytest.raises(InputError, match="--min-probability must be from 0 to 1"):
            label_text(tmp_path, text, minislabs, **options, min_probability=value)
    del rows["rlnMaxValueProbDistribution"]
    text = format_star({"particles": rows})
    with pytest.raises(InputError, match="the result has neither rlnMaxValueProbDistribution nor"):
        label_text(tmp_path, text, minislabs, **options, min_probability=0.5)


def test_predictions_count_by_the_probability_of_their_species(tmp_path):
    minislabs = minislab_rows(4)
    rows = {
        "slabkitPickId": [f"p0000{n}" for n in range(4)],
        "slabkitDecision": ["accepted", "accepted", "rejected", "accepted"],
        "slabkitSpecies": ["a b", "a", "none", "none"],
        probability_column("a b"): [0.8, 0.6, 0.1, 0.3],
        probability_column("a"): [0.1, 0.4, 0.1, 0.5],
        "slabkitProbability_none": [0.1, 0.0, 0.8, 0.9],
    }
    text = format_star({"labels": rows})
    labels, report = label_text(tmp_path, text, minislabs, "p.star", min_probability=0.5)
    assert list(decisions(labels).values()) == ["accepted", "undecided", "rejected", "accepted"]
    assert labels["slabkitSpecies"].tolist() == ["a b", "", "", ""]
    assert dict(report.by_probability)[0.5] == 2
    rows["slabkitSpecies"][0] = "c"
    with pytest.raises(InputError, match="the result has no probability of 'c'"):
        label_text(
            tmp_path, format_star({"labels": rows}), minislabs, "p.star", min_probability=0.5
        )


def test_predictions_stay_predictions_with_their_poses(tmp_path):
    rows = {
        "slabkitPickId": ["p00000", "p00001", "p00002"],
        "slabkitDecision": ["accepted", "accepted", "rejected"],
        "slabkitSource": ["model:maps", "kim.csv", "propagated"],
        "slabkitSpecies": ["a", "none", "none"],
        "slabkitRotation": ["1,0,0,0,1,0,0,0,1", "none", "none"],
        "slabkitCentreX": [1.5, np.nan, np.nan],
        "slabkitProbability_a": [0.8, 0.7, 0.1],
    }
    text, minislabs = format_star({"labels": rows}), minislab_rows(3)
    labels, _ = label_text(tmp_path, text, minislabs, "p.star", min_probability=0.5)
    assert labels["slabkitSource"].tolist() == ["model:maps", "p.star", "propagated"]
    assert labels["slabkitRotation"].tolist() == ["1,0,0,0,1,0,0,0,1", "", ""]
    assert labels["slabkitCentreX"].fillna(0).tolist() == [1.5, 0, 0]
    labels, _ = label_text(tmp_path, text, minislabs, "p.star", source="checked")
    assert set(labels["slabkitSource"]) == {"checked"}


def test_two_species_on_one_minislab_contradict_each_other(tmp_path):
    text = "pick_id,decision,species\np00000,accepted,a\np00000,accepted,b\n"
    with pytest.raises(InputError, match=r"row 1 and .* row 2 contradict each other"):
        label_text(tmp_path, text, minislab_rows(1))


def test_parse_classes():
    present = {"1", "2", "4", "10", "junk"}
    assert parse_classes("1, 2-4,junk", present) == {"1", "2", "4", "junk"}
    assert parse_classes("01", present) == {"1"}
    for text, message in (
        ("0", "no class 0 .* classes 1-2, 4, 10, junk"),
        ("0-2", "no class 0-2"),
        ("9-11", "no class 9-11"),
        ("5-9", "no class 5-9"),
        ("3", "no class 3"),
        ("4-2", "'4-2' runs backwards"),
        ("good", "no class good"),
        ("1,,2", r"no class \(empty\)"),
    ):
        with pytest.raises(InputError, match=message):
            parse_classes(text, present)


def test_everything_selected_is_said_loudly(tmp_path):
    minislabs = minislab_rows(4)
    with pytest.warns(SlabkitWarning, match="EVERYTHING IS ACCEPTED: all 4 picks"):
        label_text(tmp_path, star(minislabs), minislabs, "s.star")
    with pytest.warns(SlabkitWarning, match="EVERYTHING IS REJECTED: all 4 picks"):
        label_text(tmp_path, star(minislabs.iloc[:0]), minislabs, "s.star")
    with pytest.warns(SlabkitWarning, match="decides about none of the 4 picks"):
        label_text(tmp_path, "pick_id,decision\n", minislabs)


def test_labels_of_older_galleries_stop(tmp_path):
    minislabs, older = minislab_rows(4), minislab_rows(5)
    with pytest.raises(InputError, match=r"of gallery set set-\w+, the minislab table of set-"):
        label_text(tmp_path, star(older), minislabs, "s.star")
    # Without the set's name, ids that are all unknown say the same.
    foreign = minislab_rows(4, prefix="q").drop(columns="slabkitGallerySet")
    with pytest.raises(InputError, match="none of the 4 rows"):
        label_text(tmp_path, star(foreign), minislabs, "s.star")


def test_unnamed_block_of_relion_3(tmp_path):
    minislabs = minislab_rows(3)
    text = format_star({"": minislabs.iloc[[1]][["rlnImageName"]]})
    labels, _ = label_text(tmp_path, text, minislabs, "s.star")
    assert decisions(labels)["p00001"] == "accepted"


def test_species_source_and_round(tmp_path):
    minislabs = minislab_rows(2)
    labels, _ = label_text(
        tmp_path,
        star(minislabs.iloc[[1]]),
        minislabs,
        "s.star",
        species="ribosome",
        source="Ada",
        round_name="two",
    )
    assert labels["slabkitSpecies"].tolist() == ["", "ribosome"]
    assert labels["slabkitSource"].tolist() == ["Ada", "Ada"]
    assert labels["slabkitRound"].tolist() == ["two", "two"]


# ---- tilted views ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("views", "expected"),
    [
        ("majority", ["rejected", "rejected", "accepted", "accepted"]),
        ("any", ["rejected", "accepted", "accepted", "accepted"]),
        ("all", ["rejected", "rejected", "rejected", "accepted"]),
    ],
)
@pytest.mark.parametrize("drop", [[], ["slabkitTilt"], ["slabkitTilt", "rlnImageName"]])
def test_views_of_a_pick_vote(tmp_path, views, expected, drop):
    minislabs = minislab_rows(4, tilts=(-20.0, 0.0, 20.0))
    # Pick n has n of its three views selected, in an order of no meaning.
    chosen = [11, 3, 9, 7, 10, 6]
    text = star(minislabs.iloc[chosen], drop)
    labels, report = label_text(tmp_path, text, minislabs, "s.star", views=views)
    assert labels["slabkitDecision"].tolist() == expected
    assert (report.minislabs, report.picks, report.matched) == (12, 4, 6)


def test_views_that_balance_are_undecided(tmp_path):
    minislabs = minislab_rows(2, tilts=(-20.0, 20.0))
    labels, report = label_text(tmp_path, star(minislabs.iloc[[1, 2, 3]]), minislabs, "s.star")
    assert labels["slabkitDecision"].tolist() == ["undecided", "accepted"]
    assert report.tied == 1


def test_one_row_of_a_csv_speaks_for_all_views(tmp_path):
    minislabs = minislab_rows(3, tilts=(-20.0, 0.0, 20.0))
    labels, _ = label_text(tmp_path, "pick_id,decision\np00001,no\np00002,yes\n", minislabs)
    assert decisions(labels) == {"p00001": "rejected", "p00002": "accepted"}


# ---- Topaz ----------------------------------------------------------------------------------


def topaz(rows, header="image_name\tx_coord\ty_coord\tscore"):
    lines = ("\t".join(str(value) for value in row) for row in rows)
    return "\n".join([header, *lines]) + "\n"


def centre(layout, row, column):
    x, y = layout.tile_centre(row, column)
    return int(x), int(y)


def test_topaz_nearest_tile(tmp_path):
    minislabs = minislab_rows(18)  # 12 and 6: rows 1 (half) and 2 of gallery 1 are empty
    x, y = centre(SMALL, 1, 1)
    rows = [
        ("minislabs_001", x + 4, y - 4, -1.5),  # within 0.3 tiles of tile (1, 1)
        ("minislabs_001", *centre(SMALL, 0, 3), 2.0),
        ("minislabs_000", *centre(SMALL, 2, 0), 0.5),
        ("minislabs_000", *centre(SMALL, 2, 0)[:1], centre(SMALL, 2, 0)[1] + 1, 0.7),
        ("minislabs_000", x + 8, y + 1, 9.0),  # between two tiles
        ("minislabs_001", *centre(SMALL, 2, 1), 1.0),  # an empty tile
        ("minislabs_009", x, y, 1.0),  # no such gallery
    ]
    with pytest.warns(SlabkitWarning) as caught:
        labels, report = label_text(
            tmp_path, topaz(rows), minislabs, "coords.txt", threshold=0.5, y_axis="down"
        )
    assert decisions(labels) == {
        "p00008": "accepted",
        "p00015": "accepted",
        "p00017": "rejected",
    }
    assert labels["slabkitScore"].tolist() == [0.7, 2.0, -1.5]
    assert report.joined_by == "nearest tile"
    assert (report.rows, report.matched, report.doubly_hit) == (7, 4, 1)
    assert (report.off_centre, report.filler, report.unmatched) == (1, 1, 1)
    assert report.undecided == 15
    texts = " ".join(str(w.message) for w in caught)
    assert "1 of 7 rows belong to no minislab and 1 are too far" in texts
    assert "1 rows lie on empty tiles" in texts


def test_topaz_without_threshold_accepts_what_is_listed(tmp_path):
    minislabs = minislab_rows(14)
    rows = [("minislabs_001", *centre(SMALL, 0, 1)), ("minislabs_000", *centre(SMALL, 0, 0))]
    text = topaz(rows, "image_name\tx_coord\ty_coord")
    labels, report = label_text(tmp_path, text, minislabs, "coords.txt")
    assert decisions(labels) == {"p00000": "accepted", "p00013": "accepted"}
    assert report.y_axis == "down"


def test_topaz_threshold_is_inclusive_and_needs_scores(tmp_path):
    minislabs = minislab_rows(13)
    rows = [("minislabs_001", *centre(SMALL, 0, 0), 1.25)]
    labels, _ = label_text(tmp_path, topaz(rows), minislabs, "c.txt", threshold=1.25)
    assert decisions(labels) == {"p00012": "accepted"}
    text = topaz([row[:3] for row in rows], "image_name\tx_coord\ty_coord")
    with pytest.raises(InputError, match="--threshold is given, but the result has no scores"):
        label_text(tmp_path, text, minislabs, "c.txt", threshold=1)


@pytest.mark.parametrize(("tolerance", "expected"), [(0.1, 1), (0.3, 2), (0.45, 3)])
@pytest.mark.filterwarnings("ignore::slabkit.errors.SlabkitWarning")
def test_tolerance(tmp_path, tolerance, expected):
    x, y = centre(SMALL, 0, 0)
    rows = [("minislabs_001", x + shift, y, 1) for shift in (2, 6, 9)]
    labels, report = label_text(
        tmp_path, topaz(rows), minislab_rows(13), "c.txt", tolerance=tolerance
    )
    assert (report.matched, report.off_centre, len(labels)) == (expected, 3 - expected, 1)


def test_upside_down_coordinates(tmp_path):
    minislabs = minislab_rows(16)  # gallery 1 has one row filled of three
    height = SMALL.shape[0]
    rows = [
        ("minislabs_001", x, height - 1 - y, 1) for x, y in (centre(SMALL, 0, c) for c in range(4))
    ]
    with pytest.raises(InputError, match=r"4 places lie on empty tiles .* give --y-axis up"):
        label_text(tmp_path, topaz(rows), minislabs, "c.txt")
    labels, report = label_text(tmp_path, topaz(rows), minislabs, "c.txt", y_axis="up")
    assert decisions(labels) == {f"p{n:05d}": "accepted" for n in range(12, 16)}
    assert (report.y_axis, report.filler) == ("up", 0)
    with pytest.raises(InputError, match=r"contradicts --y-axis down; give --y-axis up\."):
        label_text(tmp_path, topaz(rows), minislabs, "c.txt", y_axis="down")


@pytest.mark.filterwarnings("ignore:1 rows lie on empty tiles")
def test_hits_on_noise_do_not_turn_the_y_axis(tmp_path):
    minislabs = minislab_rows(16)  # gallery 1 has one row filled of three
    places = [("minislabs_001", *centre(SMALL, 0, column)) for column in range(3)]
    noise = ("minislabs_000", *centre(SMALL, 1, 1), 2), ("minislabs_001", *centre(SMALL, 1, 0), -3)
    rows = [*((*place, 1 + n) for n, place in enumerate(places)), *noise]
    labels, report = label_text(
        tmp_path, topaz(rows), minislabs, "c.txt", threshold=0, y_axis="down"
    )
    assert report.filler == 1
    # One that is best of all is a chance too; of places without scores it is a proof.
    rows = [(f"minislabs_00{n}", *centre(SMALL, row, 0), 3) for n, row in ((1, 2), (0, 0))]
    labels, report = label_text(tmp_path, topaz(rows), minislabs, "c.txt", y_axis="down")
    assert decisions(labels) == {"p00000": "accepted"}
    text = topaz([row[:3] for row in rows], "image_name\tx_coord\ty_coord")
    with pytest.raises(InputError, match="give --y-axis up"):
        label_text(tmp_path, text, minislabs, "c.txt", y_axis="down")


@pytest.mark.filterwarnings("ignore:9 rows lie on empty tiles")
def test_scores_of_every_place_say_nothing_of_the_y_axis(tmp_path):
    minislabs = minislab_rows(15)  # of gallery 1 three tiles are filled
    places = [(g, row, column) for g in (0, 1) for row in range(3) for column in range(4)]
    rows = [(f"minislabs_00{g}", *centre(SMALL, row, column), row) for g, row, column in places]
    labels, report = label_text(
        tmp_path, topaz(rows), minislabs, "c.txt", threshold=1, y_axis="down"
    )
    assert (report.filler, report.unlisted) == (9, 0)
    assert set(labels["slabkitPickId"][labels["slabkitDecision"] == "rejected"]) == {
        f"p{n:05d}" for n in (0, 1, 2, 3, 12, 13, 14)
    }


def test_no_evidence_for_the_y_axis_is_said(tmp_path):
    rows = [("minislabs_000", *centre(SMALL, 0, 1), 1)]
    with pytest.warns(SlabkitWarning, match="no empty tile of a gallery tells"):
        label_text(tmp_path, topaz(rows), minislab_rows(12), "c.txt")
    label_text(tmp_path, topaz(rows), minislab_rows(12), "c.txt", y_axis="down")


def test_names_that_imports_made_longer(tmp_path):
    names = ["004321098765432109876_minislabs_001.mrc", "Import/job001/minislabs_001.mrc"]
    for name in [*names, "minislabs_001_patch_aligned.mrc"]:
        rows = [(name, *centre(SMALL, 0, 0), 1)]
        labels, _ = label_text(tmp_path, topaz(rows), minislab_rows(13), "c.txt")
        assert decisions(labels) == {"p00012": "accepted"}


# ---- invariants -----------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(14)))
@pytest.mark.filterwarnings("ignore::slabkit.errors.SlabkitWarning")
def test_order_of_the_result_does_not_matter(order):
    minislabs = minislab_rows(20)
    rng = np.random.default_rng(3)
    rows = minislabs.iloc[rng.integers(0, 20, 14)].reset_index(drop=True)
    table = rows[["rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY"]].assign(
        slabkitScore=rng.integers(0, 3, 14).astype(float), slabkitClass=[str(i) for i in range(14)]
    )
    first = label_minislabs(table, minislabs, SMALL, threshold=1)
    copy = table.copy()
    second = label_minislabs(
        table.iloc[list(order)].reset_index(drop=True), minislabs, SMALL, threshold=1
    )
    pd.testing.assert_frame_equal(first[0], second[0])
    assert first[1] == second[1]
    assert table.equals(copy)


def test_choices_are_checked():
    minislabs = minislab_rows(2)
    table = minislabs[["slabkitPickId"]]
    for options, message in (
        ({"views": "most"}, "views must be majority or any or all, not 'most'"),
        ({"unlisted": "x"}, "unlisted must be"),
        ({"y_axis": "left"}, "y_axis must be down or up"),
        ({"tolerance": 0}, "tolerance must be a positive"),
        ({"threshold": 1.0}, "no scores"),
    ):
        with pytest.raises(InputError, match=message):
            label_minislabs(table, minislabs, SMALL, **options)
    decided = table.assign(slabkitDecision="accepted", slabkitClass="1")
    with pytest.raises(InputError, match="has decisions already"):
        label_minislabs(decided, minislabs, SMALL, classes="1")
    with pytest.raises(InputError, match="slabkitDecision is 'yes' in rows 1, 2"):
        label_minislabs(table.assign(slabkitDecision="yes"), minislabs, SMALL)


def test_a_million_rows_are_not_slow_by_design():
    """Every step is a join or a sort: thirty thousand rows in little more than no time."""
    minislabs = minislab_rows(30_000, LAYOUT)
    labels, report = label_minislabs(
        minislabs.iloc[::-2].reset_index(drop=True), minislabs, LAYOUT, unlisted="rejected"
    )
    assert (report.accepted, report.rejected, len(labels)) == (15_000, 15_000, 30_000)
