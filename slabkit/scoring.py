"""Picks against truth: which picks are which particles, and precision, recall and F-beta of that.

Two rules. ``strict``: one pick, one particle, as many pairs as can be had (the default). ``czii``:
the rule of the CZII challenge of 2024, in which one pick may count for two particles, so that
scores compare with those published. Both call a pick right within half a particle radius of the
truth, the limit included.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from slabkit.arrays.assignment import pair_one_to_one
from slabkit.errors import InputError, SlabkitWarning
from slabkit.tables import PICKS, rows_named, validate_table

if TYPE_CHECKING:
    import pandas as pd

Mode = Literal["strict", "czii"]
Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]

CZII_RADII = {
    "ribosome": 150.0,
    "virus-like-particle": 135.0,
    "thyroglobulin": 130.0,
    "beta-galactosidase": 90.0,
    "apo-ferritin": 60.0,
    "beta-amylase": 65.0,
}
"""Particle radius of each species in Å, as the challenge has it."""

CZII_WEIGHTS = {
    "ribosome": 1.0,
    "virus-like-particle": 1.0,
    "thyroglobulin": 2.0,
    "beta-galactosidase": 2.0,
    "apo-ferritin": 1.0,
    "beta-amylase": 0.0,
}
"""Weight of each species in the challenge's score; a species that is not here weighs 1."""

MATCH_FRACTION = 0.5
"""A pick matches a particle within this fraction of the particle's radius."""

_ALIASES = {
    "ribosome": ("80s", "80s-ribosome", "cytosolic-ribosome", "ribo", "ribosome-80s", "ribosomes"),
    "virus-like-particle": ("vlp", "pp7", "pp7-vlp", "virus-like-particles"),
    "thyroglobulin": ("thg", "tg"),
    "beta-galactosidase": ("beta-gal", "betagal", "bgal", "b-gal", "b-galactosidase"),
    "apo-ferritin": ("apoferritin", "apof", "ferritin", "ferritin-complex"),
    "beta-amylase": ("amylase", "b-amylase", "beta-amy", "bamylase"),
}
_CANONICAL = {alias: name for name, aliases in _ALIASES.items() for alias in (name, *aliases)}

_XYZ = ["slabkitX", "slabkitY", "slabkitZ"]


@dataclass(frozen=True)
class Score:
    """What `score_picks` found.

    Parameters
    ----------
    table : DataFrame
        One row a species: ``species``, ``radius`` (Å), ``truth``, ``picks``, ``true_positives``,
        ``false_positives``, ``false_negatives``, ``precision``, ``recall``, ``f_beta``,
        ``weight``. Where picks without a species took part, picks, false positives, precision and
        F-beta cannot be had by species: counts are -1 and ratios NaN there.
    total : dict of str to float
        The same counts and ratios pooled over all species, without regard to weights.
    weighted_f_beta : float
        Weighted mean of F-beta over the species: those in the truth (``strict``) or all that are
        known (``czii``). NaN where F-beta cannot be had by species.
    mode : {"strict", "czii"}
    beta : float
    ignored : dict of str to int
        Number of picks in each tomogram of which there is no truth; they take no part.
    """

    table: pd.DataFrame
    total: dict[str, float]
    weighted_f_beta: float
    mode: Mode
    beta: float
    ignored: dict[str, int]

    def __repr__(self) -> str:
        return (
            f"<Score ({self.mode}): recall {self.total['recall']:.3f}, precision "
            f"{self.total['precision']:.3f}, weighted F{self.beta:g} {self.weighted_f_beta:.3f}>"
        )


def canonical_species(name: str, known: Collection[str] = ()) -> str:
    """Give a species its usual name: ``THG`` and ``Thyro_globulin`` spellings become one.

    Parameters
    ----------
    name : str
    known : collection of str, optional
        Names that are right as they are.

    Returns
    -------
    str
        The challenge's identifier where the name is one of its aliases, else the name itself.
    """
    if not name or name in known:
        return name
    plain = name.strip().lower().replace("_", "-").replace(" ", "-").replace("β", "beta")
    if plain in known:
        return plain
    return _CANONICAL.get(plain) or _CANONICAL.get(plain.removesuffix("s")) or name


def score_picks(
    picks: pd.DataFrame,
    truth: pd.DataFrame,
    *,
    radii: Mapping[str, float] | None = None,
    weights: Mapping[str, float] | None = None,
    beta: float = 4.0,
    mode: Mode = "strict",
    truth_tomograms: Iterable[str] | None = None,
) -> Score:
    """Compare picks with the truth.

    In mode ``strict`` picks and particles are paired one to one: as many pairs as possible, and of
    those pairings the one with the smallest sum of distances. A pick with a species pairs only with
    that species; one without is a candidate for any. In mode ``czii`` the challenge's rule holds
    to the letter: true positives are the particles with at least one pick in reach, false
    positives the picks less the true positives (so a pick that covers two particles counts -1).

    Parameters
    ----------
    picks, truth : DataFrame
        Tables of `slabkit.tables.PICKS`; positions in Å, 0 at the centre of the first voxel.
    radii : mapping of str to float, optional
        Particle radius in Å by species, on top of `CZII_RADII`.
    weights : mapping of str to float, optional
        On top of `CZII_WEIGHTS`.
    beta : float, optional
        Recall counts this many times as much as precision.
    mode : {"strict", "czii"}, optional
    truth_tomograms : iterable of str, optional
        Tomograms of which the truth is known, should some have no particle at all; their picks are
        false positives in mode ``strict``. Picks in other tomograms are ignored and counted.

    Returns
    -------
    Score

    Raises
    ------
    InputError
        A species of unknown radius, a particle that stands twice in the truth, picks without
        species in mode ``czii``, or a number that is not positive.

    References
    ----------
    .. [1] CZII - CryoET Object Identification, Kaggle 2024, evaluation metric.
    """
    if mode not in ("strict", "czii"):
        raise InputError(f"mode must be 'strict' or 'czii', not {mode!r}.")
    if not (math.isfinite(beta) and beta > 0):
        raise InputError(f"beta must be a positive number, not {beta!r}.")
    known_radii = known_species_radii(radii)
    truth = _prepared(truth, known_radii, "truth")
    _refuse_duplicates(truth)
    covered = set(truth["slabkitTomogram"])
    if mode == "strict" and truth_tomograms is not None:
        covered |= set(truth_tomograms)
    picks = validate_table(picks, PICKS, "picks")
    outside = ~picks["slabkitTomogram"].isin(covered)
    ignored = picks.loc[outside, "slabkitTomogram"].value_counts().sort_index()
    picks = _prepared(picks[~outside], known_radii, "picks")
    if len(ignored):
        warnings.warn(
            f"{int(ignored.sum())} picks are in tomograms without truth "
            f"({', '.join(ignored.index[:3])}{', ...' if len(ignored) > 3 else ''}); ignored.",
            SlabkitWarning,
            stacklevel=2,
        )
    species = _species_to_report(picks, truth, known_radii, mode)
    weights = {**CZII_WEIGHTS, **(weights or {})}
    if mode == "czii":
        nameless = (picks["slabkitSpecies"] == "").to_numpy()
        if nameless.any():
            raise InputError(
                f"picks: {int(nameless.sum())} picks have no species, and mode czii scores by "
                "species; set it (slabkit curate --species NAME) or use --mode strict."
            )
        found = _czii_true_positives(picks, truth, known_radii)
    else:
        matches = match_picks(picks, truth, radii=known_radii)
        found = matches["species"].value_counts().to_dict()
    by_species = (picks["slabkitSpecies"] != "").all()
    table = _table(picks, truth, species, known_radii, weights, found, bool(by_species), beta, mode)
    total = _pooled(len(picks), len(truth), int(sum(found.values())), beta, mode)
    return Score(
        table,
        total,
        _weighted(table, mode),
        mode,
        float(beta),
        {str(name): int(count) for name, count in ignored.items()},
    )


def known_species_radii(radii: Mapping[str, float] | None = None) -> dict[str, float]:
    """Put given radii on top of the challenge's.

    Parameters
    ----------
    radii : mapping of str to float, optional
        In Å; aliases of the challenge's species are understood.

    Returns
    -------
    dict of str to float

    Raises
    ------
    InputError
        A radius is not a positive finite number.
    """
    known = dict(CZII_RADII)
    for name, radius in (radii or {}).items():
        if not (math.isfinite(radius) and radius > 0):
            raise InputError(f"the radius of {name} must be a positive number of Å, not {radius}.")
        known[canonical_species(name)] = float(radius)
    return known


def match_picks(
    picks: pd.DataFrame, truth: pd.DataFrame, *, radii: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """Pair picks and particles one to one within half a particle radius.

    Parameters
    ----------
    picks, truth : DataFrame
        Tables of `slabkit.tables.PICKS`.
    radii : mapping of str to float, optional
        Particle radius in Å by species, on top of `CZII_RADII`.

    Returns
    -------
    DataFrame
        One row a pair, in the order of the truth: ``pick`` and ``particle`` (row numbers, from 0,
        of the two tables), ``species`` (the particle's), ``distance`` (Å). The number of pairs is
        the largest possible; of equal numbers the sum of distances is smallest.

    Raises
    ------
    InputError
        A species of unknown radius.
    """
    import pandas as pd

    known_radii = known_species_radii(radii)
    picks = _prepared(picks, known_radii, "picks")
    truth = _prepared(truth, known_radii, "truth")
    # Both in an order of their own, so that the rows' order cannot decide between equal pairings.
    order = ["slabkitTomogram", "slabkitSpecies", *_XYZ]
    pick_order = picks.sort_values(order, kind="stable").index.to_numpy()
    particle_order = truth.sort_values(order, kind="stable").index.to_numpy()
    picks, truth = picks.loc[pick_order], truth.loc[particle_order]
    pick, particle, distance = _pairs_in_reach(picks, truth, known_radii)
    chosen = pair_one_to_one(pick, particle, distance)
    pick, particle, distance = pick[chosen], particle[chosen], distance[chosen]
    result = pd.DataFrame(
        {
            "pick": pick_order[pick],
            "particle": particle_order[particle],
            "species": truth["slabkitSpecies"].to_numpy()[particle],
            "distance": distance,
        }
    )
    return result.sort_values("particle", ignore_index=True)


def _prepared(table: pd.DataFrame, radii: Mapping[str, float], where: str) -> pd.DataFrame:
    table = validate_table(table, PICKS, where)
    names = {name: canonical_species(name, radii) for name in table["slabkitSpecies"].unique()}
    unknown = sorted(
        name or "(none)"
        for name, usual in names.items()
        if usual not in radii and (usual or where == "truth")
    )
    if unknown:
        raise InputError(
            f"{where}: no radius is known for the species {', '.join(unknown)}; known are "
            f"{', '.join(radii)}; give --radius {unknown[0]}=Å."
            if unknown != ["(none)"]
            else f"{where}: there are particles without a species, so no radius is known for them."
        )
    table["slabkitSpecies"] = table["slabkitSpecies"].map(names).astype("str")
    return table


def _refuse_duplicates(truth: pd.DataFrame) -> None:
    same = truth.duplicated(["slabkitTomogram", *_XYZ], keep=False).to_numpy()
    if same.any():
        first = truth[same].iloc[0]
        alike = same & (truth[["slabkitTomogram", *_XYZ]] == first[["slabkitTomogram", *_XYZ]]).all(
            axis=1
        )
        raise InputError(
            f"truth: {rows_named(alike.to_numpy())} are at one position in tomogram "
            f"{first['slabkitTomogram']}; a particle must stand in the truth once."
        )


def _species_to_report(
    picks: pd.DataFrame, truth: pd.DataFrame, radii: Mapping[str, float], mode: Mode
) -> list[str]:
    present = set(picks["slabkitSpecies"]) | set(truth["slabkitSpecies"])
    return [name for name in radii if mode == "czii" or name in present]


def _pairs_in_reach(
    picks: pd.DataFrame, truth: pd.DataFrame, radii: Mapping[str, float]
) -> tuple[Integers, Integers, Floats]:
    """Find all pairs of compatible species within reach: row of pick, of particle, distance (Å)."""
    from scipy.spatial import cKDTree

    found: list[tuple[Integers, Integers, Floats]] = []
    picks_at = _groups(picks, ["slabkitTomogram", "slabkitSpecies"])
    positions, particles = picks[_XYZ].to_numpy(), truth[_XYZ].to_numpy()
    for (tomogram, species), rows in _groups(truth, ["slabkitTomogram", "slabkitSpecies"]).items():
        nothing = np.empty(0, dtype=np.int64)
        named = picks_at.get((tomogram, species), nothing)
        candidates = np.concatenate([named, picks_at.get((tomogram, ""), nothing)])
        if not len(candidates):
            continue
        tree = cKDTree(particles[rows])
        pairs = cKDTree(positions[candidates]).sparse_distance_matrix(
            tree, MATCH_FRACTION * radii[species], output_type="ndarray"
        )
        found.append((candidates[pairs["i"]], rows[pairs["j"]], pairs["v"]))
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    pick, particle, distance = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.lexsort((particle, pick))
    return pick[order], particle[order], distance[order]


def _groups(table: pd.DataFrame, columns: list[str]) -> dict[tuple[str, ...], Integers]:
    """Row numbers (from 0, ascending) of each combination of values."""
    indices = table.reset_index(drop=True).groupby(columns, sort=True).indices
    return {tuple(key): np.asarray(rows, dtype=np.int64) for key, rows in indices.items()}


def _czii_true_positives(
    picks: pd.DataFrame, truth: pd.DataFrame, radii: Mapping[str, float]
) -> dict[str, int]:
    _, particle, _ = _pairs_in_reach(picks, truth, radii)
    reached = truth["slabkitSpecies"].iloc[np.unique(particle)]
    return {str(name): int(count) for name, count in reached.value_counts().items()}


def _table(
    picks: pd.DataFrame,
    truth: pd.DataFrame,
    species: list[str],
    radii: Mapping[str, float],
    weights: Mapping[str, float],
    found: Mapping[str, int],
    by_species: bool,
    beta: float,
    mode: Mode,
) -> pd.DataFrame:
    import pandas as pd

    n_picks = picks["slabkitSpecies"].value_counts()
    n_truth = truth["slabkitSpecies"].value_counts()
    rows = []
    for name in species:
        counts = _pooled(
            int(n_picks.get(name, 0)),
            int(n_truth.get(name, 0)),
            int(found.get(name, 0)),
            beta,
            mode,
        )
        if not by_species:
            counts.update(picks=-1, false_positives=-1, precision=math.nan, f_beta=math.nan)
        rows.append(
            {"species": name, "radius": radii[name], **counts, "weight": weights.get(name, 1.0)}
        )
    columns = ["species", "radius", *_pooled(0, 0, 0, beta, mode), "weight"]
    return pd.DataFrame(rows, columns=columns)


def _pooled(picks: int, truth: int, found: int, beta: float, mode: Mode) -> dict[str, float]:
    undefined = 0.0 if mode == "czii" else math.nan
    precision = found / picks if picks else undefined
    recall = found / truth if truth else undefined
    if precision > 0 and recall > 0:
        f_beta = (1 + beta**2) * (precision * recall) / (beta**2 * precision + recall)
    else:
        f_beta = 0.0 if picks or truth else undefined
    return {
        "truth": truth,
        "picks": picks,
        "true_positives": found,
        "false_positives": picks - found,
        "false_negatives": truth - found,
        "precision": precision,
        "recall": recall,
        "f_beta": f_beta,
    }


def _weighted(table: pd.DataFrame, mode: Mode) -> float:
    if mode == "strict":
        table = table[table["truth"] > 0]
    weight = table["weight"].to_numpy(dtype=float)
    if not weight.sum() > 0:
        return math.nan
    return float((weight * table["f_beta"].to_numpy(dtype=float)).sum() / weight.sum())
