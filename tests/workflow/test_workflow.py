"""`slabkit workflow` on Snakemake, which has an environment of its own (issue 16)."""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from small_tomograms import NAMES
from workflow_sets import call, configure, contents, rules

import slabkit as package
from slabkit.formats.tables.native import read_labels, read_native_picks
from slabkit.formats.volumes.mrc import write_mrc

pytest.importorskip("snakemake", reason="Snakemake is not installed; make test-workflow has it")

GLOBAL = ("gather", "minislabs", "classify")
CHOSEN = (*GLOBAL, "label", "curate")
PLAIN = """
slab ../data -o slabs --step 150
pick blob slabs/slabs.star -o picks2d.star --diameter 100:350 --threshold 1
map picks2d.star --slabs slabs/slabs.star -o candidates.star
gather candidates.star -o picks.star --threshold 2.5
minislab picks.star -o minislabs --box 467 --depth 350 --stack
classify minislabs/minislabs.star -o classes --classes 3 --iterations 2 --angular-step 45
label classes/classified.star --minislabs minislabs/minislabs.star --classes 1-2 -o labels.star
curate picks.star labels.star -o curated.star --rejected rejected.star
convert curated.star curated.csv --to csv
"""


def test_bytes_are_those_of_the_commands_over_all_tomograms(finished, tmp_path):
    (tmp_path / "data").symlink_to(finished / "data")
    plain = tmp_path / "plain"
    plain.mkdir()
    for line in PLAIN.strip().splitlines():
        call(*shlex.split(line), cwd=plain)
    own, others = contents(finished / "set"), contents(plain)
    same = [name for name in own if name.startswith(("minislabs/", "classes/", "labels"))]
    assert len(same) == 8
    assert [name for name in same if own[name] != others[name]] == []
    for name in ("picks.star", "curated.star", "rejected.star", "curated.csv"):
        made = own[name].decode()
        for tomogram in NAMES:
            made = made.replace(f"tomograms/{tomogram}/slabs/", "slabs/")
        assert made == others[name].decode()
    assert (read_labels(plain / "labels.star")["slabkitDecision"] == "accepted").any()


def test_picks_are_those_of_the_python_api(finished):
    for name in NAMES:
        tomogram = package.open_tomogram(finished / "data" / f"{name}.mrc")
        images, slabs = package.project_slabs(tomogram, thickness=300, step=150)
        hits = package.pick_blobs(images, slabs, diameter=(100, 350), threshold=1)
        picks, _ = package.map_picks(hits, slabs, tomogram)
        made = read_native_picks(finished / "set" / "tomograms" / name / "picks.star").picks
        columns = ["slabkitPickId", "slabkitX", "slabkitY", "slabkitZ", "slabkitScore"]
        assert np.array_equal(made[columns].to_numpy(), picks[columns].to_numpy())


def test_two_kills_and_the_same_bytes(begun, finished, tmp_path):
    folder = tmp_path / "killed"
    shutil.copytree(begun, folder)
    shutil.copy(finished / "set" / "choice.txt", folder / "set")
    draw = random.Random(16)
    command = [sys.executable, "-m", "slabkit.cli.main", "workflow", "run", "set", "--jobs", "2"]
    moments = [("tomograms/*/done.json", draw.randint(1, 5)), ("minislabs/*.mrc", 1)]
    for pattern, count in moments:
        with open(folder / "log", "a") as log:
            process = subprocess.Popen(
                command, cwd=folder, stdout=log, stderr=log, start_new_session=True
            )
        while process.poll() is None and len(list((folder / "set").glob(pattern))) < count:
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.5))
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, (folder / "log").read_text()
    call("workflow", "run", "set", "--jobs", 2, cwd=folder)
    assert contents(folder / "set") == contents(finished / "set")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"  threshold: 2.5": "  threshold: 3"}, (*CHOSEN, "convert_csv")),
        ({"iterations: 2": "iterations: 3"}, ("classify", "label", "curate", "convert_csv")),
        ({"label: {}": "label: {author: kim}"}, ("label", "curate", "convert_csv")),
        ({"curate: {}": "curate: {keep: all}"}, ("curate", "convert_csv")),
        ({"curated.csv: csv}": "curated.csv: csv, r: relion5}"}, ("convert_relion5",)),
        ({"  # max-ridge: 0.7": "  max-ridge: 0.6"}, ("tomogram", *CHOSEN, "convert_csv")),
        ({"minislab: {}": "minislab: {png: true}"}, (*CHOSEN[1:], "convert_csv")),
        ({"choose: classes": "choose: auto"}, ("label", "curate", "convert_csv")),
        ({"choose: classes": "choose: model"}, ("predict", "curate", "convert_csv")),
        ({"choose: classes": "choose: maps"}, ("gather", "minislabs", "curate", "convert_csv")),
        ({"choose: classes": "choose: review"}, ()),
        ({"minutes: 30": "minutes: 60"}, ()),
    ],
)
def test_a_changed_option_redoes_what_depends_on_it(done, changes, expected):
    (done / "set" / "model").mkdir()
    (done / "set" / "model" / "model.json").write_text("{}")
    configure(done, changes)
    counts = {name: 6 if name == "tomogram" else 1 for name in expected}
    assert rules(done) == counts


def test_a_stale_choice_is_refused(done):
    configure(done, {"iterations: 2": "iterations: 3"})
    labels = (done / "set" / "labels.star").read_bytes()
    assert '"stale"' in call("workflow", "status", "set", "--json", cwd=done, code=75)
    said = call("workflow", "run", "set", "--jobs", 2, cwd=done, code=1)
    assert "choice.txt: was chosen on another classification than classes/classified.star" in said
    call("workflow", "choose", "set", "9", cwd=done, code=2)
    call("workflow", "choose", "set", "1-2", cwd=done)
    assert rules(done) == dict.fromkeys(("label", "curate", "convert_csv"), 1)
    call("workflow", "run", "set", "--jobs", 2, cwd=done)
    assert (done / "set" / "labels.star").read_bytes() != labels
    call("workflow", "status", "set", cwd=done)


def reported(folder, code):
    """What `workflow status --json` has on standard output, which is nothing else."""
    return json.loads(call("workflow", "status", "set", "--json", cwd=folder, code=code, out=True))


def test_bad_volumes_are_reported_and_the_rest_is_done(done):
    """t3 is cut short, t5 not there; t2 is removed before, t4 while its job is at work on it."""
    names = json.dumps([f"../data/{name}.mrc" for name in NAMES])
    configure(done, {'["../data/*.mrc"]': names, "# most-failed: 0.1 ": "most-failed: 0.7 "})
    with (done / "data" / "t3.mrc").open("r+b") as file:
        file.truncate(60_000)
    (done / "data" / "t5.mrc").unlink()
    assert rules(done) == {"tomogram": 2} | dict.fromkeys((*CHOSEN, "convert_csv"), 1)
    vanishing = (
        "until [ -e tomograms/t4/slabs/slabs.star ]; do sleep 0.01; done; "
        "rm ../data/{wildcards.tomogram}.mrc"
    )
    hook = (
        "case {wildcards.tomogram} in t2) rm -f ../data/t2.mrc;; "
        f"t4) [ -e ../data/t4.mrc ] && ({vanishing}) & esac; "
    )
    snakefile = done / "set" / "Snakefile"
    shell = '"code=0; slabkit tomogram'
    snakefile.write_text(snakefile.read_text().replace(shell, f'"{hook}"\n        {shell}'))
    for name in ("t2", "t4"):
        shutil.rmtree(done / "set" / "tomograms" / name)
    said = call("workflow", "run", "set", "--jobs", 2, "--until", "minislabs", cwd=done, code=1)
    failed = ["t2", "t3", "t4", "t5"]
    last = said.strip().splitlines()
    assert last[-1] == f"workflow run: 4 failed: {', '.join(failed)}"
    assert [line[:12] for line in last[-5:-1]] == [f"failed: {name}: " for name in failed]
    report = reported(done, 75)
    assert list(report["failures"]) == failed
    assert "is truncated" in report["failures"]["t3"]
    for name in ("t2", "t5"):
        assert "there is no such file" in report["failures"][name]
    assert "t4.mrc" in report["failures"]["t4"]
    picks = read_native_picks(done / "set" / "picks.star")
    assert picks.tomograms["slabkitTomogram"].tolist() == ["t1", "t6"]
    assert set(picks.picks["slabkitTomogram"]) <= {"t1", "t6"}
    assert (done / "set" / "failed.csv").read_text().count("\n") == 5
    assert {path.name for path in (done / "set" / "tomograms" / "t2").iterdir()} == {"done.json"}


def test_tomograms_come_and_go(done):
    shutil.copy(done / "data" / "t1.mrc", done / "data" / "t7.mrc")
    assert "'waiting'" in str(states(done))
    assert rules(done) == dict.fromkeys(("tomogram", *CHOSEN, "convert_csv"), 1)
    (done / "data" / "t7.mrc").unlink()
    assert rules(done) == {}
    (done / "data" / "t6.mrc").unlink()
    assert rules(done) == dict.fromkeys((*CHOSEN, "convert_csv"), 1)


def states(folder):
    return reported(folder, 75)["states"]


def test_standard_output_is_one_json_object_with_json(begun):
    said = call("workflow", "run", "set", "--dry-run", "--json", cwd=begun, out=True)
    assert json.loads(said)["command"] == "workflow run"


def test_one_run_at_a_time(done):
    from slabkit.execution.locks import output_lock

    with output_lock(done / "set" / "Snakefile"):
        assert "another run" in call("workflow", "run", "set", cwd=done, code=75)
    assert "done" in call("workflow", "status", "set", cwd=done)


def test_maps_name_the_picks(tmp_path, tour):
    """By `init --map` to a named list without a choice, as the commands would."""
    volume = package.open_tomogram(tour / "tomograms" / "sim_001.mrc")
    (tmp_path / "data").mkdir()
    for number, name in enumerate(("t1", "t2")):
        part = volume.data[slice(24, 72), slice(0, 64), slice(70 * number, 70 * number + 64)]
        write_mrc(tmp_path / "data" / f"{name}.mrc", part, volume.voxel_size, label=name)
    ball = np.linalg.norm(np.mgrid[-12:13, -12:13, -12:13], axis=0) < 8
    for name, density in (("ball", ball), ("half", ball * (np.arange(25) < 12))):
        write_mrc(tmp_path / f"{name}.mrc", density.astype(np.float32), 10.0, label=name)
    maps = ("--map", "ball.mrc", "--map", "other=half.mrc")
    call("workflow", "init", "set", "--tomograms", "data/*.mrc", *maps, cwd=tmp_path)
    configure(tmp_path, {'  # tilt-range: "-60:60"': '  tilt-range: "-50:50"'})
    call("workflow", "run", "set", "--jobs", 2, cwd=tmp_path)
    call("workflow", "status", "set", cwd=tmp_path)
    for name in ("t1", "t2"):
        typed = (*maps, "--tilt-range", "-50:50", "-o", f"plain/{name}")
        call("tomogram", f"data/{name}.mrc", *typed, cwd=tmp_path)
    found = [read_labels(tmp_path / "plain" / name / "names.star") for name in ("t1", "t2")]
    names = read_labels(tmp_path / "set" / "labels.star")
    assert names["slabkitDecision"].tolist() == [
        one for table in found for one in table["slabkitDecision"]
    ]
    assert {"slabkitProbability_ball", "slabkitProbability_other"} <= {*names.columns}
    kept = read_native_picks(tmp_path / "set" / "curated.star").picks
    assert len(kept) == (names["slabkitDecision"] == "accepted").sum()
    assert (tmp_path / "set" / "minislabs" / "minislabs.star").exists()
