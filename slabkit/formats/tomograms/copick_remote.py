"""Roots of copick projects that are elsewhere (S3, SSH, HTTP, the portal), through copick itself.

The package says what there is and opens the connection; files are then read byte by byte as they
are, so that nothing of what slabkit keeps in picks files is lost. slabkit reads them without
copick's own Zarr store, which takes a failed connection for an empty chunk.
"""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slabkit.errors import InputError, MissingDependencyError, OutputExistsError, SlabkitError
from slabkit.formats.source import Source
from slabkit.formats.tomograms.names import PREFIX, RUNS, make_reference, split_reference
from slabkit.tomogram import TomogramRef

_EXTRA = "pip install 'slabkit-cryoet[copick]'"
_METADATA_FILES = (".zattrs", ".zarray", ".zgroup", "zarr.json")
# The project as copick has it, by its JSON file: opened when its parts are listed.
_OPEN: dict[str, Any] = {}


class RemotePart:
    """A root that is elsewhere, of a project as `open_remote` gives it; ``static``: only read."""

    def __init__(self, project: Any, config: Path, static: bool) -> None:
        self.config = config
        self.static = static
        self.where = f"{PREFIX}{config}"
        self._project = project

    def runs(self) -> set[str]:
        """Give the names of the runs, of both roots."""
        with _asking(self.where):
            return {run.name for run in self._project.runs}

    def tomograms(self, run: str) -> list[tuple[str, float, TomogramRef]]:
        """Give the tomograms of a run, by spacing and kind, as `LocalPart.tomograms`."""
        found = []
        with _asking(self.where):
            for spacing in self._run(run).voxel_spacings:
                folder = f"{RUNS}/{run}/VoxelSpacing{spacing.voxel_size:.3f}"
                for tomogram in spacing.tomograms:
                    if bool(tomogram.read_only) == self.static:
                        kind, edge = tomogram.tomo_type, float(spacing.voxel_size)
                        path = make_reference(self.config, f"{folder}/{kind}.zarr")
                        found.append((kind, edge, TomogramRef(run, path, edge)))
        return sorted(found, key=lambda one: (one[1], one[0]))

    def picks(self, run: str) -> list[Path]:
        """Give the picks files of a run, by name."""
        with _asking(f"{self.where}, run {run}"):
            self._run(run).refresh_picks()
            names = {_file_name(picks) for picks in self._picks(run)}
        return [self.picks_path(run, name) for name in sorted(names)]

    def load(self, path: Path, run: str) -> Source:
        """Read a picks file; of picks that are none (the portal's), make one."""
        with _asking(str(path)):
            for picks in self._picks(run):
                if _file_name(picks) != path.name:
                    continue
                if str(picks.path).endswith(path.name):
                    return Source(str(path), bytes(picks.fs.cat_file(picks.path)), run)
                picks.load()
                content = {
                    "pickable_object_name": picks.pickable_object_name,
                    "user_id": picks.user_id,
                    "session_id": picks.session_id,
                    "run_name": run,
                    "unit": "angstrom",
                    "points": [point.model_dump() for point in picks.points],
                }
                return Source(str(path), json.dumps(content).encode(), run)
        raise InputError(f"{path}: is not there any more.")

    def picks_path(self, run: str, file_name: str) -> Path:
        """Give the path that a picks file has or would have."""
        return make_reference(self.config, f"{RUNS}/{run}/Picks/{file_name}")

    def existing(self, run: str, file_name: str) -> bool:
        """Tell whether there is such a picks file."""
        with _asking(f"{self.where}, run {run}"):
            if self.static:
                return any(_file_name(picks) == file_name for picks in self._picks(run))
            files, path = _picks_file(self._project, run, file_name)
            files.invalidate_cache()
            return bool(files.exists(path))

    def _run(self, name: str) -> Any:
        run = self._project.get_run(name)
        if run is None:
            raise InputError(f"{self.where}: has no run {name}.")
        return run

    def _picks(self, run: str) -> list[Any]:
        return [p for p in self._run(run).picks if bool(p.read_only) == self.static]


class RemoteFolder:
    """A folder in a remote root: as much of `pathlib.Path` as OME-Zarr is read with.

    ``files`` is the fsspec file system in which ``path`` is; messages begin with ``where``.
    """

    def __init__(self, where: str, files: Any, path: str) -> None:
        self.where = where
        self.files = files
        self.path = path
        self._sizes: dict[str, int] | None = None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rstrip("/").rsplit("/", 1)[-1]

    def __truediv__(self, name: str) -> RemoteFolder:
        """Give a file or folder below."""
        return RemoteFolder(self.where, self.files, f"{self.path}/{name}")

    def exists(self) -> bool:
        """Tell whether there is a file of this path."""
        with _asking(self.where):
            return bool(self.files.exists(self.path))

    def read_text(self, encoding: str) -> str:
        """Read a file."""
        with _asking(self.where):
            data = bytes(self.files.cat_file(self.path))
        return data.decode(encoding)

    def sizes(self) -> dict[str, int]:
        """Give the bytes of every file below, by path from here; 0 where they are not said."""
        if self._sizes is None:
            with _asking(self.where):
                found = self.files.find(self.path, detail=True)
            base = str(self.files._strip_protocol(self.path)).rstrip("/") + "/"
            self._sizes = {
                str(path).removeprefix(base): int(entry.get("size") or 0)
                for path, entry in found.items()
            }
        return self._sizes

    def open_array(self) -> Any:
        """Open the Zarr array here; a chunk that cannot be fetched is an error, never empty."""
        import zarr

        if int(zarr.__version__.split(".")[0]) >= 3:
            return zarr.open_array(self.files.get_mapper(self.path), mode="r")
        store = zarr.storage.FSStore(
            self.path, fs=self.files, mode="r", exceptions=(KeyError, FileNotFoundError)
        )
        return zarr.open_array(store, mode="r")


def remote_folder(reference: str | os.PathLike[str]) -> RemoteFolder:
    """Open the folder of a tomogram that a reference (`slabkit.formats.tomograms.names`) names."""
    config, inner = split_reference(reference)
    _, run_name, folder, file_name = inner.split("/")
    where = os.fspath(reference)
    project = _OPEN.get(os.path.abspath(config)) or open_remote(config)
    with _asking(where):
        run = project.get_run(run_name)
        for spacing in run.voxel_spacings if run is not None else ():
            if f"VoxelSpacing{spacing.voxel_size:.3f}" != folder:
                continue
            # Where both roots have it, the static one's is meant, as in lists.
            for tomogram in sorted(spacing.tomograms, key=lambda one: not one.read_only):
                if f"{tomogram.tomo_type}.zarr" == file_name:
                    if tomogram.read_only:
                        return RemoteFolder(where, tomogram.fs_static, tomogram.static_path)
                    return RemoteFolder(where, tomogram.fs_overlay, tomogram.overlay_path)
    raise InputError(f"{where}: there is no such tomogram in the project.")


def hash_remote_folder(reference: str | os.PathLike[str], digest: Any) -> int:
    """Hash a tomogram's metadata files and the names and sizes of all its files; give the bytes."""
    folder = remote_folder(reference)
    sizes = folder.sizes()
    for name in sorted(sizes):
        digest.update(f"{name}\0{sizes[name]}\0".encode())
        if name.rsplit("/", 1)[-1] in _METADATA_FILES:
            digest.update((folder / name).read_text("utf-8").encode())
    return sum(sizes.values())


def write_remote_picks(reference: Path, text: str) -> None:
    """Write a new picks file to the overlay root; one that is there is never replaced."""
    config, inner = split_reference(reference)
    _, run, _, file_name = inner.split("/")
    project = _OPEN.get(os.path.abspath(config)) or open_remote(config)
    data = text.encode()
    try:
        files, path = _picks_file(project, run, file_name)
        files.invalidate_cache()
        if files.exists(path):
            raise FileExistsError(path)
        files.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        files.pipe_file(path, data)
        files.invalidate_cache()
        if bytes(files.cat_file(path)) != data:
            raise OSError("what is there is not what was written")
    except FileExistsError as error:
        raise OutputExistsError(
            f"{reference}: exists already, and picks in a copick project are never replaced; give "
            "another --session or --user."
        ) from error
    except Exception as error:  # each kind of root raises its own
        said = str(error) or type(error).__name__
        raise SlabkitError(f"{reference}: cannot be written ({said}).") from error


def remove_remote_picks(reference: Path) -> None:
    """Take back a picks file just written, where that can be done."""
    config, inner = split_reference(reference)
    _, run, _, file_name = inner.split("/")
    with contextlib.suppress(Exception):
        files, path = _picks_file(open_remote(config), run, file_name)
        files.rm_file(path)


def has_copick() -> bool:
    """Tell whether the copick package is installed."""
    import importlib.util

    return importlib.util.find_spec("copick") is not None


def open_remote(config: Path, what: str = "a part of it is elsewhere") -> Any:
    """Open a project with copick; ``what`` says in messages what of it is elsewhere."""
    where = f"{PREFIX}{config}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import copick
    except ImportError as error:
        raise MissingDependencyError(
            f"{where}: {what}, which is read and written through the copick package: {_EXTRA}."
        ) from error
    with _asking(where):
        project = copick.from_file(str(config))
    _OPEN[os.path.abspath(config)] = project
    return project


@contextlib.contextmanager
def _asking(where: str) -> Iterator[None]:
    """Turn whatever copick and its file systems raise into one sentence."""
    try:
        yield
    except SlabkitError:
        raise
    except ImportError as error:
        raise MissingDependencyError(
            f"{where}: copick needs another package for this root ({error})."
        ) from error
    except Exception as error:
        said = str(error) or type(error).__name__
        raise InputError(f"{where}: cannot be read through copick ({said}).") from error


def _file_name(picks: Any) -> str:
    return f"{picks.user_id}_{picks.session_id}_{picks.pickable_object_name}.json"


def _picks_file(project: Any, run_name: str, file_name: str) -> tuple[Any, str]:
    run = project.get_run(run_name)
    if run is None:
        raise FileNotFoundError(f"no run {run_name}")
    return run.fs_overlay, f"{run.overlay_path}/Picks/{file_name}"
