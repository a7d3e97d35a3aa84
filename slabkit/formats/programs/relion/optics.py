"""What goes round the particles that are written for RELION: optics groups, ``general``, names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import warn
from slabkit.formats.programs.shared.relion_star import (
    GENERAL,
    GROUP,
    GROUP_NAME,
    IMAGE_BINNING,
    IMAGE_PIXEL,
    MICROGRAPH_PIXEL,
    OPTICS,
    OPTICS_LABELS,
    PIXEL,
    Numbers,
)
from slabkit.formats.programs.shared.values import parse_numbers

if TYPE_CHECKING:
    import pandas as pd

_DEFAULTS = {"rlnVoltage": "300.0", "rlnSphericalAberration": "2.7", "rlnAmplitudeContrast": "0.1"}
_ORIGINAL = "rlnMicrographOriginalPixelSize"
_NAME, _ID = "rlnTomoParticleName", "rlnTomoParticleId"


def is_around(column: str) -> bool:
    """Tell the columns of a pick list that go to the optics groups or to ``general``."""
    return column in (GROUP, GROUP_NAME, *OPTICS_LABELS) or column.startswith((OPTICS, GENERAL))


def optics_groups(
    table: pd.DataFrame, pixel_size: Numbers
) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
    """Make the optics groups of a pick list and give each pick's number.

    Groups keep number, name and every column they came with. Where lists were joined whose groups
    differ under one number or name, the later ones get another, with a warning.
    """
    import pandas as pd

    columns: dict[str, Any] = {PIXEL: pixel_size}
    for label, default in _DEFAULTS.items():
        own = _texts(table, label)
        columns[label] = np.where(own == "", default, own)
    for name in table.columns:
        if name in OPTICS_LABELS or name.startswith(OPTICS):
            columns.setdefault(name.removeprefix(OPTICS), _texts(table, name))
    columns = {name: values for name, values in columns.items() if (values != "").any()}
    _drop_other_binning(columns, pixel_size)
    if not {IMAGE_PIXEL, MICROGRAPH_PIXEL, _ORIGINAL} & set(columns):
        columns[_ORIGINAL] = pixel_size  # without one of these RELION 3.1 reads no optics
    rows = pd.DataFrame(columns | {GROUP_NAME: _texts(table, GROUP_NAME)})
    rows[GROUP] = _texts(table, GROUP)
    keys = [GROUP, GROUP_NAME, *columns]
    # Groups that came with numbers keep the order of the lists, in which the first keeps its own.
    new = bool((rows[[GROUP, GROUP_NAME]] == "").to_numpy().all())
    found = rows.groupby(keys, sort=new).ngroup().to_numpy()
    groups = rows.drop_duplicates(ignore_index=True)
    groups = groups.sort_values(keys, ignore_index=True) if new else groups
    numbers, names = _numbers_and_names(groups)
    groups = groups.drop(columns=[GROUP, GROUP_NAME])
    groups.insert(0, GROUP, numbers)
    groups.insert(0, GROUP_NAME, names)
    return groups.sort_values(GROUP, ignore_index=True), np.array(numbers, dtype=np.int64)[found]


def general_block(table: pd.DataFrame) -> dict[str, list[str]]:
    """Give the block ``general`` that all picks came with, less what differs between them."""
    found, differ = {}, []
    for name in table.columns:
        if name.startswith(GENERAL) and len(table):
            values = _texts(table, name)
            if (values == values[0]).all():
                found[name.removeprefix(GENERAL)] = [str(values[0])]
            else:
                differ.append(name.removeprefix(GENERAL))
    if differ:
        _warn(f"lists that differ in {', '.join(differ)} (data_general) were joined; left out.")
    return {name: value for name, value in found.items() if value != [""]}


def unique_names(table: pd.DataFrame) -> pd.DataFrame:
    """Renumber particles whose RELION name or id another has, and keep the old one aside."""
    changed = table
    for label in (_NAME, _ID):
        if label not in table:
            continue
        old = _texts(table, label)
        twice = np.asarray(table[label].duplicated() & (old != ""), dtype=bool)
        if not twice.any():
            continue
        new = old.copy()
        last = _last_numbers(old, table["slabkitTomogram"].tolist() if label == _NAME else None)
        for row in np.flatnonzero(twice).tolist():
            tomogram = str(table["slabkitTomogram"].iloc[row]) if label == _NAME else ""
            last[tomogram] = last.get(tomogram, 0) + 1
            new[row] = f"{tomogram}/{last[tomogram]}" if label == _NAME else str(last[tomogram])
        aside = label.replace("rln", "slabkitFormer", 1)
        _warn(
            f"{int(np.sum(twice))} of {len(table)} particles had the {label} of another and have a "
            f"new one; the old ones are in the column {aside}."
        )
        former = _texts(table, aside)
        former = np.where(~twice & (former != ""), former, old)
        changed = changed.assign(**{label: new, aside: former})
    return changed


def _last_numbers(values: npt.NDArray[Any], tomograms: list[str] | None) -> dict[str, int]:
    """Give the highest number used: of ids under the name "", of names for each tomogram."""
    last: dict[str, int] = {}
    for row, number in enumerate(parse_numbers([str(v).rpartition("/")[2] for v in values])):
        tomogram = tomograms[row] if tomograms is not None else ""
        if np.isfinite(number):
            last[tomogram] = max(last.get(tomogram, 0), int(number))
    return last


def _numbers_and_names(groups: pd.DataFrame) -> tuple[list[int], list[str]]:
    said = parse_numbers(groups[GROUP].tolist())
    whole = np.isfinite(said) & (said == np.round(said)) & (said > 0) & (said < 1e9)
    numbers, names = [0] * len(groups), [""] * len(groups)
    for row in np.flatnonzero(whole).tolist():
        if int(said[row]) not in numbers:
            numbers[row] = int(said[row])
    free = iter(number for number in range(1, len(groups) * 2 + 1) if number not in set(numbers))
    numbers = [number or next(free) for number in numbers]
    changed = []
    for row, number in enumerate(numbers):
        own = str(groups[GROUP_NAME].iloc[row])
        name = own or f"opticsGroup{number}"
        names[row] = name if name not in names else f"{name}_{number}"
        if (own and names[row] != own) or (whole[row] and number != said[row]):
            changed.append(f"{int(said[row]) if whole[row] else ''} {own}".strip())
    if changed:
        _warn(
            f"optics groups that differ have the same number or name ({', '.join(changed[:5])}); "
            "the later ones got others."
        )
    return numbers, names


def _drop_other_binning(columns: dict[str, Any], pixel_size: Numbers) -> None:
    """Leave out the images' pixel size and binning where they contradict the pixel size written."""
    if not {IMAGE_PIXEL, IMAGE_BINNING} <= set(columns):
        return
    image, binning = (
        parse_numbers(columns[label].tolist()) for label in (IMAGE_PIXEL, IMAGE_BINNING)
    )
    differ = abs(image / binning / pixel_size - 1) > 1e-3
    if differ.any():
        row = int(np.flatnonzero(differ)[0])
        _warn(
            f"{IMAGE_PIXEL} {image[row]:g} Å over {IMAGE_BINNING} {binning[row]:g} is not the tilt "
            f"series' pixel size that is written, {pixel_size[row]:g} Å; both are left out."
        )
        del columns[IMAGE_PIXEL], columns[IMAGE_BINNING]


def _texts(table: pd.DataFrame, name: str) -> npt.NDArray[Any]:
    if name not in table.columns:
        return np.full(len(table), "", dtype=object)
    texts: npt.NDArray[Any] = table[name].astype(str).to_numpy(dtype=object)
    return texts


def _warn(text: str) -> None:
    warn(f"relion: {text}")
