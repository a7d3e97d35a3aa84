"""What CryoSPARC imports, and picks made there on slabs: exact places, in any order."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from cryosparc_files import (
    LAYOUT,
    imported,
    picks_on_slabs,
    random_uids,
    slab_rows,
    write,
    write_dataset,
    write_set,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from slabkit.arrays.tiling import GalleryLayout
from slabkit.errors import InputError
from slabkit.errors import SlabkitWarning as Warned
from slabkit.formats.picks2d import read_picks2d_any
from slabkit.formats.programs.cryosparc.dataset import group_files, read_dataset
from slabkit.formats.programs.cryosparc.export import export_cryosparc
from slabkit.formats.programs.cryosparc.results import minislab_uids
from slabkit.formats.programs.cryosparc.slots import fractions, transfer_function
from slabkit.formats.results import read_results
from slabkit.formats.tables.native import write_slabs
from slabkit.formats.tables.star import read_star
from slabkit.labels import label_minislabs

# ---- one place a tile, and stacks -----------------------------------------------------------


@pytest.mark.parametrize("count", [5, 12, 31])
def test_every_minislab_is_exported_once_and_comes_back(tmp_path, monkeypatch, count):
    monkeypatch.chdir(tmp_path)
    table = write_set(tmp_path / "m", count)
    export = export_cryosparc("m/minislabs.star", "cs")
    export.write()
    tiles = read_dataset("cs/tiles.cs")
    assert tiles["uid"].tolist() == minislab_uids(table).tolist()
    height, width = LAYOUT.shape
    for axis, side in (("x", width), ("y", height)):
        places = tiles[f"location/center_{axis}_frac"].astype(float) * side
        truth = table[f"rlnCoordinate{axis.upper()}"].to_numpy()
        assert np.abs(places - truth).max() < 1e-4
        assert (np.floor(places) == truth).all()  # whether a program truncates or rounds
    assert (tiles["location/micrograph_shape"] == [height, width]).all()
    micrographs = read_dataset("cs/micrographs.cs")
    by_uid = dict(
        zip(micrographs["uid"].tolist(), micrographs["micrograph_blob/path"], strict=True)
    )
    for uid, path, name in zip(
        tiles["location/micrograph_uid"].tolist(),
        tiles["location/micrograph_path"],
        table["rlnMicrographName"],
        strict=True,
    ):
        assert by_uid[uid] == path == f">micrographs/{os.path.basename(name)}"
        assert os.path.samefile(f"cs/{path[1:]}", name)
    particles = read_dataset("cs/particles.cs")
    images = [
        f"{index + 1:06d}@m/{path.removeprefix('>stacks/')}"
        for index, path in zip(particles["blob/idx"], particles["blob/path"], strict=True)
    ]
    assert images == table["rlnImageName"].tolist()
    assert set(particles["blob/sign"]) == {1.0}
    for name in ("tiles", "particles"):
        read = read_results([f"cs/{name}.csg"], table, LAYOUT, "down")
        with pytest.warns(Warned, match="EVERYTHING IS ACCEPTED"):
            labels, report = label_minislabs(read.table, table, LAYOUT)
        assert labels["slabkitPickId"].tolist() == table["slabkitPickId"].tolist()
        assert (report.matched, report.accepted) == (count, count)


def test_star_files_name_what_the_datasets_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = write_set(tmp_path / "m", 14)
    export_cryosparc("m/minislabs.star", "cs").write()
    places = read_star("cs/tiles.star")[""]
    assert list(places.columns) == [
        "rlnMicrographName",
        "rlnCoordinateX",
        "rlnCoordinateY",
        "rlnAutopickFigureOfMerit",
    ]
    assert places["rlnMicrographName"].tolist() == [
        os.path.basename(name) for name in table["rlnMicrographName"]
    ]
    for axis in "XY":
        found = places[f"rlnCoordinate{axis}"].astype(float)
        assert found.tolist() == table[f"rlnCoordinate{axis}"].tolist()
    blocks = read_star("cs/particles.star")
    assert blocks["particles"]["rlnImageName"].tolist() == [
        name.replace("m/", "") for name in table["rlnImageName"]
    ]
    optics = blocks["optics"].iloc[0]
    assert (optics["rlnImagePixelSize"], optics["rlnImageSize"]) == ("7.3", "20")
    assert all(os.path.exists(f"cs/stacks/minislabs_{g:03d}.mrcs") for g in (0, 1))
    # both are read as results too
    for name in ("tiles", "particles"):
        read = read_results([f"cs/{name}.star"])
        assert len(read.table) == 14


def test_the_transfer_function_is_1_everywhere():
    """No defocus, no aberration, all amplitude contrast: nothing is corrected."""
    ctf = {k.removeprefix("ctf/"): v for k, v in transfer_function(2).items()}
    frequency = np.linspace(0, 0.5, 50)
    wavelength = 0.0197
    chi = np.pi * wavelength * frequency**2 * ctf["df1_A"][0] - np.pi / 2 * (
        ctf["cs_mm"][0] * 1e7 * wavelength**3 * frequency**4
    )
    contrast = ctf["amp_contrast"][0]
    value = np.sqrt(1 - contrast**2) * np.sin(chi) + contrast * np.cos(chi)
    assert np.abs(value) == pytest.approx(1)
    assert (ctf["df1_A"] == ctf["df2_A"]).all()
    assert (ctf["phase_shift_rad"] == 0).all()


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 20000), st.data())
def test_fractions_give_their_pixel_back(side, data):
    place = data.draw(st.integers(0, side - 1))
    back = fractions(np.array([float(place)]), [side]).astype(float)[0] * side
    assert place <= back < place + 0.01


def test_y_up_counts_from_the_last_row(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = write_set(tmp_path / "m", 14)
    export_cryosparc("m/minislabs.star", "cs", y_axis="up").write()
    height = LAYOUT.shape[0]
    y = read_dataset("cs/tiles.cs")["location/center_y_frac"].astype(float) * height
    assert np.abs(y - (height - 1 - table["rlnCoordinateY"].to_numpy())).max() < 1e-4
    uids = read_dataset("cs/tiles.cs")["uid"]
    assert uids.tolist() == minislab_uids(table).tolist()


def test_the_same_input_gives_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path / "m", 14)
    for folder in ("one", "two"):
        export_cryosparc("m/minislabs.star", folder).write()
    names = ["tiles.cs", "tiles.csg", "tiles.star", "particles.cs", "micrographs.cs"]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert group_files("one/tiles.csg")[0].name == "tiles.cs"


def test_places_on_galleries_imported_before(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = write_set(tmp_path / "m", 31, stacks=False)
    names = table["rlnMicrographName"].unique()
    others = ["unrelated.mrc", *names[::-1]]
    project = {
        "micrograph_blob/path": np.array([imported(name) for name in others], dtype=object),
        "micrograph_blob/shape": np.array([[9, 9], *[LAYOUT.shape] * 3], dtype=np.uint32),
        "mscope_params/exp_group_id": np.array([1, 5, 6, 7], dtype=np.uint32),
    }
    uids = random_uids(4)
    path = write(tmp_path / "J1" / "imported_micrographs.cs", uids, project)
    before = path.read_bytes()
    export = export_cryosparc("m/minislabs.star", "cs", exposures=path)
    export.write()
    assert sorted(os.listdir("cs")) == ["import.txt", "tiles.cs", "tiles.csg", "tiles.star"]
    tiles = read_dataset("cs/tiles.cs")
    rows = [others.index(name) for name in table["rlnMicrographName"]]
    assert tiles["location/micrograph_uid"].tolist() == uids[rows].tolist()
    assert tiles["location/micrograph_path"].tolist() == [
        project["micrograph_blob/path"][row] for row in rows
    ]
    assert tiles["location/exp_group_id"].tolist() == [
        project["mscope_params/exp_group_id"][row] for row in rows
    ]
    assert path.read_bytes() == before


def test_exposures_that_are_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = write_set(tmp_path / "m", 14)
    names = list(table["rlnMicrographName"].unique())

    def fails(message, paths, shape=LAYOUT.shape):
        fields = {
            "micrograph_blob/path": np.array(paths, dtype=object),
            "micrograph_blob/shape": np.tile(np.array(shape, np.uint32), (len(paths), 1)),
        }
        path = write(tmp_path / "x.cs", random_uids(len(paths)), fields)
        with pytest.raises(InputError, match=message):
            export_cryosparc("m/minislabs.star", "cs", exposures=path)

    fails("has the gallery minislabs_001.mrc 0 times among its 1", names[:1])
    fails("has the gallery minislabs_000.mrc 2 times among its 3", [*names, "b/minislabs_000.mrc"])
    fails(r"minislabs_000.mrc has \[94, 74\] pixels .* but \[74, 94\]", names, (94, 74))
    write_dataset("no.cs", {"uid": random_uids(1)})
    with pytest.raises(InputError, match="lacks micrograph_blob/path"):
        export_cryosparc("m/minislabs.star", "cs", exposures="no.cs")


def test_what_cannot_be_exported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path / "m", 14)
    (tmp_path / "m" / "minislabs_001.mrc").unlink()
    with pytest.raises(InputError, match=r"names the image m/minislabs_001.mrc, which is not"):
        export_cryosparc("m/minislabs.star", "cs")
    (tmp_path / "x.star").write_text("data_labels\n\nloop_\n_a #1\n1\n")
    with pytest.raises(InputError, match=r"neither a block data_galleries .* \(it has labels\)"):
        export_cryosparc("x.star", "cs")
    assert not (tmp_path / "cs").exists()


def test_import_txt_says_what_to_type(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path / "m", 14, contrast="bright")
    text = export_cryosparc("m/minislabs.star", "cs").files[Path("cs/import.txt")]
    assert f"{tmp_path}/cs/particles.star" in text
    assert "Extraction box size (pix):       20\n" in text
    assert "Pixel size (A):            7.3\n" in text
    assert "the margin is 7 pixels" in text
    assert "slabkit minislab --invert" in text
    write_set(tmp_path / "n", 14, layout=GalleryLayout(20, 3, 4, 0), stacks=False)
    text = export_cryosparc("n/minislabs.star", "cs").files[Path("cs/import.txt")]
    assert "NO MARGIN" in text
    assert "STACKS" not in text
    assert "invert" not in text


# ---- slabs ----------------------------------------------------------------------------------


def test_slabs_of_two_pixel_sizes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    slabs = slab_rows()
    (tmp_path / "slabs").mkdir()
    for name in slabs["rlnMicrographName"]:
        (tmp_path / name).write_bytes(b"slab")
    write_slabs("slabs/slabs.star", slabs)
    export = export_cryosparc("slabs/slabs.star", "cs")
    export.write()
    found = read_dataset("cs/micrographs.cs")
    assert found["micrograph_blob/shape"].tolist() == [[61, 83]] * 2 + [[40, 70]] * 2
    assert found["micrograph_blob/psize_A"] == pytest.approx([7.3, 7.3, 10.012, 10.012])
    assert len(set(found["uid"].tolist())) == 4
    for path, name in zip(found["micrograph_blob/path"], slabs["rlnMicrographName"], strict=True):
        assert os.path.samefile(f"cs/{path[1:]}", name)
    assert sorted(os.listdir("cs/micrographs_7.3A")) == ["a.1_slab000.mrc", "a.1_slab001.mrc"]
    text = export.files[Path("cs/import.txt")]
    assert (
        f"{tmp_path}/cs/micrographs_10.012A/*.mrc\n     Pixel size (A):            10.012" in text
    )
    with pytest.raises(InputError, match="are for the tiles of galleries"):
        export_cryosparc("slabs/slabs.star", "cs", y_axis="up")


@pytest.mark.parametrize("axis", ["down", "up"])
def test_picks_on_slabs_are_exact(tmp_path, axis):
    slabs, path, names, x, y = picks_on_slabs(tmp_path, np.random.default_rng(2), axis == "up")
    read = read_picks2d_any([path], slabs, y_axis=axis)
    assert read["rlnMicrographName"].tolist() == list(names)
    assert read["rlnCoordinateX"].to_numpy() == pytest.approx(x, abs=1e-4)
    assert read["rlnCoordinateY"].to_numpy() == pytest.approx(y, abs=1e-4)
    assert read["rlnAutopickFigureOfMerit"].tolist() == list(range(20))
    assert set(read["slabkitScoreKind"]) == {"cryosparc-pick"}


def test_on_slabs_nothing_tells_which_way_y_counts(tmp_path):
    slabs, path, *_ = picks_on_slabs(tmp_path, np.random.default_rng(2))
    with pytest.warns(Warned, match=r"nothing tells which way y counts on slabs.*--y-axis up"):
        read_picks2d_any([path], slabs)


def test_picks_on_other_slabs_stop(tmp_path):
    slabs, path, *_ = picks_on_slabs(tmp_path, np.random.default_rng(2))
    other = slabs.assign(slabkitTomogramSizeY=slabs["slabkitTomogramSizeY"] + 1)
    with pytest.raises(InputError, match=r"pixels \(y, x\), but the slabs have"):
        read_picks2d_any([path], other, y_axis="down")
    with pytest.raises(InputError, match=r"is not in the slab table; the closest"):
        read_picks2d_any([path], slabs[slabs["rlnTomoName"] == "a.1"], y_axis="down")
    write_dataset(tmp_path / "none.cs", {"uid": random_uids(2)})
    with pytest.raises(InputError, match=r"none.cs: lacks location/micrograph_path"):
        read_picks2d_any([tmp_path / "none.cs"], slabs, y_axis="down")


# ---- the command ----------------------------------------------------------------------------


def test_the_command(tmp_path, monkeypatch, slabkit):
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path / "m", 14)
    command = ("export", "cryosparc", "m/minislabs.star", "-o", "cs")
    done = slabkit(*command, "--json")
    report = json.loads(done.stdout)
    assert (report["micrographs"], report["tiles"], report["particles"]) == (2, 14, 14)
    assert "finished already" in slabkit(*command).stderr
    done = slabkit(*command, "--y-axis", "up", code=2)
    assert "y_axis was down, is up" in done.stderr
    assert "must be up or down" in slabkit(*command, "--y-axis", "left", code=2).stderr
    slabkit(*command, "--y-axis", "up", "--overwrite")
    slabkit("label", "cs/particles.csg", "--minislabs", "m/minislabs.star", "-o", "labels.star")
    record = json.loads((tmp_path / "labels.star.json").read_text())
    assert any("particles.cs" in str(item) for item in record["inputs"])
    done = slabkit(*command[:2], "-", "-o", "x", code=2)
    assert "- is neither" in done.stderr
