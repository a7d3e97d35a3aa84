"""Folders of Zarr stores: on a disk, in a ZIP archive, or elsewhere (`RemoteFolder`)."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from slabkit.errors import FormatError, InputError, SlabkitError
from slabkit.formats.tables.paths import open_file

if TYPE_CHECKING:
    from slabkit.formats.tomograms.copick_remote import RemoteFolder

    Folder: TypeAlias = "Path | RemoteFolder | ZippedFolder"

_METADATA_FILES = (".zattrs", ".zgroup", ".zarray", "zarr.json")


def is_zarr(path: str | os.PathLike[str]) -> bool:
    """Tell whether a folder is a Zarr store (or was meant to be one)."""
    folder = Path(path)
    return os.path.isdir(folder) and (
        folder.suffix.lower() == ".zarr"
        or any(os.path.exists(folder / name) for name in _METADATA_FILES)
    )


def is_zipped_zarr(path: str | os.PathLike[str]) -> bool:
    """Tell whether a ZIP archive is a Zarr store (``.ozx``, ``.zarr.zip``)."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.rsplit("/", 1)[-1] in _METADATA_FILES for name in archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


@dataclass(frozen=True)
class ZippedFolder:
    """A folder in a ZIP archive: as much of `pathlib.Path` as OME-Zarr is read with."""

    file: str
    path: str  # in the archive, without a slash at its ends
    entries: dict[str, int]  # bytes of every file in the archive

    @classmethod
    def root(cls, file: str | os.PathLike[str]) -> ZippedFolder:
        """Open the folder in which the archive's first metadata are, at its top or one below."""
        with zipfile.ZipFile(file) as archive:
            entries = {info.filename: info.file_size for info in archive.infolist()}
        places = [
            folder
            for folder, _, name in (entry.rpartition("/") for entry in entries)
            if name in _METADATA_FILES
        ]
        return cls(str(file), min(places, key=len, default=""), entries)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rsplit("/", 1)[-1]

    def __truediv__(self, name: str) -> ZippedFolder:
        """Give a file or folder below."""
        return ZippedFolder(self.file, f"{self.path}/{name}".lstrip("/"), self.entries)

    def exists(self) -> bool:
        """Tell whether there is a file of this path."""
        return self.path in self.entries

    def read_text(self, encoding: str) -> str:
        """Read a file."""
        try:
            with zipfile.ZipFile(self.file) as archive:
                return archive.read(self.path).decode(encoding)
        except (zipfile.BadZipFile, zlib.error) as error:
            raise OSError(0, str(error)) from error

    def sizes(self) -> dict[str, int]:
        """Give the bytes of every file below, by path from here."""
        base = f"{self.path}/".lstrip("/")
        below = {name: size for name, size in self.entries.items() if name.startswith(base)}
        return {name[len(base) :]: size for name, size in below.items()}

    def open_array(self) -> Any:
        """Open the Zarr array here."""
        import zarr

        store = zarr.storage.ZipStore(self.file, mode="r")
        return zarr.open_array(store, path=self.path, mode="r")


def files_below(folder: Path, where: str) -> Iterator[str]:
    """Give the path from here of every file in a folder; pipes and devices are refused."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    for name in files_below(Path(entry.path), where):
                        yield f"{entry.name}/{name}"
                elif entry.is_file():
                    yield entry.name
                elif not entry.is_dir():
                    raise FormatError(f"{where}: {entry.path} is not a regular file.")
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror}).") from error


def read_json(path: Folder, where: str) -> dict[str, Any]:
    """Read a file of metadata: a JSON object."""
    try:
        if isinstance(path, Path):
            with open_file(path) as file:
                text = file.read().decode()
        else:
            text = path.read_text(encoding="utf-8")
        content = json.loads(text)
    except OSError as error:
        raise InputError(f"{where}: {path.name} cannot be read ({error.strerror}).") from error
    except SlabkitError:
        raise
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where}: {path.name} is not valid JSON ({error}).") from error
    if not isinstance(content, dict):
        raise FormatError(f"{where}: {path.name} is not a JSON object.")
    return content
