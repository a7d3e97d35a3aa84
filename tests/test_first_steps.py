"""What a newcomer types wrong, and what is said (issue 13, items 4 and 5)."""

from __future__ import annotations

import pytest
from volume_files import random_volume, write_mrc_file

from slabkit.cli.options.declare import length, without_unit
from slabkit.cli.options.values import parse_distances, parse_range, parse_z_range
from slabkit.errors import InputError

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
    assert "slabkit minislab" in said


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
