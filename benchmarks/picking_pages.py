"""The page of `picking.py`'s results, docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from template_speed import GOAL as TEMPLATE_GOAL
from template_speed import ratio

from slabkit.scoring import CZII_RADII

SHORT = {
    "ribosome": "ribosome",
    "virus-like-particle": "VLP",
    "thyroglobulin": "thyroglobulin",
    "beta-galactosidase": "β-galactosidase",
    "apo-ferritin": "apo-ferritin",
    "beta-amylase": "β-amylase",
}
BASE = ("slabkit blob", "150 Å")  # what times are multiples of

HEAD = """# Benchmark of picking

Made by `benchmarks/picking.py` on a machine with {machine}. Numbers of picks, recall and
errors do not depend on the machine; times are the processor's, as multiples of one of slabkit's
own, and as exact as a machine that others use too allows. Do not edit; run the script.

**Tomograms.** All have voxels of 10 Å, protein dark, tilts of ±45°, membranes, and other complexes
that are not in the truth.

- *data*: {data}.
- *simulated*: {simulated}.
{particles}

**Pickers.** All search the same slabs of 300 Å for particles of 100 to 350 Å. *slabkit blob* is
`pick blob --threshold 1`; *slabkit template* is `pick template` with the density maps of the five
scored species (not β-amylase), `--view-step 60 --angular-step 15`; of picks of several species on
one place the best counts. *plain LoG* is a Laplacian of Gaussian at ten scales with the depth of
the darkest place of its column (`benchmarks/picking_peers.py`). RELION's `relion_autopick --LoG`
(`--LoG_adjust_threshold -3`, ranked by figure of merit) and scikit-image's `blob_log` give 2D
picks, mapped by `slabkit map` as slabkit's own are.

**Measures.** A pick is right within half a particle's radius, one pick for one particle. Picks are
candidates for any species, those of templates too, and pickers are compared at equal numbers: the
best-scored picks, 600 and 1,200 for each 6300 × 6300 Å of a tomogram (a picker that finds fewer is
left with fewer). *Precision* and *F4* are of the whole list, strict. *F4 curated*, weighted as in
the CZII challenge, is what a perfect curation would leave: right picks named, all others dropped.
*Average precision* of a species is the mean over its particles of the precision at the rank of
their pick, 0 for those not found; that precision is the whole list's. Other complexes count as
false."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Write a Markdown table, first columns to the left."""
    lines = ["| " + " | ".join(head) + " |", "|---" * 2 + "|---:" * (len(head) - 2) + "|"]
    return ["", *lines, *("| " + " | ".join(row) + " |" for row in rows)]


def page(values: dict[str, Any]) -> list[str]:
    """Give the lines of the page."""
    sets = [name for name in ("data", "simulated") if name in values]
    text = HEAD.format(
        machine=values["machine"],
        data=f"{values['data']['tomograms']} realistic tomograms, made independently of slabkit",
        simulated=(
            f"{values['simulated']['tomograms']} of `slabkit simulate --preset "
            f"{'small' if values['small'] else 'czii'} --seed {values['seed']}` with real density "
            "maps"
            if "simulated" in values
            else "left out"
        ),
        particles="\n".join(
            f"- Particles of *{name}*: "
            + ", ".join(f"{n} {SHORT[s]}" for s, n in values[name]["particles"].items())
            + "."
            for name in sets
        ),
    )
    lines = text.split("\n")
    lines += ["", "## Goals", "", "At 600 picks, slabs every 150 Å."]
    for name in sets:
        lines += ["", f"### {name}", "", *goals(values[name])]
    if "template_speed" in values:
        lines += ["", "### Speed of templates", "", *speed_goals(values["template_speed"])]
    for budget in ("600", "1200"):
        lines += ["", f"## At {int(budget):,} picks"]
        for name in sets:
            lines += ["", f"### {name}", *at_budget(values[name], budget)]
    lines += ["", "## Average precision"]
    for name in sets:
        lines += ["", f"### {name}", *average_precisions(values[name])]
    lines += ["", "## Depth", "", *DEPTHS.split("\n")]
    for name in sets:
        lines += ["", f"### {name}", *depth_tables(values[name])]
    lines += ["", "## Stacked particles", "", *STACKED.split("\n"), *stacked(values, sets)]
    lines += ["", "## Time and memory", "", *COSTS.split("\n")]
    for name in sets:
        lines += ["", f"### {name}", *costs(values[name])]
    if "template_speed" in values:
        lines += ["", "## Templates beside a plain correlation", "", *CORRELATIONS.split("\n")]
        lines += template_speeds(values["template_speed"])
    return lines


def cells(own: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Give picker, step and result, picker by picker."""
    steps = [step for step in own if isinstance(own[step], dict) and "pickers" in own[step]]
    pickers = dict.fromkeys(picker for step in steps for picker in own[step]["pickers"])
    return [
        (picker, step, own[step]["pickers"][picker])
        for picker in pickers
        for step in steps
        if picker in own[step]["pickers"]
    ]


def species_of(own: dict[str, Any]) -> list[str]:
    return [name for name in CZII_RADII if name in own["particles"]]


def at_budget(own: dict[str, Any], budget: str) -> list[str]:
    """Recall by species, precision and F4 of the best picks."""
    species = species_of(own)
    head = ["picker", "slabs", *(f"{SHORT[s]}" for s in species)]
    head += ["picks", "precision", "F4", "F4 curated"]
    rows = []
    for picker, step, result in cells(own):
        one = result[budget]
        row = [picker, step, *(f"{one['recall'][s]:.2f}" for s in species), str(one["picks"])]
        rows.append([*row, *(f"{one[k]:.3f}" for k in ("precision", "f4", "curated_f4"))])
    lines = ["", "Recall by species, then of the whole list:", *table(head, rows)]
    named = [(step, result[budget]["named"]) for _, step, result in cells(own)]
    named = [f"{share:.2f} ({step})" for step, share in named if share is not None]
    if named:
        lines += ["", "Of the right template picks so many have the right name: "]
        lines[-1] += ", ".join(named) + "."
    return lines


def average_precisions(own: dict[str, Any]) -> list[str]:
    """Average precision of all and by species."""
    species = species_of(own)
    rows = []
    for picker, step, result in cells(own):
        average = result["average_precision"]
        rows.append([picker, step, *(f"{average[s]:.3f}" for s in ("all", *species))])
    return table(["picker", "slabs", "all", *(SHORT[s] for s in species)], rows)


DEPTHS = """Distance in z from the truth in Å, median / 90th percentile. First of 2D picks of
`slabkit blob` on slabs every 150 Å, those on a particle of the slab with no other in reach, by
several ways to find the depth: slabpick's refinement (`refine_z`, boxes of 300 Å), the argmax of a
column as wide as the particle, the middle of the slab. Then of the final picks: for each particle
the pick nearest in x and y, if within half a radius there and 1.5 radii in z, whatever else is in
the column."""


def depth_tables(own: dict[str, Any]) -> list[str]:
    """Errors of the ways on the same hits, then of the final picks."""
    species = species_of(own)

    def row(errors: dict[str, dict[str, float]]) -> list[str]:
        found = [errors.get(s) for s in species]
        return [f"{e['median']:.0f} / {e['p90']:.0f}" if e else "" for e in found]

    lines = []
    if "depths" in own:
        ways = own["depths"]
        counts = [str(ways["slabkit"].get(s, {"n": 0})["n"]) for s in species]
        rows = [[way, "150 Å", *row(errors)] for way, errors in ways.items()]
        head = ["same hits", "slabs", *(SHORT[s] for s in species)]
        lines += table(head, [["number of hits", "150 Å", *counts], *rows])
    rows = [[picker, step, *row(result["z_error"])] for picker, step, result in cells(own)]
    return lines + table(["final picks of", "slabs", *(SHORT[s] for s in species)], rows)


STACKED = """Recall at 600 picks, slabs every 150 Å, among particles that share their column with
another, at whatever z (centres nearer in x and y than the larger radius of the two), and among all
others; all species together."""


def stacked(values: dict[str, Any], sets: Sequence[str]) -> list[str]:
    """Recall among particles in shared columns and among the others."""
    rows = []
    for name in sets:
        for picker, groups in values[name].get("stacked", {}).items():
            row = [name, picker]
            for group in ("stacked", "alone"):
                recall = groups[group]["recall"]
                row += [str(groups[group]["particles"]), "" if recall is None else f"{recall:.2f}"]
            rows.append(row)
    return table(["set", "picker", "stacked", "recall", "others", "recall"], rows)


CORRELATIONS = """The slabs of one tomogram of *data* searched with the five density maps, as
`pick template` does, and by a program as one writes it with SciPy's FFTs
(`benchmarks/template_peers.py`): the slab's transform and its local means and deviations once, then
for each turned template its transform, the product, the transform back, and the highest so far.
Both search the same filtered slabs with the same turned templates under the same masks. Numbers are
times of the processor, one thread, as multiples of slabkit's, whose set-up (drawing and compressing
the templates) is counted in but for *search*; templates are drawn for the others for nothing.
slabkit goes on to refine its peaks and to score them; the others end with the map of the highest.

- *same grid*: by the plain program on the coarser grid that the low-pass allows, as slabkit does.
- *search*: the same, slabkit's set-up left out.
- *shared*: templates' transforms made once for all slabs instead of for each.
- *all pixels*: by the plain program on the slabs' own pixels.
- *fftconvolve*: on the coarser grid, a call of `scipy.signal.fftconvolve` for each template."""


def template_speeds(values: dict[str, Any]) -> list[str]:
    """Give times as multiples, then how well the coefficients agree."""
    rows, lines = [], []
    ways = ("plain", "plain, transforms shared", "all pixels", "fftconvolve")
    for name, one in values.items():
        for step, cost in one["slabs"].items():
            row = [name, step, str(cost["number"]), str(one["templates"])]
            ratios = [ratio(cost, way) for way in ways]
            ratios.insert(1, ratio(cost, "plain", setup=False))
            row += [f"{cost['setup'] / cost['ours']:.0%}", *(f"{each:.1f}" for each in ratios)]
            rows.append(row)
    head = ["angles", "slabs", "number", "templates", "set-up", "same grid", "search", "shared"]
    lines += table([*head, "all pixels", "fftconvolve"], rows)
    for name, one in values.items():
        a, memory = one["agreement"], one["memory"]
        lines += [
            "",
            f"*{name}* is views every {one['view_step']:g}° and angles every "
            f"{one['angular_step']:g}°. Coefficients at slabkit's {a['peaks']:,} peaks differ from "
            f"the plain ones by at most {a['largest'] / a['span']:.2%} of their range (which is "
            f"{a['span']:.2f}), 99 % of them by at most {a['p99'] / a['span']:.2%}. Of "
            f"{a['picks']} picks {a['same']:.0%} have the template and angle that correlate best "
            f"there; those of the others are lower by at most {a['loss'] / a['span']:.1%}, by no "
            f"more than {a['loss_p99'] / a['span']:.1%} for 99 % of all. Memory: "
            f"{memory['ours']:.0f} MB, plain {memory['plain']:.0f} MB.",
        ]
    return lines


def speed_goals(values: dict[str, Any]) -> list[str]:
    """Hold the speed of templates, and what their coefficients are, against the goals."""
    lines = []
    for way, where in (("all pixels", "the slabs' pixels"), ("plain", "slabkit's coarser grid")):
        ratios = {name: ratio(one["slabs"]["150 Å"], way) for name, one in values.items()}
        numbers = ", ".join(f"{value:.1f} ({name} angles)" for name, value in ratios.items())
        missed = min(ratios.values()) < TEMPLATE_GOAL
        lines.append(
            f"- Templates {TEMPLATE_GOAL:.0f} times as fast as a SciPy FFT correlation on {where}: "
            f"{numbers}, {'missed' if missed else 'reached'}."
        )
    worst = max(one["agreement"]["largest"] / one["agreement"]["span"] for one in values.values())
    lines.append(
        f"- Coefficients equal to those of the plain correlation within 1 % of their range: "
        f"{worst:.2%}, {'reached' if worst <= 0.01 else 'missed'}."
    )
    return lines


GOALS = {"virus-like-particle": 0.85, "thyroglobulin": 0.95, "apo-ferritin": 0.80}
TIME = "processor_seconds"  # which other work on the machine changes least
CURATED_GOAL, RIBOSOME_GOAL, SPEED_GOAL = 0.92, 40.0, 5.0


def goals(own: dict[str, Any]) -> list[str]:
    """Hold the results of one set against the goals: slabs every 150 Å, 600 picks."""
    species = [s for s in species_of(own) if s != "beta-amylase"]
    pickers = own["150 Å"]["pickers"]
    blob = pickers["slabkit blob"]
    lines = []

    def say(what: str, numbers: str, missed: Sequence[str] | bool) -> None:
        if isinstance(missed, bool):
            verdict = "missed" if missed else "reached"
        else:
            verdict = f"missed for {', '.join(missed)}" if missed else "reached"
        lines.append(f"- {what}: {numbers} {verdict}.".replace(":  ", ": "))

    for name, goal in GOALS.items():
        recall = blob["600"]["recall"][name]
        say(
            f"Recall of {SHORT[name]} by blobs at least {goal:.2f}", f"{recall:.2f},", recall < goal
        )
    curated = blob["600"]["curated_f4"]
    say(f"F4 curated at least {CURATED_GOAL}", f"{curated:.3f},", curated < CURATED_GOAL)
    z = blob["z_error"]["ribosome"]["p90"]
    say(f"Ribosomes' 90th percentile in z below {RIBOSOME_GOAL:.0f} Å", f"{z:.0f} Å,", z >= 40)
    for peer in ("RELION LoG", "scikit-image blob_log"):
        if peer in pickers:
            own_ap, other = blob["average_precision"], pickers[peer]["average_precision"]
            below = [SHORT[s] for s in species if own_ap[s] <= other[s]]
            numbers = f"{own_ap['all']:.3f} against {other['all']:.3f};"
            say(f"Average precision of blobs above {peer}'s, by species", numbers, below)
    if "RELION LoG" in pickers:
        ratio = pickers["RELION LoG"]["pick"][TIME] / blob["pick"][TIME]
        say(f"Blobs {SPEED_GOAL:.0f} times as fast as RELION LoG", f"{ratio:.1f},", ratio < 5)
    if "slabkit template" in pickers:
        template = pickers["slabkit template"]
        for measure, ours, other in (
            ("Average precision", template["average_precision"], blob["average_precision"]),
            ("Recall", template["600"]["recall"], blob["600"]["recall"]),
        ):
            below = [SHORT[s] for s in species if ours[s] < other[s]]
            say(f"{measure} of templates no less than that of blobs, by species", "", below)
    for way in ("slabpick", "argmax of a column"):
        if way in own.get("depths", {}):
            ours, other = own["depths"]["slabkit"], own["depths"][way]
            for number, what in (("median", "median"), ("p90", "90th percentile")):
                worse = [SHORT[s] for s in species if ours[s][number] >= other[s][number]]
                say(f"Distance in z on the same hits, {what} below that of {way}", "", worse)
    return lines


COSTS = """Processor seconds of the search for 2D picks, and of mapping, over those of the search of
`slabkit blob` on slabs every 150 Å of the same set. Whole processes, start-up included; of
`blob_log` the calls alone. The plain picker's time is that of search and depths together. MB is the
peak of what the search itself holds."""


def costs(own: dict[str, Any]) -> list[str]:
    """Give times as multiples, and memory."""
    base = next(
        result["pick"][TIME] for picker, step, result in cells(own) if (picker, step) == BASE
    )
    rows = []
    for picker, step, result in cells(own):
        mapped = f"{result['map'][TIME] / base:.1f}" if "map" in result else ""
        pick = result["pick"]
        slabs = str(own[step]["slabs"])
        row = [picker, step, slabs, f"{pick[TIME] / base:.1f}", mapped]
        rows.append([*row, f"{pick['anonymous_mb']:.0f}"])
    return table(["picker", "slabs", "number", "search", "map", "MB"], rows)
