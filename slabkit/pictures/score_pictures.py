"""Pictures of scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slabkit.pictures.drawing import Drawing
from slabkit.pictures.figures import lines_chart

if TYPE_CHECKING:
    import pandas as pd


def curve_drawing(curve: pd.DataFrame, beta: float) -> Drawing:
    """Draw F-beta over thresholds by species, from a curve of `slabkit.score_curve`.

    Species of which anything is found, then all (dashed); where picks have no species, all alone.
    """
    lines = {
        str(name): (rows["threshold"].to_numpy(), rows["f_beta"].to_numpy())
        for name, rows in curve.groupby("species", sort=False)
        if (rows["f_beta"] > 0).any()
    }
    best = ", ".join(
        f"{name} {x[y.argmax()]:.3g}" for name, (x, y) in lines.items() if len(y) and y.max() > 0
    )
    return lines_chart(
        lines,
        title=f"F{beta:g} of the picks that score at least",
        label_x=f"threshold (best: {best})" if best and len(best) < 75 else "threshold",
        label_y=f"F{beta:g}",
        span_y=(0.0, 1.0),
        dashed=("all",),
    )
