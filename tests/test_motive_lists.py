"""STOPGAP's motive lists, and TOM's, AV3's and Artiatomi's in EM files; EM volumes."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pick_files import SLOW, STOPGAP, TWO_TOMOGRAMS, pick_list, read_or_refuse, tomogram_table, xyz
from scipy.spatial.transform import Rotation

from slabkit.errors import FormatError, InputError, SlabkitWarning
from slabkit.formats.describe import describe_file
from slabkit.formats.picks.reading import read_picks
from slabkit.formats.picks.writing import write_picks
from slabkit.formats.programs.shared.json_values import ROTATION
from slabkit.formats.programs.shared.orientations import rotations
from slabkit.formats.tables.native import PickList
from slabkit.formats.tomograms.index import read_tomogram_index
from slabkit.formats.tomograms.listing import list_tomograms
from slabkit.formats.volumes.em import float_em
from slabkit.formats.volumes.opening import open_tomogram, open_volume
from slabkit.tomogram import Reading

T = tomogram_table(TS_01=(130, 120, 60, 10.0))
REPORT = "1 1 1 1 A 61 51 31 0.4 2 0 0 0 0 0 1"  # report 22


def stopgap(*rows: str, fields: list[str] = STOPGAP) -> str:
    labels = "".join(f"_{name} #{number}\n" for number, name in enumerate(fields, 1))
    return "\ndata_stopgap_motivelist\n\nloop_\n" + labels + "".join(f"{row}\n" for row in rows)


def em_list(*particles: dict[int, float], order: str = "<", kind: str = "f4") -> bytes:
    """Rows, counted from 1, of each particle."""
    values = np.zeros((len(particles), 20))
    for particle, rows in enumerate(particles):
        for row, value in rows.items():
            values[particle, row - 1] = value
    return em_file(values[None], order, kind)


def em_file(values: np.ndarray, order: str = "<", kind: str = "f4", machine: int = -1) -> bytes:
    number = {"i1": 1, "u1": 1, "i2": 2, "i4": 4, "f4": 5, "c8": 8, "f8": 9, "c16": 10}[kind]
    machine = (6 if order == "<" else 3) if machine < 0 else machine
    head = struct.pack(f"{order}4B3i", machine, 0, 0, number, *values.shape[::-1])
    return head.ljust(512, b"\0") + values.astype(order + kind).tobytes()


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


PARTICLE = {1: 0.4, 4: 1, 5: 1, 6: 1, 8: 61, 9: 51, 10: 31, 11: 2, 20: 1}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("22.star", stopgap(REPORT)),
        ("22.em", em_list(PARTICLE)),
        ("22.em", em_list(PARTICLE, order=">", kind="f8")),
    ],
)
def test_22_counts_from_one_and_adds_shifts(
    tmp_path: Path, name: str, content: str | bytes
) -> None:
    path = write(tmp_path / name, content)
    with pytest.warns(SlabkitWarning, match="1 of 1 particles had a shift; it was added"):
        picks = read_picks(path, tomograms=T)
    np.testing.assert_allclose(xyz(picks), [[620, 500, 300]])  # (61 + 2 - 1) * 10
    assert picks.picks["slabkitScore"].tolist() == [pytest.approx(0.4)]
    assert picks.picks["slabkitTomogram"].tolist() == ["TS_01"]
    assert float(picks.picks["motl_class"].iloc[0]) == 1
    assert ROTATION not in picks.picks.columns
    with pytest.warns(SlabkitWarning, match="shift"):
        converted = read_picks(path, tomograms=T, index_base=0)
    np.testing.assert_allclose(xyz(converted), [[630, 510, 310]])
    assert describe_file(path).kind == "pick list"


@pytest.mark.parametrize(
    "index",
    [
        "7 tomos/TS_1.rec\n12 /b/00255.mrc\n",
        "tomo_num,tomogram\n7,TS_1\n12,00255\n",
        "tomo_num\ttomo_name\n7\tTS_1.mrc\n12\t00255.mrc\n",
        "tomo_num,voxel_size,tomogram\n7,10,TS_1\n12,10,00255\n",
        "data_\n\nloop_\n_tomo_name\n_tomo_num\na/TS_1.mrc 7\n00255 12\n",
    ],
)
def test_22_numbers_are_joined_to_names_by_a_table(tmp_path: Path, index: str) -> None:
    rows = [f"{i} {t} 1 {i} A {i} 2 3 0.5 0 0 0 0 0 0 1" for i, t in ((1, 7), (2, 12), (3, 7))]
    path = write(tmp_path / "m.star", stopgap(*rows))
    with pytest.raises(InputError, match=r"numbers its tomograms \(7, 12\).*--tomogram-index"):
        read_picks(path, tomograms=TWO_TOMOGRAMS)
    table = read_tomogram_index(write(tmp_path / "tomos.txt", index))
    picks = read_picks(path, tomograms=TWO_TOMOGRAMS, tomogram_index=table)
    assert picks.picks["slabkitTomogram"].tolist() == ["TS_1", "00255", "TS_1"]
    np.testing.assert_allclose(
        picks.picks["slabkitX"].to_numpy(float), [0, 10.012, 14.6], atol=1e-9
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (stopgap("1 1 2", fields=["tomo_num", "orig_x", "orig_y"]), "no block has the columns"),
        (stopgap(REPORT.replace("61", "nan")), "orig_x is 'nan' in row 1"),
        (stopgap(REPORT.replace(" 2 0 0 ", " x 0 0 ")), "x_shift is 'x' in row 1"),
        (stopgap("1 1.5" + REPORT[3:]), "number of the tomogram is '1.5'"),
        (em_list(PARTICLE)[:-4], "is truncated: by its header it has 592 bytes, the file has 588"),
        (em_file(np.zeros((1, 3, 19))), "has 19 × 3 × 1 numbers"),
        (em_list(PARTICLE | {8: np.inf}), "orig_x is 'inf' in row 1"),
        (b"\x07\0\0\x05".ljust(600, b"\0"), "names no known machine and type"),
    ],
)
def test_22_refusals(tmp_path: Path, content: str | bytes, message: str) -> None:
    name = "em" if isinstance(content, bytes) else "stopgap"
    path = write(tmp_path / "m.any", content)
    with pytest.raises((InputError, FormatError), match=message):
        read_picks(path, format=name, tomograms=T)


def test_22_rows_14_to_16_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "m.em", em_list(PARTICLE | {11: 0, 14: 3, 2: 9}))
    with pytest.warns(SlabkitWarning, match="1 of 1 particles have numbers in rows 14 to 16"):
        picks = read_picks(path, tomograms=T)
    assert picks.picks[["motl_row14", "motl_row2"]].to_numpy().tolist() == [["3.0", "9.0"]]


@pytest.mark.parametrize("name", ["stopgap", "em"])
def test_22_round_trip(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 200, (50, 3))
    rows = [("TS_1" if i % 3 else "00255", "", *place) for i, place in enumerate(places)]
    picks = pick_list(rows)
    matrices = Rotation.random(50, random_state=0).as_matrix()
    texts = [" ".join(map(repr, map(float, matrix.ravel()))) for matrix in matrices]
    table = picks.picks.assign(
        slabkitScore=rng.uniform(0, 1, 50).astype("f4").astype(float),
        slabkitScoreKind="motl-score",
        motl_class=["3"] * 50,
    )
    table[ROTATION] = [text.replace(" ", ",") for text in texts]
    picks = PickList(table, picks.tomograms)
    target = tmp_path / ("m.em" if name == "em" else "m.star")
    with pytest.warns(SlabkitWarning, match=f"{name} cannot hold pick_id"):
        write_picks(target, picks, format=name)
    index = read_tomogram_index(tmp_path / "m.doc")
    with pytest.warns(SlabkitWarning, match="had a shift"):
        back = read_picks(target, tomograms=TWO_TOMOGRAMS, tomogram_index=index)
    np.testing.assert_allclose(xyz(back), places, rtol=0, atol=1e-6)
    assert back.picks["slabkitTomogram"].tolist() == picks.picks["slabkitTomogram"].tolist()
    np.testing.assert_array_equal(back.picks["slabkitScore"], table["slabkitScore"])
    assert set(back.picks["motl_class"].astype(float)) == {3.0}
    found = rotations(back.picks, "test")
    assert found is not None
    np.testing.assert_allclose(found, matrices, atol=1e-6)
    if name == "stopgap":
        lines = target.read_text().splitlines()
        assert "_motl_idx" in lines  # STOPGAP takes no number after a label
        assert [float(value).is_integer() for value in lines[-2].split()[5:8]] == [True] * 3


@SLOW
@given(data=st.binary(max_size=60), start=st.integers(0, 672))
def test_em_fuzz(tmp_path: Path, data: bytes, start: int) -> None:
    base = em_list(PARTICLE, PARTICLE | {8: 2})
    read_or_refuse(tmp_path / "a", base[:start] + data + base[start + len(data) :], "em", T)


def test_info_counts_particles_of_many_tomograms(tmp_path: Path) -> None:
    info = describe_file(write(tmp_path / "m.em", em_list(PARTICLE, PARTICLE | {5: 7})))
    assert (info.rows, info.notes) == (
        2,
        ("tomograms (2): 1, 7", "scores: 0.4 to 0.4"),
    )
    assert "numbers its tomograms (1, 7)" in info.warnings[0]


def test_em_without_particles(tmp_path: Path) -> None:
    with pytest.warns(SlabkitWarning, match="holds no picks"):
        assert not len(read_picks(write(tmp_path / "m.em", em_list()), tomograms=T).picks)


# --- EM volumes --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("machine", [0, 3, 4, 5, 6])
def test_em_volumes_of_every_type_and_byte_order(tmp_path: Path, kind: str, machine: int) -> None:
    values = np.random.default_rng(0).integers(-100, 100, (3, 5, 4))
    path = write(tmp_path / "TS_1.em", em_file(values, "<" if machine == 6 else ">", kind, machine))
    tomogram = open_tomogram(path, voxel_size=5.0)
    assert tomogram.name == "TS_1"
    np.testing.assert_array_equal(tomogram.data[0:3, 0:5, 0:4], values)
    assert path.rename(tmp_path / "TS_1").exists()
    assert describe_file(tmp_path / "TS_1").stored_as == f"EM ({np.dtype(kind)})"


def test_em_volumes_of_unsigned_bytes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.em", em_file(np.full((2, 3, 4), 200), kind="u1"))
    assert open_volume(path).source[0:1, 0:1, 0:1].item() == -56
    assert open_volume(path, Reading(uint8=True)).source[0:1, 0:1, 0:1].item() == 200


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (em_file(np.zeros((3, 5, 4)), kind="c8"), "complex numbers"),
        (em_file(np.zeros((1, 5, 4))), "a single image"),
        (em_list(PARTICLE), r"a motive list \(give it as picks\)"),
        (em_file(np.zeros((3, 5, 4)))[:-1], "truncated: by its header it has 752 bytes"),
        (em_file(np.zeros((3, 5, 4))) + b"\0", "bytes after its values"),
        (b"\1\0\0\5".ljust(600, b"\0"), "no known machine and type"),
        (em_file(np.zeros((3, 5, 4))), "voxel size"),
    ],
)
def test_em_volumes_that_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises((InputError, FormatError), match=message):
        open_tomogram(write(tmp_path / "a.em", content))


def test_em_pixel_size_of_the_header_is_shown(tmp_path: Path) -> None:
    content = bytearray(float_em(np.zeros((3, 5, 4))))
    content[120:124] = struct.pack("<i", 4200)
    with pytest.raises(InputError, match=r"object pixel size is 4\.2"):
        open_tomogram(write(tmp_path / "a.em", bytes(content)))


def test_em_motive_lists_are_no_volumes_of_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "TS_1.em", em_file(np.random.default_rng(0).normal(size=(3, 5, 4))))
    write(tmp_path / "motl.em", em_list(PARTICLE))
    with pytest.warns(SlabkitWarning, match=r"left out motl\.em \(motive list or image\)"):
        found = list_tomograms([str(tmp_path)])
    assert [ref.name for ref in found] == ["TS_1"]


@pytest.mark.parametrize(("base", "x"), [("1", "63"), ("0", "64")])
def test_index_base_is_of_both_lists_or_of_the_written_one(
    slabkit: Any, tmp_path: Path, base: str, x: str
) -> None:
    write(tmp_path / "m.star", stopgap(REPORT))
    given = ("--voxel-size", 10, "--tomogram", "T", "--index-base", base)
    slabkit("convert", "m.star", "m.tbl", *given)  # counted alike
    assert (tmp_path / "m.tbl").read_text().split()[23] == "63.0"
    slabkit("convert", "m.star", "m.csv", *given)
    slabkit("convert", "m.csv", "n.star", "--to", "stopgap", "--voxel-size", 10, "--index-base", 1)
    assert (tmp_path / "n.star").read_text().splitlines()[-2].split()[5] == f"{x}.0"


def test_motive_lists_come_by_pipes(slabkit: Any, tmp_path: Path) -> None:
    data = em_list(PARTICLE)
    given = ("--tomogram", "T", "--voxel-size", 10)
    slabkit("convert", "-", "m.csv", *given, stdin=data)
    assert "620.0,500.0,300.0" in (tmp_path / "m.csv").read_text()
