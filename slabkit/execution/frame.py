"""The frame round a step: refuse or skip, lock, run, record, report.

A step looks like this::

    @dataclass(frozen=True)
    class Options:
        picks2d: tuple[str, ...]
        out: str
        min_distance: float | None = None


    def run(options: Options, frame: Frame) -> None:
        ...  # check the options, find the inputs
        with frame.work(
            "map", options.out, inputs=[...], parameters=parameters(options, "picks2d", "out")
        ) as work:
            if work.finished:
                return
            ...  # read, call the stages, write
            work.summary.update(picks=12)  # what is reported and recorded
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from slabkit.errors import InputError, OutputExistsError, SlabkitError

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.execution.records import Record

T = TypeVar("T")

Progress: TypeAlias = Callable[[str, int, int, str], None]
"""Called with the stage, how much of it is done, of how much, and the text to show."""

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


class Reporter:
    """Where a step says what it does; this one says nothing.

    Attributes
    ----------
    warnings : list of str
        Warnings shown so far, each once; they go into records.
    """

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def note(self, text: str) -> None:
        """Say something that a person may want to know."""

    def failure(self, item: str, message: str) -> None:
        """Say that one item of several could not be done."""

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Show a small table."""

    def result(self, value: Any) -> None:
        """Show what a step found whose result is not a file."""

    def track(self, items: Iterable[T], total: int | None, what: str) -> Iterator[T]:
        """Pass items through, showing how far they are."""
        yield from items

    def progress(self) -> contextlib.AbstractContextManager[Progress]:
        """Give what shows how far a computation of several stages is."""
        return contextlib.nullcontext(lambda *_: None)

    def done(self, result: StepResult) -> None:
        """Say how a step ended."""


@dataclass(frozen=True)
class StepResult:
    """How a step ended.

    Parameters
    ----------
    name : str
        The command, ``pick blob`` for instance.
    status : {"done", "partial", "skipped"}
        ``partial``: some items failed; ``skipped``: the result was there already.
    out : Path or None
        The main file.
    summary : dict
        The counts.
    failures : dict of str to str
        Item to error.
    again : str
        How finished work is made again, for the message that it was skipped.
    """

    name: str
    status: Literal["done", "partial", "skipped"]
    out: Path | None
    summary: dict[str, Any]
    failures: dict[str, str]
    again: str


@dataclass
class Frame:
    """What surrounds steps, whoever runs them.

    Parameters
    ----------
    overwrite : bool
        Replace results that exist.
    jobs : int
        Number of workers; 0: one a processor.
    reporter : Reporter
    command : sequence of str
        What was typed, for the record.
    result : StepResult or None
        How the last step ended.
    """

    overwrite: bool = False
    jobs: int = 0
    reporter: Reporter = field(default_factory=Reporter)
    command: Sequence[str] = ()
    result: StepResult | None = None

    @property
    def workers(self) -> int:
        """The number of workers that `jobs` means."""
        from slabkit.arrays.parallel import available_cores

        return self.jobs or available_cores()

    def work(
        self,
        name: str,
        out: str | Path | None,
        *,
        inputs: Iterable[Any] = (),
        parameters: Mapping[str, Any] | None = None,
        text_inputs: Mapping[str, str] | None = None,
        again: str = "--overwrite makes it again",
    ) -> Work:
        """Give the context in which a step makes one result; see `Work`."""
        return Work(self, name, out, inputs, parameters, text_inputs, again)


def parameters(options: Any, *left_out: str) -> dict[str, Any]:
    """Give the options of a step as its record keeps them.

    Parameters
    ----------
    options : dataclass
        Fields that are dataclasses themselves count as if their fields were its own.
    *left_out : str
        Fields that are inputs or outputs.

    Returns
    -------
    dict of str to object
    """
    found: dict[str, Any] = {}
    for one in dataclasses.fields(options):
        value = getattr(options, one.name)
        if one.name in left_out:
            continue
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            found |= parameters(value)
        else:
            found[one.name] = value
    return found


def raise_if_all_failed(failures: Mapping[str, str], items: int) -> None:
    """Raise an error if all of so many items failed; ``failures``: item to error."""
    if items and len(failures) == items:
        first = next(iter(failures.values()))
        raise InputError(first if items == 1 else f"none of {items} could be done; {first}")


def summary_rows(table: pd.DataFrame) -> list[dict[str, object]]:
    """Give the rows of a table for a summary: NaN is None, and names have no ``slabkit``."""
    return [
        {
            str(name).removeprefix("slabkit"): None if value != value else value
            for name, value in row.items()
        }
        for row in table.astype(object).to_dict("records")
    ]


class Work(contextlib.AbstractContextManager["Work"]):
    """One result in the making: refuse or skip, lock, record.

    Parameters
    ----------
    frame : Frame
    name : str
        The command, ``pick blob`` for instance.
    out : path-like, optional
        The result's main file (for a folder of images, the table in it); ``-`` or None: no record,
        nothing to refuse.
    inputs : iterable of path-like
        Input files; ``-`` is left out, see ``text_inputs``.
    parameters : mapping
        All that can change the result.
    text_inputs : mapping of str to str, optional
        Inputs that came through a pipe, by name.
    again : str
        How finished work is made again.

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
        A different result is there and ``frame.overwrite`` is false.
    """

    def __init__(
        self,
        frame: Frame,
        name: str,
        out: str | Path | None,
        inputs: Iterable[Any],
        parameters: Mapping[str, Any] | None,
        text_inputs: Mapping[str, str] | None,
        again: str,
    ) -> None:
        self.frame = frame
        self.name = name
        self.again = again
        self.out = None if out in (None, "-") else Path(str(out))
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

    def __enter__(self) -> Work:
        if self.out is None:
            return self
        from slabkit.execution.locks import output_lock
        from slabkit.execution.records import Record, describe_inputs, describe_text, load_record

        described = describe_inputs(self._inputs)
        described += [describe_text(name, text) for name, text in self._text_inputs.items()]
        if any(Path(i).resolve() == self.out.resolve() for i in self._inputs):
            raise InputError(f"{self.out}: is an input and cannot be the result too.")
        self._record = Record(
            self.name, self._parameters, described, command=list(self.frame.command)
        )
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
        if self.out.exists() and not self.frame.overwrite and self._is_finished(old):
            self.finished = True
            self.summary = old.summary if old is not None else {}
            return self
        parents = [self.out.parent, *self.out.parent.parents]
        self._new_folders = [folder for folder in parents if not folder.exists()]
        self._stack.enter_context(output_lock(self.out))
        return self

    def _is_finished(self, old: Record | None) -> bool:
        """Tell whether the result that is there is this work's; refuse if it is another's."""
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
            One exists and ``frame.overwrite`` is false.
        """
        planned = list(paths)
        foreign = [path for path in planned if path.exists() and path not in self._old_outputs]
        if foreign and not self.frame.overwrite:
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
        """Say something that a person may want to know."""
        self.frame.reporter.note(text)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Show a small table."""
        self.frame.reporter.table(title, columns, rows)

    def fail(self, item: str, error: SlabkitError) -> None:
        """Keep an item's failure: it is said now, recorded, and makes the step ``partial``."""
        self.failures[item] = str(error)
        if self._total != 1:  # of a single item the error itself is enough
            self.frame.reporter.failure(item, str(error))

    def raise_if_all_failed(self, items: int) -> None:
        """Raise the error of a step of whose ``items`` none could be done."""
        raise_if_all_failed(self.failures, items)

    def track(self, items: Iterable[T], total: int | None = None, what: str = "") -> Iterator[T]:
        """Pass items through, showing how far they are."""
        self._total = total
        return self.frame.reporter.track(items, total, what or self.name)

    def _finish(self) -> None:
        if self._record is not None and self.out is not None and not self.finished:
            from slabkit.execution.records import finish_record

            written = [self.out, *(path for path in self.outputs if path != self.out)]
            if self.out.exists():
                for stale in sorted(self._old_outputs - set(written)):
                    stale.unlink(missing_ok=True)  # an earlier run's file that nothing names now
                self._record.outputs = self._relative(written)
                self._record.summary = self.summary
                self._record.warnings = list(self.frame.reporter.warnings)
                self._record.failures = [
                    {"item": item, "error": error} for item, error in self.failures.items()
                ]
                finish_record(self._record, self.out)
        status: Literal["done", "partial", "skipped"] = "done"
        if self.finished or self.failures:
            status = "skipped" if self.finished else "partial"
        self.frame.result = StepResult(
            self.name, status, self.out, self.summary, self.failures, self.again
        )
        self.frame.reporter.done(self.frame.result)
