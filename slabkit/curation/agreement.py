"""How well raters agree: Cohen's kappa for two, Fleiss' for more, and where they contradict.

References: J. Cohen, Educ. Psychol. Meas. 20 (1960) 37; J. L. Fleiss, Psychol. Bull. 76 (1971) 378.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from slabkit.errors import InputError, warn
from slabkit.tables import LABELS, validate_table

if TYPE_CHECKING:
    import pandas as pd

By = Literal["author", "round", "source"]

_COLUMNS = {"author": "slabkitAuthor", "round": "slabkitRound", "source": "slabkitSource"}


@dataclass(frozen=True)
class Agreement:
    """What raters said of the same picks.

    Parameters
    ----------
    raters : DataFrame
        Columns ``rater``, ``picks`` (of which it said accepted or rejected), ``accepted``,
        ``rejected``.
    pairs : DataFrame
        One row a pair of raters: ``first``, ``second``, ``picks`` (that both decided), ``agree``
        (the share on which they agree) and ``kappa`` (Cohen's; NaN where no pick is common, or
        where both always say the same word, so that chance alone would agree).
    kappa : float
        Cohen's for two raters; Fleiss' for more, of the picks that all of them decided.
    picks : int
        That all raters decided.
    contradictions : DataFrame
        The picks on which raters differ: ``slabkitPickId``, ``slabkitVotesAccepted``,
        ``slabkitVotesRejected``, ``slabkitVerdicts`` (``kim=accepted,lee=rejected``) and
        ``slabkitTile``, the image that the first of them saw.
    """

    raters: pd.DataFrame
    pairs: pd.DataFrame
    kappa: float
    picks: int
    contradictions: pd.DataFrame

    def __repr__(self) -> str:
        return (
            f"<Agreement: {len(self.raters)} raters, kappa {self.kappa:.3f} on {self.picks} picks, "
            f"{len(self.contradictions)} contradictions>"
        )


def measure_agreement(
    label_tables: Mapping[str, pd.DataFrame] | Sequence[pd.DataFrame], by: By | None = None
) -> Agreement:
    """Compare what raters say of the same picks.

    A rater's last verdict on a pick counts; what it left undecided is no verdict.

    Parameters
    ----------
    label_tables : mapping of str to DataFrame, or sequence of DataFrame
        Columns of `slabkit.tables.LABELS`, oldest first.
    by : {"author", "round", "source"}, optional
        What makes a rater. Default: each table is one, called by its key in the mapping or by its
        number from 1.

    Raises
    ------
    InputError
        There are fewer than two raters, or a label has none.

    Warns
    -----
    SlabkitWarning
        No pick was decided by all raters, or raters accept a pick as different species.
    """
    import pandas as pd

    if by is not None and by not in _COLUMNS:
        raise InputError(f"raters are told by {', '.join(_COLUMNS)}, not by {by!r}.")
    if isinstance(label_tables, Mapping):
        named = dict(label_tables)
    else:
        named = {str(number): table for number, table in enumerate(label_tables, 1)}
    checked = {name: validate_table(table, LABELS, name) for name, table in named.items()}
    if not checked:
        raise InputError("no label table is given.")
    votes = pd.concat(checked.values(), ignore_index=True)
    if by is None:
        sizes = [len(table) for table in checked.values()]
        votes["rater"] = np.repeat(np.array(list(checked), dtype=object), sizes)
        names = list(checked)
    else:
        votes["rater"] = votes[_COLUMNS[by]].to_numpy(dtype=object)
        unnamed = int((votes["rater"] == "").sum())
        if unnamed:
            raise InputError(
                f"{unnamed} of {len(votes)} labels have no {by}; `slabkit label --{by}` records "
                "one, or take each table as a rater."
            )
        names = list(dict.fromkeys(votes["rater"]))
    if len(names) < 2:
        raise InputError(
            f"agreement needs two raters or more, and there is {', '.join(names) or 'none'}; "
            "--by author, round or source says what makes a rater."
        )
    votes = votes[votes["slabkitDecision"] != "undecided"]
    votes = votes.drop_duplicates(["rater", "slabkitPickId"], keep="last")
    verdicts, ids = _matrix(votes, names)
    named = votes[(votes["slabkitDecision"] == "accepted") & (votes["slabkitSpecies"] != "")]
    several = int((named.groupby("slabkitPickId")["slabkitSpecies"].nunique() > 1).sum())
    if several:
        warn(
            f"{several} picks are accepted as more than one species; agreement is of accepted and "
            "rejected alone."
        )
    if not (verdicts >= 0).all(axis=1).any():
        warn(
            f"no pick was decided by all raters ({', '.join(names)}), so their kappa is not known."
        )
    return Agreement(
        raters=pd.DataFrame(
            {
                "rater": names,
                "picks": (verdicts >= 0).sum(axis=0),
                "accepted": (verdicts == 1).sum(axis=0),
                "rejected": (verdicts == 0).sum(axis=0),
            }
        ),
        pairs=_pairs(verdicts, names),
        kappa=cohen_kappa(verdicts[:, 0], verdicts[:, 1])
        if len(names) == 2
        else fleiss_kappa(verdicts),
        picks=int((verdicts >= 0).all(axis=1).sum()),
        contradictions=_contradictions(votes, verdicts, ids, names),
    )


def cohen_kappa(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Give Cohen's kappa of two raters' categories of picks, from 0; negative is no verdict.

    1 where they agree throughout, 0 where no more than by chance; NaN where no pick is common or
    chance alone would agree always.
    """
    one, two = np.asarray(first, dtype=np.int64), np.asarray(second, dtype=np.int64)
    both = (one >= 0) & (two >= 0)
    one, two = one[both], two[both]
    if not len(one):
        return float("nan")
    size = int(max(one.max(), two.max())) + 1
    observed = float((one == two).mean())
    shares = [np.bincount(rater, minlength=size) / len(one) for rater in (one, two)]
    return _kappa(observed, float((shares[0] * shares[1]).sum()))


def fleiss_kappa(verdicts: npt.ArrayLike) -> float:
    """Give Fleiss' kappa of categories, shape (picks, raters), of the picks that all decided.

    Categories and values are those of `cohen_kappa`.
    """
    table = np.asarray(verdicts, dtype=np.int64)
    table = table[(table >= 0).all(axis=1)]
    count, raters = table.shape
    if not count or raters < 2:
        return float("nan")
    counts = np.stack([(table == k).sum(axis=1) for k in range(int(table.max()) + 1)], axis=1)
    observed = ((counts**2).sum(axis=1) - raters) / (raters * (raters - 1))
    shares = counts.sum(axis=0) / (count * raters)
    return _kappa(float(observed.mean()), float((shares**2).sum()))


def _kappa(observed: float, expected: float) -> float:
    return float("nan") if 1 - expected < 1e-12 else (observed - expected) / (1 - expected)


def _matrix(votes: pd.DataFrame, names: list[str]) -> tuple[npt.NDArray[np.int64], Any]:
    """Give one row a pick and one column a rater: 1 accepted, 0 rejected, -1 no verdict."""
    codes, ids = votes["slabkitPickId"].factorize()
    place = {name: column for column, name in enumerate(names)}
    columns = votes["rater"].map(place).to_numpy(dtype=np.int64)
    verdicts = np.full((len(ids), len(names)), -1, dtype=np.int64)
    verdicts[codes, columns] = (votes["slabkitDecision"] == "accepted").to_numpy()
    return verdicts, ids


def _pairs(verdicts: npt.NDArray[np.int64], names: list[str]) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for one, two in itertools.combinations(range(len(names)), 2):
        a, b = verdicts[:, one], verdicts[:, two]
        both = (a >= 0) & (b >= 0)
        share = float((a == b)[both].mean()) if both.any() else float("nan")
        rows.append((names[one], names[two], int(both.sum()), share, cohen_kappa(a, b)))
    return pd.DataFrame(rows, columns=["first", "second", "picks", "agree", "kappa"])


def _contradictions(
    votes: pd.DataFrame, verdicts: npt.NDArray[np.int64], ids: Any, names: list[str]
) -> pd.DataFrame:
    import pandas as pd

    accepted, rejected = (verdicts == 1).sum(axis=1), (verdicts == 0).sum(axis=1)
    rows = np.flatnonzero((accepted > 0) & (rejected > 0))
    words = ("rejected", "accepted")
    seen = votes[votes["slabkitTile"] != ""].drop_duplicates("slabkitPickId")
    tiles = dict(zip(seen["slabkitPickId"], seen["slabkitTile"], strict=True))
    chosen = [str(ids[row]) for row in rows]
    return pd.DataFrame(
        {
            "slabkitPickId": np.array(chosen, dtype=object),
            "slabkitVotesAccepted": accepted[rows],
            "slabkitVotesRejected": rejected[rows],
            "slabkitVerdicts": np.array(
                [
                    ",".join(
                        f"{name}={words[verdict]}"
                        for name, verdict in zip(names, verdicts[row], strict=True)
                        if verdict >= 0
                    )
                    for row in rows
                ],
                dtype=object,
            ),
            "slabkitTile": np.array([tiles.get(name, "") for name in chosen], dtype=object),
        }
    )
