"""Projects to and from the real copick, which pins zarr 2: in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slabkit.errors import SlabkitWarning
from slabkit.formats.picks import read_picks
from slabkit.formats.tables import read_slabs
from slabkit.formats.volumes import list_tomograms, open_tomogram, read_image

ROOT = Path(__file__).resolve().parent.parent.parent
PYTHON = Path(os.environ.get("SLABKIT_COPICK_PYTHON", ROOT / ".venv-clients/copick/bin/python"))

# A project with three runs and two kinds of tomograms, all by copick itself.
MAKE = """
import json, sys
import numpy as np, copick
from copick.models import CopickLocation, CopickPoint

folder = sys.argv[1]
with open(folder + "/config.json", "w") as file:
    json.dump({
        "config_type": "filesystem", "name": "t", "description": "t", "version": copick.__version__,
        "pickable_objects": [
            {"name": "ribosome", "is_particle": True, "label": 1, "radius": 150},
            {"name": "apo-ferritin", "is_particle": True, "label": 2, "radius": 60},
        ],
        "overlay_root": "local://" + folder + "/overlay", "overlay_fs_args": {"auto_mkdir": True},
    }, file)
root = copick.from_file(folder + "/config.json")
random = np.random.default_rng(0)
shapes = {"TS_1": (20, 33, 47), "TS_10": (24, 40, 36), "00255": (18, 31, 29)}
for name, shape in shapes.items():
    run = root.new_run(name)
    spacing = run.new_voxel_spacing(10.0 if name != "00255" else 10.012)
    for kind in ("wbp", "denoised"):
        volume = random.standard_normal(shape).astype(np.float32)
        tomogram = spacing.new_tomogram(kind)
        tomogram.from_numpy(volume, levels=3)
        np.save(f"{folder}/{name}_{kind}.npy", volume)
    picks = run.new_picks("ribosome", "7", "ann")
    turned = np.eye(4)
    turned[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    turned[:3, 3] = [1, 2, 3]
    picks.points = [
        CopickPoint(location=CopickLocation(x=10.125, y=20.0, z=30.5), score=0.25, instance_id=4),
        CopickPoint(location=CopickLocation(x=40, y=50, z=60), transformation_=turned.tolist()),
    ]
    picks.store()
"""

LOOK = """
import json, sys
import copick

root = copick.from_file(sys.argv[1])
found = []
for run in root.runs:
    for picks in run.picks:
        picks.load()
        picks.color  # says so where the object is not known
        found.append({
            "run": run.name, "object": picks.pickable_object_name, "user": picks.user_id,
            "session": picks.session_id, "trusted": picks.trust_orientation,
            "points": [
                [p.location.x, p.location.y, p.location.z, p.score, p.instance_id]
                for p in picks.points
            ],
            "identity": all((p.transformation == __import__("numpy").eye(4)).all()
                            for p in picks.points),
            "tomograms": sorted(t.tomo_type for v in run.voxel_spacings for t in v.tomograms),
        })
print(json.dumps(found))
"""


def copick(script: str, *arguments: object) -> str:
    done = subprocess.run(
        [str(PYTHON), "-W", "ignore", "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not PYTHON.exists():
        pytest.skip(f"no copick at {PYTHON}; make test-clients installs it")
    folder = tmp_path_factory.mktemp("copick")
    copick(MAKE, folder)
    return folder


def test_tomograms_that_copick_wrote(made: Path) -> None:
    argument = f"copick:{made / 'config.json'}"
    listed = list_tomograms([argument], voxel_size=10, tomo_type="denoised")
    assert [t.name for t in listed] == ["00255", "TS_1", "TS_10"]
    sizes = {}
    for one in listed:
        given, expected = one.voxel_sizes(10)
        tomogram = open_tomogram(
            one.path, name=one.name, voxel_size=given, expected_voxel_size=expected
        )
        volume = np.load(made / f"{one.name}_denoised.npy")
        np.testing.assert_array_equal(tomogram.read((0, 0, 0), tomogram.shape), volume)
        sizes[one.name] = tomogram.voxel_size
        halved = open_tomogram(one.path, level=2)
        assert halved.voxel_size == pytest.approx(4 * tomogram.voxel_size)
    assert sizes == {"00255": 10.012, "TS_1": 10.0, "TS_10": 10.0}


def test_slabs_of_tomograms_that_copick_wrote(slabkit: Any, made: Path, tmp_path: Path) -> None:
    argument = f"copick:{made / 'config.json'}"
    slabkit("slab", argument, "--voxel-size", 10, "--tomo-type", "wbp", "-o", "s", "--cover")
    slabs = read_slabs(tmp_path / "s" / "slabs.star")
    by_name = dict(zip(slabs["rlnTomoName"], slabs["rlnMicrographName"], strict=True))
    sizes = dict(zip(slabs["rlnTomoName"], slabs["slabkitVoxelSize"], strict=True))
    assert sizes == {"00255": 10.012, "TS_1": 10.0, "TS_10": 10.0}
    for name, micrograph in by_name.items():
        volume = np.load(made / f"{name}_wbp.npy")  # thinner than a slab: one slab, the whole depth
        image = read_image(tmp_path / micrograph)[0]
        np.testing.assert_allclose(image, volume.mean(axis=0), atol=1e-6)


def test_picks_that_copick_wrote(slabkit: Any, made: Path, tmp_path: Path) -> None:
    done = slabkit("convert", f"copick:{made / 'config.json'}", "p.star", "--user", "ann")
    assert "1 of 2 points had a translation" in done.stderr
    picks = read_picks(tmp_path / "p.star").picks
    assert picks["slabkitTomogram"].tolist() == ["00255"] * 2 + ["TS_1"] * 2 + ["TS_10"] * 2
    assert set(picks["slabkitSpecies"]) == {"ribosome"}
    places = picks[["slabkitX", "slabkitY", "slabkitZ"]].to_numpy()
    np.testing.assert_array_equal(places, [[10.125, 20, 30.5], [41, 52, 63]] * 3)
    assert picks["slabkitScore"].tolist() == [0.25, 1.0] * 3
    assert picks["instance_id"].tolist() == ["4", ""] * 3


def test_copick_reads_what_was_written(slabkit: Any, made: Path, tmp_path: Path) -> None:
    config = made / "config.json"
    before = json.loads(copick(LOOK, config))
    random = np.random.default_rng(1)
    rows = []
    for number in random.permutation(30).tolist():
        run = ("TS_1", "TS_10", "00255")[number % 3]
        what = ("ribosome", "apo_ferritin")[number // 15]
        x, y, z, score = random.uniform(-5, 300, 4).tolist()
        rows.append((f"id-{number}", run, what, x, y, z, score, number))
    header = "pick_id,tomogram,species,x,y,z,score,instance_id\n"
    text = header + "".join(",".join(map(repr, r)).replace("'", "") + "\n" for r in rows)
    (tmp_path / "p.csv").write_text(text)
    arguments = ("p.csv", f"copick:{config}", "--user", "my_tool", "--session", "1")
    done = slabkit("convert", *arguments)
    assert "'my_tool' was written as 'my-tool'" in done.stderr
    assert "'apo_ferritin' was written as 'apo-ferritin'" in done.stderr
    found = json.loads(copick(LOOK, config))
    ours = [entry for entry in found if entry["user"] == "my-tool"]
    assert [entry for entry in found if entry["user"] != "my-tool"] == before
    expected: dict[tuple[str, str], list[list[float]]] = {}
    for _, run, what, *values in rows:
        expected.setdefault((run, what.replace("_", "-")), []).append(values)
    assert {(e["run"], e["object"]): e["points"] for e in ours} == expected
    assert all(e["session"] == "1" and e["identity"] and not e["trusted"] for e in ours)
    assert all(e["tomograms"] for e in ours)
    # Once more, and all that copick shows is as it was.
    slabkit("convert", *arguments)
    slabkit("convert", "p.csv", *arguments[1:], "--species", "ribosome", code=2)
    assert json.loads(copick(LOOK, config)) == found
    # And back: the ids, although copick knows nothing of them.
    slabkit("convert", f"copick:{config}", "back.star", "--user", "my-tool")
    back = read_picks(tmp_path / "back.star").picks
    columns = ["slabkitPickId", "slabkitTomogram", "slabkitX", "slabkitY", "slabkitZ"]
    got = {tuple(row) for row in back[columns].to_numpy().tolist()}
    assert got == {(r[0], r[1], *r[3:6]) for r in rows}


def test_picks_edited_in_copick_come_back(slabkit: Any, made: Path, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(
        "pick_id,tomogram,species,x,y,z\na,TS_1,ribosome,1,2,3\nb,TS_1,ribosome,4,5,6\n"
    )
    config = made / "config.json"
    slabkit("convert", "p.csv", f"copick:{config}", "--user", "editor", "--session", "9")
    copick(
        "import sys, copick\n"
        "run = copick.from_file(sys.argv[1]).get_run('TS_1')\n"
        "picks = run.get_picks(user_id='editor')[0]\n"
        "points = picks.points\n"
        "points[0].location.x = 7.25\n"
        "picks.points = points[:1]\n"
        "picks.store()\n",
        config,
    )
    slabkit("convert", f"copick:{config}", "edited.star", "--user", "editor")
    back = read_picks(tmp_path / "edited.star").picks
    assert back[["slabkitX", "slabkitY", "slabkitZ"]].to_numpy().tolist() == [[7.25, 2, 3]]


def test_an_ome_zarr_that_zarr_2_cannot_read_says_so(made: Path, tmp_path: Path) -> None:
    """In copick's own environment slabkit runs on zarr 2, where version 0.5 has to be refused."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from slabkit.formats.volumes import list_tomograms, open_tomogram\n"
        "import zarr, numpy; assert zarr.__version__.startswith('2.')\n"
        "one = list_tomograms(['copick:' + sys.argv[2]], voxel_size=10, tomo_type='wbp')[1]\n"
        "volume = numpy.load(sys.argv[3] + '/TS_1_wbp.npy')\n"
        "tomogram = open_tomogram(one.path, name=one.name)\n"
        "assert (tomogram.read((0, 0, 0), tomogram.shape) == volume).all()\n"
        "try:\n    open_tomogram(sys.argv[4])\nexcept Exception as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    import zarr

    store = tmp_path / "v3.zarr"
    group = zarr.open_group(str(store), mode="w", zarr_format=3)
    group.create_array("0", data=np.ones((4, 5, 6), dtype=np.float32))
    axes = [{"name": name, "type": "space", "unit": "angstrom"} for name in "zyx"]
    scale = [{"type": "scale", "scale": [10.0] * 3}]
    group.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [
            {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
        ],
    }
    said = copick(script, ROOT, made / "config.json", made, store)
    assert said.startswith("MissingDependencyError"), said
    assert "zarr" in said


def test_the_warning_of_a_rounded_folder(made: Path) -> None:
    listed = list_tomograms([f"copick:{made / 'config.json'}"], voxel_size=10, tomo_type="wbp")
    zattrs = listed[1].path / ".zattrs"
    text = zattrs.read_text()
    try:
        zattrs.write_text(text.replace("10.0", "10.012"))
        with pytest.warns(SlabkitWarning, match=r"10\.012 Å, the more precise, is used"):
            tomogram = open_tomogram(listed[1].path, expected_voxel_size=listed[1].voxel_size)
        assert tomogram.voxel_size == 10.012
    finally:
        zattrs.write_text(text)
