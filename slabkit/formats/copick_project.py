"""Projects of copick on this machine's disks: their tomograms and picks, read and written.

The layout is copick's own (https://github.com/copick/copick): a JSON file names an ``overlay_root``
(written to) and perhaps a ``static_root`` (read only), and below each stands
``ExperimentRuns/<run>/VoxelSpacing<Å>/<type>.zarr`` and
``ExperimentRuns/<run>/Picks/<user>_<session>_<object>.json``. Nothing here needs the package.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slabkit.errors import FormatError, InputError, SlabkitWarning
from slabkit.formats.paths import resolve_path
from slabkit.formats.pick_json import load_json
from slabkit.formats.pick_source import Source
from slabkit.formats.pick_values import check_names

PREFIX = "copick:"
_RUNS = "ExperimentRuns"
_SPACING = re.compile(r"VoxelSpacing(\d+(?:\.\d*)?)")
_LOCAL = re.compile(r"^(?:local|file):(?://)?")
_PROTOCOL = re.compile(r"^([a-z][a-z0-9+.-]*)(?:::|://)", re.IGNORECASE)
# Folders are named by the spacing rounded to 0.001 Å, and the spacing itself is often rounded.
_SAME_SPACING = 2e-3


@dataclass(frozen=True)
class ProjectTomogram:
    """One tomogram of a project.

    Parameters
    ----------
    run : str
        copick's word for what slabkit calls the tomogram's name.
    spacing : float
        Å per voxel as the folder's name says, perhaps rounded.
    kind : str
        What was done to it: ``wbp``, ``denoised``...
    path : Path
    """

    run: str
    spacing: float
    kind: str
    path: Path


@dataclass(frozen=True)
class CopickProject:
    """A project: where its parts are.

    Parameters
    ----------
    config : Path
        Its JSON file.
    overlay : Path or None
        Where picks are written; None: not on this machine.
    static : Path or None
        What is only read; None: there is none, or it is not on this machine.
    remote : str
        What of it is elsewhere, for messages; empty: nothing.
    objects : tuple of str
        Names of what can be picked.
    """

    config: Path
    overlay: Path | None
    static: Path | None
    remote: str
    objects: tuple[str, ...]

    @property
    def roots(self) -> list[Path]:
        """The folders to read, in copick's order."""
        return [root for root in (self.static, self.overlay) if root is not None]

    def runs(self) -> list[str]:
        """Give the names of the runs, sorted.

        Raises
        ------
        InputError
            A name cannot be used in tables.
        """
        found: set[str] = set()
        for root in self.roots:
            found.update(path.name for path in _entries(root / _RUNS) if path.is_dir())
        check_names(sorted(found), "run", str(self.config))
        return sorted(found)

    def tomograms(
        self, voxel_size: float | None = None, tomo_type: str | None = None
    ) -> list[ProjectTomogram]:
        """Choose one tomogram a run.

        Parameters
        ----------
        voxel_size : float, optional
            Å; needed where there are several.
        tomo_type : str, optional
            Needed where there are several.

        Returns
        -------
        list of ProjectTomogram
            Sorted by run.

        Raises
        ------
        InputError
            There is none, or it is not said which; lists what there is.

        Warns
        -----
        SlabkitWarning
            Names the runs that have none.
        """
        runs = self.runs()
        known = [tomogram for run in runs for tomogram in self._tomograms_of(run)]
        where = f"{PREFIX}{self.config}"
        if not known:
            raise InputError(f"{where}: has no tomogram on this machine{self._elsewhere()}.")
        listed = ", ".join(
            f"{kind} at {spacing:g} Å ({sum((t.kind, t.spacing) == (kind, spacing) for t in known)}"
            " runs)"
            for kind, spacing in sorted({(t.kind, t.spacing) for t in known})
        )
        chosen = known
        if voxel_size is not None:
            chosen = _nearest(
                [t for t in known if _same_spacing(t.spacing, voxel_size)], voxel_size
            )
        if tomo_type is not None:
            chosen = [t for t in chosen if t.kind == tomo_type]
        if not chosen:
            asked = " ".join(
                ([tomo_type] if tomo_type else [])
                + ([f"at {voxel_size:g} Å"] if voxel_size is not None else [])
            )
            raise InputError(f"{where}: has no tomogram {asked}; there are {listed}.")
        options = []
        if voxel_size is None and len({t.spacing for t in chosen}) > 1:
            options.append("--voxel-size")
        if len({t.kind for t in chosen}) > 1:
            options.append("--tomo-type")
        if options:
            raise InputError(f"{where}: has {listed}; say which with {' and '.join(options)}.")
        without = sorted(set(runs) - {t.run for t in chosen})
        if without:
            _warn(
                f"{where}: {len(without)} of {len(runs)} runs have no tomogram "
                f"{chosen[0].kind} at {chosen[0].spacing:g} Å and are left out: "
                f"{_some(without)}."
            )
        return chosen

    def _tomograms_of(self, run: str) -> list[ProjectTomogram]:
        found: dict[tuple[float, str], ProjectTomogram] = {}
        for root in self.roots:
            for folder in _entries(root / _RUNS / run):
                match = _SPACING.fullmatch(folder.name)
                if match is None:
                    continue
                for path in _entries(folder):
                    kind = path.name.removesuffix(".zarr")
                    # copick keeps features of a tomogram beside it.
                    if kind == path.name or "features" in kind or not path.is_dir():
                        continue
                    key = (float(match[1]), kind)
                    if key in found:
                        _warn(f"{path}: {found[key].path} is of the same run and used instead.")
                    else:
                        found[key] = ProjectTomogram(run, *key, path)
        return list(found.values())

    def picks(
        self,
        objects: Collection[str] = (),
        users: Collection[str] = (),
        sessions: Collection[str] = (),
    ) -> list[Source]:
        """Read picks files.

        Parameters
        ----------
        objects, users, sessions : collection of str, optional
            Only these; empty: all.

        Returns
        -------
        list of Source
            Sorted by run, then file name; each knows its run.

        Raises
        ------
        InputError
            There is none, or a name is not of copick's form; lists what there is.

        Warns
        -----
        SlabkitWarning
            A part of the project is elsewhere.
        """
        where = f"{PREFIX}{self.config}"
        files: list[tuple[str, Path]] = []
        for run in self.runs():
            for root in self.roots:
                files += [
                    (run, path)
                    for path in _entries(root / _RUNS / run / "Picks")
                    if path.suffix == ".json"
                ]
        names = [_parts(path) for _, path in files]
        chosen = [
            file
            for file, (user, session, name) in zip(files, names, strict=True)
            if (not objects or name in objects)
            and (not users or user in users)
            and (not sessions or session in sessions)
        ]
        if self.remote:
            _warn(f"{where}: {self.remote}, which is not read; only picks on this machine are.")
        if not chosen:
            there = sorted(
                {f"{name} by {user}, session {session}" for user, session, name in names}
            )
            raise InputError(
                f"{where}: has no such picks; there are {_some(there) or 'none at all'}"
                f"{'' if there else self._elsewhere()}."
            )
        sources: dict[tuple[str, bytes], Source] = {}
        for run, path in sorted(chosen, key=lambda file: (file[0], file[1].name)):
            source = Source.load(path, run)
            # The same file in the static root and in the overlay is one.
            sources.setdefault((f"{run}/{path.name}", source.data), source)
        return list(sources.values())

    @property
    def written_root(self) -> Path:
        """The folder that is written to.

        Raises
        ------
        InputError
            The overlay is not on this machine.
        """
        if self.overlay is None:
            raise InputError(
                f"{PREFIX}{self.config}: {self.remote}, and slabkit writes to this machine's disks "
                "only; write a folder (--to copick) and copy it there."
            )
        return self.overlay

    def picks_path(self, run: str, user: str, session: str, name: str) -> Path:
        """Give the path of a picks file to be written; names as copick allows them."""
        return self.written_root / _RUNS / run / "Picks" / f"{user}_{session}_{name}.json"

    def standing(self, paths: Iterable[Path]) -> list[Path]:
        """Give those picks files that are there already, in any of the roots."""
        found = []
        for path in paths:
            run, name = path.parent.parent.name, path.name
            places = [root / _RUNS / run / "Picks" / name for root in self.roots]
            found += [place for place in places if os.path.lexists(place)]
        return found

    def _elsewhere(self) -> str:
        if not self.remote:
            return f" ({', '.join(str(root / _RUNS) for root in self.roots)})"
        return (
            f": {self.remote}; copy what is needed to this machine with copick's own tools, or "
            "give the tomograms' own files"
        )


def is_project(argument: str | os.PathLike[str]) -> bool:
    """Tell whether an argument means a copick project: ``copick:CONFIG.json``."""
    return os.fspath(argument).startswith(PREFIX)


def open_project(argument: str | os.PathLike[str]) -> CopickProject:
    """Read a project's JSON file.

    Parameters
    ----------
    argument : str or path-like
        With or without ``copick:`` before the path.

    Returns
    -------
    CopickProject

    Raises
    ------
    InputError
        It cannot be read.
    FormatError
        It is not a copick configuration.
    """
    path = Path(os.fspath(argument).removeprefix(PREFIX))
    where = f"{PREFIX}{path}"
    if path.is_dir():
        raise InputError(f"{where}: is a folder; give the project's JSON file.")
    content = load_json(Source.load(path).text, where)
    if not isinstance(content, dict) or not isinstance(content.get("overlay_root"), str):
        raise FormatError(f"{where}: is not the JSON file of a copick project: no overlay_root.")
    kind = content.get("config_type", "filesystem")
    overlay = _local(content["overlay_root"], path)
    static, remote = None, "" if overlay else f"its overlay_root is {content['overlay_root']}"
    if kind != "filesystem":
        remote = remote or f"it is of the type {kind}"
    elif content.get("static_root") is not None:
        if not isinstance(content["static_root"], str):
            raise FormatError(f"{where}: static_root is no text.")
        static = _local(content["static_root"], path)
        if static is None:
            remote = remote or f"its static_root is {content['static_root']}"
        elif overlay is not None and os.path.realpath(static) == os.path.realpath(overlay):
            static = None
    return CopickProject(path, overlay, static, remote, _objects(content, where))


def _same_spacing(spacing: float, wanted: float) -> bool:
    return abs(spacing - wanted) <= _SAME_SPACING * max(spacing, wanted)


def _nearest(tomograms: Iterable[ProjectTomogram], wanted: float) -> list[ProjectTomogram]:
    found: dict[tuple[str, str], ProjectTomogram] = {}
    for tomogram in sorted(tomograms, key=lambda t: (abs(t.spacing - wanted), t.spacing)):
        found.setdefault((tomogram.run, tomogram.kind), tomogram)
    return sorted(found.values(), key=lambda t: (t.run, t.kind))


def _objects(content: dict[str, Any], where: str) -> tuple[str, ...]:
    listed = content.get("pickable_objects", [])
    if not isinstance(listed, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get("name"), str) for entry in listed
    ):
        raise FormatError(f"{where}: pickable_objects is no list of objects with names.")
    return tuple(entry["name"] for entry in listed)


def _local(root: str, config: Path) -> Path | None:
    """Give the folder of a root, or None where it is not on this machine."""
    written = _LOCAL.sub("", root)
    if written == root and _PROTOCOL.match(root):
        return None
    # As copick does: relative to the working directory; else to the project's file.
    return resolve_path(os.path.expanduser(written.rstrip("/") or "/"), config)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror}).") from error


def _parts(path: Path) -> tuple[str, str, str]:
    parts = path.stem.split("_")
    if len(parts) != 3:
        raise InputError(
            f"{path}: is not named USER_SESSION_OBJECT.json, as copick names its picks files; "
            "rename or remove it."
        )
    return parts[0], parts[1], parts[2]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _warn(text: str) -> None:
    warnings.warn(text, SlabkitWarning, stacklevel=4)
