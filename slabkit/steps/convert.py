"""Pick lists of any format to any other, out of copick projects and into them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slabkit.errors import InputError, OutputExistsError, warn
from slabkit.execution.frame import Frame, Work, parameters
from slabkit.formats.picks.context import PickReading
from slabkit.tomogram import Reading

if TYPE_CHECKING:
    from slabkit.formats.source import Source
    from slabkit.formats.tables.native import PickList

_USER, _SESSION = "slabkit", "1"


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit convert``; ``object``, ``user``, ``session``: empty means all."""

    sources: tuple[str, ...]
    out: str
    to: str | None = None
    reading: PickReading = PickReading()
    tomograms: tuple[str, ...] = ()
    voxel_size: float | None = None
    tomo_type: str | None = None
    species: str | None = None
    check_bounds: bool = True
    object: tuple[str, ...] = ()
    user: tuple[str, ...] = ()
    session: tuple[str, ...] = ()
    plain: bool = False


def run(options: Options, frame: Frame) -> None:
    """Read the picks and write them in another format."""
    from slabkit.formats.registry import format_named
    from slabkit.formats.tomograms.names import is_project

    _check_projects(options)
    if options.reading.format is not None:
        format_named(options.reading.format)
    if is_project(options.out):
        _to_project(options, frame)
    else:
        _to_files(options, frame)


def _check_projects(options: Options) -> None:
    """Refuse copick's options where no project is given, and what they cannot say."""
    from slabkit.formats.tomograms.names import is_project

    given = [f"--{name}" for name in ("object", "user", "session") if getattr(options, name)]
    projects = [path for path in (*options.sources, options.out) if is_project(path)]
    if given and not projects:
        raise InputError(f"{given[0]} is for copick projects, given as copick:CONFIG.json.")
    if options.tomo_type and not any(is_project(argument) for argument in options.tomograms):
        raise InputError(
            "--tomo-type is for tomograms of a copick project; give --tomograms "
            "copick:CONFIG.json too."
        )
    if not is_project(options.out):
        return
    if options.plain:
        raise InputError(f"{options.out}: --plain is for CSV, and this is a copick project.")
    if len(projects) > 1:
        raise InputError(
            "from one copick project to another: convert the first to a table, and that to the "
            "second, so that --user and --session say which picks are meant."
        )
    if options.object:
        raise InputError("--object is for picks from a copick project; give --species NAME.")
    for name in ("user", "session"):
        if len(getattr(options, name)) > 1:
            raise InputError(f"--{name} is given twice; picks are written under one.")


def _to_files(options: Options, frame: Frame) -> None:
    from slabkit.formats.picks.writing import companion_file, is_folder, planned_files, write_picks
    from slabkit.formats.registry import format_named, format_to_write

    to, out, index = options.to, options.out, options.reading.tomogram_index
    if options.plain and to is None and out == "-":
        to = "csv"
    chosen = format_to_write(out) if to is None else format_named(to, to_write=True)
    if options.plain and chosen.name != "csv":
        raise InputError(f"{out}: --plain is for CSV, and this is {chosen.name}; name it .csv.")
    folder = is_folder(out, chosen.name)
    beside = None if folder else companion_file(out, chosen.name)
    sources = _sources(options)
    with frame.work(
        "convert",
        Path(out) / "picks.star" if folder else out,
        inputs=[*_input_files(sources, options), *([index] if index else [])],
        parameters=parameters(options, "sources", "out", "to", "plain")
        | {"to": chosen.name}
        | ({"plain": True} if options.plain else {}),
        text_inputs=_input_texts(sources),
    ) as work:
        if work.finished:
            return
        if chosen.name == "native" and _are_many(sources, options) and _pool_many(work, options):
            return
        picks = _read(sources, options, base_written=bool(chosen.index_bases))
        if folder:
            work.check_free(planned_files(Path(out), picks, chosen.name))
        if beside is not None:
            work.check_free([beside])
        work.outputs += write_picks(
            out,
            picks,
            format=chosen.name,
            binning=options.reading.binning,
            centre=options.reading.centre,
            species=options.species,
            index_base=options.reading.index_base if chosen.index_bases else None,
            plain=options.plain,
        )
        work.summary.update(_summary(picks), to=chosen.name)


def _are_many(sources: Sequence[str | Source], options: Options) -> bool:
    """Tell whether slabkit's own lists, as they are, are to become one that memory may not hold."""
    from slabkit.formats.registry import fitting_formats
    from slabkit.formats.source import Source
    from slabkit.steps.shared.many_lists import are_large

    plain = Options((), "", to=options.to, check_bounds=options.check_bounds)
    if dataclasses.replace(options, sources=(), out="") != plain:
        return False
    paths = [source for source in sources if isinstance(source, str) and source != "-"]
    return (
        len(paths) == len(sources)
        and are_large(paths)
        and all(
            [one.name for one in fitting_formats(Source.load(path), "picks")] == ["native"]
            for path in paths
        )
    )


def _pool_many(work: Work, options: Options) -> bool:
    """Pool lists one at a time; False, and nothing is done, where picks are there twice."""
    import pandas as pd

    from slabkit.formats.picks.bounds import count_outside
    from slabkit.formats.picks.given import Context
    from slabkit.formats.picks.normalise import known_tomograms
    from slabkit.formats.picks.reading import read_picks
    from slabkit.formats.tables.atomic import write_pieces
    from slabkit.steps.shared.many_lists import survey, with_all_columns
    from slabkit.steps.shared.pick_lists import pick_list_text, pick_rows

    def read(number: int) -> PickList:
        return read_picks(options.sources[number], check_bounds=False)

    numbers = range(len(options.sources))
    found = survey(read, work.track(numbers, len(numbers), "lists"), empty_too=False)
    if not found.unique or not found.columns:
        return False
    where = ", ".join(options.sources[:3])
    tomograms = known_tomograms(found.names, found.tomograms, Context(), where)
    outside = 0

    def rows() -> Iterator[bytes]:
        nonlocal outside
        for number in work.track(numbers, len(numbers), "picks"):
            picks = read(number).picks
            if len(picks):
                outside += count_outside(picks, tomograms)
                yield from pick_rows(with_all_columns(picks, found))

    columns = pd.DataFrame(columns=list(found.columns))
    write_pieces(options.out, pick_list_text(tomograms, columns, rows()))
    count = sum(found.counts)
    if outside and options.check_bounds:
        warn(f"{where}: {outside} of {count} picks lie outside their tomograms; they are kept.")
    species = {name or "none": found.species[name] for name in sorted(found.species)}
    work.summary.update(
        picks=count, tomograms=len(found.names), outside=outside, species=species, to="native"
    )
    return True


def _to_project(options: Options, frame: Frame) -> None:
    """Write new picks files; the whole list and its record go to `record_folder` of the project."""
    from slabkit.formats.programs.copick.picks import escaped_name
    from slabkit.formats.programs.copick.writing import (
        plan_project_picks,
        require_new,
        write_project_picks,
    )
    from slabkit.formats.tables.native import write_picks
    from slabkit.formats.tomograms.copick_project import open_project
    from slabkit.formats.tomograms.names import is_reference

    if options.to not in (None, "copick"):
        raise InputError(
            f"{options.out}: is a copick project; --to {options.to} does not go with it."
        )
    if frame.overwrite:
        raise InputError(
            f"{options.out}: picks in a copick project are never replaced; leave --overwrite out "
            "and give another --session or --user."
        )
    sources = _sources(options)
    picks = _read(sources, options, base_written=False)
    project = open_project(options.out)
    user, session = (options.user or (_USER,))[0], (options.session or (_SESSION,))[0]
    species = sorted({escaped_name(name) for name in picks.picks["slabkitSpecies"] if name})
    name = "_".join([escaped_name(user), escaped_name(session), "+".join(species)[:120]])
    table = project.record_folder / f"{name}.star"
    files = plan_project_picks(project, picks, user, session)
    if not table.exists():
        require_new(project, files)
    work = frame.work(
        "convert",
        table,
        inputs=_input_files(sources, options),
        parameters=parameters(options, "sources", "out", "to", "plain"),
        text_inputs=_input_texts(sources),
        again="another --session or --user writes it anew",
    )
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(work)
        except OutputExistsError as error:
            raise OutputExistsError(
                f"{table}: other picks of these objects were written already under the user "
                f"{user} and the session {session}, and picks in a copick project are never "
                "replaced; give another --session or --user."
            ) from error
        if not work.finished:
            require_new(project, files)
            write_project_picks(files)
            write_picks(table, picks)
            work.outputs += [path for path in files if not is_reference(path)]
            work.summary.update(files=len(files), user=user, session=session)
            work.summary.update(_summary(picks), to="copick")
        elif project.overlay is None:  # outputs that a record cannot look after
            gone = sorted(set(files) - set(project.existing(files)))
            if gone:
                raise InputError(
                    f"{gone[0]}: was written earlier and is not there now; remove {table} to write "
                    "it again, or give another --session."
                )


def _sources(options: Options) -> list[str | Source]:
    """Give what is to be read: standard input read, a project's picks files in its place."""
    from slabkit.formats.source import Source
    from slabkit.formats.tomograms.copick_project import open_project
    from slabkit.formats.tomograms.names import is_project

    piped = Source.load("-") if "-" in options.sources else None
    found: list[str | Source] = []
    for path in options.sources:
        if is_project(path):
            project = open_project(path)
            found += project.picks(options.object, options.user, options.session)
        else:
            found.append(piped if piped is not None and path == "-" else path)
    return found


def _input_texts(sources: Sequence[str | Source]) -> dict[str, str]:
    """Give the inputs that are no files here: standard input, and picks that were fetched."""
    return {
        source.where: source.content
        for source in sources
        if not isinstance(source, str) and not Path(source.where).exists()
    }


def _input_files(sources: Sequence[str | Source], options: Options) -> list[str | Path]:
    from slabkit.formats.tomograms.listing import list_tomograms
    from slabkit.formats.tomograms.names import is_project

    texts, reading = _input_texts(sources), Reading(voxel_size=options.voxel_size)
    names = [source if isinstance(source, str) else source.where for source in sources]
    files: list[str | Path] = [name for name in names if name not in texts]
    for argument in options.tomograms:
        if Path(argument).suffix.lower() == ".star":
            files.append(Path(argument))
            continue
        kind = options.tomo_type if is_project(argument) else None
        found = list_tomograms([argument], reading=reading, tomo_type=kind)
        files += [ref.path for ref in found if ref.path]
    return files


def _read(sources: Sequence[str | Source], options: Options, base_written: bool) -> PickList:
    """Read the sources; where ``--index-base`` may be of the output alone, it is not of these."""
    from slabkit.formats.picks.reading import read_pick_list
    from slabkit.formats.tables.paths import with_paths_from_here

    reading = options.reading
    if base_written and reading.index_base is not None and not _have_base(sources, reading):
        reading = dataclasses.replace(reading, index_base=None)
    picks = read_pick_list(
        sources,
        reading,
        tomograms=options.tomograms,
        voxel_size=options.voxel_size,
        tomo_type=options.tomo_type,
        species=options.species,
        check_bounds=options.check_bounds,
    )
    if len(sources) == 1 and isinstance(sources[0], str):
        with_paths_from_here(picks.tomograms, sources[0])
    return picks


def _have_base(sources: Sequence[str | Source], reading: PickReading) -> bool:
    """Tell whether ``--index-base`` means something for all the sources."""
    from slabkit.formats.registry import detect_format, format_named
    from slabkit.formats.source import Source

    if reading.format is not None:
        return format_named(reading.format).index_bases
    if any(isinstance(source, str) and Path(source).is_dir() for source in sources):
        return False
    loaded = (s if isinstance(s, Source) else Source.load(s) for s in sources)
    return all(detect_format(source).index_bases for source in loaded)


def _summary(picks: PickList) -> dict[str, Any]:
    from slabkit.formats.picks.bounds import count_outside

    counts = picks.picks["slabkitSpecies"].value_counts(sort=False)
    return {
        "picks": len(picks.picks),
        "tomograms": picks.picks["slabkitTomogram"].nunique(),
        "outside": count_outside(picks.picks, picks.tomograms),
        "species": {name or "none": int(counts[name]) for name in sorted(counts.index)},
    }
