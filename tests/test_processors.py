"""The same bytes on every processor (issue 12, section D and G13).

The kernels of the linear algebra, NumPy's own vector instructions and the threads are chosen by the
environment, in a process of its own each; what the commands write must not tell them apart.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from slabkit.arrays import exact

try:
    from numpy._core._multiarray_umath import __cpu_dispatch__ as DISPATCHED
except ImportError:  # a NumPy that keeps it elsewhere
    DISPATCHED = []

FASTEST = [name for name in DISPATCHED if "AVX512" in name or "V4" in name]
PROCESSORS = {
    "as it is": {},
    "Haswell": {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": " ".join(FASTEST)},
    "four threads": {"OPENBLAS_NUM_THREADS": "4", "OMP_NUM_THREADS": "3", "JOBS": "3"},
    "without AVX2": {
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": " ".join(DISPATCHED),
    },
}

# Prints the digest of what each command wrote, by its name.
RUN = """
import hashlib, json, os, sys, warnings
import numpy as np
from scipy.ndimage import gaussian_filter
from slabkit.cli.main import main
from slabkit.formats.volumes.mrc import write_mrc

warnings.simplefilter("ignore")
jobs = os.environ.get("JOBS", "1")

def run(line):
    sys.argv = ["slabkit", *line.split(), "--quiet"]
    try:
        main()
    except SystemExit as done:
        assert not done.code, line

run(f"simulate -o s --seed 3")
run(f"slab s/sim_001.mrc -o slabs --thickness 200 --jobs {jobs}")
run("pick blob slabs/slabs.star -o blob.star --diameter 100:350 --threshold 3")
run("pick blob slabs/slabs.star -o auto.star --diameter 120 --threshold auto")
run("map blob.star --slabs slabs/slabs.star -o map.star")
run(f"minislab map.star -o m --box 400 --depth 200 --stack --jobs {jobs}")
run("minislab map.star -o t --box 300 --depth 200 --tilts=-20,20 --pixel-size 13 --diameter 250")
run(f"classify m/minislabs.star -o c --classes 8 --iterations 6 --jobs {jobs}")
run("pick template slabs/slabs.star -o template.star --templates c/classes.mrcs --diameter 200"
    " --angular-step 30")
run("suggest m/minislabs.star -o next.star --classified c/classified.star -n 9")
run("label c/classified.star --minislabs m/minislabs.star --classes 1-4 -o labels.star")
run(f"learn --minislabs m/minislabs.star --labels labels.star -o model --jobs {jobs}")
run(f"predict m/minislabs.star --model model -o predicted.star --jobs {jobs}")
rod = np.zeros((20, 20, 20), dtype=np.float32)
rod[4:16, 7:12, 8:13] = 1
write_mrc("rod.mrc", gaussian_filter(rod, 1), 10.0, label="rod")
run(f"name map.star --map rod=rod.mrc -o names.star --jobs {jobs}")
found = {}
for folder, _, names in os.walk("."):
    for name in sorted(names):
        if name.endswith((".star", ".mrc", ".mrcs", ".npz")):
            path = os.path.join(folder, name)
            found[path] = hashlib.md5(open(path, "rb").read()).hexdigest()
print(json.dumps(found))
"""


def run_on(processor: dict[str, str], folder) -> dict[str, str]:
    chosen = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", **processor}
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN],
        env={**os.environ, **chosen},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_d_g13_every_command_writes_the_same_bytes(tmp_path):
    expected = run_on({}, tmp_path / "first")
    assert len(expected) > 15
    for name, processor in list(PROCESSORS.items())[1:]:
        found = run_on(processor, tmp_path / name.replace(" ", "_"))
        different = {path for path in expected if found.get(path) != expected[path]}
        assert not different, f"{name}: {sorted(different)}"


@pytest.mark.parametrize("size", [1, 2, 3, 40])
def test_eigenvectors(size):
    matrix = np.random.default_rng(size).normal(size=(size, size))
    matrix = matrix + matrix.T
    values, vectors = exact.eigenvectors(matrix)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(matrix), atol=1e-12 * size)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(size), atol=1e-12 * size)
    np.testing.assert_allclose(matrix @ vectors, vectors * values, atol=1e-12 * size)


def test_products_are_exact_in_any_order():
    generator = np.random.default_rng(0)
    one, other = generator.normal(size=(7, 500)), 1e-9 * generator.normal(size=(500, 5))
    (rows, _), (columns, _) = exact.on_grid(one, -1), exact.on_grid(other, -2)
    order = generator.permutation(500)
    np.testing.assert_array_equal(rows @ columns, rows[:, order] @ columns[order])
    scale = np.linalg.norm(one, axis=1)[:, None] * np.linalg.norm(other, axis=0)
    assert (abs(exact.product(one, other) - one @ other) < 4e-8 * scale).all()
    np.testing.assert_allclose(
        exact.fine_product(one, other), one @ other, atol=1e-14 * scale.max()
    )
    turned = one + 1j * generator.normal(size=one.shape)
    np.testing.assert_allclose(
        exact.complex_product(turned, turned.T), turned @ turned.T, atol=1e-7 * scale.max() / 1e-9
    )


def test_functions():
    x = np.random.default_rng(1).normal(size=1000)
    np.testing.assert_allclose(exact.exp(x), np.exp(x), rtol=1e-15)
    np.testing.assert_allclose(exact.log(abs(x)), np.log(abs(x)), atol=1e-15)
    np.testing.assert_allclose(exact.arctan2(x, x[::-1]), np.arctan2(x, x[::-1]), rtol=1e-15)
    np.testing.assert_allclose(exact.geometric(2, 7, 9), np.geomspace(2, 7, 9), rtol=1e-14)
    assert exact.arctan2(np.zeros(1), np.zeros(1)) == 0


def test_exponentials_of_singles():
    x = np.linspace(-80, 80, 100_001, dtype=np.float32)
    found = np.append(x, np.float32([0, -1e30, -np.inf])).reshape(2, -1)
    exact.exponentiate(found)
    np.testing.assert_allclose(found.ravel()[:-3], np.exp(x.astype(float)), rtol=5e-6)
    assert found.ravel()[-3] == 1
    assert (found.ravel()[-2:] < 1e-37).all()
