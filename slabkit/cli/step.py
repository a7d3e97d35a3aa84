"""The frame of a command: refuse or skip, run, record, report."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from slabkit.cli.console import WARNINGS, emit, format_table, say, short
from slabkit.errors import InputError, OutputExistsError, SlabkitError

if TYPE_CHECKING:
    from slabkit.execution.records import Record

T = TypeVar("T")


_WRITE_STAR = (
    "pick blob",
    "pick template",
    "pick segmentation",
    "map",
    "label",
    "curate",
    "merge",
    "rescue",
    "agree",
    "split",
    "suggest",
)


class Step(contextlib.AbstractContextManager["Step"]):
    """The frame around one command: refuse or skip, run, record, report.

    Parameters
    ----------
    name : str
        The command, ``pick blob`` for instance.
    out : str, optional
        The result's main file (for a folder of images, the table in it); ``-`` or None: no record,
        nothing to refuse.
    inputs : iterable of path-like
        Input files; ``-`` is left out, see `text_inputs`.
    parameters : mapping
        All that can change the result.
    overwrite, quiet, json_ : bool
        The shared options.
    text_inputs : mapping of str to str, optional
        Inputs that came through a pipe, by name.
    again : str, optional
        How finished work is made again, for the message that it was skipped.

    Attributes
    ----------
    finished : bool
        The same work is done already: return at once.
    summary : dict
        Fill in what is to be reported.
    outputs : list of Path
        Add the further files that were written (the main one is there).
    failures : dict of str to str
        Item to error; see `fail`.

    Raises
    ------
    OutputExistsError
        A different result stands there and ``overwrite`` is not given.
    """

    def __init__(
        self,
        name: str,
        out: str | None,
        *,
        inputs: Iterable[Any] = (),
        parameters: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        quiet: bool = False,
        json_: bool = False,
        text_inputs: Mapping[str, str] | None = None,
        again: str = "--overwrite makes it again",
    ) -> None:
        self.name = name
        self.again = again
        self.out = None if out in (None, "-") else Path(str(out))
        if out == "-" and json_:
            raise InputError("--json and -o - both want standard output; give a file to -o.")
        self.quiet = quiet
        self.json = json_
        self.overwrite = overwrite
        self.finished = False
        self.summary: dict[str, Any] = {}
        self.outputs: list[Path] = []
        self.failures: dict[str, str] = {}
        self._parameters = dict(parameters or {})
        self._inputs = [str(path) for path in inputs if str(path) != "-"]
        self._text_inputs = dict(text_inputs or {})
        self._record: Record | None = None
        self._stack = contextlib.ExitStack()
        self._old_outputs: set[Path] = set()
        self._begun = False
        self._new_folders: list[Path] = []
        self._total: int | None = None

    def __enter__(self) -> Step:
        if self.out is None:
            return self
        from slabkit.execution.locks import output_lock
        from slabkit.execution.records import Record, describe_inputs, describe_text, load_record

        described = describe_inputs(self._inputs)
        described += [describe_text(name, text) for name, text in self._text_inputs.items()]
        if any(Path(i).resolve() == self.out.resolve() for i in self._inputs):
            raise InputError(f"{self.out}: is an input and cannot be the result too.")
        self._record = Record(self.name, self._parameters, described, command=sys.argv[1:])
        old = load_record(self.out)
        if old is not None:
            self._old_outputs = {self.out.parent / name for name in old.outputs}
        if self.name in _WRITE_STAR and self.out.suffix not in ("", ".star"):
            raise InputError(
                f"{self.out}: {self.name} writes STAR; name it .star, and turn it into "
                f"{self.out.suffix} with slabkit convert."
            )
        if self.out.is_dir():
            raise InputError(f"{self.out}: is a folder; -o wants a file here.")
        if self.out.exists() and not self.overwrite and self._is_finished(old):
            self.finished = True
            self.summary = old.summary if old is not None else {}
            return self
        parents = [self.out.parent, *self.out.parent.parents]
        self._new_folders = [folder for folder in parents if not folder.exists()]
        self._stack.enter_context(output_lock(self.out))
        return self

    def _is_finished(self, old: Record | None) -> bool:
        """Tell whether the result that stands is this work's; refuse if it is another's."""
        from slabkit.execution.records import describe_input, record_path

        assert self.out is not None
        assert self._record is not None
        remedy = "name another file or folder, or give --overwrite to replace it."
        if old is None:
            raise OutputExistsError(
                f"{self.out}: exists already, not recorded as made by slabkit (no "
                f"{record_path(self.out).name}); {remedy}"
            )
        changed = self._record.differences(old)
        repaired = old.failures and all("changed" in text for text in changed)
        if changed and not repaired:
            more = f" (and {len(changed) - 2} more)" if len(changed) > 2 else ""
            raise OutputExistsError(
                f"{self.out}: exists already, made otherwise: {'; '.join(changed[:2])}{more}; "
                f"{remedy}"
            )
        if old.finished and old.result:
            now = describe_input(self.out)
            if (now["size"], now["hash"]) != (old.result["size"], old.result["hash"]):
                raise OutputExistsError(f"{self.out}: was changed since it was made; {remedy}")
        unfinished = old.failures or not old.finished or changed
        return not unfinished and all(path.exists() for path in self._old_outputs)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._finish()
            elif self._begun:
                self._forget_if_clean()
        finally:
            self._stack.close()
            if error is not None:
                for folder in self._new_folders:  # the deepest first; what holds files stays
                    with contextlib.suppress(OSError):
                        folder.rmdir()

    def _forget_if_clean(self) -> None:
        """After an error that left no file behind, leave no record of an unfinished run either."""
        from slabkit.execution.records import record_path

        assert self.out is not None
        if not any(path.exists() for path in self._old_outputs):
            record_path(self.out).unlink(missing_ok=True)

    def check_free(self, paths: Iterable[Path]) -> None:
        """Refuse to replace files that are not of this step's earlier result.

        Parameters
        ----------
        paths : iterable of Path
            Files that are about to be written beside the main one.

        Raises
        ------
        OutputExistsError
            One exists and ``overwrite`` is not given.
        """
        planned = list(paths)
        foreign = [path for path in planned if path.exists() and path not in self._old_outputs]
        if foreign and not self.overwrite:
            more = f" (and {len(foreign) - 1} more)" if len(foreign) > 1 else ""
            raise OutputExistsError(
                f"{foreign[0]}: exists already{more}; name another file or folder, or give "
                "--overwrite to replace it."
            )
        if planned:
            self._begin(planned)

    def _begin(self, planned: Iterable[Path]) -> None:
        """Say on disk that files are being replaced, so that nothing takes them for finished.

        The main file names the others: it goes first and comes last. Should the run be interrupted,
        the record knows which files are its own and may be replaced.
        """
        if self._record is None or self.out is None:
            return
        from slabkit.execution.records import save_record

        self._old_outputs |= {*planned, self.out}
        self._record.outputs = self._relative(sorted(self._old_outputs))
        save_record(self._record, self.out)
        self._begun = True
        self.out.unlink(missing_ok=True)

    def _relative(self, paths: Iterable[Path]) -> list[str]:
        assert self.out is not None
        folder = self.out.parent
        return [
            path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
            for path in paths
        ]

    def note(self, text: str) -> None:
        """Say something on standard error, unless ``--quiet``."""
        if not self.quiet:
            say(text)

    def fail(self, item: str, error: SlabkitError) -> None:
        """Keep an item's failure: said now, recorded, and the exit code becomes 1."""
        self.failures[item] = str(error)
        if self._total != 1:  # of a single item the error itself is enough
            say(f"failed: {item}: {error}")

    def track(self, items: Iterable[T], total: int | None = None, what: str = "") -> Iterator[T]:
        """Pass items through, with a progress bar where a person watches."""
        self._total = total
        if self.quiet or not sys.stderr.isatty():
            yield from items
            return
        from rich.console import Console
        from rich.progress import track

        yield from track(
            items, what or self.name, total=total, console=Console(stderr=True), transient=True
        )

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Show a small table on standard error, unless ``--quiet``."""
        if not self.quiet:
            say(format_table(title, columns, rows))

    def _finish(self) -> None:
        if self._record is not None and self.out is not None and not self.finished:
            from slabkit.execution.records import finish_record

            written = [self.out, *(path for path in self.outputs if path != self.out)]
            if self.out.exists():
                for stale in sorted(self._old_outputs - set(written)):
                    stale.unlink(missing_ok=True)  # an earlier run's file that nothing names now
                self._record.outputs = self._relative(written)
                self._record.summary = self.summary
                self._record.warnings = list(WARNINGS)
                self._record.failures = [
                    {"item": item, "error": error} for item, error in self.failures.items()
                ]
                finish_record(self._record, self.out)
        status = "skipped" if self.finished else "partial" if self.failures else "done"
        if self.json:
            report = {
                "command": self.name,
                "status": status,
                "out": None if self.out is None else str(self.out),
                **self.summary,
                "warnings": list(WARNINGS),
                "failures": self.failures,
            }
            emit(json.dumps(report, default=_json_value, ensure_ascii=False))
        elif self.finished:
            self.note(
                f"{self.name}: {self.out} is finished already, inputs and parameters are the "
                f"same; skipped ({self.again})."
            )
        elif not self.quiet:
            counts = ", ".join(
                f"{key.replace('_', ' ')} {short(value)}"
                for key, value in self.summary.items()
                if isinstance(value, (int, float, str))
            )
            where = f" → {self.out}" if self.out is not None else ""
            say(f"{self.name}: {counts or 'done'}{where}")
        if self.failures:
            raise typer.Exit(1)


def _json_value(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)
