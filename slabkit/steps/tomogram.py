"""The chain of one tomogram: the unit that workflows and job arrays run.

It ends with the minislabs; where maps are given, with names, as `slabkit auto` makes them.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import slabkit
from slabkit.errors import InputError, SlabkitError, TryAgainError
from slabkit.execution.frame import Frame, parameters
from slabkit.execution.reporting import StepResult
from slabkit.formats.picks.context import PickReading
from slabkit.steps import map as map_picks
from slabkit.steps import minislab, pick_blob, pick_template, slab
from slabkit.steps.auto import STEP, Command, blob_sizes, named_by_file, naming, run_commands
from slabkit.steps.shared.done import DONE, NAMES, PICKS
from slabkit.steps.shared.galleries import GalleryOptions, default_sizes
from slabkit.steps.shared.naming import Maps
from slabkit.tomogram import Reading
from slabkit.units import DEFAULT_TILT_RANGE, Contrast, TiltRange

if TYPE_CHECKING:
    from collections.abc import Sequence

# What each command of the chain counts, and what it calls it
_COUNTS = {
    "slabs": "slabs",
    "hits": "picks",
    "picks": "picks",
    "minislabs": "minislabs",
    "named": "accepted",
}


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit tomogram``; ``maps``: species and file."""

    tomogram: str
    out: str
    diameter: tuple[float, float] | None = None
    maps: Maps = ()
    picker: Literal["blob", "template"] = "blob"
    refine: bool = False  # as of ``pick template``
    tilt_range: TiltRange = DEFAULT_TILT_RANGE  # of the maps
    box: float | None = None  # None, and so the depth: by the largest diameter
    depth: float | None = None
    thickness: float = 300.0
    step: float = STEP
    z_range: tuple[float, float] | Literal["auto"] | None = None
    # None: 1, since `slabkit gather` cuts, with one threshold for all tomograms; the picker's own
    # where maps name the picks, or refine them
    threshold: float | None = None
    min_distance: float | None = None
    max_ridge: float | None = None
    mask: tuple[str, ...] = ()
    pixel_size: float | None = None
    contrast: Contrast | None = None
    reading: Reading = Reading()

    @property
    def names(self) -> bool:
        """Whether picks are named by maps."""
        return bool(self.maps) and self.picker == "blob"


def commands(options: Options) -> list[Command]:
    """Give the commands of the chain, in order; their results go to the folder ``out``."""

    def at(name: str) -> str:
        return str(Path(options.out) / name)

    slabs, picks2d, picks = at("slabs/slabs.star"), at("picks2d.star"), at(PICKS)
    if options.picker == "template":
        if not options.maps:
            raise InputError("--picker template looks for maps: give --map NAME=MAP.mrc.")
        if options.diameter is not None:
            raise InputError("--diameter is for blobs; leave it or --picker template out.")
    else:
        if options.refine:
            raise InputError("--refine is for --picker template; give both, or leave it out.")
        options = replace(options, maps=named_by_file(options.maps))
    diameter = blob_sizes(options.diameter, options.maps)
    box, depth = default_sizes(diameter[1], options.box, options.depth)
    sections = GalleryOptions(box, depth, stack=True, pixel_size=options.pixel_size)
    return [
        Command(
            _line(
                ["slab", options.tomogram],
                at("slabs"),
                thickness=options.thickness,
                step=options.step,
                z_range=options.z_range,
                contrast=options.contrast,
                **options.reading.changes(),
            ),
            slab.run,
            slab.Options(
                (options.tomogram,),
                at("slabs"),
                thickness=options.thickness,
                step=options.step,
                z_range=options.z_range,
                contrast=options.contrast,
                reading=options.reading,
            ),
        ),
        _picking(options, diameter, slabs, picks2d),
        Command(
            _line(["map", picks2d], picks, slabs=slabs, min_distance=options.min_distance),
            map_picks.run,
            map_picks.Options((picks2d,), slabs, picks, min_distance=options.min_distance),
        ),
        Command(
            _line(
                ["minislab", picks],
                at("minislabs"),
                box=box,
                depth=depth,
                pixel_size=options.pixel_size,
                stack=True,
            ),
            minislab.run,
            minislab.Options(picks, at("minislabs"), sections, PickReading()),
        ),
        *([naming(options.maps, options.tilt_range, picks, at(NAMES))] if options.names else []),
    ]


def _picking(options: Options, diameter: tuple[float, float], slabs: str, picks2d: str) -> Command:
    shared: dict[str, Any] = {
        name: value
        for name in ("threshold", "min_distance", "max_ridge", "mask")
        if (value := getattr(options, name)) not in (None, ())
    }
    typed: dict[str, Any] = {**shared, "mask": list(options.mask)}
    if options.picker == "template":
        maps = [f"{name}={path}" if name else path for name, path in options.maps]
        tilts: dict[str, Any] = {}
        if options.tilt_range != DEFAULT_TILT_RANGE:
            tilts["tilt_range"] = "none" if options.tilt_range is None else options.tilt_range
        return Command(
            _line(
                ["pick", "template", slabs],
                picks2d,
                map=maps,
                refine=options.refine or None,
                **typed,
                **tilts,
            ),
            pick_template.run,
            pick_template.Options(
                slabs=slabs,
                out=picks2d,
                maps=options.maps,
                refine=options.refine,
                tilt_range=options.tilt_range,
                **shared,
            ),
        )
    return Command(
        _line(["pick", "blob", slabs], picks2d, diameter=diameter, **typed),
        pick_blob.run,
        pick_blob.Options(slabs=slabs, out=picks2d, diameter=diameter, **shared),
    )


def _line(words: Sequence[str], out: str, **options: Any) -> str:
    """Give a command as it would be typed."""
    typed = [*words, "-o", out]
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if name == "uint8":
            typed.append(flag if value else "--int8")
        elif value is True:
            typed.append(flag)
        elif isinstance(value, list):
            typed += [part for one in value for part in (flag, one)]
        elif isinstance(value, tuple):
            low, high = (f"{end:g}" for end in value)
            typed += [flag, low if low == high else f"{low}:{high}".replace("inf", "")]
        elif value is not None:
            typed += [flag, f"{value:g}" if isinstance(value, float) else str(value)]
    return shlex.join(typed)


def run(options: Options, frame: Frame) -> None:
    """Run what is not done yet; ``done.json`` comes last, for bad data too, and says how it ended.

    What may work when tried again leaves no ``done.json``.
    """
    from slabkit.execution.locks import output_lock
    from slabkit.formats.tables.atomic import write_text
    from slabkit.picking.blob_search import diameter_ladder

    if options.threshold is None and not (options.names or options.refine):
        options = replace(options, threshold=1.0)
    chain = commands(options)
    if options.diameter is not None:
        diameter_ladder(options.diameter)  # refuses what makes no sense of any tomogram
    if options.threshold is not None and not options.threshold > 0:
        raise InputError(f"--threshold must be above 0, not {options.threshold:g}.")
    done = Path(options.out) / DONE
    with output_lock(done):
        before = done.read_bytes() if done.is_file() else b""
        done.unlink(missing_ok=True)
        results: list[StepResult] = []
        problem: SlabkitError | None = None
        try:
            results = run_commands(chain, frame)
        except TryAgainError:
            raise
        except InputError as error:
            problem = error
        told = _answer(options, chain, results, problem)
        text = json.dumps(told, indent=1, ensure_ascii=False) + "\n"
        if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
            text = json.dumps(told, indent=1) + "\n"
        write_text(done, text)
    if problem is not None:
        raise problem
    same = before == text.encode() and all(one.status == "skipped" for one in results)
    summary = {name: told[name] for name in _COUNTS if name in told}
    frame.result = StepResult(
        "tomogram", "skipped" if same else "done", done, summary, {}, "--overwrite makes it again"
    )
    frame.reporter.done(frame.result)


def _answer(
    options: Options,
    chain: list[Command],
    results: list[StepResult],
    problem: SlabkitError | None,
) -> dict[str, Any]:
    """Say what was made, or why nothing was; nothing that differs from run to run."""
    from slabkit.execution.records import load_record
    from slabkit.formats.tomograms.names import tomogram_name

    made = [one.summary for one in results] if problem is None else [{}] * len(chain)
    told: dict[str, Any] = {
        "tomogram": tomogram_name(Path(options.tomogram)),
        "file": Path(options.tomogram).as_posix(),
        "status": "done" if problem is None else "failed",
        "error": "" if problem is None else str(problem),
        **{name: one.get(_COUNTS[name], 0) for name, one in zip(_COUNTS, made, strict=False)},
    }
    # A step that was skipped warned when it was run: its record says of what.
    found = [load_record(one.out) for one in results if one.out is not None]
    records = [one for one in found if one is not None]
    warnings = [text for one in records for text in one.warnings]
    of_maps = () if options.maps else ("picker", "tilt_range")
    return told | {
        # So that another volume gives another answer
        "volume": [one["hash"] for one in records[0].inputs] if records else [],
        "warnings": list(dict.fromkeys(warnings)),
        "commands": [f"slabkit {command.line}" for command in chain],
        "version": slabkit.__version__,
        "options": {k: v for k, v in parameters(options, "tomogram", "out", *of_maps).items() if v},
    }
