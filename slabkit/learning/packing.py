"""A model as plain values and arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import FormatError
from slabkit.learning.harmonics import Components, Descriptions
from slabkit.learning.judging import NONE
from slabkit.learning.model import Model
from slabkit.learning.network import PLANES as NETWORK_PLANES
from slabkit.learning.network import Network
from slabkit.learning.rotated_maps import pack_rotated, unpack_rotated

Arrays = dict[str, npt.NDArray[Any]]


def pack_model(model: Model) -> tuple[dict[str, Any], Arrays]:
    """Give a model's description and arrays, for a file.

    Parameters
    ----------
    model : Model

    Returns
    -------
    description : dict
    arrays : dict of str to ndarray
    """
    described = {
        "id": model.id,
        "classes": model.classes,
        "thresholds": dict(zip(model.classes, model.thresholds.tolist(), strict=False)),
        "columns": model.columns,
        "planes": model.components.planes,
        "kind": model.kind,
        "maps": [[name, voxel_size] for name, (_, voxel_size) in model.maps.items()],
        "held_out": dict(model.held_out),
    }
    arrays: Arrays = {
        "weights": model.weights,
        "calibration": model.calibration,
        "thresholds": model.thresholds,
        "usual": model.usual,
        "second": model.second,
        "example_size": model.examples.size,
    }
    for number, (density, _) in enumerate(model.maps.values()):
        arrays[f"map_{number}"] = density
    for number, one in enumerate(model.rotated):
        parts = pack_rotated(one).items()
        arrays |= {f"rotated_{number}_{name}": part for name, part in parts}
    if model.first is not None:
        arrays["first_weights"], arrays["first_calibration"] = model.first
    if model.mixing is not None:
        arrays["mixing"] = model.mixing
    for number, network in enumerate(model.networks):
        parts = network.arrays.items()
        arrays |= {f"network_{number}_{name}": part for name, part in parts}
    components = model.components
    for scale, (mean, bases, variances, examples) in enumerate(
        zip(
            components.mean,
            components.basis,
            components.variance,
            model.examples.scales,
            strict=True,
        )
    ):
        arrays[f"mean_{scale}"] = mean
        for order, (basis, variance, example) in enumerate(
            zip(bases, variances, examples, strict=True)
        ):
            arrays[f"basis_{scale}_{order}"] = basis
            arrays[f"variance_{scale}_{order}"] = variance
            # Whole numbers, so nothing is lost.
            arrays[f"real_{scale}_{order}"] = example.real.astype(np.int32)
            arrays[f"imaginary_{scale}_{order}"] = example.imag.astype(np.int32)
    return described, arrays


def _parts(arrays: Mapping[str, Any], start: str) -> Arrays:
    return {name[len(start) :]: part for name, part in arrays.items() if name.startswith(start)}


def unpack_model(description: Mapping[str, Any], arrays: Mapping[str, Any], where: str) -> Model:
    """Make a model of what `pack_model` gave.

    Parameters
    ----------
    description : mapping
    arrays : mapping of str to ndarray
    where : str
        What messages begin with.

    Raises
    ------
    FormatError
        The parts do not fit together.
    """
    try:
        classes = [str(name) for name in description["classes"]]
        columns = [str(name) for name in description["columns"]]
        scales = range(sum(name.startswith("mean_") for name in arrays))
        orders = range(sum(name.startswith("basis_0_") for name in arrays))
        components = Components(
            int(description["planes"]),
            [arrays[f"mean_{s}"] for s in scales],
            [[arrays[f"basis_{s}_{m}"] for m in orders] for s in scales],
            [[arrays[f"variance_{s}_{m}"] for m in orders] for s in scales],
        )
        examples = Descriptions(
            [
                [arrays[f"real_{s}_{m}"] + 1j * arrays[f"imaginary_{s}_{m}"] for m in orders]
                for s in scales
            ],
            arrays["example_size"],
        )
        model = Model(
            classes,
            dict(description["kind"]),
            components,
            examples,
            arrays["weights"],
            arrays["usual"],
            arrays["second"],
            arrays["calibration"],
            arrays["thresholds"],
            columns,
            {
                str(name): (arrays[f"map_{number}"], float(voxel_size))
                for number, (name, voxel_size) in enumerate(description["maps"])
            },
            (arrays["first_weights"], arrays["first_calibration"]) if columns else None,
            [
                unpack_rotated(str(name), _parts(arrays, f"rotated_{number}_"))
                for number, (name, _) in enumerate(description["maps"])
                if f"rotated_{number}_numbers" in arrays
            ],
            [
                Network.from_arrays(_parts(arrays, f"network_{number}_"))
                for number in range(
                    sum(name.endswith("_last") for name in _parts(arrays, "network_"))
                )
            ],
            arrays.get("mixing"),
            {str(name): float(p) for name, p in description.get("held_out", {}).items()},
        )
        known = description["id"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{where}: is damaged or incomplete; learn the model again.") from error
    told = 2 * len(classes)
    fits = (
        classes[-1:] == [NONE]
        and model.weights.shape == (len(examples) + 1, len(classes))
        and model.usual.shape == (2, len(classes) - 1)
        and model.second.shape == (told + len(columns), len(classes))
        and model.calibration.shape[1:] == (len(classes) + 2,)
        and model.calibration[:, :1].sum() > 0
        and model.thresholds.shape == (len(classes) - 1,)
        and components.shapes_fit(examples)
    )
    fits = fits and all(0 <= p <= 1 for p in model.held_out.values())
    fits = fits and bool(model.networks) == (model.mixing is not None)
    fits = fits and (model.mixing is None or model.mixing.shape == model.calibration.shape)
    for network in model.networks:
        fits = fits and network.planes == min(components.planes, NETWORK_PLANES)
        fits = fits and network.last.shape[1] == len(classes)
    if model.first is not None:
        first, calibration = model.first
        fits = fits and first.shape == (told, len(classes))
        fits = fits and calibration.shape == model.calibration.shape
    if not fits or model.id != known:
        raise FormatError(f"{where}: its parts do not fit together; learn the model again.")
    return model
