"""Tomograms grouped by the similarity of their species, and subsets sampled from the groups.

Two tomograms are as similar as the two-sample Kolmogorov-Smirnov statistic of the species of their
particles is small (N. V. Smirnov, Ann. Math. Stat. 19 (1948) 279). Groups of similar tomograms are
the bins of a stratified random sample, so that no subset lacks a kind of tomogram.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError, warn
from slabkit.tables import PICKS, validate_table

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

PRESETS: dict[str, dict[str, int | float]] = {"czii": {"train": 7, "public": 0.25, "private": 0.75}}
"""The challenge's: 7 tomograms to train with, a quarter of the others public, the rest private."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ROUNDED = 2e-3  # 33.3 % three times is meant to be all


@dataclass(frozen=True)
class Split:
    """Which tomogram is in which subset, and how similar the subsets are.

    Parameters
    ----------
    tomograms : DataFrame
        One row a tomogram, by name: ``slabkitTomogram``, ``slabkitSubset``, ``slabkitBin`` (from
        1), ``slabkitPicks``, ``slabkitKSStatistic`` (of its species against those of all).
    subsets : DataFrame
        One row a subset and species: ``slabkitSubset``, ``slabkitSpecies`` (``all`` first),
        ``slabkitTomograms``, ``slabkitPicks``, ``slabkitPicksPerTomogram``, ``slabkitShare`` (of
        the subset's picks).
    bins : DataFrame
        One row a bin: ``slabkitBin``, ``slabkitTomograms``, ``slabkitLargestKS`` and
        ``slabkitSmallestP`` between two of its tomograms (NaN for one alone), and a column
        ``slabkitIn_NAME`` for each subset: how many of the bin it has.
    tests : DataFrame
        Kolmogorov-Smirnov tests between each two subsets: ``slabkitFirst``, ``slabkitSecond``,
        ``slabkitSpecies``, ``slabkitKSStatistic``, ``slabkitP``. Species ``all``: the species of
        their particles; else: how many of that species their tomograms hold.
    """

    tomograms: pd.DataFrame
    subsets: pd.DataFrame
    bins: pd.DataFrame
    tests: pd.DataFrame

    def __repr__(self) -> str:
        counts = self.tomograms["slabkitSubset"].value_counts(sort=False)
        sizes = ", ".join(f"{name} {count}" for name, count in counts.items())
        return f"<Split of {len(self.tomograms)} tomograms: {sizes}>"


def split_tomograms(
    picks: pd.DataFrame,
    subsets: str | Sequence[str] | Mapping[str, float],
    *,
    tomograms: Iterable[str] | None = None,
    bins: int = 16,
    draws: int = 100,
    seed: int = 0,
) -> Split:
    """Share tomograms out to subsets that have all species alike.

    Tomograms are grouped into bins by their species, sampled at random from the bins in proportion
    to the subsets' sizes, and of several such samples the most balanced is taken: the one with the
    smallest sum, over subsets and species, of (particles - expected)² / expected.

    Parameters
    ----------
    picks : DataFrame
        Columns of `slabkit.tables.PICKS`. Rejected picks do not count.
    subsets : str, sequence of str, or mapping of str to int or float
        See `parse_subsets`; or a name in `PRESETS`.
    tomograms : iterable of str, optional
        Names of all tomograms; those without picks are shared out too.
    bins : int, optional
        Largest number of bins; similar tomograms that are as many may be fewer.
    draws : int, optional
        Samples to choose from; with 1 the sample is taken as it comes.
    seed : int, optional
        Of the samples. The result does not depend on the order of picks.

    Raises
    ------
    InputError
        Subsets are not understood or do not fit the number of tomograms, or a number is not
        positive.

    Warns
    -----
    SlabkitWarning
        Species cannot be balanced, because no pick has one or no pick counts.
    """
    import pandas as pd

    wanted = parse_subsets(PRESETS.get(subsets, subsets) if isinstance(subsets, str) else subsets)
    for name, number in (("bins", bins), ("draws", draws)):
        if number < 1:
            raise InputError(f"{name} must be 1 or more, not {number}.")
    if seed < 0:
        raise InputError(f"seed must be 0 or more, not {seed}.")
    table = validate_table(picks, PICKS, "picks")
    table = table[table["slabkitDecision"] != "rejected"]
    known = [] if tomograms is None else [*tomograms]
    names = sorted({*picks["slabkitTomogram"], *known})
    if not names:
        raise InputError("there is no tomogram to split.")
    sizes = subset_sizes(wanted, len(names))
    species, counts = _count(table, names)
    _warn(species, counts, len(picks))
    distance = ks_statistics(counts)
    group = group_similar(distance, bins)
    chosen = _draw(counts, group, list(sizes.values()), draws, seed)
    labels = list(sizes)
    whole = counts.sum(axis=0, keepdims=True)
    per_tomogram = pd.DataFrame(
        {
            "slabkitTomogram": names,
            "slabkitSubset": [labels[index] for index in chosen],
            "slabkitBin": group + 1,
            "slabkitPicks": counts.sum(axis=1),
            "slabkitKSStatistic": ks_statistics(np.vstack([whole, counts]))[0, 1:],
        }
    )
    return Split(
        per_tomogram,
        _subsets(counts, chosen, labels, species),
        _bins(distance, counts, group, chosen, labels),
        _tests(counts, chosen, labels, species),
    )


def parse_subsets(subsets: str | Sequence[str] | Mapping[str, float]) -> dict[str, int | float]:
    """Read the sizes of subsets.

    Parameters
    ----------
    subsets : str, sequence of str, or mapping of str to int or float
        ``train=0.8,val=0.1,test=0.1``, ``train=7,public=25%,private=75%``. A whole number (without
        a point) is a number of tomograms; a share, written with a point or in percent, is of the
        tomograms that the numbers leave. In a mapping int is a number, float a share.

    Raises
    ------
    InputError
        It is not of that form, a name comes twice, a share is not above 0 and at most 1, or the
        shares do not sum to 1.
    """
    if isinstance(subsets, Mapping):
        pairs = [(str(name), size) for name, size in subsets.items()]
    else:
        texts = [subsets] if isinstance(subsets, str) else [*subsets]
        parts = [part.strip() for text in texts for part in text.split(",") if part.strip()]
        pairs = [_parse(part) for part in parts]
    if not pairs:
        raise InputError("no subset is named; say train=0.8,val=0.1,test=0.1, for instance.")
    found: dict[str, int | float] = {}
    for name, size in pairs:
        if not _NAME.fullmatch(name):
            raise InputError(
                f"a subset's name is made of letters, digits, '.', '_' and '-', not {name!r}."
            )
        if name in found:
            raise InputError(f"the subset {name} is named twice.")
        whole = isinstance(size, int) and not isinstance(size, bool)
        if whole and size < 1:
            raise InputError(f"{name}={size}: a subset has one tomogram or more.")
        if not whole and not (math.isfinite(size) and 0 < size <= 1):
            raise InputError(f"{name}={size:g}: a share is above 0 and at most 1 (100 %).")
        found[name] = int(size) if whole else float(size)
    shares = [size for size in found.values() if isinstance(size, float)]
    if shares and abs(sum(shares) - 1) > _ROUNDED:
        raise InputError(
            f"the shares sum to {sum(shares):g}; they must sum to 1 (of the tomograms that subsets "
            "given as whole numbers leave)."
        )
    return found


def subset_sizes(subsets: Mapping[str, int | float], tomograms: int) -> dict[str, int]:
    """Give each subset its number of tomograms; shares are rounded by largest remainder."""
    fixed = sum(size for size in subsets.values() if isinstance(size, int))
    shares = {name: size for name, size in subsets.items() if isinstance(size, float)}
    rest = tomograms - fixed
    if rest < 0 or (rest and not shares):
        raise InputError(
            f"the subsets take {fixed} tomograms and there are {tomograms}; give one of them a "
            "share (test=100%) to take what is left."
            if rest > 0
            else f"the subsets take {fixed} tomograms and there are {tomograms}."
        )
    total = sum(shares.values())
    exact = {name: rest * share / total for name, share in shares.items()}
    whole = {name: math.floor(size + 1e-9) for name, size in exact.items()}
    by_remainder = sorted(shares, key=lambda name: whole[name] - exact[name])
    for name in by_remainder[: rest - sum(whole.values())]:
        whole[name] += 1
    empty = [name for name, size in whole.items() if not size]
    if empty:
        raise InputError(
            f"{tomograms} tomograms are too few: none is left for {', '.join(empty)}; give "
            f"numbers instead of shares ({empty[0]}=1) or fewer subsets."
        )
    return {name: whole.get(name, int(size)) for name, size in subsets.items()}


def _parse(text: str) -> tuple[str, int | float]:
    name, equals, size = text.partition("=")
    plain = size.strip()
    try:
        if re.fullmatch(r"\d+", plain):
            number: int | float = int(plain)
        elif plain.endswith("%"):
            number = float(plain[:-1]) / 100
        else:
            number = float(plain)
    except ValueError:
        equals = ""
    if not equals:
        raise InputError(
            f"a subset is written NAME=SHARE, NAME=PERCENT% or NAME=NUMBER, not {text!r}."
        )
    return name.strip(), number


def ks_statistics(counts: Indices) -> Floats:
    """Give the Kolmogorov-Smirnov statistic of the species of each two tomograms.

    That is the largest difference of the cumulative shares, in the order of the columns of counts
    (tomograms × species); 1 between a tomogram with particles and one without, 0 between two
    without.
    """
    total = counts.sum(axis=1, keepdims=True)
    shares = np.cumsum(counts, axis=1) / np.maximum(total, 1)
    result = np.zeros((len(counts), len(counts)))
    for column in range(counts.shape[1]):
        np.maximum(result, np.abs(shares[:, None, column] - shares[None, :, column]), out=result)
    empty = total[:, 0] == 0
    result[empty[:, None] != empty[None, :]] = 1.0
    return result


def ks_p_value(statistic: npt.ArrayLike, first: npt.ArrayLike, second: npt.ArrayLike) -> Floats:
    """Give the probability of such a statistic or a larger one between samples of these sizes.

    As for values that do not repeat; species do, so that it is on the safe side (too large). 1
    where a sample is empty.
    """
    from scipy.stats import kstwo

    one, two = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    size = np.round(one * two / np.maximum(one + two, 1))
    found = kstwo.sf(np.asarray(statistic), np.maximum(size, 1))
    return np.where(size > 0, found, 1.0).astype(np.float64)


def group_similar(distance: Floats, groups: int) -> Indices:
    """Sort tomograms into at most so many groups of similar ones, numbered from 0.

    Complete linkage: the groups are joined in turn whose least similar members are the most
    similar. Groups with neighbouring numbers are similar too.
    """
    from scipy.cluster.hierarchy import fcluster, leaves_list, linkage
    from scipy.spatial.distance import squareform

    count = len(distance)
    if count < 2:
        return np.zeros(count, dtype=np.int64)
    tree = linkage(squareform(distance, checks=False), "complete")
    order = leaves_list(tree)
    labels = fcluster(tree, groups, "maxclust") if groups < count else np.arange(count)
    _, first, inverse = np.unique(labels[order], return_index=True, return_inverse=True)
    result = np.empty(count, dtype=np.int64)
    result[order] = np.argsort(np.argsort(first))[inverse]
    return result


def _count(table: pd.DataFrame, names: list[str]) -> tuple[list[str], Indices]:
    """Count picks by tomogram and species, the most frequent species first."""
    by_species = table["slabkitSpecies"].value_counts()
    species = sorted(by_species.index, key=lambda name: (-by_species[name], name))
    counts = np.zeros((len(names), max(len(species), 1)), dtype=np.int64)
    rows = table["slabkitTomogram"].map({name: row for row, name in enumerate(names)})
    columns = table["slabkitSpecies"].map({name: column for column, name in enumerate(species)})
    np.add.at(counts, (rows.to_numpy(dtype=np.int64), columns.to_numpy(dtype=np.int64)), 1)
    return [str(name) for name in species], counts


def _warn(species: list[str], counts: Indices, given: int) -> None:
    if not counts.any():
        what = "every pick is rejected" if given else "there is no pick"
        warn(f"{what}, so tomograms are shared out at random.")
    elif species == [""]:
        warn("no pick has a species, so subsets are balanced by the number of picks alone.")


def _draw(counts: Indices, group: Indices, sizes: list[int], draws: int, seed: int) -> Indices:
    """Sample subsets from the bins, several times, and give the most balanced sample."""
    generator = np.random.default_rng(seed)
    expected = np.outer(sizes, counts.mean(axis=0))
    best, least = np.zeros(len(group), dtype=np.int64), np.inf
    turns = _take_turns(sizes)
    for _ in range(draws):
        # At random within the bins, similar bins side by side, begun anywhere: every tomogram is as
        # likely as the others to come into a subset.
        order = np.lexsort((generator.random(len(group)), group))
        chosen = np.empty(len(group), dtype=np.int64)
        chosen[order] = np.roll(turns, generator.integers(len(group)))
        found = np.stack([counts[chosen == subset].sum(axis=0) for subset in range(len(sizes))])
        unbalance = float(((found - expected) ** 2 / np.maximum(expected, 1e-9)).sum())
        if unbalance < least - 1e-9:
            best, least = chosen, unbalance
    return best


def _take_turns(sizes: list[int]) -> Indices:
    """Deal subsets out in turn, so that any stretch has its share of each."""
    total = sum(sizes)
    given = np.zeros(len(sizes))
    turns = np.empty(total, dtype=np.int64)
    for turn in range(total):
        lacking = (turn + 1) * np.array(sizes) / total - given
        lacking[given >= sizes] = -np.inf
        turns[turn] = int(np.argmax(lacking))
        given[turns[turn]] += 1
    return turns


def _subsets(
    counts: Indices, chosen: Indices, labels: list[str], species: list[str]
) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for index, name in enumerate(labels):
        inside = counts[chosen == index]
        total = int(inside.sum())
        each = [("all", total), *zip(species, inside.sum(axis=0).tolist(), strict=False)]
        for what, number in each:
            share = number / total if total else np.nan
            rows.append((name, what, len(inside), number, number / len(inside), share))
    columns = ["Subset", "Species", "Tomograms", "Picks", "PicksPerTomogram", "Share"]
    return pd.DataFrame(rows, columns=[f"slabkit{name}" for name in columns])


def _bins(
    distance: Floats, counts: Indices, group: Indices, chosen: Indices, labels: list[str]
) -> pd.DataFrame:
    import pandas as pd

    rows = []
    total = counts.sum(axis=1)
    for number in range(group.max() + 1):
        members = np.flatnonzero(group == number)
        pairs = np.triu_indices(len(members), 1)
        one, two = members[pairs[0]], members[pairs[1]]
        largest, smallest = np.nan, np.nan
        if len(one):
            largest = float(distance[one, two].max())
            smallest = float(ks_p_value(distance[one, two], total[one], total[two]).min())
        inside = [int((chosen[members] == index).sum()) for index in range(len(labels))]
        rows.append((number + 1, len(members), largest, smallest, *inside))
    columns = ["slabkitBin", "slabkitTomograms", "slabkitLargestKS", "slabkitSmallestP"]
    return pd.DataFrame(rows, columns=[*columns, *(f"slabkitIn_{name}" for name in labels)])


def _tests(counts: Indices, chosen: Indices, labels: list[str], species: list[str]) -> pd.DataFrame:
    import pandas as pd
    from scipy.stats import ks_2samp

    rows = []
    for one, two in itertools.combinations(range(len(labels)), 2):
        first, second = counts[chosen == one], counts[chosen == two]
        pooled = np.stack([first.sum(axis=0), second.sum(axis=0)])
        statistic = ks_statistics(pooled)[0, 1]
        size = pooled.sum(axis=1)
        p_value = float(ks_p_value(statistic, size[0], size[1]))
        rows.append((labels[one], labels[two], "all", statistic, p_value))
        for column, name in enumerate(species):
            test = ks_2samp(first[:, column], second[:, column])
            rows.append((labels[one], labels[two], name, float(test.statistic), float(test.pvalue)))
    columns = ["First", "Second", "Species", "KSStatistic", "P"]
    return pd.DataFrame(rows, columns=[f"slabkit{name}" for name in columns])
