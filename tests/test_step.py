"""The frame of a step: records, skipping, refusing, locks, failures."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from curation_tables import NO, YES, pick_table

from slabkit.arrays.parallel import attempt_in_order, map_in_order
from slabkit.cli.console import format_table
from slabkit.cli.options.values import parse_pairs, parse_range
from slabkit.cli.running import ConsoleReporter, execute
from slabkit.errors import (
    InputError,
    OutputExistsError,
    SlabkitError,
    SlabkitWarning,
    TryAgainError,
)
from slabkit.execution import records
from slabkit.execution.frame import Frame
from slabkit.execution.locks import output_lock
from slabkit.execution.records import describe_input, load_record
from slabkit.execution.reporting import Reporter, raise_if_all_failed
from slabkit.formats.tables.atomic import atomic_path, write_text
from slabkit.formats.tables.native import PickList, write_picks
from slabkit.steps import curate
from slabkit.tables import TOMOGRAMS, make_table


def work(out, source, *, parameters=None, overwrite=False, reporter=None):
    frame = Frame(overwrite, reporter=reporter or Reporter())
    return frame.work("test", out, inputs=[source], parameters=parameters or {"a": 1})


def run(out, source, *, text="result", **options):
    with work(out, source, **options) as step:
        if not step.finished:
            write_text(out, text)
            step.summary["picks"] = 3
    return step.finished


@pytest.fixture
def paths(tmp_path):
    source = tmp_path / "in.star"
    source.write_text("one")
    return tmp_path / "deep" / "out.star", source


def test_finished_work_is_skipped_and_changed_work_refused(paths, capsys):
    out, source = paths
    assert run(out, source) is False
    assert run(out, source, reporter=ConsoleReporter()) is True
    assert "finished already" in capsys.readouterr().err
    with pytest.raises(OutputExistsError, match=r"made otherwise: a was 1, is 2; .*--overwrite"):
        run(out, source, parameters={"a": 2})
    source.write_text("two")
    with pytest.raises(OutputExistsError, match=r"in\.star has changed"):
        run(out, source)
    assert out.read_text() == "result"
    assert run(out, source, overwrite=True, text="new") is False
    assert out.read_text() == "new"


def test_a_foreign_file_is_never_replaced(paths):
    out, source = paths
    out.parent.mkdir()
    out.write_text("mine")
    with pytest.raises(OutputExistsError, match="not recorded as made by slabkit"):
        run(out, source)
    assert out.read_text() == "mine"
    assert not (out.parent / ".out.star.lock").exists()


def test_the_record_explains_the_result(paths):
    out, source = paths
    run(out, source)
    record = load_record(out)
    assert record.step == "test"
    assert record.parameters == {"a": 1}
    assert record.inputs == [describe_input(source)]
    assert record.summary == {"picks": 3}
    assert record.outputs == ["out.star"]
    assert json.loads((out.parent / "out.star.json").read_text())["version"]


def test_the_files_of_many_items_are_added_to_a_record_that_is_written_once(paths, monkeypatch):
    out, source = paths
    record = out.with_name("out.star.json")
    saved, save = [], records.save_record
    monkeypatch.setattr(records, "save_record", lambda *given: (saved.append(1), save(*given)))
    with work(out, source) as step:
        begun = record.read_text()
        for number in range(50):
            step.check_free([out.with_name(f"{number}.mrc"), out.with_name("sheet \u00e5.png")])
        assert record.read_text().startswith(begun)
        assert len(saved) == 1
        told = load_record(out)
        assert told is not None
        named = ["out.star", "0.mrc", "sheet \u00e5.png", *(f"{n}.mrc" for n in range(1, 50))]
        assert told.outputs == named
        # Of a line that a crash cut short nothing is taken.
        with record.open("a") as file:
            file.write('["50.mrc", "51')
        assert load_record(out).outputs == named
        write_text(out, "result")
    assert load_record(out).outputs == ["out.star"]
    assert json.loads(record.read_text())["finished"]
    with record.open("a") as file:
        file.write('["50.mrc"]\n')
    with pytest.warns(SlabkitWarning, match="there is more after its end"):
        assert load_record(out) is None


def test_a_full_disk_leaves_no_half_of_a_line_in_the_record(paths, monkeypatch):
    out, source = paths
    with work(out, source) as step:
        before = out.with_name("out.star.json").read_text()
        with monkeypatch.context() as patch:

            def full(_):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            patch.setattr(os, "fsync", full)
            with pytest.raises(TryAgainError, match="No space left"):
                step.check_free([out.with_name("1.mrc")])
        assert out.with_name("out.star.json").read_text() == before
        write_text(out, "result")


def test_json_is_one_object_on_standard_output(paths, capsys):
    out, source = paths
    run(out, source, reporter=ConsoleReporter(json_=True))
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert report["status"] == "done"
    assert report["picks"] == 3
    run(out, source, reporter=ConsoleReporter(json_=True))
    assert json.loads(capsys.readouterr().out)["status"] == "skipped"
    with pytest.raises(InputError, match="both want standard output"):
        execute(run, SimpleNamespace(out="-"), json_=True)


def test_an_error_leaves_nothing(paths):
    out, source = paths
    with pytest.raises(InputError, match="no"), work(out, source):
        raise InputError("no")
    assert not out.parent.exists()


def test_an_error_leaves_none_of_the_files_beside_the_result_but_those_of_before(paths):
    out, source = paths
    run(out, source)
    before = out.with_name("before.png")
    before.write_text("old")
    new = [out.with_name("one.png"), out.with_name("two.png")]

    def fail():
        with work(out, source, overwrite=True) as step:
            step.check_free([before, *new])
            for path in (before, new[0]):
                path.write_text("new")
            raise TryAgainError("full")

    with pytest.raises(TryAgainError, match="full"):
        fail()
    assert sorted(path.name for path in out.parent.iterdir()) == ["before.png", "out.star.json"]
    assert not load_record(out).finished  # the next run may replace before.png


def test_what_a_killed_run_kept_is_removed_once_its_result_is_finished(paths):
    out, source = paths
    with work(out, source) as step:
        step.parts.keep("TS_1", {"a": 1})
        write_text(out, "result")
        kept = shutil.copytree(step.parts._folder, out.with_name("copy"))
        folder = step.parts._folder
    kept.rename(folder)
    assert run(out, source) is True
    assert sorted(path.name for path in out.parent.iterdir()) == ["out.star", "out.star.json"]


def test_an_input_cannot_be_the_result(paths):
    _, source = paths
    with pytest.raises(InputError, match="cannot be the result too"):
        run(source, source, overwrite=True)
    assert source.read_text() == "one"


def test_failures_give_exit_code_one_and_are_tried_again(paths, capsys):
    out, source = paths

    def fail(options, frame):
        with frame.work("test", out, inputs=[source], parameters={"a": 1}) as step:
            assert not step.finished
            write_text(out, "part")
            step.fail("TS_2", InputError("truncated"))

    for _ in range(2):
        with pytest.raises(typer.Exit) as stop:
            execute(fail, None)
        assert stop.value.exit_code == 1
    assert "failed: TS_2: truncated" in capsys.readouterr().err
    assert load_record(out).failures == [{"item": "TS_2", "error": "truncated"}]
    assert run(out, source) is False


def test_slabs_of_an_earlier_run_do_not_linger_but_nothing_else_is_removed(paths):
    """Issue 12, G1: a record is no order to delete."""
    out, source = paths
    kept = out.parent / "r1.star"
    for names in (["a_slab000.mrc", "a_slab001.mrc", "r1.star"], ["a_slab000.mrc", "r2.star"]):
        with work(out, source, parameters={"n": len(names)}, overwrite=True) as s:
            for name in names:
                write_text(out.parent / name, "x")
                s.outputs.append(out.parent / name)
            write_text(out, "table")
    assert sorted(p.name for p in out.parent.iterdir()) == [
        "a_slab000.mrc",
        "out.star",
        "out.star.json",
        "r1.star",
        "r2.star",
    ]
    assert kept.read_text() == "x"


def test_outputs_elsewhere_are_known_again_and_never_deleted(tmp_path, monkeypatch):
    """Issue 12, G1: names in a record are relative to the record, wherever they lie."""
    monkeypatch.chdir(tmp_path)
    for name in ("P/a", "P/b", "P/a/b"):
        Path(name).mkdir(parents=True, exist_ok=True)
    Path("P/in.star").write_text("one")
    Path("P/a/b/r.star").write_text("somebody else's")

    def write(rejected, overwrite=False, folder="P"):
        out = Path(folder) / "a" / "c.star"
        with work(out, Path(folder) / "in.star", parameters={}, overwrite=overwrite) as s:
            if s.finished:
                return "finished"
            beside = Path(folder) / "b" / rejected
            s.check_free([beside])
            write_text(beside, "rejected")
            s.outputs.append(beside)
            write_text(out, "kept")
        return "done"

    assert write("r.star") == "done"
    assert write("r.star") == "finished"
    assert write("r2.star", overwrite=True) == "done"
    assert Path("P/a/b/r.star").read_text() == "somebody else's"
    shutil.copytree("P", "Q")
    assert write("r3.star", overwrite=True, folder="Q") == "done"
    assert Path("P/b/r2.star").exists()


def test_no_input_is_written_to_under_another_name(paths):
    """Issue 12, G3: paths are compared by file identity."""
    out, source = paths
    out.parent.mkdir()
    link = out.parent / "link.star"
    link.symlink_to(source)
    hard = out.parent / "hard.star"
    os.link(source, hard)
    for other in (link, hard):
        with (
            pytest.raises(InputError, match=r"is an input \(it is .*in\.star\) and cannot be"),
            work(out, source, overwrite=True) as s,
        ):
            s.check_free([other])
        with pytest.raises(InputError, match="cannot be the result too"):
            run(other, source, overwrite=True)
    assert source.read_text() == "one"
    with pytest.raises(InputError, match="is not a regular file"):
        run("/dev/null", source, overwrite=True)


def test_a_killed_run_is_taken_over_at_every_moment(paths):
    """Issue 12, G8: killed before the table, after it, and before its record was finished."""
    out, source = paths
    script = (
        "import os, sys\n"
        "from slabkit.execution.frame import Frame\n"
        "from slabkit.formats.tables.atomic import atomic_path, write_text\n"
        "out, source, when = sys.argv[1:]\n"
        "with Frame().work('test', out, inputs=[source], parameters={'a': 1}):\n"
        "    if when == 'midway':\n"
        "        with atomic_path(out):\n"
        "            os.kill(os.getpid(), 9)\n"
        "    write_text(out, 'result')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    for when in ("midway", "late"):
        killed = subprocess.run([sys.executable, "-c", script, out, source, when], check=False)
        assert killed.returncode == -9
        assert run(out, source) is False  # not refused, and not taken for finished
        assert sorted(p.name for p in out.parent.iterdir()) == ["out.star", "out.star.json"]
        assert run(out, source) is True
        out.unlink()
        out.with_name("out.star.json").unlink()


def test_a_failed_replacement_leaves_the_old_result_finished(paths):
    out, source = paths
    run(out, source)
    with pytest.raises(InputError), work(out, source, parameters={"a": 2}, overwrite=True):
        raise InputError("no")
    assert run(out, source) is True


@pytest.mark.parametrize(
    "text",
    ["[]", "{", "\x00", '{"step": 1}', "[" * 100_000]
    + [
        json.dumps({"step": "test", "parameters": {}, "inputs": [], **wrong})
        for wrong in ({"outputs": [1]}, {"inputs": [3]}, {"outputs": "/etc"}, {"finished": 1e30})
    ],
)
def test_a_record_that_is_none_counts_as_absent(paths, text):
    """Issue 12, G11."""
    out, source = paths
    out.parent.mkdir()
    out.write_text("mine")
    out.with_name("out.star.json").write_text(text)
    with (
        pytest.warns(SlabkitWarning, match="is no record of slabkit"),
        pytest.raises(OutputExistsError, match="not recorded as made by slabkit"),
    ):
        run(out, source)


def test_files_beside_the_result_are_not_replaced_unasked(paths):
    out, source = paths
    out.parent.mkdir()
    (out.parent / "a.mrc").write_text("mine")
    with (
        pytest.raises(OutputExistsError, match=r"a\.mrc: exists already"),
        work(out, source) as step,
    ):
        step.check_free([out.parent / "a.mrc"])


def test_two_runs_do_not_write_one_result(paths):
    out, source = paths
    out.parent.mkdir()
    lock = out.parent / ".out.star.lock"
    name = re.escape(f"(process {os.getpid()} on {socket.gethostname()})")
    with output_lock(out), pytest.raises(TryAgainError, match=f"another run {name}"):
        run(out, source)
    assert not lock.exists()
    # Of a run that crashed, or of an older version: whoever it names, nobody holds it.
    for pid in (os.getpid(), 2**22 + 1):
        lock.write_text(json.dumps({"host": socket.gethostname(), "pid": pid}))
        assert run(out, source, overwrite=True) is False
        assert not lock.exists()


def test_a_folder_cannot_be_the_result(paths):
    out, source = paths
    out.mkdir(parents=True)
    with pytest.raises(InputError, match="is a folder"):
        run(out, source)


def test_atomic_writing_leaves_the_old_file_on_an_error(tmp_path):
    target = tmp_path / "x.star"
    target.write_text("old")

    def fail_midway():
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_midway()
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.star"]
    (tmp_path / "file").write_text("")
    with pytest.raises(SlabkitError, match="cannot be written"):
        write_text(tmp_path / "file" / "x.star", "text")


def test_hashes_see_content_sizes_and_folders(tmp_path):
    big = tmp_path / "v.mrc"
    big.write_bytes(bytes(5_000_000))
    first = describe_input(big)
    assert first["size"] == 5_000_000
    with big.open("r+b") as file:
        file.write(b"x")
    assert describe_input(big)["hash"] != first["hash"]
    store = tmp_path / "s.zarr"
    (store / "0").mkdir(parents=True)
    (store / ".zattrs").write_text("{}")
    before = describe_input(store)
    (store / "0" / "0").write_text("chunk")
    assert describe_input(store)["hash"] != before["hash"]
    with pytest.raises(InputError, match="cannot be read"):
        describe_input(tmp_path / "nowhere")


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_items_keep_their_order_and_their_failures(jobs):
    def work(item):
        if item % 3 == 0:
            raise InputError(f"no {item}")
        return item * 2

    results = list(attempt_in_order(work, range(10), jobs))
    assert [item for item, _ in results] == list(range(10))
    assert [r for item, r in results if item % 3] == [2 * i for i in range(10) if i % 3]
    assert [str(r) for item, r in results if item % 3 == 0] == [f"no {i}" for i in (0, 3, 6, 9)]
    with pytest.raises(ZeroDivisionError):
        list(attempt_in_order(lambda item: 1 / item, [1, 0], jobs))


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_the_parallel_map_takes_few_items_ahead(jobs):
    taken = []

    def items():
        for item in range(20):
            taken.append(item)
            yield item

    for item in map_in_order(lambda item: item, items(), jobs):
        assert len(taken) <= item + 1 + jobs
    assert taken == list(range(20))


def test_background_work_starts_at_once_and_is_waited_for():
    begun, done = threading.Event(), threading.Event()

    def work(item):
        begun.set()
        time.sleep(0.05)
        done.set()

    results = map_in_order(work, [1, 2], 1, background=True)
    assert begun.wait(10)
    results.close()
    assert done.is_set()


def test_option_values_are_read_or_refused():
    assert parse_range("100:350", "--diameter") == (100, 350)
    assert parse_range("200", "--diameter") == (200, 200)
    assert parse_range(":350", "--z-range", True) == (float("-inf"), 350)
    for bad in ("a:b", "350:100", "1:2:3", "", ":5"):
        with pytest.raises(InputError, match="--diameter takes MIN:MAX in Å"):
            parse_range(bad, "--diameter")
    assert parse_pairs(["a=1,b=2.5", "c-d=3"], "--radius") == {"a": 1, "b": 2.5, "c-d": 3}
    for bad in ("a", "=3", "a=x"):
        with pytest.raises(InputError, match="--radius takes NAME=NUMBER"):
            parse_pairs([bad], "--radius")
    with pytest.raises(InputError, match="names a twice"):
        parse_pairs(["a=1", "a=2"], "--radius")


def test_nothing_done_is_told_apart_from_something_failed():
    raise_if_all_failed({"a": "x"}, 2)
    with pytest.raises(InputError, match=r"^x$"):
        raise_if_all_failed({"a": "x"}, 1)
    with pytest.raises(InputError, match="none of 2 could be done; x"):
        raise_if_all_failed({"a": "x", "b": "y"}, 2)


def test_small_tables_line_up():
    text = format_table("title", ["name", "n"], [["a", 1.5], ["long name", None]])
    assert text.splitlines() == [
        "title",
        "name         n",
        "─────────  ───",
        "a          1.5",
        "long name    –",
    ]


def test_an_interrupted_replacement_is_never_taken_for_finished(paths):
    out, source = paths
    beside = out.parent / "a.mrc"

    def write(text, parameters, overwrite=False, interrupt=False):
        with work(out, source, parameters=parameters, overwrite=overwrite) as s:
            if s.finished:
                return "finished"
            s.check_free([beside])
            write_text(beside, text)
            if interrupt:
                raise KeyboardInterrupt
            s.outputs.append(beside)
            write_text(out, text)
        return "done"

    assert write("old", {"p": 1}) == "done"
    with pytest.raises(KeyboardInterrupt):
        write("new", {"p": 2}, overwrite=True, interrupt=True)
    assert not out.exists()  # the table that spoke of the old image is gone
    assert beside.read_text() == "new"
    assert write("old again", {"p": 1}) == "done"  # and nobody says "finished"
    assert beside.read_text() == out.read_text() == "old again"
    assert write("-", {"p": 1}) == "finished"


def test_a_result_changed_by_hand_is_not_finished_work(paths):
    out, source = paths
    run(out, source)
    out.write_text("edited")
    with pytest.raises(OutputExistsError, match="was changed since it was made"):
        run(out, source)
    assert out.read_text() == "edited"


def test_a_repaired_input_may_be_tried_again(paths):
    out, source = paths
    with work(out, source) as step:
        write_text(out, "part")
        step.fail("TS_2", InputError("truncated"))
    source.write_text("repaired")
    assert run(out, source, text="whole") is False
    assert out.read_text() == "whole"


def test_a_lock_without_an_owner_is_free_unless_held(paths):
    out, source = paths
    out.parent.mkdir()
    lock = out.parent / ".out.star.lock"
    lock.write_text("")
    with lock.open() as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)  # its owner is about to write its name
        with pytest.raises(TryAgainError, match="another run"):
            run(out, source)
    assert run(out, source) is False


def test_the_lock_of_a_killed_process_is_free(paths):
    out, source = paths
    out.parent.mkdir()
    script = (
        "import sys, time; from slabkit.execution.locks import output_lock\n"
        "with output_lock(sys.argv[1]): print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(out)], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(TryAgainError, match=rf"another run \(process {process.pid} on"):
            run(out, source)
    finally:
        process.kill()
        process.communicate()
    assert (out.parent / ".out.star.lock").exists()
    assert run(out, source) is False


def test_a_race_for_a_stale_lock_has_one_winner(tmp_path):
    result = tmp_path / "out.star"
    lock = tmp_path / ".out.star.lock"
    stale = json.dumps({"host": socket.gethostname(), "pid": 2**22 + 1})
    start = threading.Barrier(4)
    holders, most, wins = [], [], []

    def race():
        for _ in range(300):
            if start.wait(30) == 0:
                lock.write_text(stale)
            start.wait(30)
            try:
                with output_lock(result):
                    holders.append(1)
                    most.append(len(holders))
                    time.sleep(0)
                    holders.pop()
                    wins.append(1)
            except TryAgainError:
                pass

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert len(wins) >= 300


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK])
def test_without_file_locks_the_file_itself_is_the_lock(paths, monkeypatch, number):
    out, source = paths

    def unsupported(handle, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with output_lock(out):
        name = re.escape(f"(process {os.getpid()} on {socket.gethostname()})")
        with pytest.raises(TryAgainError, match=f"another run {name} .* or remove .*lock if"):
            run(out, source)
    assert run(out, source) is False


def test_a_step_is_called_without_a_command_line_and_says_nothing(tmp_path, capsys):
    tomograms = make_table(TOMOGRAMS, {"slabkitTomogram": ["a"]})
    picks = PickList(pick_table([YES, NO, YES]), tomograms)
    write_picks(tmp_path / "picks.star", picks)
    frame = Frame()
    options = curate.Options(str(tmp_path / "picks.star"), str(tmp_path / "curated.star"))
    curate.run(options, frame)
    assert (frame.result.status, frame.result.summary["kept"]) == ("done", 2)
    curate.run(options, frame)
    assert frame.result.status == "skipped"
    assert capsys.readouterr() == ("", "")
