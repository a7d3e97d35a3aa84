"""Positions against their volumes, in every dialect: a wrong unit stops, single strays count."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slabkit.errors import InputError, SlabkitWarning
from slabkit.formats.picks.bounds import count_outside
from slabkit.formats.picks.reading import read_picks
from slabkit.formats.picks.writing import write_picks
from slabkit.formats.registry import formats_of
from slabkit.formats.tables.native import PickList
from slabkit.tables import PICKS, TOMOGRAMS, empty_table, make_table, new_pick_ids

SIZE = np.array([41, 80, 31])
EDGE = 7.3
TOMOGRAM = make_table(
    TOMOGRAMS,
    {
        "slabkitTomogram": ["TS_1"],
        **{f"slabkitTomogramSize{axis}": [n] for axis, n in zip("XYZ", SIZE, strict=True)},
        "slabkitVoxelSize": [EDGE],
    },
)


def star(columns: str, rows: list[str]) -> str:
    labels = "".join(f"_rln{name}\n" for name in columns.split())
    return f"data_particles\n\nloop_\n{labels}" + "".join(f"{row}\n" for row in rows)


PLACE = "CoordinateX CoordinateY CoordinateZ"
CBOX = (
    "CoordinateX CoordinateY CoordinateZ Width Height Depth EstWidth EstHeight Confidence NumBoxes"
)

# Files of the dialects that slabkit only reads; it is given places in voxels, x, y, z.
ONLY_READ: dict[str, Callable[[list[list[float]]], str]] = {
    "cryolo": lambda voxels: (
        "data_global\n\n_cbox_format_version 1.0\n\ndata_cryolo\n\nloop_\n"
        + "".join(f"_{name}\n" for name in CBOX.split())
        + "".join(f"{x - 5} {y - 4} {z} 10 8 8 10 8 0.5 3\n" for x, y, z in voxels)
        + "\ndata_cryolo_include\n\nloop_\n_slice_index\n1\n"
    ),
    "relion5-picker": lambda voxels: star(
        f"TomoName {PLACE}", [f"TS_1 {x} {y} {z}" for x, y, z in voxels]
    ),
    "relion3": lambda voxels: star(
        f"{PLACE} MicrographName ImagePixelSize",
        [f"{x} {y} {z} tomograms/TS_1.mrc {EDGE}" for x, y, z in voxels],
    ),
    "pytom": lambda voxels: star(
        f"{PLACE} AngleRot AngleTilt AnglePsi LCCmax CutOff SearchStd DetectorPixelSize "
        "MicrographName",
        [f"{x} {y} {z} 0 0 0 0.5 0.2 0.05 {EDGE} TS_1" for x, y, z in voxels],
    ),
    "warp": lambda voxels: star(
        f"{PLACE} MicrographName AutopickFigureOfMerit",
        [
            f"{x / SIZE[0]} {y / SIZE[1]} {z / SIZE[2]} TS_1.tomostar 6.5"
            for x, y, z in voxels
        ],
    ),
    "slabpick": lambda voxels: star(
        f"TomoName {PLACE}", [f"TS_1 {x * EDGE} {y * EDGE} {z * EDGE}" for x, y, z in voxels]
    ),
    "deepfinder": lambda voxels: (
        "<objlist>"
        + "".join(f'<object class_label="2" x="{x}" y="{y}" z="{z}"/>' for x, y, z in voxels)
        + "</objlist>"
    ),
    "polnet": lambda voxels: (
        "Type\tLabel\tCode\tPolymer\tX\tY\tZ\n"
        + "".join(f"A\t3\tr\t0\t{x * EDGE}\t{y * EDGE}\t{z * EDGE}\n" for x, y, z in voxels)
    ),
}  # fmt: skip

FOREIGN = [entry for entry in formats_of("picks") if entry.in_corner_unit]


def file_of(folder: Path, entry: Any, voxels: np.ndarray) -> Path:
    """Write picks at these places (x, y, z in voxels) as a file of the dialect."""
    path = folder / "TS_1.txt"
    if entry.write is None:
        path.write_text(ONLY_READ[entry.name](voxels.tolist()))
        return path
    names = ["TS_1"] * len(voxels)
    places = dict(zip("XYZ", (voxels * EDGE).T, strict=True))
    columns = {
        "slabkitPickId": new_pick_ids(names, *places.values()),
        "slabkitTomogram": names,
        "slabkitSpecies": ["ribosome"] * len(voxels),
        **{f"slabkit{axis}": values for axis, values in places.items()},
    }
    write_picks(path, PickList(make_table(PICKS, columns), TOMOGRAM), format=entry.name, binning=1)
    return path


def places(count: int) -> np.ndarray:
    grid = np.random.default_rng(1).uniform(0.05, 0.95, (count, 3)) * (SIZE - 1)
    return np.round(grid, 3)


def read(path: Path, entry: Any, **options: Any) -> PickList:
    named = {} if entry.name == "native" else {"format": entry.name}
    if entry.numbered:
        options["tomogram_index"] = {"1": "TS_1"}
    return read_picks(path, tomograms=TOMOGRAM, **named, **options)


def test_every_dialect_is_here_and_checked() -> None:
    assert {entry.name for entry in FOREIGN if entry.write is None} == set(ONLY_READ)
    assert [entry.name for entry in formats_of("picks") if not entry.in_corner_unit] == ["native"]


@pytest.mark.filterwarnings("ignore:.* cannot hold :slabkit.errors.SlabkitWarning")
@pytest.mark.filterwarnings("ignore:.*bare names:slabkit.errors.SlabkitWarning")
@pytest.mark.filterwarnings("ignore:.*particles had a shift:slabkit.errors.SlabkitWarning")
@pytest.mark.parametrize("entry", FOREIGN, ids=lambda entry: entry.name)
class TestEveryDialect:
    def test_inside_is_taken_without_a_word(self, tmp_path: Path, entry: Any) -> None:
        voxels = places(20)
        picks = read(file_of(tmp_path, entry, voxels), entry).picks
        found = picks[["slabkitX", "slabkitY", "slabkitZ"]].to_numpy() / EDGE
        np.testing.assert_allclose(np.sort(found, axis=0), np.sort(voxels, axis=0), atol=1e-3)

    def test_unbinned_pixels_stop_and_the_binning_is_named(
        self, tmp_path: Path, entry: Any
    ) -> None:
        voxels = places(40)
        centred = entry.name in ("relion5", "eman")
        middle = (SIZE // 2 if entry.name == "eman" else SIZE / 2) if centred else 0
        path = file_of(tmp_path, entry, (voxels - middle) * 4 + middle)
        with pytest.raises(InputError, match=r"picks lie outside.*divided by 4 \(binning\)"):
            read(path, entry)
        assert len(read(path, entry, check_bounds=False).picks) == 40

    def test_one_in_twenty_outside_is_kept_and_counted(self, tmp_path: Path, entry: Any) -> None:
        voxels = places(20)
        voxels[3, 0] = SIZE[0] + 3.0
        path = file_of(tmp_path, entry, voxels)
        with pytest.warns(
            SlabkitWarning, match="1 of 20 picks lie outside their tomograms; they"
        ) as said:
            found = read(path, entry)
        assert said[0].filename == __file__  # the line outside slabkit that called
        assert len(found.picks) == 20
        assert count_outside(found.picks, found.tomograms) == 1


def test_the_faces_are_inside_and_unknown_sizes_do_not_count() -> None:
    edges = np.array([[-0.5, 0, 0], [40.5, 79.5, 30.5], [-0.51, 0, 0], [0, 79.51, 0]]) * EDGE
    table = make_table(
        PICKS,
        {
            "slabkitPickId": list("abcd"),
            "slabkitTomogram": ["TS_1"] * 4,
            **{f"slabkit{axis}": values for axis, values in zip("XYZ", edges.T, strict=True)},
        },
    )
    assert count_outside(table, TOMOGRAM) == 2
    assert count_outside(table, TOMOGRAM.assign(slabkitTomogramSizeX=0)) == 0
    assert count_outside(table, TOMOGRAM.assign(slabkitVoxelSize=np.nan)) == 0
    assert count_outside(table.iloc[:0], TOMOGRAM) == 0


def test_convert_counts_what_lies_outside(tmp_path: Path, slabkit: Callable[..., Any]) -> None:
    rows = [f"TS_1,{10 + i},{20 + i},30" for i in range(19)] + ["TS_1,10,20,-400"]
    (tmp_path / "p.csv").write_text("tomogram,x,y,z\n" + "\n".join(rows) + "\n")
    write_picks(tmp_path / "known.star", PickList(empty_table(PICKS), TOMOGRAM))
    done = slabkit("convert", "p.csv", "p.star", "--tomograms", "known.star", "--json")
    assert json.loads(done.stdout)["outside"] == 1
    assert "1 of 20 picks lie outside their tomograms; they are kept" in done.stderr
    done = slabkit("convert", "p.star", "q.csv", "--no-check-bounds", "--json")
    assert json.loads(done.stdout)["outside"] == 1
