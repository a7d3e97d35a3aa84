"""The frame round a step: refuse or skip, lock, run, record, report.

A step looks like this, its options a frozen dataclass::

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
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from slabkit.errors import InputError, OutputExistsError, SlabkitError, TryAgainError, warn
from slabkit.execution.files import State, file_state, identities, refuse_inputs
from slabkit.execution.reporting import Reporter, StepResult, raise_if_all_failed

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.execution.parts import Parts
    from slabkit.execution.records import Record

T = TypeVar("T")

# Of slabs and of galleries, whose set comes before the number.
_NUMBER = re.compile(r"(?<=_)(slab|[0-9a-f]{6}_)?\d{3,}(?=(_[a-z]+)?\.[a-z]+$)")
_WRITE_STAR = (
    "pick blob",
    "pick template",
    "pick segmentation",
    "map",
    "label",
    "predict",
    "curate",
    "merge",
    "rescue",
    "agree",
    "split",
    "suggest",
)


@dataclass
class Frame:
    """What surrounds steps, whoever runs them."""

    overwrite: bool = False  # replace results that exist
    jobs: int = 0  # number of workers; 0: one a processor
    reporter: Reporter = field(default_factory=Reporter)
    command: Sequence[str] = ()  # what was typed, for the record
    result: StepResult | None = None  # how the last step ended
    # Files that are read, named in a record or not (`slabkit.execution.files.files_named`)
    reads: Sequence[str] = ()
    update: bool = False  # replace results of the same step that were made otherwise

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
        renew: bool = False,
    ) -> Work:
        """Give the context in which a step makes one result; see `Work`.

        ``renew``: an earlier result of the same step is replaced where its inputs have changed.
        """
        return Work(self, name, out, inputs, parameters, text_inputs, again, renew)


def parameters(options: Any, *left_out: str) -> dict[str, Any]:
    """Give the options of a step as its record keeps them, less those that name inputs and outputs.

    Fields that are dataclasses themselves count as if their fields were its own.
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
    TryAgainError
        Another run writes it; on leaving, an input is no longer what it was on entering.
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
        renew: bool,
    ) -> None:
        self.frame = frame
        self.renew = renew
        self.name = name
        self.again = again
        self.out = None if out in (None, "-") else Path(str(out))
        self.finished = False
        self.summary: dict[str, Any] = {}
        self.outputs: list[Path] = []
        self.failures: dict[str, str] = {}
        self._parameters = dict(parameters or {})
        self._inputs = [str(path) for path in inputs if str(path) != "-"]
        self._read = identities([*self._inputs, *frame.reads])
        self._text_inputs = dict(text_inputs or {})
        self._record: Record | None = None
        self._old_record: bytes | None = None
        self._own: set[Path] = set()  # files that this step may replace
        self._stack = contextlib.ExitStack()
        self._announced: dict[Path, bool] = {}  # files, and whether they were there before
        self._begun = False
        self._new_folders: list[Path] = []
        self._total: int | None = None
        self._try_again = False
        self._states: dict[str, State | None] = {}
        self.parts: Parts | None = None  # what is kept while a result is in the making

    def __enter__(self) -> Work:
        self._states = {name: file_state(name) for name in self._inputs}
        if self.out is None:
            return self
        from slabkit.execution.locks import output_lock, remove_dead_lock
        from slabkit.execution.records import (
            Record,
            describe_inputs,
            describe_text,
            load_record,
            record_path,
        )
        from slabkit.formats.tables.atomic import remove_temporary_files
        from slabkit.formats.tables.paths import open_file

        described = describe_inputs(self._inputs)
        described += [describe_text(name, text) for name, text in self._text_inputs.items()]
        if os.path.isdir(self.out):
            raise InputError(f"{self.out}: is a folder; -o wants a file here.")
        refuse_inputs([self.out, record_path(self.out)], self._read)
        self._record = Record(
            self.name, self._parameters, described, command=list(self.frame.command)
        )
        if self.name in _WRITE_STAR and self.out.suffix not in ("", ".star"):
            raise InputError(
                f"{self.out}: {self.name} writes STAR; name it .star, and turn it into "
                f"{self.out.suffix} with slabkit convert."
            )
        if self._is_there_already():
            remove_dead_lock(self.out)
            self._record.parts(self.out).remove()  # of a run that was killed at its very end
            return self
        parents = [self.out.parent, *self.out.parent.parents]
        self._new_folders = [folder for folder in parents if not os.path.exists(folder)]
        self._stack.enter_context(output_lock(self.out))
        try:
            if self._is_there_already():  # another run made it before the lock was free
                self._stack.close()
                return self
            with contextlib.suppress(OSError, InputError), open_file(record_path(self.out)) as file:
                self._old_record = file.read()
            old = load_record(self.out)
            dead = {self.out, record_path(self.out)}  # a run that was killed cleans up nothing
            if old is not None:
                self._own = set(old.output_paths(self.out))
                dead |= set() if old.finished else self._own
            remove_temporary_files(dead)
            self.parts = self._record.parts(self.out)
            self._announce([self.out])
        except BaseException:
            self._stack.close()
            raise
        return self

    def _is_there_already(self) -> bool:
        """Tell whether the same work is done; refuse if the result that is there is of other."""
        from slabkit.execution.records import load_record

        assert self.out is not None
        if not os.path.exists(self.out) or self.frame.overwrite:
            return False
        old = load_record(self.out)
        self.finished = self._is_finished(old)
        if self.finished and old is not None:
            self.summary = old.summary
        return self.finished

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
        renew = (self.renew or self.frame.update) and old.step == self.name
        if changed and not repaired and not renew:
            more = f" (and {len(changed) - 2} more)" if len(changed) > 2 else ""
            raise OutputExistsError(
                f"{self.out}: exists already, made otherwise: {'; '.join(changed[:2])}{more}; "
                f"{remedy}"
            )
        if old.finished and old.result:
            now = describe_input(self.out)
            if (now["size"], now["hash"]) != (old.result["size"], old.result["hash"]):
                raise OutputExistsError(f"{self.out}: was changed since it was made; {remedy}")
        pictures = self._parameters.get("png") and not old.parameters.get("png")
        unfinished = old.failures or not old.finished or changed or pictures
        if not unfinished and (again := self._record.modified(old)):
            warn(f"{again[0]}: was modified since {self.out} was made; it is made again.")
            return False
        return not unfinished and all(os.path.exists(path) for path in old.output_paths(self.out))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._finish()
            if self.parts and (error is None or isinstance(error, InputError)):
                self.parts.remove()
            if error is not None and self._announced:
                if not isinstance(error, Exception):  # Ctrl-C, or the order to end
                    self._say_what_is_kept()
                elif not (self.parts and self.parts.count()):  # with which a next run goes on
                    for path, before in self._announced.items():
                        if not before:
                            with contextlib.suppress(OSError):
                                path.unlink()
                self._withdraw()
        finally:
            self._stack.close()
            if error is not None:
                for folder in self._new_folders:  # the deepest first; what holds files stays
                    with contextlib.suppress(OSError):
                        folder.rmdir()
        if isinstance(error, (InputError, OSError)):
            self._blame_inputs(error)

    def _blame_inputs(self, error: Exception) -> None:
        """Say that an input vanished or was changed while it was read, if that is behind it."""
        for name, before in self._states.items():
            if before is not None and before != (now := file_state(name)):
                what = "was changed" if now else "vanished"
                raise TryAgainError(
                    f"{name}: {what} while it was being read; try again once it is whole."
                ) from error

    def _say_what_is_kept(self) -> None:
        there = [path for path in self._announced if os.path.exists(path)]
        if self.out in there:
            self.note(f"{self.out}: is as it was before.")
        elif there:
            some = f" and {len(there) - 1} more" if len(there) > 1 else ""
            then = "goes on" if self.parts and self.parts.count() else "makes all of it"
            self.note(
                f"kept: {there[0]}{some}, finished; {self.out} is not, and the same command {then}."
            )
        elif self.parts and (count := self.parts.count()):
            self.note(f"{self.out}: was not made; kept: what was made for it of {count} tomograms.")
        else:
            self.note(f"{self.out}: was not made; nothing of it is kept.")

    def _withdraw(self) -> None:
        """After an error the record is again what it was, unless files were replaced."""
        from slabkit.execution.records import record_path

        assert self.out is not None
        record = record_path(self.out)
        with contextlib.suppress(OSError):
            if not self._begun and self._old_record is not None:
                record.write_bytes(self._old_record)
            elif not any(os.path.exists(path) for path in self._announced):
                record.unlink(missing_ok=True)

    def check_free(
        self,
        paths: Iterable[Path],
        tables: Iterable[Path] = (),
        images: Iterable[Any] = (),
        begin: bool = True,
    ) -> None:
        """Say which files are about to be written; refuse to replace those of somebody else.

        All that a step writes next to the main file is named here before it is opened. The main
        file and `tables` name other files: they are removed now and written last, so that after an
        interruption no old table is left over new files.

        Parameters
        ----------
        paths : iterable of Path
        tables : iterable of Path
            Those that name others.
        images : iterable of path-like, optional
            Files that are read and that no record names.
        begin : bool, optional
            False to refuse only, before a long computation; call it again before writing.

        Raises
        ------
        InputError
            One is an input, no regular file, or would be written twice.
        OutputExistsError
            One exists, is not of this step's earlier result, and ``frame.overwrite`` is false.
        """
        tables = list(tables)
        planned = [*paths, *tables]
        every = planned if self.out is None else [self.out, *planned]
        once: set[str] = set()
        for path in every:
            if (name := os.path.abspath(path)) in once:
                raise InputError(f"{path}: would be written twice by this command; rename one.")
            once.add(name)
        refuse_inputs(every, self._read, images)
        foreign = [path for path in planned if os.path.exists(path) and path not in self._own]
        if foreign and not self.frame.overwrite:
            more = f" (and {len(foreign) - 1} more)" if len(foreign) > 1 else ""
            raise OutputExistsError(
                f"{foreign[0]}: exists already{more}; name another file or folder, or give "
                "--overwrite to replace it."
            )
        if not planned or not begin or self._record is None or self.out is None:
            return
        self._announce(planned)
        self._begun = True
        for path in (self.out, *tables):
            path.unlink(missing_ok=True)

    def _announce(self, planned: Iterable[Path]) -> None:
        """Say on disk what is being made, before it is: a next run may replace what it finds."""
        from slabkit.execution.records import add_outputs, save_record

        assert self._record is not None
        assert self.out is not None
        new = [path for path in dict.fromkeys(planned) if path not in self._announced]
        if self._announced:
            add_outputs(new, self.out)
        else:
            self._record.set_outputs([*new, *sorted(self._own)], self.out)
            save_record(self._record, self.out)
        self._announced |= {path: os.path.lexists(path) for path in new}

    def part(
        self, item: str, make: Callable[[], tuple[pd.DataFrame, dict[str, Any]]]
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Give what ``make`` makes of one of many items, or a run before that was killed has made.

        A table, and values that JSON can hold.
        """
        if self.parts is None or self._total == 1:
            return make()
        return self.parts.table(item, make, self.summary, self.frame.reporter.warnings)

    def note(self, text: str) -> None:
        """Say something that a person may want to know."""
        self.frame.reporter.note(text)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Show a small table."""
        self.frame.reporter.table(title, columns, rows)

    def fail(self, item: str, error: SlabkitError) -> None:
        """Keep an item's failure: it is said last, recorded, and makes the step ``partial``."""
        self.failures[item] = str(error)
        self._try_again = self._try_again or isinstance(error, TryAgainError)
        if self._total != 1:  # of a single item the error itself is enough
            self.frame.reporter.failure(item, str(error))

    def raise_if_all_failed(self, items: int) -> None:
        """Raise the error of a step of whose ``items`` none could be done."""
        try:
            raise_if_all_failed(self.failures, items)
        except InputError as error:
            if self._try_again:
                raise TryAgainError(str(error)) from error
            raise

    def track(self, items: Iterable[T], total: int | None = None, what: str = "") -> Iterator[T]:
        """Pass items through, showing how far they are."""
        self._total = total
        return self.frame.reporter.track(items, total, what or self.name)

    def _finish(self) -> None:
        if self._record is not None and self.out is not None and not self.finished:
            from slabkit.execution.records import finish_record

            written = list(dict.fromkeys([self.out, *self.outputs]))
            if os.path.exists(self.out):
                self._remove_stale(written)
                self._record.set_outputs(written, self.out)
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

    def _remove_stale(self, written: list[Path]) -> None:
        """Remove files of an earlier run that nothing names now; say which others are left.

        A record is no order to delete: only slabs and galleries are removed that are named like
        one that this run wrote to the same folder, but for their number and set.
        """
        patterns = {(path.parent, _NUMBER.sub("0", path.name)) for path in written}
        left = []
        for path in sorted(self._own - set(written)):
            if not os.path.exists(path):
                continue
            if (path.parent, _NUMBER.sub("0", path.name)) in patterns and os.path.isfile(path):
                path.unlink(missing_ok=True)
            else:
                left.append(path)
        if left:
            more = f" and {len(left) - 1} more" if len(left) > 1 else ""
            self.note(f"{left[0]}{more}: of an earlier run and not of this result; left in place.")
