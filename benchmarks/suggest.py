"""Labels that a person has to give until a pick list reaches a given F4: suggested, or at random.

Simulated tomograms, picked, classified in 2D; a person who is always right labels twelve minislabs
at a time, either those that `slabkit.suggest_labels` says or some at random, and the same rule
decides about all others: from what class quality, score and z confidence say beforehand, as
`slabkit suggest` does, from what scores and z confidence say, or from classes and scores of which
nothing is known. F4 is that of the decisions about the candidates: what the picker did not find is
no matter of labelling. Several seeds, other tomograms each.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from common import option_parser, report

import slabkit
from slabkit.labels import candidate_probability

BATCH, BETA = 12, 4.0
GOALS = (0.85, 0.9, 0.95)
warnings.simplefilter("ignore", slabkit.SlabkitWarning)


def candidates(seed: int, tomograms: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Give picks with classes and scores, and which are particles."""
    from slabkit.scoring import match_picks

    tables, images, right = [], [], []
    for number in range(tomograms):
        tomogram, truth = slabkit.simulate_tomogram(f"s{seed}-{number}", seed=seed)
        slabs_images, slabs = slabkit.project_slabs(tomogram, thickness=300, step=75)
        picks2d = slabkit.pick_blobs(slabs_images, slabs, diameter=(100, 350))
        picks, _ = slabkit.map_picks(picks2d, slabs, tomogram)
        found = np.zeros(len(picks), dtype=bool)
        found[match_picks(picks, truth)["pick"].to_numpy()] = True
        stack = slabkit.stack_minislabs(tomogram, picks, box=400, depth=300)
        tables.append(picks)
        images.append(-stack.images)  # light on dark
        right.append(found)
    picks, stack = pd.concat(tables, ignore_index=True), np.concatenate(images)
    settings = slabkit.ClassificationSettings(classes=max(8, len(stack) // 15), seed=seed)
    result = slabkit.classify_images(stack, 10.0, settings)
    classes = result.class_number.astype(str)
    quality = np.concatenate([[np.nan], result.quality])[result.class_number]
    score, depth = picks["slabkitScore"].to_numpy(), picks["slabkitZConfidence"].to_numpy()
    table = picks[["slabkitPickId", "slabkitTomogram", "slabkitScore"]].assign(
        slabkitClass=classes,
        slabkitProbability=candidate_probability(quality, score, z_confidence=depth),
        scoreAlone=candidate_probability(np.full(len(score), np.nan), score, z_confidence=depth),
    )
    return table, np.concatenate(right)


def curve(table: pd.DataFrame, right: np.ndarray, order: list[str] | None) -> list[float]:
    """Give F4 after no labels, one batch, two... ; ``order`` None asks for suggestions."""
    truth = dict(zip(table["slabkitPickId"], right, strict=True))
    names: list[str] = []
    values = []
    while True:
        labels = pd.DataFrame(
            {
                "slabkitPickId": names,
                "slabkitDecision": ["accepted" if truth[n] else "rejected" for n in names],
            }
        ).astype(str)
        found = slabkit.suggest_labels(table, labels, count=BATCH, beta=BETA)
        said = found.decisions.set_index("slabkitPickId")["slabkitDecision"]
        accepted = (said[table["slabkitPickId"]] == "accepted").to_numpy()
        both = (accepted & right).sum()
        values.append((1 + BETA**2) * both / (accepted.sum() + BETA**2 * right.sum()))
        if len(names) >= len(table):
            return values
        more = found.order["slabkitPickId"] if order is None else order[len(names) :][:BATCH]
        names += list(more)


def main() -> None:
    options = option_parser(__doc__).parse_args()
    seeds, tomograms = ((0, 1), 3) if options.small else (range(6), 6)
    rows, needed = [], []
    for seed in seeds:
        table, right = candidates(seed, tomograms)
        curves = {"suggested": [curve(table, right, None)]}
        alone = table.drop(columns="slabkitClass").assign(slabkitProbability=table["scoreAlone"])
        curves["by scores alone"] = [curve(alone, right, None)]
        curves["unknown classes"] = [curve(table.drop(columns="slabkitProbability"), right, None)]
        curves["random"] = [
            curve(table, right, table["slabkitPickId"].sample(frac=1, random_state=s).tolist())
            for s in range(5)
        ]
        row = {"seed": seed, "candidates": len(table), "right": int(right.sum())}
        for goal in GOALS:
            for name, found in curves.items():
                # The first batch from which on F4 stays at the goal.
                at = [
                    BATCH * (len(c) - int(np.argmin(np.array(c[::-1]) >= goal)))
                    if min(c) < goal
                    else 0
                    for c in found
                ]
                row[f"{name} {goal:g}"] = float(np.mean(np.minimum(at, len(table))))
        rows.append(row)
        needed.append([row[f"{name} {goal:g}"] for goal in GOALS for name in curves])
        print(row, flush=True)
    mean = np.mean(needed, axis=0)
    lines, values = [], {"rows": rows}
    for goal, numbers in zip(GOALS, mean.reshape(len(GOALS), -1).tolist(), strict=True):
        own = dict(zip(curves, numbers, strict=True))
        said = ", ".join(f"{number:.0f} {name}" for name, number in own.items())
        lines.append(f"F4 {goal:g}: labels: {said} (mean of {len(rows)} data sets)")
        values[f"F4 {goal:g}"] = own
    report("suggest", lines, values)


if __name__ == "__main__":
    main()
