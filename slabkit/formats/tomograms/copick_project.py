"""Projects of copick: their tomograms and picks, read and written.

The layout is copick's own (https://github.com/copick/copick): a JSON file names an ``overlay_root``
(written to) and perhaps a ``static_root`` (read only), and below each are
``ExperimentRuns/<run>/VoxelSpacing<Å>/<type>.zarr`` and
``ExperimentRuns/<run>/Picks/<user>_<session>_<object>.json``. The package is needed only for roots
that are not on this machine's disks.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slabkit.errors import FormatError, InputError, warn
from slabkit.formats.programs.shared.json_values import load_json
from slabkit.formats.programs.shared.values import check_names
from slabkit.formats.source import Source
from slabkit.formats.tables.paths import resolve_path
from slabkit.formats.tomograms.names import PREFIX, RUNS
from slabkit.tomogram import TomogramRef

if TYPE_CHECKING:
    from slabkit.formats.tomograms.copick_remote import RemotePart

_SPACING = re.compile(r"VoxelSpacing(\d+(?:\.\d*)?)")
_LOCAL = re.compile(r"^(?:local|file):(?://)?")
_PROTOCOL = re.compile(r"^([a-z][a-z0-9+.-]*)(?:::|://)", re.IGNORECASE)
# Folders are named by the spacing rounded to 0.001 Å, and the spacing itself is often rounded.
_SAME_SPACING = 2e-3


TypedTomogram = tuple[str, float, TomogramRef]
"""What was done to it (``wbp``, ``denoised``...), Å per voxel as its folder says, the tomogram."""


class LocalPart:
    """A root on this machine's disks, for which the copick package is not needed."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def runs(self) -> set[str]:
        """Give the names of the runs."""
        return {path.name for path in _entries(self.root / RUNS) if path.is_dir()}

    def tomograms(self, run: str) -> list[TypedTomogram]:
        """Give the tomograms of a run, by spacing and kind."""
        found: list[TypedTomogram] = []
        for folder in _entries(self.root / RUNS / run):
            match = _SPACING.fullmatch(folder.name)
            if match is None:
                continue
            for path in _entries(folder):
                kind = path.name.removesuffix(".zarr")
                # copick keeps features of a tomogram beside it.
                if kind != path.name and "features" not in kind and path.is_dir():
                    spacing = float(match[1])
                    found.append((kind, spacing, TomogramRef(run, path, spacing)))
        return found

    def picks(self, run: str) -> list[Path]:
        """Give the picks files of a run, by name."""
        found = _entries(self.root / RUNS / run / "Picks")
        return [path for path in found if path.suffix == ".json"]

    def load(self, path: Path, run: str) -> Source:
        """Read a picks file."""
        return Source.load(path, run)

    def picks_path(self, run: str, file_name: str) -> Path:
        """Give the path that a picks file has or would have."""
        return self.root / RUNS / run / "Picks" / file_name

    def existing(self, run: str, file_name: str) -> bool:
        """Tell whether there is such a picks file."""
        return os.path.lexists(self.picks_path(run, file_name))


@dataclass(frozen=True)
class CopickProject:
    """A project: its JSON file, and where its parts are.

    Picks are written to ``overlay``, ``static`` is only read; None: not on this machine, or not
    there. ``elsewhere`` names those of them that are elsewhere, and ``remote`` says so in messages.
    ``objects`` are the names of what can be picked.
    """

    config: Path
    overlay: Path | None
    static: Path | None
    remote: str
    elsewhere: tuple[str, ...]
    objects: tuple[str, ...]

    @cached_property
    def parts(self) -> list[LocalPart | RemotePart]:
        """The roots to read, in copick's order: the static one, then the overlay.

        Raises `MissingDependencyError` where one is elsewhere and the copick package is missing.
        """
        found: list[LocalPart | RemotePart] = []
        project = None
        for name, root in (("static", self.static), ("overlay", self.overlay)):
            if name in self.elsewhere:
                from slabkit.formats.tomograms.copick_remote import RemotePart, open_remote

                project = project or open_remote(self.config, self.remote)
                found.append(RemotePart(project, self.config, name == "static"))
            elif root is not None:
                found.append(LocalPart(root))
        return found

    def runs(self) -> list[str]:
        """Give the names of the runs, sorted, that can be used in tables."""
        found = set().union(*(part.runs() for part in self.parts))
        check_names(sorted(found), "run", str(self.config))
        return sorted(found)

    def tomograms(
        self, voxel_size: float | None = None, tomo_type: str | None = None
    ) -> list[TomogramRef]:
        """Choose one tomogram a run, sorted by run; refused where it is not said which.

        The voxel size is in Å; it and ``tomo_type`` are needed where there are several.
        """
        runs = self.runs()
        known = [one for run in runs for one in self._tomograms_of(run)]
        where = f"{PREFIX}{self.config}"
        if not known:
            raise InputError(f"{where}: has no tomogram{self._searched()}.")
        counts = Counter((kind, spacing) for kind, spacing, _ in known)
        listed = ", ".join(
            f"{kind} at {spacing:g} Å ({count} runs)"
            for (kind, spacing), count in sorted(counts.items())
        )
        chosen = known if voxel_size is None else _nearest(known, voxel_size)
        if tomo_type is not None:
            chosen = [one for one in chosen if one[0] == tomo_type]
        if not chosen:
            asked = [tomo_type] if tomo_type else []
            asked += [f"at {voxel_size:g} Å"] if voxel_size is not None else []
            raise InputError(f"{where}: has no tomogram {' '.join(asked)}; there are {listed}.")
        options = []
        if voxel_size is None and len({spacing for _, spacing, _ in chosen}) > 1:
            options.append("--voxel-size")
        if len({kind for kind, _, _ in chosen}) > 1:
            options.append("--tomo-type")
        if options:
            raise InputError(f"{where}: has {listed}; say which with {' and '.join(options)}.")
        found = [ref for _, _, ref in chosen]
        without = sorted(set(runs) - {ref.name for ref in found})
        if without:
            kind, spacing, _ = chosen[0]
            warn(
                f"{where}: {len(without)} of {len(runs)} runs have no tomogram {kind} at "
                f"{spacing:g} Å and are left out: {_some(without)}."
            )
        return found

    def _tomograms_of(self, run: str) -> list[TypedTomogram]:
        """Give one tomogram of a kind and spacing: the first, as copick does."""
        first: dict[tuple[str, float], TypedTomogram] = {}
        for one in [one for part in self.parts for one in part.tomograms(run)]:
            other = first.setdefault(one[:2], one)
            if other is not one:
                warn(f"{one[2].path}: {other[2].path} is of the same run and used instead.")
        return list(first.values())

    def picks(
        self,
        objects: Collection[str] = (),
        users: Collection[str] = (),
        sessions: Collection[str] = (),
    ) -> list[Source]:
        """Read picks files, sorted by run and file name; each knows its run.

        Only those of the objects, users and sessions named; empty: all.
        """
        where = f"{PREFIX}{self.config}"
        files = [
            (run, path, part)
            for run in self.runs()
            for part in self.parts
            for path in part.picks(run)
        ]
        names = [_picks_parts(path) for _, path, _ in files]
        chosen = [
            file
            for file, (user, session, name) in zip(files, names, strict=True)
            if (not objects or name in objects)
            and (not users or user in users)
            and (not sessions or session in sessions)
        ]
        if not chosen:
            there = sorted(
                {f"{name} by {user}, session {session}" for user, session, name in names}
            )
            raise InputError(
                f"{where}: has no such picks; there are {_some(there) or 'none at all'}"
                f"{'' if there else self._searched()}."
            )
        sources: dict[tuple[str, bytes], Source] = {}
        for run, path, part in sorted(chosen, key=lambda file: (file[0], file[1].name)):
            source = part.load(path, run)
            # The same file in the static root and in the overlay is one.
            sources.setdefault((f"{run}/{path.name}", source.data), source)
        return list(sources.values())

    @property
    def record_folder(self) -> Path:
        """Where lists written to the project are kept, with their records; on this machine."""
        if self.overlay is not None:
            return self.overlay / "slabkit"
        return self.config.parent / f"{self.config.stem}-slabkit"

    @property
    def runs_known(self) -> bool:
        """Whether all of the project can be looked through; else picks can but go to the overlay.

        Only a static root that is elsewhere, without the copick package, cannot.
        """
        from slabkit.formats.tomograms.copick_remote import has_copick

        return self.elsewhere != ("static",) or has_copick()

    def picks_path(self, run: str, user: str, session: str, name: str) -> Path:
        """Give the path of a picks file to be written; names as copick allows them."""
        file_name = f"{user}_{session}_{name}.json"
        return self._overlay_part().picks_path(run, file_name)

    def _overlay_part(self) -> LocalPart | RemotePart:
        return LocalPart(self.overlay) if self.overlay is not None else self.parts[-1]

    def existing(self, paths: Iterable[Path]) -> list[Path]:
        """Give those picks files that are there already, in any of the roots."""
        parts = self.parts if self.runs_known else [self._overlay_part()]
        return [
            part.picks_path(path.parent.parent.name, path.name)
            for path in paths
            for part in parts
            if part.existing(path.parent.parent.name, path.name)
        ]

    def _searched(self) -> str:
        places = [str(part.root / RUNS) for part in self.parts if isinstance(part, LocalPart)]
        return f" ({', '.join(places + [self.remote] * bool(self.remote))})"


def open_project(argument: str | os.PathLike[str]) -> CopickProject:
    """Read a project's JSON file, named with or without ``copick:`` before it."""
    path = Path(os.fspath(argument).removeprefix(PREFIX))
    where = f"{PREFIX}{path}"
    if os.path.isdir(path):
        raise InputError(f"{where}: is a folder; give the project's JSON file.")
    content = load_json(Source.load(path).text, where)
    if not isinstance(content, dict) or not isinstance(content.get("overlay_root"), str):
        raise FormatError(f"{where}: is not the JSON file of a copick project: no overlay_root.")
    kind = content.get("config_type", "filesystem")
    overlay = _local(content["overlay_root"], path)
    elsewhere = [] if overlay else ["overlay"]
    remote = [] if overlay else [f"its overlay_root is {content['overlay_root']}"]
    static = None
    if kind != "filesystem":
        elsewhere.insert(0, "static")
        remote.insert(0, f"it is of the type {kind}")
    elif content.get("static_root") is not None:
        if not isinstance(content["static_root"], str):
            raise FormatError(f"{where}: static_root is no text.")
        static = _local(content["static_root"], path)
        if static is None and content["static_root"] != content["overlay_root"]:
            elsewhere.insert(0, "static")
            remote.insert(0, f"its static_root is {content['static_root']}")
        elif static is not None and overlay is not None and _same_folder(static, overlay):
            static = None
    return CopickProject(
        path, overlay, static, " and ".join(remote), tuple(elsewhere), _objects(content, where)
    )


def _picks_parts(path: Path) -> tuple[str, str, str]:
    """Give user, session and object, as the name of a picks file has them."""
    parts = path.stem.split("_")
    if len(parts) != 3:
        raise InputError(
            f"{path}: is not named USER_SESSION_OBJECT.json, as copick names its picks files; "
            "rename or remove it."
        )
    return parts[0], parts[1], parts[2]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror}).") from error


def _same_folder(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _nearest(known: list[TypedTomogram], wanted: float) -> list[TypedTomogram]:
    """Give, of each run and kind, the tomogram whose spacing is the one wanted, or nearly."""
    nearest: dict[tuple[str, str], TypedTomogram] = {}
    for one in sorted(known, key=lambda one: (abs(one[1] - wanted), one[1])):
        if abs(one[1] - wanted) <= _SAME_SPACING * max(one[1], wanted):
            nearest.setdefault((one[2].name, one[0]), one)
    return [nearest[key] for key in sorted(nearest)]


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


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
