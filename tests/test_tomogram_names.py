"""An alias joins two names only where known suffixes differ and nothing else contradicts it."""

from __future__ import annotations

import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pytest
from command_line import Run
from hypothesis import given
from hypothesis import strategies as st

from slabkit.errors import InputError, SlabkitWarning
from slabkit.formats.picks.reading import read_picks
from slabkit.formats.tomograms.names import bare_name, known_names
from slabkit.formats.tomograms.table import read_tomograms
from slabkit.formats.volumes.mrc import write_mrc

NFC, NFD = "Z\u00fcrich", "Zu\u0308rich"
SERIES = [f"24nov12__TS_{n:02d}" for n in range(1, 4)] + ["TS_1", "TS_10", "a.b", "X.mrc", NFC]
WRAPPED = ["{}", "rec_{}", "{}_10.00Apx", "{}.mrc_10.00Apx", "{}.mrc.tomostar", "{}_Vol"]
WRAPPED += ["0" * 21 + "_{}", "0" * 21 + "_{}.mrc"]


def volume(folder: Path, name: str, voxel_size: float = 10.0) -> Path:
    path = folder / f"{name}.mrc"
    path.parent.mkdir(exist_ok=True)
    write_mrc(path, np.zeros((40, 100, 100), np.float32), voxel_size, label="test")
    return path


def csv(folder: Path, *names: str, file: str = "picks.csv") -> Path:
    path = folder / file
    rows = "".join(f"{name},ribosome,60,50,20\n" for name in names)
    path.write_text(f"tomogram,species,x,y,z\n{rows}", encoding="utf-8")
    return path


@given(
    known=st.lists(
        st.tuples(st.sampled_from(SERIES), st.sampled_from(WRAPPED)), min_size=1, max_size=8
    ),
    said=st.lists(
        st.tuples(st.sampled_from(SERIES), st.sampled_from(WRAPPED)), min_size=1, max_size=8
    ),
)
def test_no_name_is_taken_for_another_series(
    known: list[tuple[str, str]], said: list[tuple[str, str]]
) -> None:
    """With any subset of the tomograms there."""
    there = {how.format(series): series for series, how in known}
    names = {how.format(series): series for series, how in said}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = known_names([*names], [*there], "p")
    for (name, series), other in zip(names.items(), found, strict=True):
        if other in there:
            assert bare_name(there[other]) == bare_name(series), (name, other)
    joined = [name for name in found if name in there]
    assert len(joined) == len(set(joined))


@pytest.mark.parametrize("command", ["convert", "minislab", "score"])
def test_03_tomograms_that_are_not_given_are_not_the_one_that_is(
    tmp_path: Path, slabkit: Run, command: str
) -> None:
    names = [f"24nov12__TS_0{n}" for n in (1, 2, 3)]
    csv(tmp_path, *names)
    volume(tmp_path, names[0])
    after = {
        "convert": ("a.csv",),
        "minislab": ("-o", "m", "--box", 100, "--depth", 100),
        "score": ("picks.csv", "--radius", "ribosome=100"),
    }[command]
    done = slabkit(command, "picks.csv", *after, "--tomograms", f"{names[0]}.mrc", code=2)
    assert "24nov12__TS_02 (and 1 more) is not among the 1 given" in done.stderr
    csv(tmp_path, names[0])
    tomograms = read_tomograms([tmp_path / "24nov12__TS_01.mrc"])
    found = read_picks(tmp_path / "picks.csv", tomograms=tomograms)
    assert found.picks["slabkitTomogram"].tolist() == names[:1]


STEMS = [f"24nov12__TS_0{n}" for n in (1, 2, 3)]
NUMBERED = "".join(f"{n} {name}.mrc\n" for n, name in enumerate(STEMS, 1))


@pytest.mark.parametrize("command", ["convert", "score"])
@pytest.mark.parametrize("written", ["native", "csv", "relion4", "relion5", "dynamo", "stopgap"])
def test_03_lists_of_every_kind_stop_at_tomograms_that_are_not_given(
    tmp_path: Path, slabkit: Run, command: str, written: str
) -> None:
    csv(tmp_path, *STEMS)
    for name in STEMS:
        volume(tmp_path, name)
    suffix = {"csv": "csv", "dynamo": "tbl"}.get(written, "star")
    every = [item for name in STEMS for item in ("--tomograms", f"{name}.mrc")]
    further = ("--to", written, *(["--binning", 2] if "relion" in written else []))
    slabkit("convert", "picks.csv", f"p.{suffix}", *every, *further)
    (tmp_path / "index.doc").write_text(NUMBERED)
    index = ("--tomogram-index", "index.doc") if written in ("dynamo", "stopgap") else ()
    after = ("a.csv",) if command == "convert" else ("picks.csv", "--radius", "ribosome=100")
    given = ("--tomograms", f"{STEMS[0]}.mrc", "--from", written, *index)
    done = slabkit(command, f"p.{suffix}", *after, *given, code=2)
    assert f"tomogram {STEMS[1]}" in done.stderr
    assert "is not among the 1 given with --tomograms" in done.stderr
    assert not (tmp_path / "a.csv").exists()


def test_03_minislab_of_a_native_list_leaves_them_out_and_says_so(
    tmp_path: Path, slabkit: Run
) -> None:
    csv(tmp_path, *STEMS)
    volume(tmp_path, STEMS[0])
    slabkit("convert", "picks.csv", "p.star", "--voxel-size", 10)
    given = ("--tomograms", f"{STEMS[0]}.mrc", "--box", 100, "--depth", 100)
    done = slabkit("minislab", "p.star", "-o", "m", *given, code=1)
    for name in STEMS[1:]:
        assert f"failed: {name}: p.star: has picks in {name}, and --tomograms has no" in done.stderr
    assert "minislabs 1" in done.stdout + done.stderr


def test_a_tomogram_is_named_as_the_table_spells_it(tmp_path: Path) -> None:
    table = read_tomograms([volume(tmp_path, "TS_1")])
    table["slabkitTomogram"] = NFD
    path = tmp_path / "p.txt"
    path.write_text("1 2 3\n")
    for said in (NFC, NFD):
        picks = read_picks(path, format="imod", tomograms=table, tomogram=said).picks
        assert picks["slabkitTomogram"].tolist() == table["slabkitTomogram"].tolist()


@pytest.mark.parametrize(
    ("said", "given"),
    [
        ("TS_01_5.00Apx", "TS_01_10.00Apx"),
        ("TS_01_5.00Apx", "TS_01"),
        ("rec_TS_01_5.00Apx.mrc", "TS_01_Vol"),
    ],
)
def test_a_pixel_size_in_a_name_contradicts(tmp_path: Path, said: str, given: str) -> None:
    path = csv(tmp_path, said)
    tomograms = read_tomograms([volume(tmp_path, given)])
    with pytest.raises(InputError, match=rf"{said} says 5.00 Å .* {given}, has 10 Å"):
        read_picks(path, tomograms=tomograms, unit="px")


@pytest.mark.parametrize("name", ["TS_01_10.00Apx", "TS_01_2.50Apx"])
def test_names_state_the_voxel_size_or_the_unbinned_pixel(tmp_path: Path, name: str) -> None:
    path = tmp_path / "r4.star"
    columns = ["rlnTomoName", "rlnCoordinateX", "rlnCoordinateY", "rlnCoordinateZ"]
    labels = "".join(f"_{label}\n" for label in columns)
    path.write_text(f"data_particles\n\nloop_\n{labels}{name} 240 200 80\n")
    tomograms = read_tomograms([volume(tmp_path, "TS_01")])
    with pytest.warns(SlabkitWarning, match="taken by their bare names"):
        found = read_picks(path, tomograms=tomograms, binning=4)
    assert found.picks["slabkitX"].tolist() == [600.0]


def test_ids_in_names_contradict(tmp_path: Path) -> None:
    tomograms = read_tomograms([volume(tmp_path, "2" * 21 + "_TS_01")])
    with pytest.raises(InputError, match=r"1_TS_01 is not among .* closest: 2"):
        read_picks(csv(tmp_path, "1" * 21 + "_TS_01"), tomograms=tomograms)


@pytest.mark.parametrize(
    ("said", "given", "voxel_size"),
    [
        ("TS_01_10.00Apx", "TS_01", 10.004),
        ("TS_01_10Apx", "rec_TS_01", 10.0),
        ("TS_01", "TS_01_10.00Apx", 10.0),
        ("TS_01_10.00Apx", "TS_01.mrc_10.00Apx", 10.0),
    ],
)
def test_names_that_nothing_contradicts_are_joined(
    tmp_path: Path, said: str, given: str, voxel_size: float
) -> None:
    path = csv(tmp_path, said)
    tomograms = read_tomograms([volume(tmp_path, given, voxel_size)])
    with pytest.warns(SlabkitWarning, match="taken by their bare names"):
        found = read_picks(path, tomograms=tomograms, unit="px")
    assert found.picks["slabkitTomogram"].tolist() == [given]
    assert found.picks["slabkitX"].tolist() == [60 * voxel_size]


def test_two_names_of_a_list_are_not_one_tomogram(tmp_path: Path) -> None:
    tomograms = read_tomograms([volume(tmp_path, "TS_01")])
    for names in (("TS_01", "rec_TS_01"), ("TS_01_10.00Apx", "TS_01_Vol")):
        with pytest.raises(InputError, match="is not among the 1 given"):
            read_picks(csv(tmp_path, *names), tomograms=tomograms)


def test_warps_pair_of_double_suffixes_matches(tmp_path: Path) -> None:
    (tmp_path / "w.star").write_text(
        "data_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n_rlnCoordinateZ #3\n"
        "_rlnMicrographName #4\n0.5 0.5 0.5 X.mrc.tomostar\n"
    )
    tomograms = read_tomograms([volume(tmp_path, "X.mrc_10.00Apx")])
    with pytest.warns(SlabkitWarning, match=r"bare names: X for X.mrc_10.00Apx"):
        found = read_picks(tmp_path / "w.star", format="warp", tomograms=tomograms)
    assert found.picks["slabkitX"].tolist() == [500.0]


def test_the_tag_of_eman_is_for_files_of_eman(tmp_path: Path) -> None:
    def info(name: str) -> Path:
        path = tmp_path / f"{name}_info.json"
        path.write_text('{"boxes_3d": [[60, 50, 20, "manual", 0.5, 0]]}')
        return path

    tomograms = read_tomograms([volume(tmp_path, "TS_1__bin4")])
    with pytest.warns(SlabkitWarning, match="bare names: TS_1 for TS_1__bin4"):
        found = read_picks(info("TS_1"), tomograms=tomograms)
    assert found.picks["slabkitX"].tolist() == [600.0]
    with pytest.raises(InputError, match="TS_1 is not among"):
        read_picks(csv(tmp_path, "TS_1"), tomograms=tomograms)
    with pytest.raises(InputError, match="TS_1__bin8 is not among"):
        read_picks(info("TS_1__bin8"), tomograms=tomograms)


@pytest.mark.parametrize(("in_list", "on_disk"), [(NFD, NFC), (NFC, NFD)])
def test_15_composed_and_decomposed_are_one_name(
    tmp_path: Path, slabkit: Run, in_list: str, on_disk: str
) -> None:
    csv(tmp_path, in_list)
    volume(tmp_path, on_disk)
    slabkit("convert", "picks.csv", "p.star", "--tomograms", f"{on_disk}.mrc")
    slabkit("minislab", "p.star", "-o", "m", "--box", 100, "--depth", 100)
    for disk in (NFC, NFD):
        volume(tmp_path / "other", disk)
        slabkit("minislab", "p.star", "-o", f"m{len(disk)}", "--box", 100, "--depth", 100,
                "--tomograms", f"other/{disk}.mrc")  # fmt: skip
    slabkit("slab", f"{on_disk}.mrc", "-o", "slabs")
    csv(tmp_path, on_disk, file="truth.csv")
    done = slabkit("score", "picks.csv", "truth.csv", "--radius", "ribosome=10", "--json")
    assert '"recall": 1.0' in done.stdout
    names = read_picks(tmp_path / "p.star").picks["slabkitTomogram"].tolist()
    assert names == [unicodedata.normalize("NFC", on_disk)]
