"""Files to and from the real cryosparc-tools, which lives in an environment of its own.

There is no server: the package itself makes what its jobs would have written, in both its forms.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from cryosparc_files import picks_on_slabs, write_set  # noqa: E402

from slabkit.formats.programs.cryosparc.dataset import read_dataset  # noqa: E402
from slabkit.formats.programs.cryosparc.export import export_cryosparc  # noqa: E402
from slabkit.formats.tables.native import read_labels, write_slabs  # noqa: E402

PYTHON = Path(
    os.environ.get("SLABKIT_CRYOSPARC_PYTHON", ROOT / ".venv-clients/cryosparc/bin/python")
)

# A job in miniature: takes some rows, in an order of its own, adds what it found out, and writes
# its own slots to one file and the others to another, shuffled again.
JOB = """
import json, sys
import numpy as np
from cryosparc.dataset import Dataset

given, folder, order, form, own = sys.argv[1:]
order = json.loads(order)
particles = Dataset.load(given).take(order)
rows = len(particles)
particles.add_fields(["alignments2D/class", "alignments2D/class_posterior"], ["u4", "f4"])
particles["alignments2D/class"] = np.arange(rows) % 3
particles["alignments2D/class_posterior"] = np.linspace(0.5, 1, rows)
own = own.split(",")
job = particles.copy().filter_fields(lambda f: f == "uid" or f.split("/")[0] in own)
job.save(folder + "/particles_selected.cs", format=int(form))
passed = particles.copy().filter_fields(lambda f: f.split("/")[0] not in own)
passed = passed.take(list(range(rows))[::-1])
passed.save(folder + "/J5_passthrough_particles_selected.cs", format=int(form))
"""

LOOK = """
import json, sys
from cryosparc.dataset import Dataset
found = Dataset.load(sys.argv[1])
print(json.dumps({name: found[name].tolist() for name in found.fields()}))
"""


def python(script, *arguments, **options):
    """Run a script in the environment of cryosparc-tools; skip where there is none."""
    if not PYTHON.exists():
        pytest.skip(f"cryosparc-tools: no {PYTHON}; make test-clients makes it")
    command = [str(PYTHON), "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def slabkit_there(*arguments, cwd):
    """Run slabkit's command with the Python that has cryosparc-tools."""
    script = "from slabkit.cli.main import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return python(script, *arguments, cwd=cwd, env=environment)


@pytest.fixture
def galleries(tmp_path, monkeypatch):
    """Galleries on disk (not square, the last partly filled), exported for CryoSPARC."""
    monkeypatch.chdir(tmp_path)
    table = write_set(tmp_path / "m", 31)
    export_cryosparc("m/minislabs.star", "cs").write()
    return table


def test_the_package_reads_what_we_write(galleries):
    for name in ("tiles.cs", "particles.cs", "micrographs.cs"):
        theirs = json.loads(python(LOOK, f"cs/{name}"))
        ours = read_dataset(f"cs/{name}")
        assert list(theirs) == list(ours)
        for field, values in ours.items():
            assert theirs[field] == values.tolist(), field


def test_result_groups_are_yaml(galleries):
    script = (
        "import json, sys, yaml\nprint(json.dumps(yaml.safe_load(open(sys.argv[1])), default=str))"
    )
    group = json.loads(python(script, "cs/tiles.csg"))
    assert group["group"] == {
        "type": "particle",
        "name": "tiles",
        "title": "Tiles of galleries",
        "description": "Tiles of galleries written by slabkit export cryosparc.",
    }
    assert group["results"] == {
        "location": {"metafile": ">tiles.cs", "num_items": 31, "type": "particle.location"}
    }
    assert {"created", "version"} <= set(group)


@pytest.mark.parametrize("form", [1, 2], ids=["numpy", "compressed"])
@pytest.mark.parametrize("route", ["tiles", "particles"])
def test_a_selection_comes_back(galleries, tmp_path, form, route):
    order = np.random.default_rng(form).permutation(31)[:14]
    chosen = galleries["slabkitPickId"].to_numpy()[order]
    (tmp_path / "J5").mkdir()
    own = "alignments2D,blob" if route == "particles" else "alignments2D"
    python(JOB, f"cs/{route}.cs", "J5", json.dumps(order.tolist()), form, own)
    files = ["J5/particles_selected.cs", "J5/J5_passthrough_particles_selected.cs"]
    magic = (tmp_path / files[0]).read_bytes()[:6]
    assert magic == {1: b"\x93NUMPY", 2: b"\x95CSDAT"}[form]
    common = ("--minislabs", "m/minislabs.star", "--classes", "1", "-o", "labels.star")
    slabkit_there("label", *files, *common, cwd=tmp_path)
    labels = read_labels("labels.star")
    found = dict(zip(labels["slabkitPickId"], labels["slabkitDecision"], strict=True))
    expected = {
        pick: "accepted" if number % 3 == 1 else "rejected" for number, pick in enumerate(chosen)
    }
    assert found == expected


@pytest.mark.parametrize("form", [1, 2], ids=["numpy", "compressed"])
@pytest.mark.parametrize(
    ("given", "joined_by"), [("tiles", "nearest tile"), ("particles", "image name")]
)
def test_places_or_images_alone_are_enough(galleries, tmp_path, form, given, joined_by):
    """Ids of CryoSPARC's own making: only the place, or the image, says which tile it is."""
    script = (
        "import sys\nfrom cryosparc.dataset import Dataset\n"
        "d = Dataset.load(sys.argv[1])\nd = d.reassign_uids() or d\n"
        "d = d.take([int(n) for n in sys.argv[3].split(',')])\n"
        "d.save(sys.argv[2], format=int(sys.argv[4]))"
    )
    rows = [30, 2, 17, 24, 28, 25]
    python(script, f"cs/{given}.cs", "picks.cs", ",".join(map(str, rows)), form)
    slabkit_there(
        "label", "picks.cs", "--minislabs", "m/minislabs.star", "-o", "labels.star", cwd=tmp_path
    )
    record = json.loads((tmp_path / "labels.star.json").read_text())
    assert record["summary"]["joined_by"] == joined_by
    assert record["summary"]["y_axis"] == ("down" if given == "tiles" else None)
    labels = read_labels("labels.star")
    accepted = labels["slabkitPickId"][labels["slabkitDecision"] == "accepted"]
    assert set(accepted) == set(galleries["slabkitPickId"].iloc[rows])


def test_compressed_picks_on_slabs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    slabs, path, names, x, y = picks_on_slabs(tmp_path, np.random.default_rng(4))
    write_slabs("slabs.star", slabs)
    script = (
        "import sys\nfrom cryosparc.dataset import Dataset\n"
        "Dataset.load(sys.argv[1]).save(sys.argv[2], format=2)"
    )
    python(script, path, "picks.cs")
    script = (
        "import json\nfrom slabkit.formats.picks2d import read_picks2d_any\n"
        "from slabkit.formats.tables.native import read_slabs\n"
        "found = read_picks2d_any(['picks.cs'], read_slabs('slabs.star'), y_axis='down')\n"
        "columns = ['rlnMicrographName', 'rlnCoordinateX', 'rlnCoordinateY']\n"
        "print(json.dumps([found[c].tolist() for c in columns]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = json.loads(python(script, cwd=tmp_path, env=environment))
    assert found[0] == list(names)
    assert np.abs(np.array(found[1]) - x).max() < 1e-4
    assert np.abs(np.array(found[2]) - y).max() < 1e-4


def test_without_the_package_the_compressed_form_is_named(galleries, tmp_path, slabkit):
    script = (
        "import sys\nfrom cryosparc.dataset import Dataset\n"
        "Dataset.load(sys.argv[1]).save(sys.argv[2], format=2)"
    )
    python(script, "cs/tiles.cs", "stream.cs")
    done = slabkit(
        "label", "stream.cs", "--minislabs", "m/minislabs.star", "-o", "labels.star", code=2
    )
    assert "pip install 'slabkit-cryoet[cryosparc]'" in done.stderr
    assert not (tmp_path / "labels.star").exists()


def test_g7_damaged_compressed_datasets(galleries, tmp_path):
    """Issue 12, G7: whatever cryosparc-tools makes of a damaged file, slabkit says one sentence."""
    script = (
        "import random, sys\nfrom cryosparc.dataset import Dataset\n"
        "from slabkit.errors import FormatError\n"
        "from slabkit.formats.programs.cryosparc.dataset import parse_dataset\n"
        "Dataset.load(sys.argv[1]).save('stream.cs', format=2)\n"
        "whole, draw = open('stream.cs', 'rb').read(), random.Random(1)\n"
        "parse_dataset(whole, 'stream.cs')\n"
        "for _ in range(40):\n"
        "    data = bytearray(whole)\n"
        "    for _ in range(draw.randrange(1, 4)):\n"
        "        data[draw.randrange(6, len(data))] = draw.randrange(256)\n"
        "    try:\n"
        "        parse_dataset(bytes(data), 'stream.cs')\n"
        "    except FormatError:\n"
        "        pass\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    python(script, "cs/tiles.cs", cwd=tmp_path, env=environment)
