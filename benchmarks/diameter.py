"""What `pick blob --diameter` finds if it is given, from half to twice, the true diameter.

Slabs of 300 Å every 150 Å of the tomograms of SLABKIT_DATA (default ../shared/data); for each
species recall among the best 600 mapped picks of each 6300 × 6300 Å and precision above the default
threshold, beside the range 100:350. Draws docs/images/diameter.png and prints the table of
docs/picking.md. `--small` leaves out the largest tomogram and all but the true diameters.
"""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
from common import ROOT, data_folder, option_parser, report
from loop import best_picks
from picking_pages import SHORT, table
from slab_choice import BUDGET, picks_of, right_by

from slabkit import open_tomogram, read_picks
from slabkit.mapping import tomogram_table
from slabkit.picking.blob import default_threshold
from slabkit.pictures.figures import lines_chart
from slabkit.pictures.images import png_bytes
from slabkit.scoring import CZII_RADII, match_picks
from slabkit.tomogram import Tomogram

DIAMETERS = {name: 2 * radius for name, radius in CZII_RADII.items() if name != "beta-amylase"}
FACTORS = (0.5, 0.7, 0.85, 1.0, 1.2, 1.4, 2.0)
RANGE = (100.0, 350.0)


def main() -> None:
    small = option_parser(__doc__).parse_args().small
    data = data_folder()
    if data is None:
        print("diameter: left out, there is no folder of tomograms")
        return
    files = sorted((data / "tomograms").glob("*.mrc"))[1 if small else 0 :]
    truth = read_picks(data / "tomograms" / "truth.csv").picks
    truth = truth[truth["slabkitTomogram"].isin([file.stem for file in files])]
    truth = truth.reset_index(drop=True)
    tomograms = [open_tomogram(file) for file in files]

    @functools.cache
    def found(diameter: tuple[float, float]) -> tuple[int, dict[str, float], dict[str, float]]:
        return numbers(tomograms, truth, diameter)

    factors = (1.0,) if small else FACTORS
    rows, lines = [], {}
    _, everything, precise = found(RANGE)
    for name, diameter in DIAMETERS.items():
        curve = [found((diameter * factor, diameter * factor)) for factor in factors]
        _, recall, precision = curve[factors.index(1.0)]
        rows.append(
            [
                SHORT[name],
                f"{diameter:g}",
                *(f"{recall_by[name]:.2f}" for recall_by in (recall, everything)),
                *(f"{precision_by[name]:.3f}" for precision_by in (precision, precise)),
            ]
        )
        lines[name] = (np.array(factors), np.array([one[1][name] for one in curve]))
        print(f"diameter: {name}", *(f"{y:.2f}" for y in lines[name][1]), flush=True)
    head = ["species", "diameter", "recall", "with 100:350", "precision", "with 100:350"]
    curves = {name: dict(zip(factors, y.tolist(), strict=True)) for name, (_, y) in lines.items()}
    report("diameter", table(head, rows), {"rows": rows, "recall": curves})
    if not small:
        chart = lines_chart(
            lines,
            title="Recall among the best 600 picks",
            label_x="diameter given / diameter of the particle",
            label_y="recall",
            span_y=(0.0, 1.02),
        )
        (ROOT / "docs/images/diameter.png").write_bytes(png_bytes(chart.picture()))


def numbers(
    tomograms: list[Tomogram], truth: pd.DataFrame, diameter: tuple[float, float]
) -> tuple[int, dict[str, float], dict[str, float]]:
    """Give picks above the default threshold, recall of the best, precision above the threshold."""
    picks, sizes = [], []
    for tomogram in tomograms:
        slabs, mapped = picks_of(tomogram, 300.0, 150.0, diameter)
        picks.append(mapped)
        sizes.append(tomogram_table(slabs))
    everything = pd.concat(picks, ignore_index=True)
    best = best_picks(everything, pd.concat(sizes, ignore_index=True), BUDGET)
    right = np.zeros(len(truth), dtype=bool)
    right[match_picks(best, truth)["particle"]] = True
    high = everything[everything["slabkitScore"] >= default_threshold("rims", 0.7)]
    species = match_picks(high.reset_index(drop=True), truth)["species"]
    own = species.value_counts() / max(len(high), 1)
    return (
        len(high),
        right_by(right, truth["slabkitSpecies"].to_numpy()),
        {name: float(own.get(name, 0.0)) for name in CZII_RADII},
    )


if __name__ == "__main__":
    main()
