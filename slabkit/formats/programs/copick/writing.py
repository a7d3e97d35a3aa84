"""Picks into a copick project: new files only, under a user and a session."""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from slabkit.errors import InputError, OutputExistsError, warn, write_error
from slabkit.formats.picks.given import Context
from slabkit.formats.programs.copick import picks as pick_copick
from slabkit.formats.tables.native import PickList, check_pick_list
from slabkit.formats.tomograms.copick_project import CopickProject
from slabkit.formats.tomograms.names import PREFIX, is_reference
from slabkit.names import composed


def plan_project_picks(
    project: CopickProject, picks: PickList, user: str, session: str
) -> dict[Path, str]:
    """Make the picks files of a list, one a run and object; nothing is written or looked up.

    Each pick has a species, which is copick's object; columns ``instance_id`` and
    ``slabkitRotation`` are carried over, and every other one in keys that copick ignores.

    Returns
    -------
    dict of Path to str
        Path (where the overlay is elsewhere: a reference, see `make_reference` of
        `slabkit.formats.tomograms.names`) and content.

    Raises
    ------
    InputError
        A run or an object is not of the project, a pick has no species, or two names become one.

    Warns
    -----
    SlabkitWarning
        A name was written differently, because copick does not allow it.
    """
    picks = check_pick_list(picks)
    user, session = pick_copick.safe_name(user), pick_copick.safe_name(session)
    where = f"{PREFIX}{project.config}"
    picks = _named_as_runs(project, picks, where)
    table = picks.picks.assign(user_id=user, session_id=session)
    files: dict[Path, str] = {}
    context = Context(picks.tomograms)
    for (run, species), rows in table.groupby(["slabkitTomogram", "slabkitSpecies"], sort=True):
        text = pick_copick.write(PickList(rows.reset_index(drop=True), picks.tomograms), context)
        name = pick_copick.escaped_name(species)
        if name not in project.objects:
            close = difflib.get_close_matches(name, project.objects, n=3, cutoff=0.0)
            raise InputError(
                f"{where}: has no object {name} (closest: {', '.join(close) or 'none'}); add it to "
                "pickable_objects there, or give --species NAME."
            )
        path = project.picks_path(str(run), user, session, name)
        if path in files:
            raise InputError(f"{path}: two species have this name in copick; rename one.")
        files[path] = text
    return files


def require_new(project: CopickProject, files: Iterable[Path]) -> None:
    """Refuse picks files that are there already, in any root of the project.

    Raises `OutputExistsError`: they are never replaced.
    """
    there = project.existing(files)
    if there:
        raise _refusal(there[0], len(there))


def write_project_picks(files: Mapping[Path, str]) -> None:
    """Write what `plan_project_picks` made; all of it or nothing.

    Raises `OutputExistsError` where a file has come there meanwhile.
    """
    from slabkit.formats.tomograms import copick_remote

    written: list[Path] = []
    try:
        for path, text in files.items():
            if is_reference(path):
                copick_remote.write_remote_picks(path, text)
            else:
                _write_new(path, text)
            written.append(path)
    except BaseException:
        for path in written:
            if is_reference(path):
                copick_remote.remove_remote_picks(path)
            else:
                path.unlink(missing_ok=True)
        raise


def _named_as_runs(project: CopickProject, picks: PickList, where: str) -> PickList:
    """Refuse tomograms that are no runs, and spell the others as the runs' folders are."""
    if not project.runs_known:
        warn(
            f"{where}: {project.remote}, and without the copick package (pip install "
            "'slabkit-cryoet[copick]') it is not known whether it has these runs and picks."
        )
        return picks
    runs = project.runs()
    spelled = {composed(run): run for run in runs}
    names = {name: spelled.get(composed(name), name) for name in picks.picks["slabkitTomogram"]}
    unknown = sorted(set(names.values()) - set(runs))
    if unknown:
        close = difflib.get_close_matches(unknown[0], runs, n=3, cutoff=0.0)
        more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        raise InputError(
            f"{where}: has no run {unknown[0]}{more} among its {len(runs)}; closest: "
            f"{', '.join(close) or 'none'}."
        )
    table, tomograms = (
        part.assign(slabkitTomogram=[names.get(name, name) for name in part["slabkitTomogram"]])
        for part in (picks.picks, picks.tomograms)
    )
    return PickList(table, tomograms)


def _write_new(path: Path, text: str) -> None:
    # A link is made only where nothing is, so that no program's picks are ever replaced, and the
    # file under its final name is whole.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # a disk without links
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
    except FileExistsError as error:
        raise _refusal(path, 1) from error
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _refusal(path: Path, count: int) -> OutputExistsError:
    more = f" (and {count - 1} more)" if count > 1 else ""
    return OutputExistsError(
        f"{path}: exists already{more}, and picks in a copick project are never replaced; give "
        "another --session or --user."
    )
