"""The whole loop through the command line: files, pipes, jobs, recall."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import run_in_process, run_script

import slabkit
from slabkit.errors import SlabkitWarning
from slabkit.scoring import match_picks

SLABKIT = f"{shlex.quote(sys.executable)} -m slabkit.cli.main"


def shell(script, cwd, code=0):
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f'slabkit() {{ {SLABKIT} "$@"; }}\n{script}'],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture(scope="module")
def loop(tour, tmp_path_factory):
    """A copy of the tour to write into; files are replaced whole, never changed in their place."""
    folder = tmp_path_factory.mktemp("loop")
    return shutil.copytree(tour, folder, copy_function=os.link, dirs_exist_ok=True)


def test_recall_on_simulated_tomograms(loop):
    picks = slabkit.read_picks(loop / "picks.star").picks
    truth = slabkit.read_picks(loop / "tomograms" / "truth.star").picks
    table = slabkit.score_picks(picks, truth).table.set_index("species")
    assert table.loc["ribosome", "recall"] >= 0.9
    scored = table.loc[["virus-like-particle", "thyroglobulin", "beta-galactosidase"]]
    assert scored["true_positives"].sum() / scored["truth"].sum() >= 0.6
    # A position within half a radius laterally is not luck: its depth is right as well.
    pairs = match_picks(picks, truth)
    error = np.abs(
        picks["slabkitZ"].to_numpy()[pairs["pick"]]
        - truth["slabkitZ"].to_numpy()[pairs["particle"]]
    )
    assert np.median(error) <= 15


def test_the_pipe_gives_the_same_tables(loop):
    shell(
        """
        slabkit pick blob slabs/slabs.star -o - --diameter 100:350 \
            | slabkit map - --slabs slabs/slabs.star -o - \
            | tee piped.star | slabkit minislab - -o piped --box 400 --depth 300
        """,
        loop,
    )
    assert (loop / "piped.star").read_text() == (loop / "picks.star").read_text()
    tables = [
        slabkit.read_minislabs(loop / d / "minislabs.star")[0] for d in ("minislabs", "piped")
    ]
    first, second = tables
    assert first["slabkitPickId"].tolist() == second["slabkitPickId"].tolist()
    for name in dict.fromkeys(second["rlnMicrographName"]):
        whole = loop / name
        assert whole.read_bytes() == (loop / "minislabs" / whole.name).read_bytes()


def test_bytes_do_not_depend_on_jobs(loop):
    run_script(
        """
        slabkit pick blob slabs/slabs.star -o one/picks2d.star --diameter 100:350 --jobs 1
        slabkit map one/picks2d.star --slabs slabs/slabs.star -o one/picks.star --jobs 1
        slabkit minislab picks.star -o one/minislabs --box 400 --depth 300 --stack --jobs 1
        """,
        loop,
    )
    for name in ("picks2d.star", "picks.star"):
        assert (loop / "one" / name).read_bytes() == (loop / name).read_bytes()
    for image in sorted((loop / "minislabs").glob("*.mrc*")):
        assert (loop / "one" / "minislabs" / image.name).read_bytes() == image.read_bytes()


def test_labels_from_csv_and_relion_curate_the_same(loop):
    run_script("slabkit convert picks.star picks.csv", loop)
    with (loop / "picks.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    good = [row["pick_id"] for row in rows if float(row["score"]) >= 9]
    assert 5 < len(good) < len(rows)
    with (loop / "good.csv").open("w") as file:
        file.write("pick_id,decision\n")
        for row in reversed(rows):
            file.write(f"{row['pick_id']},{'accepted' if row['pick_id'] in good else 'rejected'}\n")
    # RELION's way: the particle STAR with only the good rows, shuffled.
    lines = (loop / "minislabs" / "minislabs.star").read_text().splitlines()
    head = [line for line in lines if not line.startswith("minislabs/")]
    body = [line for line in lines if line.startswith("minislabs/")]
    assert len(body) == len(rows)
    chosen = [line for line in reversed(body) if any(f"\t{i}\t" in line for i in good)]
    (loop / "selected.star").write_text("\n".join([*head, *chosen]) + "\n")
    run_script(
        """
        slabkit label good.csv --minislabs minislabs/minislabs.star -o csv_labels.star
        slabkit label selected.star --minislabs minislabs/minislabs.star -o relion_labels.star
        slabkit curate picks.star csv_labels.star -o csv_curated.star --rejected csv_rejected.star
        slabkit curate picks.star relion_labels.star -o relion_curated.star
        """,
        loop,
    )
    everything = slabkit.read_picks(loop / "picks.star").picks["slabkitPickId"].tolist()
    kept = slabkit.read_picks(loop / "csv_curated.star").picks
    dropped = slabkit.read_picks(loop / "csv_rejected.star").picks
    assert kept["slabkitPickId"].tolist() == [i for i in everything if i in set(good)]
    assert sorted([*kept["slabkitPickId"], *dropped["slabkitPickId"]]) == sorted(everything)
    other = slabkit.read_picks(loop / "relion_curated.star").picks
    assert other["slabkitPickId"].tolist() == kept["slabkitPickId"].tolist()
    assert other[["slabkitX", "slabkitY", "slabkitZ"]].equals(
        kept[["slabkitX", "slabkitY", "slabkitZ"]]
    )
    done = run_script("slabkit score csv_curated.star tomograms/truth.csv --json", loop)
    before = run_script("slabkit score picks.star tomograms/truth.csv --json", loop)
    after_json, before_json = (json.loads(d.stdout) for d in (done, before))
    assert after_json["status"] == before_json["status"] == "done"
    truth = slabkit.read_picks(loop / "tomograms" / "truth.csv").picks
    tables = (slabkit.read_picks(loop / "picks.star").picks, kept)
    scores = [slabkit.score_picks(table, truth).total["precision"] for table in tables]
    assert scores[1] > 1.3 * scores[0]


def test_no_picks_at_all_flow_through(loop):
    (loop / "none_good.csv").write_text("pick_id,decision\n")
    done = run_script(
        """
        slabkit pick blob slabs/slabs.star -o none2d.star --diameter 100:350 --threshold 1000
        slabkit map none2d.star --slabs slabs/slabs.star -o none.star
        slabkit minislab none.star -o none --box 400 --depth 300 --stack
        slabkit convert none.star none.csv
        slabkit label none_good.csv --minislabs none/minislabs.star -o none_labels.star
        slabkit curate none.star none_labels.star -o none_curated.star
        slabkit score none_curated.star tomograms/truth.star
        """,
        loop,
    )
    assert "warning: " in done.stderr
    with pytest.warns(SlabkitWarning, match="holds no picks"):
        assert len(slabkit.read_picks(loop / "none_curated.star").picks) == 0


def test_a_reader_that_leaves_early_is_no_error(loop):
    done = shell("slabkit convert picks.star - --to csv | head -1; true", loop)
    assert done.stdout.startswith("pick_id,")


def test_help_lists_the_pipeline_in_order(tmp_path):
    done = shell("slabkit --help", tmp_path)
    commands = ("slab", "pick", "map", "minislab", "label", "curate", "score", "convert")
    places = [done.stdout.index(f"  {name} ") for name in commands]
    assert places == sorted(places)
    assert shell("slabkit --version", tmp_path).stdout.split() == ["slabkit", slabkit.__version__]
    assert "No such command" in shell("slabkit nonsense", tmp_path, code=2).stderr


def test_demo_writes_a_page_that_needs_nothing_else(tmp_path):
    shell("slabkit demo -o demo --count 1", tmp_path)
    page = (tmp_path / "demo" / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") >= 4
    assert not re.search(r"\bnan\b", re.sub(r"base64,[^\"]*", "", page))
    for outside in ("http://", "https://", "<link"):
        assert outside not in page
    commands = re.findall("(?:<pre>|^)(slabkit .*?)(?:</pre>|$)", page, re.MULTILINE)
    scoring = [line for line in commands if line.startswith("slabkit score ")]
    again = run_script("\n".join(scoring), Path(tmp_path / "demo"))
    assert "ribosome" in again.stdout + again.stderr
    assert os.listdir(tmp_path) == ["demo"]


def test_tables_may_be_used_from_another_directory(loop):
    other = loop / "elsewhere"
    other.mkdir()
    run_script(
        """
        slabkit pick blob ../slabs/slabs.star -o picks2d.star --diameter 100:350
        slabkit map picks2d.star --slabs ../slabs/slabs.star -o picks.star
        slabkit minislab picks.star -o minislabs --box 400 --depth 300
        slabkit merge ../picks.star -o merged.star --distance 50
        slabkit minislab merged.star -o again --box 400 --depth 300
        """,
        other,
    )
    here, there = (slabkit.read_picks(f / "picks.star") for f in (other, loop))
    assert here.picks["slabkitPickId"].tolist() == there.picks["slabkitPickId"].tolist()
    assert here.tomograms["slabkitTomogramFile"][0] == "../tomograms/sim_001.mrc"
    first = next((other / "minislabs").glob("*_000.mrc"))
    assert first.read_bytes() == (loop / "minislabs" / first.name).read_bytes()


def test_a_namesake_in_a_folder_above_is_not_taken(loop):
    inner = loop / "project"
    inner.mkdir()
    (inner / "picks.star").write_text((loop / "picks.star").read_text())
    arguments = ("picks.star", "-o", "m", "--box", 400, "--depth", 300)
    done = run_in_process("minislab", *arguments, cwd=inner, code=2)
    assert "tomograms/sim_001.mrc" in done.stderr
