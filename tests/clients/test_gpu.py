"""Classification and templates by PyTorch, on the processor, give what NumPy gives; networks learn.

Templates are also tried on a CUDA card, where PyTorch sees one.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, rotate

from slabkit.errors import FormatError
from slabkit.formats.models import read_model
from slabkit.learning import predict_species
from slabkit.learning.packing import unpack_model

ROOT = Path(__file__).resolve().parent.parent.parent
# Topaz brings PyTorch, and what slabkit's arrays need.
PYTHON = Path(os.environ.get("SLABKIT_TOPAZ_PYTHON", ROOT / ".venv-clients/topaz/bin/python"))


def run(folder: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script of this folder with PyTorch."""
    if not PYTHON.exists():
        pytest.skip(f"no PyTorch at {PYTHON}; make test-clients installs it")
    return subprocess.run(
        [PYTHON, ROOT / "tests/clients" / script, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_pytorch_agrees_with_numpy(tmp_path: Path):
    random = np.random.default_rng(0)
    shapes = gaussian_filter(random.normal(size=(3, 32, 32)), (0, 2, 2)) * 20
    y, x = np.indices((32, 32)) - 16
    shapes *= np.hypot(y, x) < 10
    images = [
        rotate(shapes[i % 3], random.uniform(0, 360), reshape=False, order=1) for i in range(60)
    ]
    images = np.array(images) + random.normal(0, 0.3, (60, 32, 32))
    np.savez(tmp_path / "images.npz", images=images.astype(np.float32))
    done = run(tmp_path, "run_classification.py", "images.npz", "found.npz")
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


def figure(blobs: tuple[tuple[float, ...], ...], y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Blobs (y, x, sigma, height; Å)."""
    return sum(h * np.exp(-((y - a) ** 2 + (x - b) ** 2) / (2 * s**2)) for a, b, s, h in blobs)


FIGURES = (
    ((20, -10, 40, 1.0), (-60, 10, 25, 1.2), (-10, 70, 20, 0.8)),
    ((60, 60, 25, 1.0), (-70, 20, 25, 0.9), (0, -60, 30, 1.1), (0, 0, 20, 0.7)),
)


@pytest.mark.parametrize("device", ["torch", "cuda"])
def test_templates_on_a_device_agree_with_numpy(tmp_path: Path, device: str):
    random = np.random.default_rng(5)
    pixel_size, shape = 8.0, (210, 390)
    line = (np.arange(40) - 20) * pixel_size
    averages = [figure(blobs, line[:, None], line[None, :]) for blobs in FIGURES]
    y, x = np.indices(shape) * pixel_size
    images = gaussian_filter(random.normal(0, 0.8, (2, *shape)), (0, 1, 1))
    for image in images:
        for blobs in FIGURES * 7:
            right = x - random.uniform(120, (shape[1] - 15) * pixel_size)
            down = y - random.uniform(120, (shape[0] - 15) * pixel_size)
            turn = random.uniform(0, 2 * np.pi)
            sine, cosine = np.sin(turn), np.cos(turn)
            image -= figure(blobs, sine * right + cosine * down, cosine * right - sine * down)
    np.savez(
        tmp_path / "given.npz",
        images=images.astype(np.float32),
        averages=averages,
        pixel_size=pixel_size,
    )
    done = run(tmp_path, "run_templates.py", "given.npz", "found.npz", device)
    if "no CUDA card" in done.stderr:
        pytest.skip(f"PyTorch at {PYTHON} sees no CUDA card")
    assert done.returncode == 0, done.stderr
    answers = np.load(tmp_path / "found.npz")
    assert "--device nonsense: PyTorch cannot use it" in str(answers["message"])
    same = {"rlnMicrographName", "rlnAnglePsi", "rlnClassNumber", "slabkitSpecies", "angle"}
    close = {
        "rlnAutopickFigureOfMerit": 1e-3,
        "rlnCoordinateX": 5e-3,
        "rlnCoordinateY": 5e-3,
        "correlation": 1e-5,
    }
    for size in ("large", "small"):
        species = answers[f"{size}_expected_slabkitSpecies"]
        assert min((species == name).sum() for name in ("one", "other")) >= 10
        for name in sorted(same | close.keys()):
            found, expected = (answers[f"{size}_{kind}_{name}"] for kind in ("found", "expected"))
            if name in same:
                np.testing.assert_array_equal(found, expected, err_msg=f"{size} {name}")
            else:
                np.testing.assert_allclose(
                    found, expected, rtol=0, atol=close[name], err_msg=f"{size} {name}"
                )


def test_a_network_is_trained_by_pytorch_and_asked_without_it(tmp_path: Path):
    random = np.random.default_rng(3)
    species = np.array(["ball", "pair", "none"] * 30)
    z, y, x = np.meshgrid(np.arange(3) - 1, *[np.arange(33) - 16] * 2, indexing="ij")
    boxes = random.normal(0, 0.5, (len(species), 3, 33, 33))
    for box, name, turn in zip(boxes, species, random.uniform(0, np.pi, len(species)), strict=True):
        for side in {"ball": [0], "pair": [-5, 5], "none": []}[name]:
            far = (y - side * np.cos(turn)) ** 2 + (x - side * np.sin(turn)) ** 2 + (2 * z) ** 2
            box += 2 * np.exp(-far / 18)
    boxes = boxes.astype(np.float32)
    tomograms = [f"t{number // 30}" for number in range(len(species))]
    np.savez(tmp_path / "given.npz", boxes=boxes, species=species, tomograms=tomograms)
    done = run(tmp_path, "run_network.py", "given.npz", "found.npz")
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "found.npz")
    assert "--device nonsense: PyTorch cannot use it" in str(found["message"])
    for file in ("model.json", "arrays.npz"):
        one, two = ((tmp_path / name / file).read_bytes() for name in ("one", "two"))
        assert one == two  # with one job and with two
    np.testing.assert_allclose(found["whole"], found["real"], atol=0.3)
    assert found["real"].std() > 2
    # Here there need be no PyTorch.
    model = unpack_model(*read_model(tmp_path / "one"), "one")
    assert len(model.networks) == 3

    class Held:
        def __len__(self) -> int:
            return len(boxes)

        def read(self, numbers: np.ndarray) -> np.ndarray:
            return boxes[numbers]

    said, _ = predict_species(model, Held())
    np.testing.assert_array_equal(said, found["said"])
    order = model.classes
    assert ([order[k] for k in said.argmax(axis=1)] == species).mean() > 0.95
    for name in ("held_out", "flat"):  # volumes, images
        assert ([order[k] for k in found[name].argmax(axis=1)] == species).mean() > 0.9
    description, arrays = read_model(tmp_path / "one")
    arrays["network_0_last"] = arrays["network_0_last"] + 1
    with pytest.raises(FormatError, match="its parts do not fit together"):
        unpack_model(description, arrays, "one")
