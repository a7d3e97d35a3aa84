"""Data sets of six small tomograms for the tests of the workflow, and their results."""

from __future__ import annotations

import re
import subprocess
import sys

CONFIG = {
    "  target-precision: 0.7": "  threshold: 2.5",
    "classify: {}": "classify: {classes: 3, iterations: 2, angular-step: 45}",
    "convert: {}": "convert: {curated.csv: csv}",
    "pause: 30": "pause: 1",
}


def call(*arguments, cwd, code=0, out=False):
    """Run slabkit in a process of its own; all that it prints, or what to standard output."""
    command = [sys.executable, "-m", "slabkit.cli.main", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said
    assert done.returncode == code, f"exit {done.returncode}, not {code}:\n{said}"
    return done.stdout if out else said


def configure(folder, changes):
    path = folder / "set" / "config.yaml"
    text = path.read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


def rules(folder, *options):
    """Count the jobs that a run would do, by rule."""
    said = call("workflow", "run", "set", "--dry-run", *options, cwd=folder)
    stats = said.partition("Job stats:")[2].partition("\n\n")[0]
    found = {name: int(count) for name, count in re.findall(r"(?m)^(\w+) +(\d+)$", stats)}
    return {name: count for name, count in found.items() if name not in ("all", "total")}


def contents(folder):
    """The results of a data set: all but records, which have the time, and what is the engine's."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        of_engine = name.startswith((".snakemake", "profiles"))
        if (
            path.is_file()
            and not of_engine
            and not name.endswith((".star.json", ".csv.json", ".tsv"))
        ):
            found[name] = path.read_bytes()
    return found
