"""2D picks on the slabs of one tomogram to its pick table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError
from slabkit.mapping.grouping import merge_hits
from slabkit.mapping.joining import check_slabs, image_contrast, inside_image, match_micrographs
from slabkit.mapping.refinement import Depths, depth_confidence, refine_depths, slab_middles
from slabkit.tables import PICKS, PICKS2D, rows_named, validate_table
from slabkit.tomogram import Tomogram
from slabkit.units import Contrast

if TYPE_CHECKING:
    import pandas as pd

Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class MapCounts:
    """What became of the 2D hits: ``hits - outside + stacked - merged - other_species == picks``.

    Parameters
    ----------
    hits : int
        2D picks given.
    outside : int
        Left out because they lie outside their image.
    stacked : int
        Second particles found above or below a first one.
    merged : int
        Hits that went into a better one.
    other_species : int
        Picks by templates at a place where those of another species score better.
    picks : int
        Rows of the result.
    at_border, flat, near_face : int
        Picks flagged ``z-border``, ``z-flat``, ``near-face``.
    """

    hits: int = 0
    outside: int = 0
    stacked: int = 0
    merged: int = 0
    other_species: int = 0
    picks: int = 0
    at_border: int = 0
    flat: int = 0
    near_face: int = 0


def map_picks(
    picks2d: pd.DataFrame,
    slabs: pd.DataFrame,
    tomogram: Tomogram,
    *,
    min_distance: float | None = None,
    refine_z: bool = True,
    single: bool = False,
    all_species: bool = False,
    margin: float | None = None,
    contrast: Contrast | None = None,
    diameter: float | None = None,
    jobs: int = 1,
    where: str = "picks2d",
) -> tuple[pd.DataFrame, MapCounts]:
    """Turn the 2D picks on one tomogram's slabs into 3D picks.

    x and y are the pixel coordinates times the voxel size. z is the depth at which a ball or shell
    of about the particle's diameter fits the tomogram best, within the slab and ``margin`` beyond;
    or what a column ``slabkitZ`` (Å) says, which `pick template --refine` writes (z confidence is
    NaN then).
    Hits of one particle in several slabs are merged (`slabkit.mapping.grouping.merge_hits`): those
    about the hit that explains most density, by score, diameter and how sure its depth is, are one,
    and the best-scored of its size represents them with the best score of all. A hit whose search
    ended while the score still rose (``z-border``) yields to one that is not. Only hits of one
    species and one kind of score are merged with each other; of picks by templates of several
    species at one place the best-scored is kept.

    Parameters
    ----------
    picks2d : DataFrame
        Columns of `slabkit.tables.PICKS2D`: pixels of the slab images.
    slabs : DataFrame
        Columns of `slabkit.tables.SLABS`: the slabs of this tomogram.
    tomogram : Tomogram
    min_distance : float, optional
        Hits closer than this in 3D are one particle, in Å; default half the larger diameter of the
        two. 0 merges nothing.
    refine_z : bool, optional
        Whether to search for z; otherwise z is the middle of the slab.
    single : bool, optional
        Never take a hit for two particles stacked in one slab.
    all_species : bool, optional
        Keep the picks of all species that templates find at a place, not the best alone.
    margin : float, optional
        How far beyond the slab to search, in Å; default half the particle's diameter.
    contrast : {"dark", "bright"}, optional
        Of the tomogram, instead of what the slab table records.
    diameter : float, optional
        In Å, for picks that have none.
    jobs : int, optional
        Threads; the result does not depend on it.
    where : str, optional
        What messages begin with.

    Returns
    -------
    picks : DataFrame
        Columns of `slabkit.tables.PICKS`, then ``rlnMicrographName``, ``rlnCoordinateX`` and
        ``rlnCoordinateY`` of the hit that represents the pick, ``rlnAnglePsi``, ``rlnClassNumber``
        and what else the 2D picks carry; all but the score is of that one hit. Best score first,
        ties by z, y, x. Flags: ``z-border``; ``z-flat``, nothing sticks out at any depth and z is
        the slab's middle; ``stacked``, one of two particles of one hit; ``near-face``, the particle
        reaches out of the volume.
        Ids are made of the tomogram, the position, the species and the kind of score.
    counts : MapCounts

    Raises
    ------
    InputError
        A micrograph is unknown; slabs and tomogram contradict each other; more than one pick in
        twenty lies outside its image; a coordinate is not finite; a diameter is needed; a
        ``slabkitZ`` is not within the tomogram.

    Warns
    -----
    SlabkitWarning
        Some picks lie outside their image and are left out.
    """
    picks2d = validate_table(picks2d, PICKS2D, where)
    slabs = check_slabs(slabs, tomogram)
    contrast = image_contrast(slabs, tomogram, contrast)
    for name, length in (("minimum distance", min_distance), ("margin", margin)):
        if length is not None and not (np.isfinite(length) and length >= 0):
            raise InputError(f"the {name} must not be negative, and finite, not {length:g} Å.")
    slab = match_micrographs(picks2d, slabs, where)
    within = inside_image(picks2d, tomogram, where) if len(picks2d) else np.zeros(0, dtype=bool)
    needed = refine_z or min_distance is None
    hits = _with_diameters(picks2d, diameter, needed, where)[within].reset_index(drop=True)
    slab = slab[within]
    z_start = slabs["slabkitZStart"].to_numpy()[slab]
    z_count = slabs["slabkitZCount"].to_numpy()[slab]
    z_vox = _known_depths(hits, tomogram, where)
    depths = slab_middles(z_start, z_count, z_vox)
    if refine_z and np.isnan(z_vox).any():
        rows = np.flatnonzero(np.isnan(z_vox))
        searched = refine_depths(
            tomogram,
            hits["rlnCoordinateX"].to_numpy()[rows],
            hits["rlnCoordinateY"].to_numpy()[rows],
            hits["slabkitDiameter"].to_numpy()[rows],
            z_start[rows],
            z_count[rows],
            contrast,
            margin,
            jobs,
        )
        depths = depths.replaced(rows, searched)
    candidates = _candidates(hits, slab, depths, tomogram, single)
    picks, beaten = merge_hits(candidates, min_distance, all_species)
    flags = picks["slabkitFlags"]
    counts = MapCounts(
        hits=len(picks2d),
        outside=int((~within).sum()),
        stacked=len(candidates) - len(hits),
        merged=len(candidates) - len(picks) - beaten,
        other_species=beaten,
        picks=len(picks),
        at_border=int(flags.str.contains("z-border").sum()),
        flat=int(flags.str.contains("z-flat").sum()),
        near_face=int(flags.str.contains("near-face").sum()),
    )
    return picks, counts


def _known_depths(hits: pd.DataFrame, tomogram: Tomogram, where: str) -> npt.NDArray[np.float64]:
    """Give z, in voxels, of hits whose picker found it in the tomogram; NaN of others."""
    if "slabkitZ" not in hits.columns:
        return np.full(len(hits), np.nan)
    try:
        z_vox = np.asarray(hits["slabkitZ"], dtype=np.float64) / tomogram.voxel_size
    except ValueError as error:
        raise InputError(f"{where}: a slabkitZ is no number.") from error
    outside = np.isinf(z_vox) | (z_vox < -0.5) | (z_vox > tomogram.shape[0] - 0.5)
    if outside.any():
        raise InputError(
            f"{where}: slabkitZ lies outside of {tomogram.label} in {rows_named(outside)}; leave "
            "the column out to have z searched."
        )
    return z_vox


def _with_diameters(
    picks2d: pd.DataFrame, diameter: float | None, needed: bool, where: str
) -> pd.DataFrame:
    if diameter is not None and not (np.isfinite(diameter) and diameter > 0):
        raise InputError(f"the diameter must be positive, not {diameter:g} Å.")
    values = picks2d["slabkitDiameter"].to_numpy(dtype=float, copy=True)
    if diameter is not None:
        values[np.isnan(values)] = diameter
    wrong = ~(np.isfinite(values) & (values > 0))
    wrong &= ~np.isnan(values) | needed
    if wrong.any():
        value = values[int(np.flatnonzero(wrong)[0])]
        said = "have no diameter" if np.isnan(value) else f"have a diameter of {value:g} Å"
        raise InputError(
            f"{where}: 2D picks {said} in {rows_named(wrong)}; give the particle's with --diameter."
        )
    return picks2d.assign(slabkitDiameter=values)


def _candidates(
    hits: pd.DataFrame,
    slab: npt.NDArray[np.int64],
    depths: Depths,
    tomogram: Tomogram,
    single: bool,
) -> pd.DataFrame:
    """One row a particle that a hit may be: as picks, with the slab's number in ``_slab``."""
    import pandas as pd

    two = np.zeros(len(hits), dtype=bool) if single else np.isfinite(depths.second_z_vox)
    row = np.concatenate([np.arange(len(hits)), np.flatnonzero(two)])
    second = np.arange(len(row)) >= len(hits)
    taken = hits.iloc[row].reset_index(drop=True)
    z_vox = np.concatenate([depths.z_vox, depths.second_z_vox[two]])
    voxel_size = tomogram.voxel_size
    position = np.column_stack(
        [taken["rlnCoordinateX"].to_numpy(), taken["rlnCoordinateY"].to_numpy(), z_vox]
    )
    radius_vox = taken["slabkitDiameter"].to_numpy() / (2 * voxel_size)
    size = np.array(tomogram.shape[::-1])
    reach = np.minimum(position + 0.5, size - 0.5 - position).min(axis=1, initial=np.inf)
    flags = {
        "near-face": reach < radius_vox,
        "stacked": second | two[row],
        "z-border": depths.at_border[row] & ~second,
        "z-flat": depths.flat[row],
    }
    kind = taken["slabkitScoreKind"]
    prominence = np.concatenate([depths.prominence, depths.second_prominence[two]])
    confidence = np.where(depths.flat[row], 0.0, depth_confidence(prominence))
    columns = {
        "slabkitTomogram": tomogram.name,
        "slabkitX": position[:, 0] * voxel_size,
        "slabkitY": position[:, 1] * voxel_size,
        "slabkitZ": z_vox * voxel_size,
        "slabkitScore": taken["rlnAutopickFigureOfMerit"],
        "slabkitScoreKind": kind,
        "slabkitSpecies": taken["slabkitSpecies"],
        "slabkitDiameter": taken["slabkitDiameter"],
        "slabkitZConfidence": confidence,
        "slabkitFlags": _joined(flags),
        "slabkitSource": kind,
        "_border": flags["z-border"],
        "_prominence": prominence,
        "_slab": slab[row],
    }
    kept = [
        "rlnMicrographName",
        "rlnCoordinateX",
        "rlnCoordinateY",
        "rlnAnglePsi",
        "rlnClassNumber",
    ]
    kept += [name for name in taken.columns if name not in {*PICKS2D.names, *PICKS.names}]
    return pd.DataFrame({**columns, **{name: taken[name] for name in kept}}, index=taken.index)


def _joined(flags: dict[str, Booleans]) -> list[str]:
    names = list(flags)
    rows = np.column_stack(list(flags.values())).tolist()
    return [",".join(name for name, on in zip(names, row, strict=True) if on) for row in rows]
