"""`slabkit workflow` on a real SLURM of one node (issue 16): groups, kills, a time limit."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from slurm_cluster import cluster, why_not
from workflow_sets import call, configure, contents

pytest.importorskip("snakemake_executor_plugin_slurm", reason="the plug-in is not installed")

OPTIONS = ("--profile", "slurm", "--group-components", "tomograms=3")
GLOBAL = ("picks.star", "minislabs/minislabs.star", "classes/classified.star")
GLOBAL += ("labels.star", "curated.star", "curated.csv")
OPTIONS += ("--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "5")
# The job of one tomogram hangs the first time.
HANGS = "if [ {wildcards.tomogram} = t4 ] && mkdir hung; then sleep 900; fi; "


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    reason = why_not()
    if reason:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("slurm") / "cluster"
    with cluster(folder):
        yield


def running():
    """The jobs that run now: their numbers, and the run of snakemake that they are of."""
    asked = subprocess.run(
        ["squeue", "-h", "-t", "R", "-o", "%i %j"], capture_output=True, text=True, check=True
    )
    return dict(line.split() for line in asked.stdout.splitlines())


def wait_for(what, process, log):
    while not (found := what()):
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    return found


def hook(folder, line):
    """Put a line before what the job of a tomogram does."""
    snakefile = folder / "set" / "Snakefile"
    text = snakefile.read_text()
    shell = '"code=0; slabkit tomogram'
    assert shell in text
    snakefile.write_text(text.replace(shell, f'"{line}"\n        {shell}'))


def compared(folder):
    """The results, without what a test changes."""
    changed = ("Snakefile", "config.yaml", "hung")
    return {name: data for name, data in contents(folder / "set").items() if name not in changed}


@pytest.mark.usefixtures("slurm")
def test_a_job_over_its_time_limit_is_tried_again_with_twice_the_time(finished, tmp_path):
    folder = tmp_path / "late"
    shutil.copytree(finished, folder)
    shutil.rmtree(folder / "set" / "tomograms" / "t4")
    for name in GLOBAL:
        (folder / "set" / name).unlink()
    configure(folder, {"minutes: 30": "minutes: 1", "classify_threads: 8": "classify_threads: 2"})
    hook(folder, HANGS)
    said = call("workflow", "run", "set", *OPTIONS, "--rerun-triggers", "mtime", cwd=folder)
    assert "Trying to restart" in said
    shown = subprocess.run(["scontrol", "show", "jobs"], capture_output=True, text=True, check=True)
    jobs = [dict(re.findall(r"(\w+)=(\S+)", one)) for one in shown.stdout.split("\n\n")]
    ended = {(job.get("JobState"), job.get("TimeLimit")) for job in jobs}
    assert {("TIMEOUT", "00:01:00"), ("COMPLETED", "00:02:00")} <= ended, ended
    assert compared(folder) == compared(finished)


@pytest.mark.usefixtures("slurm")
def test_head_and_jobs_are_killed_and_the_bytes_are_the_same(begun, finished, tmp_path):
    folder = tmp_path / "cluster"
    shutil.copytree(begun, folder)
    shutil.copy(finished / "set" / "choice.txt", folder / "set")
    configure(folder, {"classify_threads: 8": "classify_threads: 2"})
    command = [sys.executable, "-m", "slabkit.cli.main", "workflow", "run", "set", *OPTIONS]
    log = folder / "log"
    draw = random.Random(22)

    def start():
        with open(log, "a") as out:
            return subprocess.Popen(
                command, cwd=folder, stdout=out, stderr=out, start_new_session=True
            )

    head = start()
    first = set(wait_for(running, head, log).values())
    time.sleep(draw.uniform(0, 2))
    os.killpg(head.pid, signal.SIGKILL)  # its jobs go on
    head.wait()
    log.unlink()
    head = start()

    def others():
        return sorted(job for job, name in running().items() if name not in first)

    victim = wait_for(others, head, log)[-1]
    time.sleep(draw.uniform(0, 2))
    subprocess.run(["scancel", victim], check=True)
    head.wait()
    said = log.read_text()
    assert head.returncode == 0, said[-20_000:]
    assert "Group job tomograms" in said
    assert "Trying to restart" in said
    assert compared(folder) == compared(finished)
    call("workflow", "status", "set", cwd=folder)
