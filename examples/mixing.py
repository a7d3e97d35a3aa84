"""How F-beta weighs misses against wrong picks: lists that mix the truth with wrong positions.

After the experiment in the paper of the challenge's data: two kinds of list are scored for several
beta, here on a simulated tomogram: a share of the truth and nothing else (its recall is the
share, its precision 1), and all of the truth among so many wrong positions that it makes up the
share (precision is the share, recall 1). With beta = 1 both lose alike; the larger beta, the more a
miss costs and the less a wrong pick.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import slabkit
from slabkit.pictures.figures import lines_chart
from slabkit.pictures.images import png_bytes

BETAS = (1.0, 2.0, 4.0)
SHARES = np.linspace(0.1, 1.0, 10)

_, truth = slabkit.simulate_tomogram("sim_001", seed=1)
random = np.random.default_rng(0)


def wrong(count: int) -> pd.DataFrame:
    """Give positions far outside the tomogram: as wrong as any, and never right by chance."""
    rows = truth.iloc[random.integers(len(truth), size=count)].reset_index(drop=True)
    x = 1e5 + 1e3 * np.arange(count)
    return rows.assign(slabkitX=x, slabkitPickId=[f"wrong-{i}" for i in range(count)])


def lists(share: float) -> dict[str, pd.DataFrame]:
    """Give both kinds of list for a share of the truth."""
    number = round(share * len(truth))
    some = truth.iloc[random.permutation(len(truth))[:number]]
    among = pd.concat([truth, wrong(round(len(truth) / share) - len(truth))])
    return {"only a share": some, "among wrong picks": among}


lines: dict[str, tuple[list[float], list[float]]] = {}
print(f"{'beta':>4}  {'list':<18}" + "".join(f"{share:7.0%}" for share in SHARES))
for beta in BETAS:
    for kind in lists(1.0):
        scores = [slabkit.score_picks(lists(share)[kind], truth, beta=beta) for share in SHARES]
        values = [score.total["f_beta"] for score in scores]
        lines[f"beta {beta:g}: {kind}"] = (list(SHARES), values)
        print(f"{beta:4g}  {kind:<18}" + "".join(f"{value:7.3f}" for value in values))

chart = lines_chart(
    lines,
    title="What a share of the truth scores",
    label_x="share of the truth (recall), or of the list (precision)",
    label_y="F-beta",
    span_y=(0.0, 1.0),
    dashed=[name for name in lines if name.endswith("wrong picks")],
)
target = Path(sys.argv[1] if len(sys.argv) > 1 else Path(tempfile.mkdtemp()) / "mixing.png")
target.write_bytes(png_bytes(chart.picture()))
print(f"drawn in {target}")
