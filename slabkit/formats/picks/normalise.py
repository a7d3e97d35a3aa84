"""What is done to picks of every format once they are read: ids, duplicates, names, tomograms."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from slabkit.errors import InputError, warn
from slabkit.formats.picks.given import Context, require_known_tomograms
from slabkit.formats.programs.shared.values import TEXT_NAMES
from slabkit.formats.tomograms.relion import UNBINNED
from slabkit.tables import PICKS, TOMOGRAMS, empty_table, make_table, new_pick_ids
from slabkit.units import voxel_sizes_equal

if TYPE_CHECKING:
    import pandas as pd

_PLACE = ["slabkitTomogram", "slabkitX", "slabkitY", "slabkitZ"]


def give_ids(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """Give an id to every pick that has none."""
    if "slabkitPickId" in table.columns:
        missing = (table["slabkitPickId"] == "").to_numpy(dtype=bool)
        if not missing.any():
            return table
        ids = table["slabkitPickId"].to_numpy(dtype=object, copy=True)
    else:
        missing = np.ones(len(table), dtype=bool)
        ids = np.full(len(table), "", dtype=object)
    rows = table.loc[missing]
    ids[missing] = new_pick_ids(
        rows["slabkitTomogram"],
        rows["slabkitX"].to_numpy(float),
        rows["slabkitY"].to_numpy(float),
        rows["slabkitZ"].to_numpy(float),
        taken=ids[~missing],
    )
    return table.assign(slabkitPickId=ids)


def drop_duplicates(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """Drop picks that appear twice; of two scores the higher stays.

    Without ids, picks of one tomogram and species at exactly one position are the same; with ids,
    only rows that are equal in everything are.
    """
    if "slabkitPickId" in table.columns:
        kept = table[~table.duplicated()]
    else:
        key = [*_PLACE, *(["slabkitSpecies"] if "slabkitSpecies" in table.columns else [])]
        if not table.duplicated(key).any():
            return table
        ordered = table
        if "slabkitScore" in table.columns:
            ordered = table.sort_values("slabkitScore", ascending=False, kind="stable")
        kept = ordered[~ordered.duplicated(key)].sort_index()
    dropped = len(table) - len(kept)
    if dropped:
        warn(f"{where}: {dropped} of {len(table)} picks were exact duplicates and dropped.")
    return kept.reset_index(drop=True)


def set_species(table: pd.DataFrame, species: str, where: str) -> pd.DataFrame:
    """Set the species of every pick, and say how many had another."""
    if "slabkitSpecies" in table.columns:
        other = ~table["slabkitSpecies"].isin(["", species])
        if other.any():
            names = ", ".join(sorted(set(table["slabkitSpecies"][other]))[:3])
            warn(f"{where}: {int(other.sum())} picks were {names} and are {species} now.")
    return table.assign(slabkitSpecies=species)


def check_extra_names(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """Rename unknown columns that tables cannot hold (``_`` for odd characters), and say so."""
    taken = set(PICKS.names)
    reserved = {name.lower() for name in TEXT_NAMES.values()}
    names: dict[str, str] = {}
    for name in map(str, table.columns):
        safe = name
        if name not in PICKS.names:
            safe = re.sub(r"[^A-Za-z0-9_.-]+", "_", name) or "column"
            safe = f"extra_{safe}" if safe.lower() in reserved or safe in PICKS.names else safe
            first, count = safe, 1
            while safe in taken:
                count += 1
                safe = f"{first}_{count}"
            taken.add(safe)
        names[name] = safe
    renamed = [f"{old!r} as {new}" for old, new in names.items() if old != new]
    if renamed:
        warn(f"{where}: columns were renamed: {', '.join(renamed[:5])}.")
    return table.set_axis([names[str(name)] for name in table.columns], axis="columns")


def known_tomograms(
    names: Iterable[str], lists: list[pd.DataFrame], context: Context, where: str
) -> pd.DataFrame:
    """Make the table of tomograms: the user's, then what files say, then bare names."""
    import pandas as pd

    rows: dict[str, dict[str, Any]] = {}
    given = [] if context.tomograms is None else [context.tomograms]
    for table in [*given, *lists]:
        kept = [name for name in (*TOMOGRAMS.names, *UNBINNED) if name in table.columns]
        for row in table[kept].to_dict("records"):
            name = row["slabkitTomogram"]
            rows[name] = _merged(rows[name], row, context, where) if name in rows else row
    wanted = list(dict.fromkeys(names))
    if context.tomograms is not None:
        require_known_tomograms(wanted, context.tomograms["slabkitTomogram"], where)
    for name in wanted:
        rows.setdefault(name, {"slabkitTomogram": name})
    if not rows:
        return empty_table(TOMOGRAMS)
    table = pd.DataFrame(list(rows.values()))
    for column in TOMOGRAMS.columns:
        if column.name not in table.columns:
            table[column.name] = column.default
        elif column.default == column.default and column.default is not None:
            table[column.name] = table[column.name].where(
                table[column.name].notna(), column.default
            )
    if context.voxel_size is not None:
        table["slabkitVoxelSize"] = float(context.voxel_size)
    return make_table(TOMOGRAMS, dict(table.items()))


def _merged(
    first: dict[str, Any], second: dict[str, Any], context: Context, where: str
) -> dict[str, Any]:
    """Join what two tables say of one tomogram; the first wins where both are right."""
    name = first["slabkitTomogram"]
    sizes = [first["slabkitVoxelSize"], second["slabkitVoxelSize"]]
    known = [size for size in sizes if size == size]
    if context.voxel_size is None and len(known) == 2 and not voxel_sizes_equal(*known):
        raise InputError(
            f"{where}: the voxel size of {name} is {sizes[1]:g} Å in the file and {sizes[0]:g} Å "
            "elsewhere; settle it with --voxel-size."
        )
    keys = [f"slabkitTomogramSize{axis}" for axis in "XYZ"]
    shapes = [tuple(row[key] for key in keys) for row in (first, second)]
    # RELION's table has unbinned sizes, which programs round differently when they bin.
    off_by = max(abs(int(a) - int(b)) for a, b in zip(*shapes, strict=True))
    rounded = off_by == 1 and UNBINNED[0] in first and math.isfinite(float(first[UNBINNED[0]]))
    if min(shapes[0]) > 0 and min(shapes[1]) > 0 and shapes[0] != shapes[1] and not rounded:
        raise InputError(
            f"{where}: {name} has {' × '.join(map(str, shapes[1]))} voxels (x, y, z) in the file "
            f"and {' × '.join(map(str, shapes[0]))} elsewhere; the tomograms are not the same."
        )
    merged = {**{key: second[key] for key in UNBINNED if key in second}, **first}
    if first["slabkitVoxelSize"] != first["slabkitVoxelSize"]:
        merged["slabkitVoxelSize"] = second["slabkitVoxelSize"]
    if min(shapes[0]) < 1 or rounded:
        merged.update({key: second[key] for key in keys})
    merged["slabkitTomogramFile"] = first["slabkitTomogramFile"] or second["slabkitTomogramFile"]
    return merged
