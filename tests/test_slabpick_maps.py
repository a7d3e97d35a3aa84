"""slabpick's maps as slabkit's tables; `tests/clients/test_slabpick.py` runs the program itself."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slabpick_files import PLACES, TILTS, VOXEL, make_project, make_results, mrc

from slabkit.errors import InputError, SlabkitError, SlabkitWarning
from slabkit.formats.picks.reading import read_picks
from slabkit.formats.programs.slabpick.project import read_particle_map, read_slab_map
from slabkit.formats.tables.native import read_minislabs, read_slabs
from slabkit.steps.import_slabpick import minislab_tables


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_project(tmp_path)
    make_results(tmp_path)
    return tmp_path


def picks_of(folder: Path) -> Any:
    return read_picks(folder / "project", keep_duplicates=True)


def test_slab_map_is_a_slab_table(project: Path) -> None:
    slabs = read_slab_map("slabs/slab_map.csv")
    assert slabs["rlnMicrographName"].tolist() == [f"slabs/slab_00{i}.mrc" for i in range(4)]
    assert slabs["rlnTomoName"].tolist() == ["00255", "00255", "cmr_01_Vol", "cmr_01_Vol"]
    assert slabs["slabkitZStart"].tolist() == [5, 20, 5, 20]
    assert slabs["slabkitZCount"].tolist() == [15] * 4
    sizes = slabs[[f"slabkitTomogramSize{axis}" for axis in "XYZ"]].to_numpy().tolist()
    assert sizes == [[71, 60, 40]] * 4
    np.testing.assert_allclose(slabs["slabkitVoxelSize"], VOXEL, rtol=1e-6)
    np.testing.assert_allclose(slabs["slabkitThickness"], 15 * VOXEL, rtol=1e-6)
    assert set(slabs["slabkitContrast"]) == {"dark"}
    with pytest.warns(SlabkitWarning, match="5 Å"):
        bright = read_slab_map("slabs/slab_map.csv", voxel_size=5.0, contrast="bright")
    assert set(bright["slabkitContrast"]) == {"bright"} == set(bright["slabkitTomogramContrast"])
    assert set(bright["slabkitVoxelSize"]) == {5.0}


def test_particle_map_is_a_minislab_table(project: Path) -> None:
    picks = picks_of(project)
    minislabs, geometry = minislab_tables(read_particle_map("mini/particle_map.csv", picks))
    table = picks.picks.set_index("slabkitPickId")
    names = ["00255"] * 3 + ["cmr_01_Vol"] * 6
    assert minislabs["slabkitTomogram"].tolist() == names
    assert table.loc[minislabs["slabkitPickId"], "slabkitTomogram"].tolist() == names
    voxels = [*PLACES["00255"], *PLACES["cmr_01_Vol"]]
    places = table.loc[minislabs["slabkitPickId"], ["slabkitX", "slabkitY", "slabkitZ"]].to_numpy()
    np.testing.assert_allclose(places, np.repeat(voxels, 3, axis=0) * VOXEL + [4, 1, 2])
    centres = minislabs[[f"slabkitCentre{axis}" for axis in "XYZ"]].to_numpy()
    np.testing.assert_allclose(centres, np.repeat(voxels, 3, axis=0) * VOXEL)
    assert minislabs["slabkitTilt"].tolist() == [*TILTS] * 3
    assert (
        minislabs["rlnMicrographName"].tolist()
        == ["mini/particles_000.mrc"] * 6 + ["mini/particles_001.mrc"] * 3
    )
    assert minislabs["rlnCoordinateX"].tolist() == [8, 24, 40] * 3
    assert minislabs["rlnCoordinateY"].tolist() == [8] * 3 + [24] * 3 + [8] * 3
    row = geometry.iloc[0]
    assert (row["slabkitTileSize"], row["slabkitGalleryRows"], row["slabkitGalleryColumns"]) == (
        16,
        2,
        3,
    )
    assert (row["slabkitTileCount"], row["slabkitLastGalleryTiles"]) == (9, 3)
    assert row["slabkitDepth"] == 90
    assert row["slabkitContrast"] == "dark"


def test_a_stack_has_images_from_one(project: Path) -> None:
    found = read_particle_map("stack/particle_map.csv", picks_of(project))
    minislabs, geometry = minislab_tables(found)
    assert minislabs["rlnImageName"].tolist()[:2] == [
        "000001@stack/particles.mrcs",
        "000002@stack/particles.mrcs",
    ]
    assert geometry["slabkitTileSize"].tolist() == [16]


def test_inverted_galleries_have_the_other_contrast(project: Path) -> None:
    path = project / "mini" / "make_minislabs.json"
    record = json.loads(path.read_text())
    record["parameters"]["invert_contrast"] = True
    path.write_text(json.dumps(record))
    found = read_particle_map("mini/particle_map.csv", picks_of(project))
    assert minislab_tables(found)[1]["slabkitContrast"].tolist() == ["bright"]


def test_without_the_record_the_tiles_are_counted_or_asked_for(project: Path) -> None:
    (project / "mini" / "make_minislabs.json").unlink()
    picks = picks_of(project)
    assert read_particle_map("mini/particle_map.csv", picks).layout.rows == 2
    with pytest.raises(InputError, match="Say the right number"):
        read_particle_map("mini/particle_map.csv", picks, tiles=(4, 6))
    lines = Path("mini/particle_map.csv").read_text().splitlines()
    Path("mini/particle_map.csv").write_text("\n".join(lines[:4]) + "\n")  # one gallery only
    few = picks_of(project)
    few = type(few)(few.picks[few.picks["slabkitTomogram"] == "00255"], few.tomograms)
    with pytest.raises(InputError, match="give --tiles ROWSxCOLUMNS"):
        read_particle_map("mini/particle_map.csv", few)
    assert len(read_particle_map("mini/particle_map.csv", few, tiles=(2, 3)).minislabs) == 3


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "slabs/slab_map.csv",
            "zstart",
            "start",
            "no column zstart; slabpick's slab_map.csv has",
        ),
        ("slabs/slab_map.csv", ",20,15", ",30,15", "planes 30 to 44 of a tomogram with 40"),
        ("slabs/slab_map.csv", ",5,15", ",5.5,15", "zstart must be whole numbers"),
        ("slabs/slab_map.csv", "slab_001", "slab_000", "a slab appears twice"),
        ("slabs/slab_map.csv", "tomos/00255", "tomos/none", "none.mrc"),
        ("mini/particle_map.csv", "particle,", "index,", "has no column particle"),
        ("mini/particle_map.csv", "cmr_01_Vol,1", "cmr_01_Vol,2", "has 3 particles in cmr_01_Vol"),
        ("mini/particle_map.csv", "00255,0", "00255,-1", "particle is -1"),
        ("mini/particle_map.csv", ",1,0,2", ",1,0,1", "is the file whole"),
        ("mini/particle_map.csv", ",1,0,2", ",1,0", "row 9 has 6 values for 7"),
        ("mini/particle_map.csv", "config.json,00255,0,0.0", "b,00255,0,0.0", "in two sessions"),
        ("mini/make_minislabs.json", '"gallery_shape": [2, 3]', '"gallery_shape": [5, 3]', "hold"),
        ("mini/make_minislabs.json", "10.012", "5.0", "the images have 10.012 Å pixels"),
        ("mini/make_minislabs.json", '"parameters"', '"other"', "is not slabpick's record"),
        ("stack/particle_map.csv", "config.json,00255,0,0.0\n", "", "and .* 8 rows"),
    ],
)
def test_refusals(project: Path, file: str, old: str, new: str, message: str) -> None:
    path = project / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    picks = picks_of(project)
    table = path.parent / ("slab_map.csv" if file.startswith("slabs") else "particle_map.csv")
    with pytest.raises(InputError, match=message):
        read_slab_map(table) if file.startswith("slabs") else read_particle_map(table, picks)


def test_a_slab_of_another_size_is_refused(project: Path) -> None:
    mrc(project / "slabs" / "slab_000.mrc", np.zeros((71, 60)))
    with pytest.raises(InputError, match="has 60 × 71 pixels, and its tomogram 71 × 60"):
        read_slab_map("slabs/slab_map.csv")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(draw=st.data())
def test_fuzz(project: Path, draw: st.DataObject) -> None:
    name = draw.draw(st.sampled_from(["slabs/slab_map.csv", "mini/particle_map.csv"]))
    data = (project / name).read_bytes()
    start = draw.draw(st.integers(0, len(data)))
    stop = draw.draw(st.integers(start, min(len(data), start + 8)))
    middle = draw.draw(st.binary(max_size=4) | st.sampled_from([b",", b"\n", b"nan", b'"', b"-1"]))
    path = project / Path(name).parent / "damaged.csv"
    path.write_bytes(data[:start] + middle + data[stop:])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SlabkitWarning)
        try:
            if name.startswith("slabs"):
                read_slab_map(path)
            else:
                read_particle_map(path, picks_of(project))
        except SlabkitError:
            pass


def test_command(slabkit: Any, project: Path) -> None:
    options = ["--slab-map", "slabs/slab_map.csv", "--particle-map", "mini/particle_map.csv"]
    done = slabkit("import", "slabpick", "-o", "ours", *options, "--picks", "project", "--json")
    summary = json.loads(done.stdout)
    assert (summary["slabs"], summary["picks"], summary["minislabs"]) == (4, 3, 9)
    assert len(read_slabs("ours/slabs.star")) == 4
    minislabs, _ = read_minislabs("ours/minislabs.star")
    ids = read_picks("ours/picks.star").picks["slabkitPickId"].tolist()
    assert set(minislabs["slabkitPickId"]) == set(ids)
    # Labels made on the galleries come back to the picks: tile 0, 1 of the second gallery.
    Path("good.csv").write_text(
        "gallery,row,column,decision\n"
        "particles_001.mrc,0,1,accepted\nparticles_000.mrc,0,1,rejected\n"
    )
    slabkit("label", "good.csv", "--minislabs", "ours/minislabs.star", "-o", "labels.star")
    slabkit("curate", "ours/picks.star", "labels.star", "-o", "kept.star", "--keep", "accepted")
    kept = read_picks("kept.star").picks
    assert kept["slabkitTomogram"].tolist() == ["cmr_01_Vol"]
    np.testing.assert_allclose(kept["slabkitX"], 50 * VOXEL + 4)
    for arguments, message in (
        ((), "give --slab-map, or --particle-map"),
        (options[2:], "belong together"),
        ((*options, "--picks", "project", "--tiles", "3"), "--tiles takes ROWSxCOLUMNS"),
    ):
        refused = slabkit("import", "slabpick", "-o", "other", *arguments, code=2)
        assert message in refused.stderr
    assert not Path("other").exists()
