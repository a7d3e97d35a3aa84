"""Learning in the loop: while people decide, a model is trained again, and the order follows it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slabkit.errors import SlabkitError
from slabkit.review.listing import Listing
from slabkit.review.ordering import least_sure_first, suggested_order

if TYPE_CHECKING:
    import pandas as pd

_FEWEST = 40  # labels that a model is trained on at least
_SPAN, _LITTLE = 200, 0.005  # more labels hardly help if these many changed F by less than this


@dataclass
class Progress:
    """How the expected F-beta went with the number of labels."""

    points: list[tuple[int, float]] = field(default_factory=list)

    def add(self, labels: int, expected: float) -> None:
        """Take in what is expected with so many labels."""
        self.points = [one for one in self.points if one[0] < labels] + [(labels, expected)]

    def advice(self) -> str:
        """Say whether more labels still help."""
        labels, expected = self.points[-1] if self.points else (0, 0.0)
        before = [value for count, value in self.points if count <= labels - _SPAN]
        if not before:
            return f"Whether more labels help can be said after {_SPAN} or more."
        change = expected - before[-1]
        if abs(change) < _LITTLE:
            return (
                f"The last {_SPAN} labels or more changed what is expected by {change:+.3f}: "
                "further ones hardly help."
            )
        return f"The last {_SPAN} labels or more changed what is expected by {change:+.3f}: go on."


@dataclass
class ModelLoop:
    """Trains on the labels so far and predicts, in processes of their own; see `suggested_order`.

    The model given is used until there are labels enough; those trained here are in ``folder``.
    """

    minislabs: str
    picks: str | None
    model: str
    folder: Path
    trained: int = 0  # labels that the last model was trained on
    trouble: str = ""

    def __call__(
        self, listing: Listing, labels: pd.DataFrame, beta: float
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.float32], dict[str, Any]] | None:
        """Order the rows by the model's probabilities, the least sure first."""
        from slabkit.curation.suggesting import best_acceptance
        from slabkit.formats.tables.native import write_labels

        decided = labels[labels["slabkitDecision"] != "undecided"]
        model = Path(self.model)
        own = ["--picks", self.picks] if self.picks else []
        with tempfile.TemporaryDirectory() as scratch:
            given, found = Path(scratch) / "labels.star", Path(scratch) / "predicted.star"
            if len(decided) >= _FEWEST:
                write_labels(given, decided)
                words = ["--minislabs", self.minislabs, "--labels", str(given), *own]
                words += ["--overwrite", "-o", str(self.folder), "--beta", f"{beta:g}"]
                self.trouble = _run(["learn", *words])
                self.trained = self.trained if self.trouble else len(decided)
            if self.trained:
                model = self.folder
            words = [self.minislabs, "--model", str(model), *own]
            trouble = _run(["predict", *words, "-o", str(found)])
            if trouble:
                self.trouble = trouble
                plain = suggested_order(listing, labels, beta)
                if plain is not None:
                    plain[2]["trouble"] = trouble
                return plain
            probability = _probabilities(listing, found)
        known = decided.drop_duplicates("slabkitPickId", keep="last").set_index("slabkitPickId")
        said = known["slabkitDecision"].reindex(listing.ids)
        settled = probability.copy()
        settled[(said == "accepted").to_numpy()] = 1.0
        settled[(said == "rejected").to_numpy()] = 0.0
        _, expected = best_acceptance(settled, beta)
        open_ = said.isna().to_numpy()
        about = {
            "expected_f_beta": round(expected, 4),
            "labelled": int((~open_).sum()),
            "beta": beta,
            "trained": self.trained,
            "trouble": self.trouble,
        }
        order = _interleaved(
            least_sure_first(probability, expected / (1 + beta**2), open_),  # what the list gains
            least_sure_first(probability, 0.5, open_),  # what the model learns from
        )
        return order.astype(np.uint32), probability.astype(np.float32), about


def _interleaved(one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Take from two orders of the same rows in turn, each row once."""
    rank = np.empty((2, len(one)), dtype=np.int64)
    for number, order in enumerate((one, other)):
        rank[number, order] = 2 * np.arange(len(order)) + number
    return np.asarray(np.argsort(rank.min(axis=0), kind="stable"), dtype=np.int64)


def _run(words: list[str]) -> str:
    """Run a command beside the server; gives its error message, empty if there is none."""
    command = ["nice", sys.executable, "-m", "slabkit.cli.main", *words, "--jobs", "1", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.returncode:
        return ""
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    return lines[-1].removeprefix("error: ") if lines else f"slabkit {words[0]} failed."


def _probabilities(listing: Listing, found: Path) -> npt.NDArray[np.float64]:
    """Read the probability to be a particle, by row."""
    from slabkit.formats.tables.native import read_labels
    from slabkit.learning import NONE
    from slabkit.tables import PROBABILITY

    table = read_labels(found).drop_duplicates("slabkitPickId").set_index("slabkitPickId")
    none = table[f"{PROBABILITY}{NONE}"].astype(float).reindex(listing.ids).to_numpy()
    if np.isnan(none).any():
        raise SlabkitError(f"{found}: lacks minislabs.")
    return np.asarray(1.0 - none, dtype=np.float64)
