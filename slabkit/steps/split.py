"""Pick lists to a split of their tomograms into subsets that have all species alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slabkit.execution.frame import Frame, Work, parameters
from slabkit.execution.reporting import summary_rows

if TYPE_CHECKING:
    from slabkit.formats.tables.native import PickList
    from slabkit.splitting import Split


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit split``; see also `slabkit.split_tomograms`."""

    picks: tuple[str, ...]
    out: str
    subsets: Mapping[str, int | float]
    bins: int = 16
    draws: int = 100
    seed: int = 0
    lists: str | None = None


def run(options: Options, frame: Frame) -> None:
    """Share the tomograms out and write the table of the split."""
    from slabkit.steps.shared.pick_lists import PickFiles

    files = PickFiles.given(options.picks)
    with frame.work(
        "split",
        options.out,
        inputs=options.picks,
        parameters=parameters(options, "out"),
        text_inputs=files.texts,
    ) as work:
        if work.finished:
            return
        from slabkit.formats.tables.blocks import write_blocks
        from slabkit.splitting import split_tomograms
        from slabkit.tables import SPLIT, validate_table

        pooled = files.read_as_one()
        result = split_tomograms(
            pooled.picks,
            options.subsets,
            tomograms=pooled.tomograms["slabkitTomogram"],
            bins=options.bins,
            draws=options.draws,
            seed=options.seed,
        )
        if options.lists is not None:
            _write_lists(work, Path(options.lists), result, pooled)
        blocks = {
            "split": validate_table(result.tomograms, SPLIT),
            "subsets": result.subsets,
            "bins": result.bins,
            "tests": result.tests,
        }
        write_blocks(options.out, blocks)
        _report(work, result)


def _write_lists(work: Work, folder: Path, result: Split, pooled: PickList) -> None:
    from slabkit.formats.tables.native import PickList, write_picks
    from slabkit.formats.tables.paths import file_inside

    subset = result.tomograms.set_index("slabkitTomogram")["slabkitSubset"]
    paths = {
        name: file_inside(folder, f"{name}.star")
        for name in result.subsets["slabkitSubset"].unique()
    }
    work.check_free(paths.values())
    for name, path in paths.items():
        picks, tomograms = (
            table[(table["slabkitTomogram"].map(subset) == name).to_numpy(dtype=bool)]
            for table in (pooled.picks, pooled.tomograms)
        )
        write_picks(path, PickList(picks, tomograms))
        work.outputs.append(path)


def _report(work: Work, result: Split) -> None:
    wide = result.subsets.pivot(
        index="slabkitSubset", columns="slabkitSpecies", values="slabkitPicks"
    )
    order = list(dict.fromkeys(result.subsets["slabkitSubset"]))
    species = [name for name in dict.fromkeys(result.subsets["slabkitSpecies"]) if name != "all"]
    counts = result.tomograms["slabkitSubset"].value_counts()
    work.table(
        "",
        ("subset", "tomograms", "picks", *(name or "(no species)" for name in species)),
        [
            (name, int(counts[name]), *(int(wide.loc[name, what]) for what in ("all", *species)))
            for name in order
        ],
    )
    tests = result.tests
    work.summary.update(
        tomograms=len(result.tomograms),
        bins=len(result.bins),
        **{name: int(counts[name]) for name in order},
    )
    if len(tests):
        work.table(
            "",
            ("Kolmogorov-Smirnov test", "species", "statistic", "p"),
            [
                (f"{one} : {two}", what or "(none)", statistic, p_value)
                for one, two, what, statistic, p_value in tests.itertuples(index=False)
            ],
        )
        work.summary["smallest_p"] = float(tests["slabkitP"].min())
    work.summary["tests"] = [
        {name.lower(): value for name, value in row.items()} for row in summary_rows(tests)
    ]
