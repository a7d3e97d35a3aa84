"""What benchmarks make of their numbers: ratios beside other programs, and what became slower."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
SLAB = {
    "cat, four": {"seconds": 10.0, "spread": 0.02},
    "slab, four": {"seconds": 12.0, "spread": 0.3},
    "slab, one": {"seconds": 3.0},
    "slabpick make_slabs, one": {"seconds": 12.0},
}


def run(script: str, *arguments: object, code: int = 0) -> str:
    command = [sys.executable, str(FOLDER / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout


def results(folder: Path, **values: object) -> Path:
    folder.mkdir()
    for name, value in values.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    return folder


def test_ratios_have_goals_and_say_what_is_missing(tmp_path):
    template = {"150 Å": {"ours": 2.0, "plain": 9.0}}
    picker = {
        name: {"pick": {"processor_seconds": s}}
        for name, s in (("slabkit blob", 2), ("RELION LoG", 9))
    }
    folder = results(
        tmp_path / "results",
        slab=SLAB,
        template_speed={"options": {"coarse": {"slabs": template}}},
        picking={"data": {"150 Å": {"pickers": picker}}},
    )
    code = (
        "from ratios import *; from pathlib import Path; import sys;"
        "print('\\n'.join(table(ratios(read_results(Path(sys.argv[1]))), 'here')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, folder], capture_output=True, text=True, cwd=FOLDER, check=True
    )
    lines = done.stdout.splitlines()
    for line in (
        "| slab, 4 tomograms | cat | 1.2 | at most 1.3 | reached |",
        "| slab --step 75 | slab |  | at most 1.3 | not measured |",
        "| slab | slabpick | 4.0 | at least 5 | missed |",
        "| pick blob, data, 150 Å | RELION LoG | 4.5 | at least 5 | missed |",
        "| pick template, coarse angles, 150 Å | SciPy's FFT | 4.5 | at least 5 | missed |",
    ):
        assert line in lines


def test_what_became_slower_by_more_than_the_noise_is_named(tmp_path):
    old = results(tmp_path / "old", slab=SLAB)
    changed = {name: {**one} for name, one in SLAB.items()}
    changed["slab, four"]["seconds"] = 15.0  # within the spread of its runs
    changed["cat, four"]["seconds"] = 10.9
    changed["slab, one"]["seconds"] = 4.0
    changed["slabpick make_slabs, one"]["seconds"] = 6.0  # of another program: no goal of ours
    new = results(tmp_path / "new", slab=changed)
    text = run("compare.py", old, new, code=1)
    assert "slower: slab, slab, one: 3.00 s before, 4.00 s now (1.33 ×)" in text
    assert "faster: slab, slabpick make_slabs, one" in text
    assert "4 times compared, 1 slower by more than the noise" in text
    assert "goal lost: slab, 4 tomograms" in text
    run("compare.py", old, old)
    run("compare.py", old, results(tmp_path / "none"), code=2)


def test_a_benchmark_that_there_is_not_is_refused(tmp_path):
    run("run.py", "slabs", code=2)
