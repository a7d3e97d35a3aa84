"""Commands killed at every file operation, and what the next run makes of what they leave."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from command_line import run_in_process
from curation_tables import NO, YES, label_table

from slabkit.formats.tables.native import PickList, read_native_picks, write_labels, write_picks

COMMANDS = {
    # how a result is made, how otherwise, and which of its files name others of it
    "label": (
        "label {labels.csv|labels2.csv} --minislabs minislabs/minislabs.star -o set/l.star",
        (),
    ),
    "map": ("map picks2d.star --slabs slabs/slabs.star -o set/p.star {|--no-refine-z}", ()),
    "merge": ("merge picks.star truth.star --distance {50|90} -o set/p.star", ()),
    "convert": ("convert {picks.star|fewer.star} set/p.star --to relion5", ("p.star",)),
    "convert to a folder": ("convert {picks.star|fewer.star} set --to tomotwin", ("picks.star",)),
    "inspect": (
        "inspect picks2d.star --slabs slabs/slabs.star -o set/page.html --side {200|300}",
        (),
    ),
    "score": (
        "score few.star truth.star --curve set/c.star --plot set/c.png --beta {4|1}",
        (),
    ),
    "export cryosparc": (
        "export cryosparc minislabs/minislabs.star -o set --y-axis {down|up}",
        (),
    ),
    "export topaz": ("export topaz slabs/slabs.star -o set --radius {100|80}", ("images.txt",)),
    "minislab": (
        "minislab picks.star -o set --box {400|300} --depth 300 --tiles 8x8",
        ("minislabs.star",),
    ),
    "suggest": (
        "suggest minislabs/minislabs.star --picks picks.star --number {20|12} -o set/next.star "
        "--gallery set --decide set/labels.star",
        ("minislabs.star", "next.star", "labels.star"),
    ),
    "classify": (
        "classify minislabs/minislabs.star -o set --classes {2|3} --iterations 1 --angular-step 60",
        ("classes.star", "classified.star"),
    ),
    "split": (
        "split {picks.star|fewer.star} -o set/table.star --fractions one=1,two=1 --lists set",
        ("table.star",),
    ),
    "slab": ("slab tomograms/sim_001.mrc -o set --step {300|150} --png", ("slabs.star",)),
    "curate": (
        "curate picks.star {labels.star|labels2.star} -o set/kept.star --rejected set/no.star",
        ("kept.star",),
    ),
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_UNNAMED = getattr(os, "O_TMPFILE", 0) & ~getattr(os, "O_DIRECTORY", 0)
_EVENTS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod"}
_RANDOM = re.compile(r"(?<=\.)[a-z0-9_]{8}(?=\.tmp)")


def prepare(tour: Path, folder: Path) -> Path:
    """Copy the tour, with fewer picks, and labels of two kinds."""
    shutil.copytree(tour, folder)
    shutil.copy(folder / "tomograms/truth.star", folder / "truth.star")
    picks = read_native_picks(folder / "picks.star")
    ids = picks.picks["slabkitPickId"].tolist()
    write_picks(folder / "fewer.star", PickList(picks.picks[:-5], picks.tomograms))
    write_picks(folder / "few.star", PickList(picks.picks[:12], picks.tomograms))
    for name, count in (("labels", 10), ("labels2", 5)):
        rows = [(one, YES if number % 2 else NO) for number, one in enumerate(ids[:count])]
        write_labels(folder / f"{name}.star", label_table(*rows))
        text = "".join(f"{one},{decision}\n" for one, decision in rows)
        (folder / f"{name}.csv").write_text("pick_id,decision\n" + text)
    return folder


def words_of(line: str, which: int) -> list[str]:
    """Give the command line of the first or second way of making a result."""
    return re.sub(r"\{([^|]*)\|([^}]*)\}", rf"\{which}", line).split()


def contents(folder: Path) -> dict[str, bytes]:
    """Give the content of every file by name, locks and records left out."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock" and not _is_record(path)
    }


def _is_record(path: Path) -> bool:
    return path.suffix == ".json" and Path(path.stem).suffix in (".star", ".html", ".txt")


def _state(folder: Path) -> dict[str, object]:
    """Give what a folder holds, alike where it differs in process numbers and times only."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = _RANDOM.sub("*", path.relative_to(folder).as_posix())
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_dir() or path.suffix == ".lock":
            found[name] = None
        elif path.suffix == ".json" and (text := path.read_text()):
            told, end = json.JSONDecoder().raw_decode(text)  # names may be added behind it
            told["finished"] = '"finished": ""' in text
            found[name] = json.dumps(told) + text[end:]
        else:
            found[name] = path.read_bytes()
    return found


def _in_child(act: Callable[[], None], words: list[str], cwd: Path) -> int:
    """Run a command in a process that acts before each of its file operations; its exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:

        def hear(event: str, arguments: tuple[object, ...]) -> None:
            if event == "open":
                path, _, flags = arguments
                changes = isinstance(flags, int) and flags & _WRITING and not flags & _UNNAMED
                if not changes or path == os.devnull:
                    return
            elif event not in _EVENTS:
                return
            act()

        sys.addaudithook(hear)
        run_in_process(*words, cwd=cwd)
        os._exit(0)
    finally:
        os._exit(1)


def states_of_death(words: list[str], folder: Path, kept: Path) -> Iterator[int]:
    """Run a command, and give the folder ``set`` as a SIGKILL at each operation would leave it.

    The operations are counted from 1; states that are as the one before are left out.
    """
    number, copying = 0, False

    def keep() -> None:
        nonlocal number, copying
        if copying:
            return
        copying, number = True, number + 1
        if (folder / "set").exists():
            shutil.copytree(folder / "set", kept / str(number), symlinks=True)
        else:
            (kept / str(number)).mkdir()
            (kept / str(number) / "absent").touch()
        copying = False

    kept.mkdir()
    assert _in_child(keep, words, folder) == 0
    shutil.copytree(folder / "set", kept / "0", symlinks=True)
    before = None
    for number in [*sorted(int(name) for name in os.listdir(kept) if name != "0"), 0]:
        now = _state(kept / str(number))
        if now == before:
            continue
        before = now
        shutil.rmtree(folder / "set", ignore_errors=True)
        if not (kept / str(number) / "absent").exists():
            shutil.copytree(kept / str(number), folder / "set", symlinks=True)
        yield number


def deaths(words: list[str], folder: Path, kept: Path) -> Iterator[int]:
    """Kill a command at each of its file operations, beginning with the folder ``set`` as it is."""
    there = (folder / "set").exists()
    if there:
        shutil.copytree(folder / "set", kept, symlinks=True)
    number, code = 0, -signal.SIGKILL
    while code == -signal.SIGKILL:
        number += 1
        shutil.rmtree(folder / "set", ignore_errors=True)
        if there:
            shutil.copytree(kept, folder / "set", symlinks=True)
        left = number

        def die() -> None:
            nonlocal left
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

        code = _in_child(die, words, folder)
        assert code in (0, -signal.SIGKILL)
        yield number


class Trial:
    """A command, what it makes in the two ways of `COMMANDS`, and what must hold after a death."""

    def __init__(self, name: str, folder: Path, scratch: Path) -> None:
        line, self.naming = COMMANDS[name]
        self.folder, self.scratch, self.made = folder, scratch, []
        self.first, self.second = words_of(line, 1), words_of(line, 2)
        self.replacing = [*self.second, "--overwrite"]
        for words in (self.first, self.replacing):
            run_in_process(*words, cwd=folder)
            self.made.append(contents(folder / "set"))
            if words is self.first:
                shutil.copytree(folder / "set", scratch / "first", symlinks=True)
        assert self.made[0] != self.made[1]

    def start(self, over: bool) -> list[str]:
        """Put the folder as it is before the run that dies, over an earlier result or not."""
        shutil.rmtree(self.folder / "set", ignore_errors=True)
        if over:
            shutil.copytree(self.scratch / "first", self.folder / "set", symlinks=True)
        return self.replacing if over else self.first

    def check(self, over: bool, where: str) -> None:
        """Check what a dead run left, and that the same command line ends as if undisturbed.

        No table names files of another run, no temporary file stays; without ``--overwrite`` the
        command may refuse to replace, and then it changes nothing.
        """
        results = self.folder / "set"
        _check_whole(contents(results), self.made, self.naming, where)
        if over:
            shutil.copytree(results, self.scratch / "dead", symlinks=True)
            left = contents(results)
            wanted = left if _refuses(self.second, self.folder) else self.made[1]
            assert contents(results) == wanted, f"otherwise {where}"
            shutil.rmtree(results)
            (self.scratch / "dead").rename(results)
        run_in_process(*(self.replacing if over else self.first), cwd=self.folder)
        assert contents(results) == self.made[over], f"otherwise {where}"
        hidden = list(results.rglob(".*"))
        assert not hidden, f"{hidden} {where}"


def check_deaths(name: str, folder: Path, scratch: Path, kill: Callable[..., Iterator[int]]) -> int:
    """Kill a first run, and one that replaces a result, everywhere; gives the number of deaths."""
    trial, count = Trial(name, folder, scratch), 0
    for over in (False, True):
        words = trial.start(over)
        for number in kill(words, folder, scratch / f"killed{over:d}"):
            trial.check(over, f"after {number} operations")
            count += 1
    return count


def _refuses(words: list[str], folder: Path) -> bool:
    """Run a command that may end well or refuse, and tell which."""
    try:
        run_in_process(*words, cwd=folder, code=2)
    except AssertionError as error:
        if not str(error).startswith("exit 0"):
            raise
        return False
    return True


def _check_whole(
    now: dict[str, bytes], made: list[dict[str, bytes]], naming: tuple[str, ...], where: str
) -> None:
    """Check that every table that names files names those of its own run."""
    for table in naming:
        if table not in now:
            continue
        whose = [one for one in made if one.get(table) == now[table]]
        assert whose, f"{table} is neither old nor new {where}"
        others = [{name for name in one if name not in naming} for one in whose]
        assert any(
            all(now.get(name) == one[name] for name in names)
            for one, names in zip(whose, others, strict=True)
        ), f"{table} names files of another run {where}"
