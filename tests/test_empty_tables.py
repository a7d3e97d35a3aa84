"""Files without a table or without rows: each command goes on with nothing, or says what is wrong.

A pick list or 2D picks in which nothing stands are a result. Labels, and results on minislabs, in
which nothing stands are a mistake: to reject everything, someone has to have said so.
"""

from __future__ import annotations

import numpy as np
import pytest
from volume_files import gallery_file

from slabkit.formats.picks.reading import read_picks
from slabkit.formats.tables.native import (
    PickList,
    read_labels,
    read_minislabs,
    write_labels,
    write_picks,
    write_slabs,
)
from slabkit.formats.volumes.mrc import write_mrc
from slabkit.tables import LABELS, PICKS, SLABS, TOMOGRAMS, empty_table, make_table

NO_TABLE = {
    "nothing": "",
    "blank": " \n\n",
    "comments": "# version 30001\n\n# nothing more\n",
    "block": "data_\n\n",
}
NO_BLOCK = "# version 30001\nloop_\n_rlnCoordinateX\n"
NO_ROWS = {
    "2d": "_rlnMicrographName\n_rlnCoordinateX\n_rlnCoordinateY\n",
    "3d": "_rlnTomoName\n" + "".join(f"_rlnCenteredCoordinate{axis}Angst\n" for axis in "XYZ"),
    "relion": "_rlnParticleName\n_rlnImageName\n_rlnClassNumber\n",
}


@pytest.fixture
def project(tmp_path, slabkit):
    """A tomogram of 30 × 40 × 20 voxels of 7.3 Å, its slab, two picks and their minislabs."""
    volume = np.random.default_rng(0).normal(0, 1, (20, 40, 30)).astype(np.float32)
    write_mrc(tmp_path / "t.mrc", volume, 7.3, label="test")
    tomograms = make_table(
        TOMOGRAMS,
        {
            "slabkitTomogram": ["t"],
            "slabkitTomogramFile": ["t.mrc"],
            "slabkitTomogramSizeX": [30],
            "slabkitTomogramSizeY": [40],
            "slabkitTomogramSizeZ": [20],
            "slabkitVoxelSize": [7.3],
            "slabkitTomogramContrast": ["dark"],
        },
    )
    picks = {"slabkitPickId": ["a", "b"], "slabkitTomogram": "t", "slabkitSpecies": "ribosome"}
    picks |= {f"slabkit{axis}": [60.0, 80.0] for axis in "XYZ"}
    write_picks(tmp_path / "picks.star", PickList(make_table(PICKS, picks), tomograms))
    write_picks(tmp_path / "none.star", PickList(empty_table(PICKS), tomograms))
    write_labels(tmp_path / "labels.star", empty_table(LABELS))
    slabs = {"rlnMicrographName": ["t_slab000.mrc"], "rlnTomoName": ["t"]}
    slabs |= {"slabkitTomogramFile": ["t.mrc"], "slabkitZStart": [0], "slabkitZCount": [20]}
    slabs |= {"slabkitVoxelSize": [7.3], "slabkitContrast": "dark"}
    slabs |= {"slabkitTomogramContrast": "dark"}
    slabs |= {
        f"slabkitTomogramSize{axis}": [n] for axis, n in zip("XYZ", (30, 40, 20), strict=True)
    }
    write_slabs(tmp_path / "slabs.star", make_table(SLABS, slabs))
    slabkit("minislab", "picks.star", "-o", "mini", *BOX, "--tiles", "2x2", "--quiet")
    return tmp_path


BOX = ("--box", 60, "--depth", 60)


@pytest.mark.parametrize("kind", NO_TABLE)
def test_picks_in_files_without_a_table_are_none(project, slabkit, kind):
    (project / "e.star").write_text(NO_TABLE[kind])
    done = slabkit("map", "e.star", "--slabs", "slabs.star", "-o", "mapped.star")
    assert "there are no picks; the table is empty" in done.stderr
    assert ("e.star: is an empty file, taken for no picks" in done.stderr) == (kind != "block")
    with pytest.warns(match="holds no picks"):
        assert len(read_picks(project / "mapped.star").picks) == 0
    done = slabkit("convert", "e.star", "c.star")
    assert "e.star: holds no picks" in done.stderr
    assert "e.star: holds no picks" in slabkit("score", "e.star", "picks.star").stderr
    assert "e.star: holds no picks" in slabkit("minislab", "e.star", "-o", "m", *BOX).stderr
    assert len(read_minislabs(project / "m" / "minislabs.star")[0]) == 0


@pytest.mark.parametrize("kind", NO_TABLE)
def test_labels_and_own_tables_without_a_table_stop(project, slabkit, kind):
    (project / "e.star").write_text(NO_TABLE[kind])
    error = slabkit(
        "label", "e.star", "--minislabs", "mini/minislabs.star", "-o", "l.star", code=2
    ).stderr
    expected = "its columns are none" if kind == "block" else "is empty; a block data_particles is"
    assert expected in error
    for names in (("e.star", "labels.star"), ("picks.star", "e.star")):
        error = slabkit("curate", *names, "-o", "c.star", code=2).stderr
        assert ("it has none" if kind == "block" else "is empty or has no data_ block") in error
    assert not (project / "c.star").exists()
    assert not (project / "l.star").exists()


def test_a_table_without_a_block_is_told_as_such(project, slabkit):
    (project / "e.star").write_text(NO_BLOCK)
    for command in (
        ("map", "e.star", "--slabs", "slabs.star", "-o", "o.star"),
        ("label", "e.star", "--minislabs", "mini/minislabs.star", "-o", "o.star"),
        ("curate", "e.star", "labels.star", "-o", "o.star"),
        ("convert", "e.star", "o.star"),
        ("score", "e.star", "picks.star"),
        ("minislab", "e.star", "-o", "o", *BOX),
    ):
        error = slabkit(*command, code=2).stderr
        assert "e.star, line 2: expected a block (data_...), found 'loop_'" in error
    assert not (project / "o.star").exists()


def test_columns_without_rows_flow_through(project, slabkit):
    for kind, columns in NO_ROWS.items():
        (project / f"{kind}.star").write_text(f"data_particles\n\nloop_\n{columns}\n")
    assert (
        "there are no picks"
        in slabkit("map", "2d.star", "--slabs", "slabs.star", "-o", "m.star").stderr
    )
    assert "holds no picks" in slabkit("convert", "3d.star", "c.star").stderr
    assert "holds no picks" in slabkit("score", "3d.star", "picks.star").stderr
    slabkit("label", "relion.star", "--minislabs", "mini/minislabs.star", "-o", "l.star")
    assert read_labels(project / "l.star")["slabkitDecision"].tolist() == ["rejected"] * 2
    slabkit("curate", "none.star", "labels.star", "-o", "n.star")
    slabkit("curate", "picks.star", "labels.star", "-o", "u.star", "--keep", "undecided")
    assert len(read_picks(project / "u.star").picks) == 2


def test_an_empty_pipe_stops(project, slabkit):
    for command in (
        ("convert", "-", "o.star"),
        ("map", "-", "--slabs", "slabs.star", "-o", "o.star"),
    ):
        error = slabkit(*command, code=2).stderr
        assert "standard input: is empty, not even a table without picks" in error


def test_no_minislabs_have_the_pixel_size_of_the_tomograms(project, slabkit):
    slabkit("minislab", "none.star", "-o", "m", *BOX)
    geometry = read_minislabs(project / "m" / "minislabs.star")[1]
    assert geometry["slabkitPixelSize"].item() == "7.3"
    assert geometry["slabkitTileSize"].item() == "8"
    slabkit("minislab", "none.star", "-o", "p", *BOX, "--pixel-size", 10)
    geometry = read_minislabs(project / "p" / "minislabs.star")[1]
    assert geometry["slabkitPixelSize"].item() == "10.0"
    (project / "e.csv").write_text("tomogram,x,y,z\n")
    slabkit("minislab", "e.csv", "-o", "q", *BOX, "--tomograms", "t.mrc")
    geometry = read_minislabs(project / "q" / "minislabs.star")[1]
    assert geometry["slabkitPixelSize"].item() == "7.3"
    done = slabkit("minislab", "e.csv", "-o", "r", *BOX)
    assert "no tomogram of the pick list has a voxel size; the table of no minislabs" in done.stderr
    assert "1 Å" in done.stderr


def test_score_and_minislab_take_formats_that_have_to_be_named(project, slabkit):
    voxels = np.array([60.0, 80.0]) / 7.3
    text = "".join(f"{v + 0.5} {v + 0.5} {v}\n" for v in voxels.tolist())  # IMOD's corner in x, y
    (project / "p.txt").write_text(text)
    assert "say what it is with --from" in slabkit("score", "p.txt", "picks.star", code=2).stderr
    options = ("--from", "imod", "--tomograms", "t.mrc")
    done = slabkit("score", "p.txt", "picks.star", *options, "--json", "--radius", "ribosome=1e-4")
    assert '"precision": 1.0' in done.stdout
    slabkit("minislab", "p.txt", "-o", "m", *BOX, "--tiles", "2x2", *options)
    same = gallery_file(project / "m", 0).read_bytes()
    assert same[1024:] == gallery_file(project / "mini", 0).read_bytes()[1024:]
    # One voxel off, which only the option says.
    (project / "p.tbl").write_text(dynamo([v + 1 for v in voxels]))
    from_one = slabkit(
        "score",
        "p.tbl",
        "picks.star",
        "--tomograms",
        "t.mrc",
        "--radius",
        "ribosome=1e-4",
        "--json",
    )
    assert '"precision": 1.0' in from_one.stdout
    from_zero = slabkit(
        "score",
        "p.tbl",
        "picks.star",
        "--tomograms",
        "t.mrc",
        "--radius",
        "ribosome=1e-4",
        "--json",
        "--index-base",
        0,
    )
    assert '"precision": 0.0' in from_zero.stdout


def dynamo(places):
    rows = []
    for tag, place in enumerate(places, 1):
        row = ["0"] * 35
        row[0], row[19] = str(tag), "1"
        row[23:26] = [repr(float(place))] * 3
        rows.append(" ".join(row))
    return "\n".join(rows) + "\n"
