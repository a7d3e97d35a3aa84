"""What `slabkit convert` does with copick projects: their picks in, and new picks out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from slabkit.cli.options import common
from slabkit.errors import InputError, OutputExistsError
from slabkit.formats.tomograms.names import is_project

if TYPE_CHECKING:
    from slabkit.formats.source import Source
    from slabkit.formats.tables.native import PickList

_USER, _SESSION = "slabkit", "1"


def check_options(
    paths: Sequence[str], tomograms: Sequence[str], copick: Mapping[str, Any]
) -> None:
    """Refuse copick's options where no project is given, and what they cannot say.

    Parameters
    ----------
    paths : sequence of str
        The pick lists, the one to write last.
    tomograms : sequence of str
        Of ``--tomograms``.
    copick : mapping
        ``object``, ``user``, ``session``, ``tomo_type``.
    """
    given = [f"--{name}" for name in ("object", "user", "session") if copick[name]]
    into = is_project(paths[-1])
    projects = [path for path in paths if is_project(path)]
    if given and not projects:
        raise InputError(f"{given[0]} is for copick projects, given as copick:CONFIG.json.")
    if copick["tomo_type"] and not any(is_project(argument) for argument in tomograms):
        raise InputError(
            "--tomo-type is for tomograms of a copick project; give --tomograms "
            "copick:CONFIG.json too."
        )
    if not into:
        return
    if len(projects) > 1:
        raise InputError(
            "from one copick project to another: convert the first to a table, and that to the "
            "second, so that --user and --session say which picks are meant."
        )
    if copick["object"]:
        raise InputError("--object is for picks from a copick project; give --species NAME.")
    for name in ("user", "session"):
        if len(copick[name]) > 1:
            raise InputError(f"--{name} is given twice; picks are written under one.")


def with_project_files(sources: Sequence[str], copick: Mapping[str, Any]) -> list[str | Source]:
    """Put the picks files of a project in its place."""
    from slabkit.formats.tomograms.copick_project import open_project

    found: list[str | Source] = []
    for path in sources:
        if is_project(path):
            project = open_project(path)
            found += project.picks(copick["object"], copick["user"], copick["session"])
        else:
            found.append(path)
    return found


@contextlib.contextmanager
def writing(
    target: str,
    picks: PickList,
    copick: Mapping[str, Any],
    to: str | None,
    inputs: Sequence[object],
    parameters: Mapping[str, Any],
    frame: tuple[bool, bool, bool],
    piped: Source | None = None,
) -> Iterator[common.Step]:
    """Write picks to a project; the whole list and its record go to `record_folder` of it.

    Parameters
    ----------
    target : str
        ``copick:CONFIG.json``.
    picks : PickList
    copick : mapping
        ``user`` and ``session``, each a list of at most one.
    to : str or None
        Of ``--to``: nothing but ``copick`` will do.
    inputs, parameters
        For the record.
    frame : (bool, bool, bool)
        ``overwrite``, ``quiet``, ``json``.
    piped : Source, optional
        What came on standard input.

    Yields
    ------
    Step
    """
    from slabkit.formats.programs.copick.picks import escaped_name
    from slabkit.formats.programs.copick.writing import (
        plan_project_picks,
        require_new,
        write_project_picks,
    )
    from slabkit.formats.tables.native import write_picks
    from slabkit.formats.tomograms.copick_project import open_project
    from slabkit.formats.tomograms.names import is_reference

    overwrite, quiet, json_ = frame
    if to not in (None, "copick"):
        raise InputError(f"{target}: is a copick project; --to {to} does not go with it.")
    if overwrite:
        raise InputError(
            f"{target}: picks in a copick project are never replaced; leave --overwrite out and "
            "give another --session or --user."
        )
    project = open_project(target)
    user, session = (copick["user"] or [_USER])[0], (copick["session"] or [_SESSION])[0]
    species = sorted({escaped_name(name) for name in picks.picks["slabkitSpecies"] if name})
    name = "_".join([escaped_name(user), escaped_name(session), "+".join(species)[:120]])
    table = project.record_folder / f"{name}.star"
    files = plan_project_picks(project, picks, user, session)
    if not table.exists():
        require_new(project, files)
    with contextlib.ExitStack() as stack:
        step = common.Step(
            "convert",
            str(table),
            inputs=inputs,
            parameters=parameters,
            quiet=quiet,
            json_=json_,
            text_inputs={} if piped is None else {"-": piped.text},
            again="another --session or --user writes it anew",
        )
        try:
            stack.enter_context(step)
        except OutputExistsError as error:
            raise OutputExistsError(
                f"{table}: other picks of these objects were written already under the user "
                f"{user} and the session {session}, and picks in a copick project are never "
                "replaced; give another --session or --user."
            ) from error
        if not step.finished:
            require_new(project, files)
            write_project_picks(files)
            write_picks(table, picks)
            step.outputs += [path for path in files if not is_reference(path)]
            step.summary.update(files=len(files), user=user, session=session)
        elif project.overlay is None:  # outputs that a record cannot look after
            gone = sorted(set(files) - set(project.standing(files)))
            if gone:
                raise InputError(
                    f"{gone[0]}: was written earlier and is not there now; remove {table} to write "
                    "it again, or give another --session."
                )
        yield step
