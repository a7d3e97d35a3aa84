"""The formats slabkit knows.

To add one, write a module with a `slabkit.formats.file_format.FileFormat` and put that into the
list below, or call `add_format` from outside.
"""

from __future__ import annotations

import os

from slabkit.errors import FormatError, InputError
from slabkit.formats.file_format import FileFormat, Kind, never
from slabkit.formats.programs import (
    artiax,
    cryolo,
    csv_,
    deepfinder,
    dynamo,
    eman,
    imod,
    imod_model,
    motive_lists,
    native,
    ndjson,
    polnet,
    pytom,
    tomotwin,
    warp,
)
from slabkit.formats.programs.copick import picks as copick
from slabkit.formats.programs.cryosparc import results as cryosparc
from slabkit.formats.programs.relion import particles as relion
from slabkit.formats.programs.relion import picks2d as relion_picks2d
from slabkit.formats.programs.relion import results as relion_results
from slabkit.formats.programs.relion import subtomograms as relion_subtomograms
from slabkit.formats.programs.slabpick import picks as slabpick
from slabkit.formats.programs.topaz import picks2d as topaz
from slabkit.formats.source import Source
from slabkit.formats.tables.star import require_star_block

_FORMATS: list[FileFormat] = [
    native.FORMAT,
    csv_.FORMAT,
    ndjson.FORMAT,
    copick.FORMAT,
    relion.RELION5,
    relion.RELION4,
    relion.PICKER,
    relion_subtomograms.FORMAT,
    dynamo.FORMAT,
    motive_lists.STOPGAP,
    motive_lists.EM,
    eman.FORMAT,
    imod.FORMAT,
    imod_model.FORMAT,
    artiax.COORDS,
    artiax.TSV,
    tomotwin.FORMAT,
    cryolo.COORDS,
    cryolo.BOXES_3D,
    pytom.FORMAT,
    warp.FRACTIONS,
    warp.PIXELS,
    deepfinder.FORMAT,
    polnet.FORMAT,
    slabpick.FORMAT,
    relion_picks2d.PARTICLES,
    relion_picks2d.PER_MICROGRAPH,
    relion_picks2d.LIST,
    eman.BOX,
    eman.INFO,
    cryolo.BOXES_2D,
    cryosparc.DATASET,
    topaz.TABLE,
    relion_results.RESULTS,
    topaz.RESULTS,
    csv_.RESULTS,
]


# What tables of slabkit are that are no pick lists, by a column that only they have.
_TABLES = {
    "slabkitZStart": "is a table of slabs; find particles on them with slabkit pick, then run "
    "slabkit map.",
    "slabkitGallerySet": "is a table of minislabs; give the pick list that they were made of.",
    "slabkitDecision": "is a table of labels; slabkit curate puts them into the pick list.",
}


def add_format(file_format: FileFormat) -> None:
    """Add a format, or replace the one of that name that holds the same."""
    for index, known in enumerate(_FORMATS):
        if known.name == file_format.name and known.kinds & file_format.kinds:
            _FORMATS[index] = file_format
            return
    _FORMATS.append(file_format)


def formats_of(kind: Kind) -> list[FileFormat]:
    """Give the formats of 3D picks, 2D picks or results, in the order of the documentation."""
    return [known for known in _FORMATS if kind in known.kinds]


def self_describing_formats() -> list[FileFormat]:
    """Give the formats that say themselves what a file of theirs holds."""
    return [known for known in _FORMATS if known.describe is not None]


def written_formats() -> list[FileFormat]:
    """Give the formats of 3D picks that are written, not only read."""
    return [known for known in formats_of("picks") if known.write is not None]


def format_named(name: str, *, to_write: bool = False) -> FileFormat:
    """Give the format of 3D picks that ``--from`` and ``--to`` call so.

    Raises `InputError`: there is none, or it is only read and ``to_write``; lists those there are.
    """
    known = {entry.name: entry for entry in formats_of("picks")}
    listed = ", ".join(one.name for one in written_formats()) if to_write else ", ".join(known)
    if name not in known:
        raise InputError(f"there is no pick format {name!r}; there are {listed}.")
    if to_write and known[name].write is None:
        raise InputError(f"slabkit reads {name} but does not write it; it writes {listed}.")
    return known[name]


def detect_format(source: Source, kind: Kind = "picks") -> FileFormat:
    """Tell the format of a file by its head, once for each `Source`; ``kind``: what it is read as.

    Refused where none or several fit. A format that the file's name declares gives its own message
    later.
    """
    found = source.memo.get(kind)
    if not isinstance(found, FileFormat):
        found = source.memo[kind] = _detected(source, kind)
    return found


def fitting_formats(source: Source, kind: Kind) -> list[FileFormat]:
    """Give every format that a file may be of by its head."""
    text = (known for known in formats_of(kind) if not known.binary)
    return _binary(source, kind) or [known for known in text if known.sniff(source)]


def _binary(source: Source, kind: Kind) -> list[FileFormat]:
    return [known for known in formats_of(kind) if known.binary and known.sniff(source)][:1]


def _detected(source: Source, kind: Kind) -> FileFormat:
    if kind == "picks":
        binary = _binary(source, kind)
        if binary:
            return binary[0]
    if kind == "picks" and not source.is_star:
        _ = source.text  # says of some files that are no text what to do
    if kind == "results":  # what no program's format fits is a CSV that a person filled in
        return next(known for known in formats_of(kind) if known.sniff(source))
    fitting = fitting_formats(source, kind)
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(known.name for known in fitting or formats_of(kind))
    if fitting:
        settled = "say which with --from" if kind == "picks" else "2D picks of one kind are needed"
        raise FormatError(f"{source.where}: could be {names}; {settled}.")
    declared = _by_suffix(source.suffix) if kind == "picks" else None
    if declared is not None and (source.suffix != ".star" or source.empty):
        return declared
    if (said := _other_table(source, kind)) is not None:
        raise FormatError(f"{source.where}: {said}")
    if kind == "picks" or b"loop_" in source.data:
        require_star_block(source.text, source.where)
    if kind == "picks" and "rlnTomoImportParticleFile" in source.labels:
        raise FormatError(
            f"{source.where}: is a list of pick files (rlnTomoImportParticleFile); give those."
        )
    if kind == "picks":
        if "rlnTomoName" not in source.labels and any("Coordinate" in one for one in source.labels):
            raise FormatError(
                f"{source.where}: has no rlnTomoName, so nothing says in which tomogram its picks "
                "are; say what it is with --from, relion4 for instance, and give --tomogram NAME."
            )
        raise FormatError(
            f"{source.where}: is no pick list that can be told by its content; say what it is with "
            f"--from ({names})."
        )
    if source.keys:
        _ = source.json  # says where it is damaged
    titles = "; ".join(known.title for known in formats_of(kind))
    raise FormatError(
        f"{source.where}: holds no 2D picks that can be told by content or name; known are: "
        f"{titles}."
    )


def _other_table(source: Source, kind: Kind) -> str | None:
    """Say what a file of another step of the chain is, and what comes between."""
    if kind == "picks2d":
        named = _by_suffix(source.suffix)  # of formats that no content tells
        try:
            fitting = fitting_formats(source, "picks")
        except FormatError:  # no text: what else is said of it is truer
            return None
        if not fitting and (named is None or named.sniff is not never):
            return None
        return (
            "holds 3D picks; here 2D picks on slabs are needed, as slabkit pick finds them. To "
            f"look at 3D picks in their tomograms: slabkit view {source.where} -o page.html."
        )
    for label, said in _TABLES.items():
        if label in source.labels:
            return said
    if source.empty or "rlnCoordinateZ" in source.labels:
        return None
    if not fitting_formats(source, "picks2d"):
        return None
    return (
        "holds 2D picks, which have no z; run map first: "
        f"slabkit map {source.where} --slabs slabs/slabs.star -o picks.star; to look at them on "
        f"their slabs: slabkit inspect {source.where} --slabs slabs/slabs.star -o page.html."
    )


def folder_formats(chosen: FileFormat | None = None) -> dict[str, str]:
    """Give the globs of the formats that are read from folders too, or of the chosen one."""
    known = [chosen] if chosen is not None else formats_of("picks")
    return {entry.name: entry.folder_glob for entry in known if entry.folder_glob}


def format_to_write(target: str | os.PathLike[str]) -> FileFormat:
    """Tell the format of 3D picks that a file's name says; native for ``-``.

    Raises `InputError`: the suffix means no format.
    """
    if str(target) == "-":
        return format_named("native")
    found = _by_suffix(os.path.splitext(target)[1].lower())
    if found is None:
        known = written_formats()
        endings = ", ".join(f"{s} is {f.name}" for f in known for s in f.suffixes)
        raise InputError(
            f"{target}: its name does not say a pick format ({endings}); give --to "
            f"({', '.join(entry.name for entry in known)})."
        )
    return found


def format_table(kind: Kind = "picks") -> str:
    """Give the table of formats in the documentation, as Markdown."""
    if kind == "picks":
        columns = ["format", "what it is", "written for", "unit", "zero point", "index base"]
        columns.append("loses")
    else:
        columns = ["2D picks of", "what it is", "unit", "zero point", "index base"]
    rows = []
    for known in formats_of(kind):
        row = [f"`{known.name}`", known.title, known.unit, known.origin, known.index_base]
        if kind == "picks":
            row = [*row[:2], _written_for(known), *row[2:], known.lost]
        rows.append(row)
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _written_for(known: FileFormat) -> str:
    if known.write is None:
        return "(only read)"
    return ", ".join(f"`{suffix}`" for suffix in known.suffixes) or f"`--to {known.name}`"


def _by_suffix(suffix: str) -> FileFormat | None:
    return next((known for known in formats_of("picks") if suffix in known.suffixes), None)
