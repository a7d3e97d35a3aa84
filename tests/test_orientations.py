"""Orientations between conventions, shown on vectors that are turned."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from slabkit.errors import InputError, SlabkitWarning
from slabkit.formats.picks.reading import read_picks
from slabkit.formats.picks.writing import write_picks
from slabkit.formats.programs.shared import orientations
from slabkit.formats.registry import formats_of
from slabkit.formats.tables.native import PickList
from slabkit.tables import (
    PICKS,
    ROTATION,
    TOMOGRAMS,
    make_table,
    new_pick_ids,
)

ANGLES = st.tuples(
    st.floats(-180, 180), st.floats(0, 180) | st.sampled_from([0.0, 180.0]), st.floats(-180, 180)
)
# Few examples of many angles: an example writes and reads whole files.
SLOW = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
VECTORS = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0.3, -0.5, 0.8]])


def turned(matrix: Any) -> np.ndarray:
    return VECTORS @ np.asarray(matrix).T


# --- each convention against scipy's rotations -------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(ANGLES)
def test_relion_turns_as_its_euler_matrix(angles: tuple[float, float, float]) -> None:
    matrix = orientations.relion_matrices([angles])[0]
    expected = Rotation.from_euler("ZYZ", angles, degrees=True).inv()  # intrinsic, inverted
    np.testing.assert_allclose(turned(matrix), expected.apply(VECTORS), atol=1e-12)
    again = orientations.relion_matrices(orientations.relion_angles(matrix[None]))[0]
    np.testing.assert_allclose(turned(again), turned(matrix), atol=1e-7)


@settings(max_examples=30, deadline=None)
@given(ANGLES)
def test_dynamo_turns_as_others_read_it(angles: tuple[float, float, float]) -> None:
    matrix = orientations.dynamo_matrices([angles])[0]
    expected = Rotation.from_euler("zxz", angles, degrees=True).inv()  # extrinsic, inverted
    np.testing.assert_allclose(turned(matrix), expected.apply(VECTORS), atol=1e-12)
    again = orientations.dynamo_matrices(orientations.dynamo_angles(matrix[None]))[0]
    np.testing.assert_allclose(turned(again), turned(matrix), atol=1e-7)


@settings(max_examples=30, deadline=None)
@given(ANGLES)
def test_artiax_turns_as_motive_lists_do(angles: tuple[float, float, float]) -> None:
    matrix = orientations.artiax_matrices([angles])[0]
    expected = Rotation.from_euler("zxz", angles, degrees=True)
    np.testing.assert_allclose(turned(matrix), expected.apply(VECTORS), atol=1e-12)
    again = orientations.artiax_matrices(orientations.artiax_angles(matrix[None]))[0]
    np.testing.assert_allclose(turned(again), turned(matrix), atol=1e-7)


def test_dynamo_and_relion_angles_known_to_be_the_same() -> None:
    # A pair that gave identical reconstructions in the two programs; psi follows from the others.
    relion = orientations.relion_angles(
        orientations.dynamo_matrices([[-47.2730, 1.1777, -132.3000]])
    )[0]
    np.testing.assert_allclose(relion[:2] % 360, [137.7000, 1.1777], atol=1e-9)
    np.testing.assert_allclose(relion[2], -47.2730 + 90, atol=1e-9)


def test_a_quarter_turn_by_hand() -> None:
    # RELION's angles turn the axes: rot 90 carries the reference's x to the tomogram's -y.
    x = orientations.relion_matrices([[90, 0, 0]])[0] @ [1, 0, 0]
    np.testing.assert_allclose(x, [0, -1, 0], atol=1e-15)
    # tilt 90: the reference's z lies along the tomogram's -x.
    z = orientations.relion_matrices([[0, 90, 0]])[0] @ [0, 0, 1]
    np.testing.assert_allclose(z, [-1, 0, 0], atol=1e-15)
    z = orientations.artiax_matrices([[0, 90, 0]])[0] @ [0, 0, 1]
    np.testing.assert_allclose(z, [0, -1, 0], atol=1e-15)


# --- through files -----------------------------------------------------------------------------


def pick_list(matrices: np.ndarray) -> PickList:
    count = len(matrices)
    places = np.arange(3.0 * count).reshape(-1, 3) + 10
    names = ["T"] * count
    columns = {
        "slabkitPickId": new_pick_ids(names, *places.T),
        "slabkitTomogram": names,
        "slabkitSpecies": ["ribosome"] * count,
        **{f"slabkit{axis}": place for axis, place in zip("XYZ", places.T, strict=True)},
    }
    table = make_table(PICKS, columns)
    table[ROTATION] = orientations.rotation_texts(matrices)
    tomogram = {
        "slabkitTomogram": ["T"],
        "slabkitTomogramSizeX": [41],
        "slabkitTomogramSizeY": [40],
        "slabkitTomogramSizeZ": [31],
        "slabkitVoxelSize": [7.3],
    }
    return PickList(table, make_table(TOMOGRAMS, tomogram))


@pytest.mark.parametrize(
    "name", ["relion4", "relion5", "dynamo", "stopgap", "artiax-tsv", "copick", "ndjson", "warp-px"]
)
@SLOW
@given(angles=st.lists(ANGLES, min_size=1, max_size=10))
def test_orientations_survive_each_format(tmp_path: Path, name: str, angles: list[Any]) -> None:
    matrices = Rotation.from_euler("ZXZ", angles, degrees=True).as_matrix().reshape(-1, 3, 3)
    picks = pick_list(matrices)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SlabkitWarning)
        write_picks(tmp_path / "p.any", picks, format=name)
        back = read_picks(
            tmp_path / "p.any",
            format=name,
            tomograms=picks.tomograms,
            **({"tomogram": "T"} if name == "artiax-tsv" else {}),
        )
    found = orientations.rotations(back.picks, "test")
    found = np.tile(np.eye(3), (len(angles), 1, 1)) if found is None else found
    for before, after in zip(matrices, found, strict=True):
        np.testing.assert_allclose(turned(after), turned(before), atol=1e-6)


@SLOW
@given(
    angles=st.lists(ANGLES, min_size=1, max_size=10),
    order=st.permutations(["relion4", "relion5", "dynamo", "stopgap", "artiax-tsv", "copick"]),
    shuffle=st.randoms(use_true_random=False),
)
def test_orientations_survive_a_chain_of_programs(
    tmp_path: Path, angles: list[Any], order: list[str], shuffle: Any
) -> None:
    """Whatever the order of the programs, and of the rows, each pick keeps its own orientation."""
    matrices = Rotation.from_euler("ZXZ", angles, degrees=True).as_matrix().reshape(-1, 3, 3)
    matrices[0] = Rotation.from_euler("ZXZ", [10, 20, 30], degrees=True).as_matrix()  # not none
    picks = pick_list(matrices)
    places = picks.picks["slabkitX"].round(3).tolist()
    expected = dict(zip(places, matrices, strict=True))
    for name in order:
        rows = list(range(len(angles)))
        shuffle.shuffle(rows)
        picks = PickList(picks.picks.iloc[rows].reset_index(drop=True), picks.tomograms)
        named = {"tomogram": "T"} if name == "artiax-tsv" else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SlabkitWarning)
            write_picks(tmp_path / "p.any", picks, format=name, species="ribosome")
            known = picks.tomograms
            picks = read_picks(tmp_path / "p.any", format=name, tomograms=known, **named)
    found = orientations.rotations(picks.picks, "test")
    assert found is not None
    assert sorted(picks.picks["slabkitX"].round(3)) == sorted(places)
    for place, matrix in zip(picks.picks["slabkitX"].round(3), found, strict=True):
        np.testing.assert_allclose(turned(matrix), turned(expected[place]), atol=1e-6)


CARRIED = {
    "Both ways": "native csv ndjson copick relion5 relion4 dynamo stopgap em artiax-tsv warp-px",
    "Only in": "relion5-picker relion3 pytom warp",
    "Kept as numbers": "deepfinder polnet",
    "None": "eman imod imod-model artiax tomotwin cryolo-coords cryolo slabpick",
}


def test_what_carries_orientations_is_documented(tmp_path: Path) -> None:
    text = (Path(__file__).parent.parent / "docs" / "formats.md").read_text(encoding="utf-8")
    section = text.partition("## Orientations")[2].partition("\n## ")[0]
    for title, names in CARRIED.items():
        listed = ", ".join(f"`{name}`" for name in names.split())
        assert f"{title}: {listed}." in section
    every = " ".join(CARRIED.values()).split()
    assert sorted(every) == sorted(entry.name for entry in formats_of("picks"))
    picks = pick_list(Rotation.from_euler("z", [[90]], degrees=True).as_matrix())
    for entry in formats_of("picks"):
        if entry.write is None:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SlabkitWarning)
            write_picks(tmp_path / "T.any", picks, format=entry.name)
            back = read_picks(tmp_path / "T.any", format=entry.name, tomograms=picks.tomograms)
        found = orientations.rotations(back.picks, "test")
        assert (found is not None) == (entry.name in CARRIED["Both ways"].split()), entry.name


def star(tmp_path: Path, columns: dict[str, list[Any]], name: str = "p.star") -> Path:
    rows = "\n".join(" ".join(map(str, row)) for row in zip(*columns.values(), strict=True))
    labels = "".join(f"_{label}\n" for label in columns)
    path = tmp_path / name
    path.write_text(f"data_particles\n\nloop_\n{labels}{rows}\n")
    return path


RELION = {
    "rlnTomoName": ["T", "T"],
    "rlnCoordinateX": [1, 2],
    "rlnCoordinateY": [1, 2],
    "rlnCoordinateZ": [1, 2],
    "rlnTomoTiltSeriesPixelSize": [2, 2],
}


def test_relion_to_copick_carries_the_whole_orientation(tmp_path: Path) -> None:
    inner, outer = [[10, 20, 30], [0, 0, 0]], [[40, 50, 60], [70, 80, 90]]
    columns = dict(RELION)
    for labels, angles in (
        (orientations.RELION_ANGLES, inner),
        (orientations.SUBTOMOGRAM_ANGLES, outer),
    ):
        columns |= dict(zip(labels, map(list, zip(*angles, strict=True)), strict=True))
    picks = read_picks(star(tmp_path, columns))
    write_picks(tmp_path / "p.json", picks, species="ribosome")
    points = json.loads((tmp_path / "p.json").read_text())["points"]

    def expected(angles: list[int]) -> Rotation:
        return Rotation.from_euler("ZYZ", angles, degrees=True).inv()

    for point, sub, own in zip(points, outer, inner, strict=True):
        both = expected(sub) * expected(own)  # the subtomogram's turn comes last
        matrix = np.array(point["transformation_"])[:3, :3]
        np.testing.assert_allclose(turned(matrix), both.apply(VECTORS), atol=1e-12)
    # RELION gets its own columns back as they were.
    write_picks(tmp_path / "q.star", picks, format="relion4")
    again = read_picks(tmp_path / "q.star")
    labels = [*orientations.RELION_ANGLES, *orientations.SUBTOMOGRAM_ANGLES]
    pd.testing.assert_frame_equal(again.picks[labels], picks.picks[labels])


def test_relion_wins_where_it_turned_a_particle(tmp_path: Path) -> None:
    matrices = Rotation.from_euler("z", [[0], [90]], degrees=True).as_matrix()
    picks = pick_list(matrices)
    picks.picks.loc[0, ROTATION] = ""
    with pytest.warns(SlabkitWarning, match="Give --binning"):
        write_picks(tmp_path / "p.star", picks, format="relion4")
    same = read_picks(tmp_path / "p.star").picks
    assert same[ROTATION].tolist() == picks.picks[ROTATION].tolist()  # none stays none
    text = (tmp_path / "p.star").read_text()
    angle = orientations.relion_angles(matrices)[1, 0]
    moved = text.replace(repr(float(angle)), "33.0")
    assert moved != text
    (tmp_path / "q.star").write_text(moved)
    found = orientations.rotations(read_picks(tmp_path / "q.star").picks, "test")
    assert found is not None
    np.testing.assert_allclose(found[1], orientations.relion_matrices([[33, 0, 0]])[0], atol=1e-12)


def test_angles_of_zero_throughout_are_no_orientation(tmp_path: Path) -> None:
    columns = RELION | {label: [0, 0] for label in orientations.RELION_ANGLES}
    picks = read_picks(star(tmp_path, columns), voxel_size=4.0)
    assert orientations.rotations(picks.picks, "test") is None
    write_picks(tmp_path / "p.ndjson", picks)
    assert "xyz_rotation_matrix" not in (tmp_path / "p.ndjson").read_text()


def test_what_is_no_rotation_has_no_angles(tmp_path: Path) -> None:
    mirror = np.diag([1.0, 1.0, -1.0])
    picks = pick_list(np.stack([np.eye(3), mirror]))
    for name in ("dynamo", "relion5", "artiax-tsv"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SlabkitWarning)
            with pytest.raises(InputError, match=r"of pick 2 \(1.0,.*is no rotation"):
                write_picks(tmp_path / "p.any", picks, format=name)
    assert not list(tmp_path.iterdir())
