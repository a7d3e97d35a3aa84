"""What a newcomer types wrong, and what is said (issue 13, items 4 and 5)."""

from __future__ import annotations

import json

import pytest
from volume_files import random_volume, write_mrc_file

from slabkit.cli.options.declare import length, without_unit
from slabkit.cli.options.values import parse_distances, parse_range, parse_z_range
from slabkit.errors import InputError
from slabkit.execution.labelling_speed import _is_rule
from slabkit.execution.records import Record
from slabkit.units import planes_text

PICKS2D = (
    "data_particles\nloop_\n_rlnMicrographName\n_rlnCoordinateX\n_rlnCoordinateY\n"
    "_rlnAutopickFigureOfMerit\nslabs/T_slab000.mrc 10 12 3.5\n"
)
PICKS = (
    "data_tomograms\nloop_\n_slabkitTomogram\n_slabkitTomogramFile\nT T.mrc\n\n"
    "data_picks\nloop_\n_slabkitPickId\n_slabkitTomogram\n_slabkitX\n_slabkitY\n_slabkitZ\n"
    "_slabkitScore\np0001 T 150 150 100 3.5\n"
)
SLABS = (
    "data_micrographs\nloop_\n_rlnMicrographName\n_slabkitZStart\n_slabkitZCount\nslabs/a.mrc 0 3\n"
)
LABELS = "data_labels\nloop_\n_slabkitPickId\n_slabkitDecision\np0001 accepted\n"
TOPAZ = "image_name\tx_coord\ty_coord\tscore\nT_slab000\t1\t2\t0.5\n"
MINISLAB = ("-o", "m", "--box", 120, "--depth", 100)


@pytest.fixture
def files(tmp_path):
    write_mrc_file(tmp_path / "T.mrc", random_volume((20, 30, 30)), 10.0)
    for name, text in (
        ("p2.star", PICKS2D),
        ("t.txt", TOPAZ),
        ("b.box", "10 20 8 8\n"),
        ("picks.star", PICKS),
        ("p.csv", "tomogram,x,y,z\nT,1,2,3\n"),
        ("p.pts", "1 2 3\n"),
        ("p.tbl", " ".join(["1", *["0"] * 18, "1", "0", "0", "0", "5", "6", "7", *["0"] * 9])),
        ("slabs.star", SLABS),
        ("labels.star", LABELS),
    ):
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("unit", ["Å", "A", " Å", " A", "\u212b", "A\u030a", ""])
def test_i4_lengths_with_their_unit(unit):
    assert length(f"150{unit}", "--box") == 150
    assert parse_range(f"100:350{unit}", "--diameter") == (100, 350)
    assert parse_range(f"100{unit}:350{unit}", "--diameter") == (100, 350)
    assert parse_z_range(f":350.5{unit}", "--z-range") == (float("-inf"), 350.5)
    typed = [without_unit(f"a1=150{unit},b=60{unit}"), without_unit(f"100{unit}")]
    assert parse_distances(typed, "--distance") == {"a1": 150, "b": 60, "": 100}


@pytest.mark.parametrize("wrong", ["15nm", "Å", "150 px", "1 50", "", "150ÅÅ"])
def test_i4_what_is_no_length(wrong):
    with pytest.raises(InputError, match="--box takes a number of Å, not"):
        length(wrong, "--box")


def test_i4_units_at_the_command_line(slabkit, files):
    said = slabkit("slab", "T.mrc", "-o", "s", "--thickness", "60 Å", "--voxel-size", "10A").stderr
    assert "60" in said
    slabkit("slab", "T.mrc", "-o", "s", "--thickness", 60, "--voxel-size", 10)  # the same work
    assert "--thickness takes a number of Å, not '60px'" in (
        slabkit("slab", "T.mrc", "-o", "s2", "--thickness", "60px", code=2).stderr
    )
    slabkit("merge", "picks.star", "-o", "m.star", "--distance", "100Å")


@pytest.mark.parametrize("name", ["p2.star", "t.txt", "b.box"])
def test_i4_2d_picks_where_3d_are_wanted(slabkit, files, name):
    said = slabkit("minislab", name, *MINISLAB, code=2).stderr
    assert f"run map first: slabkit map {name} --slabs" in said
    said = slabkit("merge", name, "-o", "m.star", "--distance", 100, code=2).stderr
    assert "run map first" in said
    assert "--from" not in said
    said = slabkit("view", name, "-o", "p.html", code=2).stderr
    assert "to look at them on their slabs: slabkit inspect" in said


@pytest.mark.parametrize(
    ("name", "what"),
    [("slabs.star", "a table of slabs; .* slabkit pick"), ("labels.star", "slabkit curate")],
)
def test_i4_other_tables_where_picks_are_wanted(slabkit, files, name, what):
    with pytest.raises(AssertionError, match=what):
        slabkit("minislab", name, *MINISLAB)


@pytest.mark.parametrize("name", ["picks.star", "p.csv", "p.tbl"])
def test_i4_3d_picks_where_2d_are_wanted(slabkit, files, name):
    slabkit("slab", "T.mrc", "-o", "s", "--thickness", 60)
    said = slabkit("inspect", name, "--slabs", "s/slabs.star", "-o", "p.html", code=2).stderr
    assert "holds 3D picks; here 2D picks on slabs are needed" in said
    assert f"slabkit view {name} -o page.html" in said


def test_i4_pixels_that_were_meant(slabkit, files):
    said = slabkit("minislab", "picks.star", "-o", "m", "--box", 40, "--depth", 30).stderr
    assert "--box 40 is 40 Å, 4 voxels of 10 Å; were 40 voxels meant? Those are --box 400" in said
    assert "were 30 voxels meant? Those are --depth 300" in said
    assert (
        "meant" not in slabkit("minislab", "picks.star", *MINISLAB[:1], "m2", *MINISLAB[2:]).stderr
    )


def test_i4_planes_in_no_slab(slabkit, files):
    said = slabkit("slab", "T.mrc", "-o", "s", "--thickness", 40, "--step", 80).stderr
    assert "80 Å of 200 Å lie in no slab, up to 40 Å between one slab and the next" in said
    said = slabkit("slab", "T.mrc", "-o", "s2", "--thickness", 40, "--step", 40).stderr
    assert "no slab" not in said


def test_i4_only_formats_that_are_written_are_listed(slabkit, files):
    for arguments in (("x.tbl", "--to", "foo"), ("x.foo",), ("x.tbl", "--to", "polnet")):
        said = slabkit("convert", "picks.star", *arguments, code=2).stderr
        listed = said.rpartition("there are ")[2] or said
        assert "stopgap" in listed
        assert "relion3" not in listed
        assert "deepfinder" not in listed


MANY = (
    "data_tomograms\nloop_\n_slabkitTomogram\n_slabkitTomogramFile\nT T.mrc\n\n"
    "data_picks\nloop_\n_slabkitPickId\n_slabkitTomogram\n_slabkitX\n_slabkitY\n_slabkitZ\n"
    "_slabkitScore\n_slabkitSpecies\n_slabkitDecision\n"
    "T-a1 T 150 150 100 3.5 ribosome accepted\nT-a2 T 50 50.25 90 7 ribosome undecided\n"
    "T-b1 T 50 150 90 nan none rejected\n"
)


@pytest.fixture
def many(files):
    (files / "many.star").write_text(MANY.replace("7 ribosome", "7.25 ribosome"))
    return files


def test_i5_info_counts_decisions_species_and_scores(slabkit, many):
    said = slabkit("info", "many.star").stdout
    assert "decisions: accepted 1, undecided 1, rejected 1\n" in said
    assert "species: ribosome 2, (none) 1\n" in said
    assert "scores: 3.5 to 7.25 (1 have none)\n" in said
    slabkit("convert", "many.star", "many.csv")
    assert "species: ribosome 2, (none) 1\n" in slabkit("info", "many.csv").stdout
    assert "decisions: accepted 1\n" in slabkit("info", "labels.star").stdout
    assert "scores: 3.5 to 3.5\n" in slabkit("info", "p2.star").stdout


def test_i5_failures_are_last(slabkit, files):
    (files / "broken.mrc").write_bytes(b"no")
    done = slabkit("info", "none.mrc", "T.mrc", "broken.mrc", code=1)
    assert [line[:6] for line in done.stderr.splitlines()] == ["error:", "error:"]
    (files / "more").mkdir()
    for name in ("a", "c"):
        write_mrc_file(files / "more" / f"{name}.mrc", random_volume((20, 30, 30)), 10.0)
    write_mrc_file(files / "more" / "b.mrc", random_volume((20, 30, 30)), 0.0)
    done = slabkit("slab", "more", "-o", "s", "--thickness", 60, code=1)
    last = done.stderr.splitlines()
    assert last[-1].startswith("failed: b: ")
    assert last[-2] == "slab: → s/slabs.star"
    write_mrc_file(files / "more" / "d.mrc", random_volume((20, 30, 30)), 0.0)
    last = slabkit("slab", "more", "-o", "t", "--thickness", 60, code=1).stderr.splitlines()
    assert [line[:11] for line in last[-3:-1]] == ["failed: b: ", "failed: d: "]
    assert last[-1] == "slab: 2 failed: b, d"


def test_i5_one_table_or_one_line_with_the_digits_they_have(slabkit, files):
    said = slabkit("slab", "T.mrc", "-o", "s", "--thickness", 60).stderr.splitlines()
    assert said[2].split() == ["T", "3", "6", "60", "10", "10"]
    assert said[3:] == ["slab: → s/slabs.star"]
    said = slabkit("convert", "picks.star", "x.csv").stderr.splitlines()
    assert said == ["convert: picks 1, tomograms 1, outside 0, to csv → x.csv"]


def test_i5_plain_csv(slabkit, many):
    slabkit("convert", "many.star", "plain.csv", "--plain")
    expected = (
        "tomogram,species,x,y,z,score\nT,ribosome,150,150,100,3.5\n"
        "T,ribosome,50,50.25,90,7.25\nT,,50,150,90,\n"
    )
    assert (many / "plain.csv").read_text().replace(".0,", ",") == expected
    done = slabkit("convert", "many.star", "-", "--plain")
    assert done.stdout == (many / "plain.csv").read_text()
    said = slabkit("convert", "many.star", "x.star", "--plain", code=2).stderr
    assert "--plain is for CSV" in said
    slabkit("convert", "many.star", "plain.csv", code=2)  # made otherwise


def test_i5_pictures_are_no_part_of_a_result(slabkit, files):
    slab = ("slab", "T.mrc", "-o", "s", "--thickness", 60)
    slabkit(*slab)
    before = (files / "s" / "T_slab000.mrc").read_bytes()
    slabkit(*slab, "--png")
    assert (files / "s" / "T_slabs.png").exists()
    assert (files / "s" / "T_slab000.mrc").read_bytes() == before
    for more in (("--png",), ()):
        assert "finished already" in slabkit(*slab, *more).stderr
    assert (files / "s" / "T_slabs.png").exists()


def test_i5_a_slab_is_as_thick_as_its_caption():
    assert planes_text(0, 30, 10.0) == "z -5 to 295 Å, 300 Å thick"
    assert planes_text(3, 4, 7.5) == "z 18.75 to 48.75 Å, 30 Å thick"


def test_i5_the_beginning_of_an_id(slabkit, many):
    whole = slabkit("history", "T-a1", "many.star").stdout
    assert whole.startswith("T-a1\n")
    assert slabkit("history", "T-b", "many.star").stdout.startswith("T-b1\n")
    assert json.loads(slabkit("history", "T-b", "many.star", "--json").stdout)["pick"] == "T-b1"
    said = slabkit("history", "T-a", "many.star", code=2).stderr
    assert slabkit("history", "b", "many.star").stdout.startswith("T-b1\n")
    assert "2 picks have an id that begins with T-a: T-a1, T-a2." in said
    assert "there is no pick X" in slabkit("history", "X", "many.star", code=2).stderr


def test_i5_a_pick_with_a_label_in_its_ledger_is_not_called_unlabelled(slabkit, many):
    labels = LABELS.replace("p0001 accepted", "T-a1 accepted\nT-a2 rejected")
    (many / "labels.star").write_text(labels)
    (many / "more.star").write_text(LABELS.replace("p0001", "T-a2"))
    slabkit("curate", "many.star", "labels.star", "-o", "one.star", "--keep", "all")
    said = slabkit("curate", "one.star", "more.star", "-o", "two.star").stderr
    assert "kept: accepted by a label of an earlier round      1" in said
    assert "kept: accepted by label      " in said
    assert "dropped: rejected (no label)                       1" in said


@pytest.mark.parametrize("rule", [(), ("--threshold", "0.5")])
def test_i5_a_rule_has_no_labelling_speed(slabkit, files, rule):
    slabkit("minislab", "picks.star", *MINISLAB)
    columns = "pick_id,score\np0001,0.7\n" if rule else "pick_id,decision\np0001,accepted\n"
    (files / "good.csv").write_text(columns)
    record = files / "m" / "minislabs.star.json"
    earlier = json.loads(record.read_text()) | {"finished": "2026-01-01T00:00:00+0000"}
    record.write_text(json.dumps(earlier))
    slabkit("label", "good.csv", "--minislabs", "m/minislabs.star", "-o", "l.star", *rule)
    pace = json.loads(slabkit("stats", "picks.star", "--labels", "l.star", "--json").stdout)["pace"]
    assert (pace[0]["labels_per_hour_at_least"] is None) == bool(rule)
    said = slabkit("stats", "picks.star", "--labels", "l.star", "-o", "stats").stderr
    assert ("hours since images" in said) != bool(rule)
    assert ("<h2>Pace" in (files / "stats" / "stats.html").read_text("utf-8")) != bool(rule)


def test_i5_what_is_a_rule():
    for step, given in (("label", {"quality": 0.0}), ("label", {"threshold": 0}), ("suggest", {})):
        assert _is_rule(Record(step, given, []))
    assert not _is_rule(Record("label", {"classes": "1,3", "threshold": None}, []))


def test_i5_an_interruption_says_what_is_kept(slabkit, files, monkeypatch):
    from slabkit.steps import slab

    (files / "more").mkdir()
    for name in ("a", "b"):
        write_mrc_file(files / "more" / f"{name}.mrc", random_volume((20, 30, 30)), 10.0)
    real = slab._write_images

    def interrupted(tomogram, *rest):
        if tomogram.name == "b":
            raise KeyboardInterrupt
        real(tomogram, *rest)

    monkeypatch.setattr(slab, "_write_images", interrupted)
    said = slabkit("slab", "more", "-o", "s", "--thickness", 60, code=130).stderr
    assert "kept: s/a_slab000.mrc and 2 more, finished; s/slabs.star is not" in said
    assert "interrupted; unfinished files were removed." in said
    monkeypatch.setattr(slab, "_write_images", real)
    slabkit("slab", "more", "-o", "s", "--thickness", 60)
