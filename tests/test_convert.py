"""`slabkit convert` as a user runs it: real processes, files and pipes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest

from slabkit.cli.convert import convert
from slabkit.errors import InputError
from slabkit.formats.picks.reading import read_picks

CSV = "tomogram,species,x,y,z\n00255,ribosome,10.5,20.25,30\nTS_2,apo-ferritin,300,200,100\n"


@pytest.fixture
def picks(tmp_path: Path) -> Path:
    path = tmp_path / "picks.csv"
    path.write_text(CSV)
    return path


def volumes(folder: Path) -> None:
    for name, shape, voxel in (("00255", (21, 40, 50), 7.3), ("TS_2", (30, 61, 52), 10.012)):
        with mrcfile.new(folder / f"{name}.mrc") as file:
            file.set_data(np.zeros(shape, dtype=np.float32))
            file.voxel_size = voxel


def positions(path: Path, **options: Any) -> list[list[float]]:
    table = read_picks(path, **options).picks
    return table[["slabkitX", "slabkitY", "slabkitZ"]].round(6).to_numpy().tolist()


def test_csv_to_native_and_back(slabkit: Any, picks: Path, tmp_path: Path) -> None:
    done = slabkit("convert", "picks.csv", "picks.star")
    assert done.stdout == ""
    slabkit("convert", "picks.star", "again.csv")
    assert positions(tmp_path / "again.csv") == positions(picks)
    first = (tmp_path / "again.csv").read_text().splitlines()
    assert first[0].startswith("pick_id,tomogram,x,y,z,score,score_kind,species,")
    assert first[1].split(",")[1:5] == ["00255", "10.5", "20.25", "30.0"]
    slabkit("convert", "again.csv", "again.star")
    assert (tmp_path / "again.star").read_bytes() == (tmp_path / "picks.star").read_bytes()


def test_real_truth_without_options(slabkit: Any, data_folder: Path, tmp_path: Path) -> None:
    truth = data_folder / "tomograms" / "truth.csv"
    slabkit("convert", truth, "truth.star")
    lines = truth.read_text().splitlines()[1:]
    written = read_picks(tmp_path / "truth.star").picks
    expected = [(n, s, *map(float, v)) for n, s, *v in (line.split(",") for line in lines)]
    columns = ["slabkitTomogram", "slabkitSpecies", "slabkitX", "slabkitY", "slabkitZ"]
    assert [tuple(row) for row in written[columns].to_numpy().tolist()] == expected
    done = slabkit("convert", data_folder / "tomograms" / "unscored.csv", "other.star", "--json")
    assert json.loads(done.stdout)["species"] == {"none": json.loads(done.stdout)["picks"]}


def test_pipes(slabkit: Any, picks: Path) -> None:
    star = slabkit("convert", "picks.csv", "-").stdout
    assert "data_picks" in star
    back = slabkit("convert", "-", "-", "--to", "csv", stdin=star).stdout
    assert "00255,10.5,20.25,30.0" in back
    slabkit("convert", "-", "piped.star", stdin=star)
    assert slabkit("convert", "-", "-", "--to", "native", stdin=back).stdout == star
    slabkit("convert", "-", "-", stdin="", code=2)


def test_volumes_give_the_centre_to_relion5(slabkit: Any, picks: Path, tmp_path: Path) -> None:
    volumes(tmp_path)
    arguments = ("--tomograms", "*.mrc", "--binning", 4)
    slabkit("convert", "picks.csv", "r5.star", "--to", "relion5", *arguments)
    text = (tmp_path / "r5.star").read_text()
    row = next(line for line in text.splitlines() if line.startswith("00255"))
    centred = [float(value) for value in row.split("\t")[1:4]]
    expected = [10.5 - 50 * 7.3 / 2, 20.25 - 40 * 7.3 / 2, 30 - 21 * 7.3 / 2]
    np.testing.assert_allclose(centred, expected, atol=1e-4)  # the header holds float32
    slabkit("convert", "r5.star", "back.csv", *arguments)
    np.testing.assert_allclose(positions(tmp_path / "back.csv"), positions(picks), atol=1e-6)
    slabkit("convert", "r5.star", "r4.star", "--to", "relion4", "--tomograms", ".")
    slabkit("convert", "r4.star", "r4.csv")
    np.testing.assert_allclose(positions(tmp_path / "r4.csv"), positions(picks), atol=1e-6)
    # A native list that knows its tomograms serves as their table.
    slabkit("convert", "picks.csv", "sized.star", "--tomograms", ".")
    slabkit("convert", "r5.star", "c.csv", "--tomograms", "sized.star")
    np.testing.assert_allclose(positions(tmp_path / "c.csv"), positions(picks), atol=1e-6)


def test_folder_of_files(slabkit: Any, picks: Path, tmp_path: Path) -> None:
    done = slabkit("convert", "picks.csv", "portal", "--to", "ndjson", "--voxel-size", 10, "--json")
    assert json.loads(done.stdout)["picks"] == 2
    assert sorted(path.name for path in (tmp_path / "portal").glob("*.ndjson")) == [
        "00255.ndjson",
        "TS_2.ndjson",
    ]
    line = json.loads((tmp_path / "portal" / "00255.ndjson").read_text())
    assert line["location"] == {"x": 1.05, "y": 2.025, "z": 3.0}
    slabkit("convert", "portal", "back.csv", "--voxel-size", 10)
    assert positions(tmp_path / "back.csv") == positions(picks)
    again = slabkit("convert", "picks.csv", "portal", "--to", "ndjson", "--voxel-size", 10)
    assert "skipped" in again.stderr
    slabkit("convert", "picks.csv", "portal", "--to", "ndjson", "--voxel-size", 5, code=2)
    slabkit("convert", "picks.csv", "c", "--to", "copick")
    (tmp_path / "c" / "picks.star").unlink()
    for path in (tmp_path / "c").glob("*.json"):
        path.unlink()
    done = slabkit("convert", "picks.csv", "c", "--to", "copick", code=2)
    assert "exists already" in done.stderr


def test_imod_needs_name_and_voxel_size(slabkit: Any, tmp_path: Path) -> None:
    (tmp_path / "points.txt").write_text("10.5 20.5 30\n")
    done = slabkit("convert", "points.txt", "p.star", code=2)
    assert "--from" in done.stderr
    done = slabkit("convert", "points.txt", "p.star", "--from", "imod", code=2)
    assert "--tomogram NAME" in done.stderr
    done = slabkit("convert", "points.txt", "p.star", "--from", "imod", "--tomogram", "T", code=2)
    assert "--voxel-size" in done.stderr
    assert not (tmp_path / "p.star").exists()
    options = ("--from", "imod", "--tomogram", "T", "--voxel-size", 7.3, "--species", "ribosome")
    slabkit("convert", "points.txt", "p.star", *options)
    assert positions(tmp_path / "p.star") == [[73.0, 146.0, 219.0]]


def test_refusals_end_in_one_sentence(slabkit: Any, picks: Path, tmp_path: Path) -> None:
    done = slabkit("convert", "picks.csv", "out.xyz", code=2)
    assert "error: out.xyz: its name does not say a pick format" in done.stderr
    done = slabkit("convert", "picks.csv", "-", "--json", code=2)
    assert "standard output" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["picks.csv"]


@pytest.mark.parametrize(
    ("paths", "options", "message"),
    [
        (["picks.csv"], {}, "at least two names"),
        (["picks.csv", "out.star"], {"to": "emacs"}, "there are native, csv, ndjson"),
        (["picks.csv", "out.star"], {"format": "emacs"}, "there are native, csv, ndjson"),
        (["picks.csv", "out.ndjson"], {}, "need 2 files.*give a folder"),
        (
            ["picks.csv", "out.star"],
            {"to": "relion5", "binning": 1},
            "give --voxel-size Å or --tom",
        ),
        (["picks.csv", "picks.csv", "out.star"], {}, "given twice"),
        (["picks.csv", "picks.csv"], {}, "is an input"),
        (["none.csv", "out.star"], {}, r"none\.csv"),
        (["picks.csv", "out.star"], {"centre": "middle"}, "--centre must be"),
        (["picks.csv", "out.star"], {"binning": 0.0}, "--binning must be"),
        (["picks.csv", "out.star"], {"voxel_size": -1.0}, "--voxel-size must be"),
        (["picks.csv", "out.star"], {"unit": "nm"}, "--unit must be"),
        (["picks.csv", "out.star"], {"tomograms": ["none.mrc"]}, r"none\.mrc"),
    ],
)
def test_refusals_write_nothing(
    picks: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    paths: list[str],
    options: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        convert(paths=paths, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["picks.csv"]


def test_result_is_not_replaced_unasked(slabkit: Any, picks: Path, tmp_path: Path) -> None:
    (tmp_path / "out.star").write_text("mine")
    slabkit("convert", "picks.csv", "out.star", code=2)
    assert (tmp_path / "out.star").read_text() == "mine"
    slabkit("convert", "picks.csv", "out.star", "--overwrite")
    before = (tmp_path / "out.star").read_bytes()
    assert "skipped" in slabkit("convert", "picks.csv", "out.star").stderr
    slabkit("convert", "picks.csv", "out.star", "--species", "x", code=2)
    slabkit("convert", "picks.csv", "other.star")
    assert (tmp_path / "other.star").read_bytes() == before


def test_dynamo_with_its_map(slabkit: Any, picks: Path, tmp_path: Path) -> None:
    volumes(tmp_path)
    known = ("--tomograms", "*.mrc")
    slabkit("convert", "picks.csv", "p.tbl", *known)
    assert (tmp_path / "p.doc").read_text() == "1 00255.mrc\n2 TS_2.mrc\n"
    refused = slabkit("convert", "p.tbl", "back.csv", *known, code=2)
    assert "--tomogram-index" in refused.stderr
    index = ("--tomogram-index", "p.doc")
    slabkit("convert", "p.tbl", "back.csv", *known, *index)
    assert positions(tmp_path / "back.csv") == positions(picks)
    # From zero on both sides, and on one side only.
    slabkit("convert", "picks.csv", "zero.tbl", *known, "--index-base", 0)
    slabkit("convert", "zero.tbl", "zero.csv", *known, *index, "--index-base", 0)
    assert positions(tmp_path / "zero.csv") == positions(picks)
    # The map beside a table is not replaced unasked.
    (tmp_path / "other.doc").write_text("mine\n")
    refused = slabkit("convert", "picks.csv", "other.tbl", *known, code=2)
    assert "other.doc: exists already" in refused.stderr
    assert not (tmp_path / "other.tbl").exists()


def test_what_is_only_read_is_refused_before_anything_is_read(slabkit: Any, picks: Path) -> None:
    refused = slabkit("convert", "picks.csv", "p.xml", "--to", "deepfinder", code=2)
    assert "reads deepfinder but does not write it" in refused.stderr
