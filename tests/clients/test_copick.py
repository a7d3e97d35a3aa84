"""Projects to and from the real copick, which pins zarr 2: in an environment of its own."""

from __future__ import annotations

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from volume_files import gallery_file

from slabkit.errors import SlabkitWarning
from slabkit.formats.picks.reading import read_picks
from slabkit.formats.tables.native import read_slabs
from slabkit.formats.tomograms.listing import list_tomograms
from slabkit.formats.volumes.mrc import read_image
from slabkit.formats.volumes.opening import open_tomogram
from slabkit.tomogram import Reading

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


def with_copick(*arguments: object, cwd: Path, code: int = 0) -> str:
    """Run slabkit in copick's environment; give what it said."""
    done = subprocess.run(
        [str(PYTHON), "-W", "ignore", "-m", "slabkit.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=120,
    )
    assert done.returncode == code, f"exit {done.returncode}, not {code}:\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not PYTHON.exists():
        pytest.skip(f"no copick at {PYTHON}; make test-clients installs it")
    folder = tmp_path_factory.mktemp("copick")
    copick(MAKE, folder)
    return folder


def test_tomograms_that_copick_wrote(made: Path) -> None:
    argument = f"copick:{made / 'config.json'}"
    listed = list_tomograms([argument], reading=Reading(voxel_size=10), tomo_type="denoised")
    assert [t.name for t in listed] == ["00255", "TS_1", "TS_10"]
    sizes = {}
    for one in listed:
        tomogram = one.open()
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
        "from slabkit.formats.tomograms.listing import list_tomograms\n"
        "from slabkit.formats.volumes.opening import open_tomogram\n"
        "from slabkit.tomogram import Reading\n"
        "import zarr, numpy; assert zarr.__version__.startswith('2.')\n"
        "ten = Reading(voxel_size=10)\n"
        "one = list_tomograms(['copick:' + sys.argv[2]], reading=ten, tomo_type='wbp')[1]\n"
        "volume = numpy.load(sys.argv[3] + '/TS_1_wbp.npy')\n"
        "tomogram = one.open()\n"
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
    listed = list_tomograms(
        [f"copick:{made / 'config.json'}"], reading=Reading(voxel_size=10), tomo_type="wbp"
    )
    zattrs = listed[1].path / ".zattrs"
    text = zattrs.read_text()
    try:
        zattrs.write_text(text.replace("10.0", "10.012"))
        with pytest.warns(SlabkitWarning, match=r"10\.012 Å, the more precise, is used"):
            tomogram = listed[1].open()
        assert tomogram.voxel_size == 10.012
    finally:
        zattrs.write_text(text)


class Server(http.server.ThreadingHTTPServer):
    """A folder as a web server shows it; counts what is fetched, and fails where it is told to."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        self.fetched: Counter[str] = Counter()
        self.failing = ""
        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def chunks(self) -> dict[str, int]:
        """Give the chunks that were fetched, of any level, and how often."""
        chunk = re.compile(r".*\.zarr/\d+/\d+/\d+/\d+")
        return {path: n for path, n in self.fetched.items() if chunk.fullmatch(path)}


class Handler(http.server.SimpleHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.fetched[self.path] += 1
        if self.server.failing and self.path.endswith(self.server.failing):
            self.send_error(500)
        else:
            super().do_GET()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def served(made: Path, tmp_path: Path) -> Iterator[Server]:
    """The project's files as a static root on a web server; its overlay on this machine."""
    import zarr

    shutil.copytree(made / "overlay", tmp_path / "web")
    for path in (tmp_path / "web").rglob("wbp.zarr"):
        # copick makes one chunk of so small a volume.
        level = zarr.open_array(path / "0", mode="r")[:]
        zarr.create_array(
            path / "0",
            data=level,
            chunks=(8, 16, 16),
            zarr_format=2,
            chunk_key_encoding={"name": "v2", "separator": "/"},
            overwrite=True,
        )
    server = Server(tmp_path / "web")
    content = json.loads((made / "config.json").read_text())
    content |= {
        "static_root": server.url,
        "static_fs_args": {},
        "overlay_root": f"local://{tmp_path / 'overlay'}",
    }
    (tmp_path / "remote.json").write_text(json.dumps(content))
    yield server
    server.shutdown()
    server.server_close()


def test_tomograms_on_a_web_server(served: Server, made: Path, tmp_path: Path) -> None:
    project = ("copick:remote.json", "--voxel-size", 10, "--tomo-type", "wbp")
    made_slabs = ("slab", *project, "-o", "s", "--cover", "--thickness", 90)
    with_copick(*made_slabs, cwd=tmp_path)
    slabs = read_slabs(tmp_path / "s" / "slabs.star")
    assert dict(zip(slabs["rlnTomoName"], slabs["slabkitVoxelSize"], strict=True)) == {
        "00255": 10.012,
        "TS_1": 10.0,
        "TS_10": 10.0,
    }
    assert slabs["slabkitTomogramFile"].iloc[0] == (
        "copick:remote.json::ExperimentRuns/00255/VoxelSpacing10.012/wbp.zarr"
    )
    for row in slabs.itertuples():
        volume = np.load(made / f"{row.rlnTomoName}_wbp.npy")
        planes = volume[row.slabkitZStart : row.slabkitZStart + row.slabkitZCount]
        image = read_image(tmp_path / row.rlnMicrographName)[0]
        np.testing.assert_allclose(image, planes.mean(axis=0), atol=1e-6)
    # Overlapping slabs, and yet each chunk of the full size was fetched once, of no other level.
    chunks = served.chunks()
    shapes = [np.load(made / f"{name}_wbp.npy").shape for name in ("00255", "TS_1", "TS_10")]
    assert len(chunks) == sum(-(-z // 8) * -(-y // 16) * -(-x // 16) for z, y, x in shapes)
    assert set(chunks.values()) == {1}
    # The same once more: nothing is fetched but what tells that nothing has changed.
    served.fetched.clear()
    assert "finished already" in with_copick(*made_slabs, cwd=tmp_path)
    assert not served.chunks()
    # Later steps find the tomograms by what the slab table says of them.
    name = Path(slabs["rlnMicrographName"].iloc[-1]).stem
    (tmp_path / "2d.txt").write_text(f"image_name\tx_coord\ty_coord\tscore\n{name}\t15\t20\t1.5\n")
    with_copick(
        "map", "2d.txt", "--slabs", "s/slabs.star", "-o", "3d.star", "--diameter", 60, cwd=tmp_path
    )
    mapped = read_picks(tmp_path / "3d.star")
    assert mapped.picks["slabkitTomogram"].tolist() == ["TS_10"]
    assert mapped.tomograms["slabkitTomogramFile"].iloc[-1].startswith("copick:remote.json::")
    with_copick("minislab", "3d.star", "--box", 80, "--depth", 60, "-o", "from-3d", cwd=tmp_path)
    (tmp_path / "p.csv").write_text("tomogram,x,y,z\nTS_1,150,140,90\nTS_10,130,130,70\n")
    minislabs = ("minislab", "p.csv", "--box", 80, "--depth", 60, "--tomograms")
    with_copick(*minislabs, *project, "-o", "m", cwd=tmp_path)
    local = (f"copick:{made / 'config.json'}", *project[1:])
    with_copick(*minislabs, *local, "-o", "n", cwd=tmp_path)
    one, other = (read_image(gallery_file(tmp_path / where, 0))[0] for where in "mn")
    np.testing.assert_array_equal(one, other)
    assert one.std() > 0


def test_a_connection_that_fails_is_no_empty_chunk(served: Server, tmp_path: Path) -> None:
    served.failing = "/00255/VoxelSpacing10.012/wbp.zarr/0/1/0/1"
    project = ("copick:remote.json", "--voxel-size", 10, "--tomo-type", "wbp")
    said = with_copick("slab", *project, "-o", "s", "--cover", cwd=tmp_path, code=1)
    assert "failed: 00255: copick:remote.json::ExperimentRuns/00255/" in said
    assert "cannot be read (500" in said
    assert set(read_slabs(tmp_path / "s" / "slabs.star")["rlnTomoName"]) == {"TS_1", "TS_10"}
    # A store copied by half.
    (tmp_path / "web/ExperimentRuns/00255/VoxelSpacing10.012/wbp.zarr/0/1/0/1").unlink()
    said = with_copick("slab", *project, "-o", "t", "--cover", cwd=tmp_path, code=1)
    assert "1 of 12 chunks of level 0 are missing" in said
    shutil.rmtree(tmp_path / "web")
    said = with_copick("slab", *project, "-o", "u", "--cover", cwd=tmp_path, code=2)
    assert "copick:remote.json: has no tomogram" in said
    served.shutdown()
    served.server_close()
    said = with_copick("slab", *project, "-o", "u", "--cover", cwd=tmp_path, code=2)
    assert "error: copick:remote.json: cannot be read through copick (" in said


def test_picks_on_a_web_server(served: Server, tmp_path: Path) -> None:
    with_copick("convert", "copick:remote.json", "in.star", "--user", "ann", cwd=tmp_path)
    picks = read_picks(tmp_path / "in.star").picks
    places = picks[["slabkitX", "slabkitY", "slabkitZ"]].to_numpy()
    np.testing.assert_array_equal(places, [[10.125, 20, 30.5], [41, 52, 63]] * 3)
    assert picks["slabkitTomogram"].tolist() == ["00255"] * 2 + ["TS_1"] * 2 + ["TS_10"] * 2
    out = ("convert", "in.star", "copick:remote.json")
    # Of the same name as in the static root: not even into the overlay.
    said = with_copick(*out, "--user", "ann", "--session", "7", cwd=tmp_path, code=2)
    assert "never replaced; give another --session or --user" in said
    assert not list((tmp_path / "overlay").rglob("*.json"))
    with_copick(*out, "--user", "ann", "--session", "8", cwd=tmp_path)
    assert "another --session or" in with_copick(
        *out, "--user", "ann", "--session", "8", cwd=tmp_path
    )
    written = (tmp_path / "overlay").rglob("Picks/ann_8_ribosome.json")
    assert len(list(written)) == 3
    with_copick("convert", "copick:remote.json", "back.star", "--session", "8", cwd=tmp_path)
    back = read_picks(tmp_path / "back.star").picks
    assert set(back["slabkitPickId"]) == set(picks["slabkitPickId"])
    (tmp_path / "p.csv").write_text("tomogram,species,x,y,z\nTS_2,ribosome,1,2,3\n")
    said = with_copick("convert", "p.csv", "copick:remote.json", cwd=tmp_path, code=2)
    assert "has no run TS_2 among its 3; closest: TS_1" in said
    # A root that cannot be written to.
    content = json.loads((tmp_path / "remote.json").read_text())
    content |= {"overlay_root": served.url, "overlay_fs_args": {}, "static_root": None}
    (tmp_path / "remote.json").write_text(json.dumps(content))
    said = with_copick("convert", "in.star", "copick:remote.json", cwd=tmp_path, code=2)
    assert "slabkit_1_ribosome.json: cannot be written (" in said


# fsspec's memory is copick's smallest remote root; it lasts as long as its process.
IN_MEMORY = """
import contextlib, io, json, sys
import fsspec, numpy as np, copick
from copick.models import CopickLocation, CopickPoint
from slabkit.cli.main import main
from slabkit.formats.picks.reading import read_picks
from slabkit.formats.tomograms.listing import list_tomograms

def slabkit(*arguments, code=0):
    said = io.StringIO()
    sys.argv = ["slabkit", *arguments]
    with contextlib.redirect_stderr(said):
        try:
            main()
        except SystemExit as stop:
            assert stop.code == code, said.getvalue()
    return said.getvalue()

with open("c.json", "w") as file:
    json.dump({
        "config_type": "filesystem", "name": "t", "description": "t", "version": copick.__version__,
        "pickable_objects": [{"name": "ribosome", "is_particle": True, "label": 1, "radius": 150}],
        "overlay_root": "memory://there/overlay", "overlay_fs_args": {},
    }, file)
volumes = {}
for name, shape in {"TS_1": (20, 33, 47), "00255": (18, 31, 29)}.items():
    run = copick.from_file("c.json").new_run(name)
    volumes[name] = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    tomogram = run.new_voxel_spacing(10.012).new_tomogram("wbp")
    tomogram.from_numpy(volumes[name], levels=2)
    picks = run.new_picks("ribosome", "7", "ann")
    picks.points = [CopickPoint(location=CopickLocation(x=10.5, y=20, z=30), instance_id=4)]
    picks.store()
memory = fsspec.filesystem("memory")
before = {path: memory.cat_file(path) for path in memory.find("/there")}

for one in list_tomograms(["copick:c.json"]):
    tomogram = one.open()
    assert tomogram.voxel_size == 10.012
    assert (tomogram.read((0, 0, 0), tomogram.shape) == volumes[one.name]).all()
    assert (tomogram.read((7, 3, 5), (9, 30, 20)) == volumes[one.name][7:9, 3:30, 5:20]).all()

slabkit("convert", "copick:c.json", "in.star")
assert "finished already" in slabkit("convert", "copick:c.json", "in.star")
out = ("convert", "in.star", "copick:c.json", "--user", "me", "--session", "1")
slabkit(*out)
added = sorted(set(memory.find("/there")) - set(before))
assert added == [
    f"/there/overlay/ExperimentRuns/{run}/Picks/me_1_ribosome.json" for run in ("00255", "TS_1")
], added
assert "another --session or --user writes it anew" in slabkit(*out)
found = {
    run.name: [(p.location.x, p.score, p.instance_id) for p in picks.points]
    for run in copick.from_file("c.json").runs
    for picks in run.get_picks(user_id="me")
}
assert found == {"00255": [(10.5, 1.0, 4)], "TS_1": [(10.5, 1.0, 4)]}, found
slabkit("convert", "copick:c.json", "back.star", "--user", "me")
ids = [set(read_picks(f).picks["slabkitPickId"]) for f in ("in.star", "back.star")]
assert ids[0] == ids[1] and len(ids[0]) == 2

# Never replaced: by another list, nor where one of several stands; all is as it was.
with open("p.csv", "w") as file:
    file.write("tomogram,species,x,y,z\\nTS_1,ribosome,1,2,3\\n00255,ribosome,1,2,3\\n")
assert "never replaced" in slabkit("convert", "p.csv", *out[2:], code=2)
memory.pipe_file("/there/overlay/ExperimentRuns/TS_1/Picks/me_2_ribosome.json", b"{}")
assert "never replaced" in slabkit("convert", "p.csv", *out[2:-1], "2", code=2)
assert len(memory.find("/there")) == len(before) + 3
# One that comes between the look and the writing: what was written before it is taken back.
from slabkit.errors import OutputExistsError
from slabkit.formats.tomograms.copick_project import open_project
from slabkit.formats.programs.copick.writing import plan_project_picks, write_project_picks
files = plan_project_picks(open_project("c.json"), read_picks("p.csv"), "me", "2")
try:
    write_project_picks(files)
    raise AssertionError
except OutputExistsError as error:
    assert "TS_1/Picks/me_2_ribosome.json: exists already" in str(error)
assert len(memory.find("/there")) == len(before) + 3
memory.rm_file(added[0])
assert "was written earlier and is not there now" in slabkit(*out, code=2)
assert all(memory.cat_file(path) == data for path, data in before.items())
print("all of it")
"""


def test_a_root_in_memory(made: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(PYTHON), "-W", "ignore", "-c", IN_MEMORY],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=120,
    )
    assert done.stdout == "all of it\n", done.stderr
