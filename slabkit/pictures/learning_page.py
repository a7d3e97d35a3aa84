"""The page of `slabkit learn`: what to expect of a model, and what it finds hard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from slabkit.pictures.drawing import Drawing
from slabkit.pictures.figures import lines_chart
from slabkit.pictures.images import contact_sheet, png_bytes
from slabkit.pictures.page import Page


class Expected(Protocol):
    """What is expected; see `slabkit.learning.Expectation`."""

    @property
    def species(self) -> list[dict[str, float | str]]:
        """Numbers of each species."""

    @property
    def confusion(self) -> npt.NDArray[np.int64]:
        """Labels by predictions."""

    @property
    def bins(self) -> npt.NDArray[np.float64]:
        """Probabilities and how often they are right."""

    @property
    def calibration_error(self) -> float:
        """How far the two are apart."""


def learning_page(
    expected: Expected,
    classes: Sequence[str],
    *,
    labels: int,
    tomograms: int,
    beta: float,
    seen: str,
    name: str,
    hardest: tuple[npt.NDArray[Any], Sequence[str], Sequence[str]],
) -> str:
    """Write the page.

    Parameters
    ----------
    expected : Expectation
    classes : sequence of str
        In the order of the confusion table.
    labels, tomograms : int
        How many were learned from.
    beta : float
    seen : str
        ``volumes`` or ``images``.
    name : str
        Of the model, as labels name their source.
    hardest : (ndarray of shape (n, y, x), sequence of str, sequence of str)
        Images, captions and pick ids.
    """
    page = Page(
        f"What {name} knows",
        f"Learned from {labels} labels of {tomograms} tomogram{'s' if tomograms > 1 else ''}, "
        f"looking at {seen}. Every number here is of labels that the model had not seen, of other "
        "tomograms where there are several.",
    )
    page.section(
        "By species",
        f"F is F-beta with beta {beta:g}, at the threshold on the probability that makes it best; "
        "in brackets what 95 in 100 such samples would give. Recall is of the labelled picks: "
        "particles that were never picked are not known here.",
    )
    page.table(
        ("species", "labels", "precision", "recall", "F", "threshold"),
        [
            (
                row["species"],
                row["labels"],
                *(
                    f"{row[key]:.2f} ({row[f'{key}_low']:.2f} to {row[f'{key}_high']:.2f})"
                    for key in ("precision", "recall", "f_beta")
                ),
                row["threshold"],
            )
            for row in expected.species
        ],
    )
    page.section("What is taken for what", "Rows: what people say. Columns: what the model says.")
    page.table(
        ("", *classes),
        [
            (one, *map(str, counts))
            for one, counts in zip(classes, expected.confusion.tolist(), strict=True)
        ],
    )
    page.section(
        "How far probabilities can be trusted",
        f"Mean difference of probability and share that is right: {expected.calibration_error:.3f} "
        "(0 is perfect). On the diagonal, of ten minislabs named with 0.8 eight are named rightly.",
    )
    page.chart(_calibration(expected.bins))
    images, captions, ids = hardest
    page.section(
        "The hardest",
        "Labelled minislabs to which the model gives the least probability of what people say: "
        "what was said, then the model's own opinion. Some labels here may be wrong.",
    )
    sheet = contact_sheet(images, captions, columns=4, tile_side=260)
    page.pictures([(png_bytes(sheet), "row by row: " + ", ".join(ids))], wide=True)
    return page.html()


def _calibration(bins: npt.NDArray[np.float64]) -> Drawing:
    return lines_chart(
        {"as it is": (bins[:, 0], bins[:, 1]), "perfect": ([0, 1], [0, 1])},
        title="Share that is right, by probability",
        label_x="probability",
        label_y="share that is right",
        span_y=(0, 1),
        dashed=("perfect",),
    )
