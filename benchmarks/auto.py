"""What `slabkit auto` finds, and what the README's tour does: F4, commands and numbers typed.

On the tomograms of SLABKIT_DATA (default ../shared/data; `--small`: without the largest), without
maps and with those of five species. Beta-amylase is left out of the truth, as it is no part of what
the challenge weighs. Picks without a species are candidates for any: F4 is pooled, and "weighted"
is the mean of F4 by species, each of its own recall and the pooled precision, with the challenge's
weights. Both are given before curation (picks.star) and after it (curated.star).
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from common import ROOT, SLABKIT, data_folder, option_parser, report, run_once, scratch_folder

from slabkit.formats.picks.reading import read_picks
from slabkit.scoring import CZII_WEIGHTS, score_picks

GOAL = 0.83
LEFT_OUT = "beta-amylase"
MAPS = {
    "ribosome": "6qzp",
    "virus-like-particle": "8tux",
    "thyroglobulin": "7n4y",
    "beta-galactosidase": "1f4a",
    "apo-ferritin": "6pxm",
}


def f4(precision: float, recall: float) -> float:
    """Give F-beta for beta 4."""
    return 17 * precision * recall / (16 * precision + recall) if precision and recall else 0.0


def numbers(table: Path, truth_file: Path) -> dict[str, float]:
    """Score a list against the truth of its tomograms."""
    listed = read_picks(table)
    truth = read_picks(truth_file).picks
    here = truth["slabkitTomogram"].isin(listed.tomograms["slabkitTomogram"])
    truth = truth[here & (truth["slabkitSpecies"] != LEFT_OUT)].reset_index(drop=True)
    score = score_picks(listed.picks.assign(slabkitSpecies=""), truth)
    precision = score.total["precision"]
    weights = [CZII_WEIGHTS[name] for name in score.table["species"]]
    each = [f4(precision, recall) for recall in score.table["recall"]]
    weighted = sum(w * one for w, one in zip(weights, each, strict=True)) / sum(weights)
    return {
        "picks": len(listed.picks),
        "F4": score.total["f_beta"],
        "weighted F4": weighted,
        "precision": precision,
        "recall": score.total["recall"],
    }


def tour() -> list[str]:
    """Give the commands of the README's tour, up to the curated list."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("## A tour\n")[1]
    block = text.split("```")[1].replace("\\\n", " ")
    lines = re.findall(r"^slabkit .*$", block, re.MULTILINE)
    return lines[: 1 + next(n for n, line in enumerate(lines) if line.startswith("slabkit curate"))]


def typed(lines: list[str]) -> int:
    """Count the numbers among the words of commands; a range is two."""
    words = [word for line in lines for word in shlex.split(line)]
    return sum(
        len(word.split(":")) for word in words if re.fullmatch(r"\d+(\.\d+)?(:\d+(\.\d+)?)?", word)
    )


def main() -> None:
    """Run both and report."""
    arguments = option_parser(__doc__).parse_args()
    data = data_folder()
    if data is None:
        print("left out: there is no SLABKIT_DATA")
        return
    volumes = sorted((data / "tomograms").glob("TS_91*.mrc" if arguments.small else "*.mrc"))
    maps = [f"--map={name}={data / 'maps' / '10A' / file}.mrc" for name, file in MAPS.items()]
    auto = ["auto", *volumes, "--diameter", "100:350"]
    values: dict[str, object] = {}
    lines = []
    with scratch_folder() as folder:
        chains = {
            "tour": [shlex.split(line)[1:] for line in tour()],
            "auto": [[*auto, "-o", "."]],
            "auto with maps": [["auto", *volumes, *maps, "-o", "."]],
        }
        for name, chain in chains.items():
            own = folder / name.replace(" ", "_")
            own.mkdir()
            seconds = 0.0
            for command in chain:
                at = [volumes if word == "tomograms/*.mrc" else [word] for word in command]
                words = [word for part in at for word in part]
                seconds += run_once([SLABKIT, *words], own).seconds
            known = data / "tomograms" / "truth.csv"
            before, after = numbers(own / "picks.star", known), numbers(own / "curated.star", known)
            asked = [shlex.join(["slabkit", *map(str, words)]) for words in chain]
            values[name] = {
                "commands": len(chain),
                "numbers": typed(asked),
                "seconds": seconds,
                "before": before,
                "after": after,
            }
            lines.append(
                f"{name}: {len(chain)} commands, {typed(asked)} numbers, {seconds:.0f} s; F4 "
                + ", ".join(
                    f"{title} {one['F4']:.3f} "
                    f"(weighted {one['weighted F4']:.3f}, {one['picks']} picks)"
                    for title, one in (("all picks", before), ("curated", after))
                )
                + f"; goal {GOAL}"
            )
    report("auto", lines, values)


if __name__ == "__main__":
    main()
