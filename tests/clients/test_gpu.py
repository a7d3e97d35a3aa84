"""Classification by PyTorch, here on the processor, gives what NumPy gives."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, rotate

ROOT = Path(__file__).resolve().parent.parent.parent
# Topaz brings PyTorch, and what slabkit's arrays need.
PYTHON = Path(os.environ.get("SLABKIT_TOPAZ_PYTHON", ROOT / ".venv-clients/topaz/bin/python"))


def test_pytorch_agrees_with_numpy(tmp_path: Path):
    if not PYTHON.exists():
        pytest.skip(f"no PyTorch at {PYTHON}; make test-clients installs it")
    random = np.random.default_rng(0)
    shapes = gaussian_filter(random.normal(size=(3, 32, 32)), (0, 2, 2)) * 20
    y, x = np.indices((32, 32)) - 16
    shapes *= np.hypot(y, x) < 10
    images = [
        rotate(shapes[i % 3], random.uniform(0, 360), reshape=False, order=1) for i in range(60)
    ]
    images = np.array(images) + random.normal(0, 0.3, (60, 32, 32))
    np.savez(tmp_path / "images.npz", images=images.astype(np.float32))
    done = subprocess.run(
        [PYTHON, ROOT / "tests/clients/run_classification.py", "images.npz", "found.npz"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "found.npz")
    assert "--device nonsense: PyTorch cannot use it" in str(found["message"])
    for name in ("class_number", "angle", "origin_y", "origin_x", "size"):
        np.testing.assert_array_equal(found[f"torch_{name}"], found[f"cpu_{name}"], err_msg=name)
    for name in ("quality", "probability", "agreement", "resolution", "averages"):
        np.testing.assert_allclose(
            found[f"torch_{name}"], found[f"cpu_{name}"], atol=2e-3, err_msg=name
        )
    assert found["cpu_quality"].max() > 0.1
