"""Every pick format, in and out, against formulas written down by hand."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pick_files import SLOW, TWO_TOMOGRAMS, pick_list, read_or_refuse, tomogram_table, xyz

from slabkit.errors import FormatError, InputError, SlabkitWarning
from slabkit.formats.picks.reading import read_picks
from slabkit.formats.picks.writing import write_picks
from slabkit.formats.registry import add_format, format_named, format_table, formats_of
from slabkit.formats.tables.native import PickList
from slabkit.names import composed
from slabkit.tables import PICKS, make_table

ROOT = Path(__file__).resolve().parent.parent


TWO = pick_list(
    [("TS_1", "ribosome", 10.5, 20.25, 30.0), ("00255", "apo-ferritin", 600.0, 0.0, 290.1)]
)


def write(folder: Path, text: str, name: str = "picks.txt") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


# --- reading what others write, against hand formulas -----------------------------------------


def test_csv_minimal_keeps_names_as_strings(tmp_path: Path) -> None:
    path = write(
        tmp_path, "tomogram,species,x,y,z\n00255,ribosome,1.5,2,3e1\n1e5,,0,0,0\nnan,a,-0.0,1,2\n"
    )
    picks = read_picks(path)
    assert picks.picks["slabkitTomogram"].tolist() == ["00255", "1e5", "nan"]
    assert picks.picks["slabkitSpecies"].tolist() == ["ribosome", "", "a"]
    np.testing.assert_array_equal(xyz(picks), [[1.5, 2, 30], [0, 0, 0], [0, 1, 2]])
    assert picks.tomograms["slabkitTomogramSizeX"].tolist() == [0, 0, 0]
    assert picks.tomograms["slabkitVoxelSize"].isna().all()
    assert picks.picks["slabkitPickId"].is_unique


def test_csv_reads_by_name_and_keeps_other_columns(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "z,kind,name,y,x,tomogram,score,decision\n"
        "3,decoy,big one,2,1,T,0.25,\n6,decoy,b,5,4,T,,rejected\n",
        "p.csv",
    )
    picks = read_picks(path)
    np.testing.assert_array_equal(xyz(picks), [[1, 2, 3], [4, 5, 6]])
    assert picks.picks["kind"].tolist() == ["decoy", "decoy"]
    assert picks.picks["name"].tolist() == ["big one", "b"]
    assert picks.picks["slabkitSpecies"].tolist() == ["", ""]
    np.testing.assert_array_equal(picks.picks["slabkitScore"], [0.25, np.nan])
    assert picks.picks["slabkitDecision"].tolist() == ["undecided", "rejected"]


def test_csv_in_pixels_needs_the_option(tmp_path: Path) -> None:
    path = write(tmp_path, "tomogram,x,y,z\nTS_1,10,20,30\n00255,1,2,3\n", "p.csv")
    picks = read_picks(path, tomograms=TWO_TOMOGRAMS, unit="px")
    np.testing.assert_allclose(xyz(picks), [[73, 146, 219], [10.012, 20.024, 30.036]], rtol=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        "tomogram,x,y,z\r\nT,1,2,3\r\n",
        "\ufefftomogram,x,y,z\nT,1,2,3\n\n\n",
        "# made by hand\ntomogram , x , y , z \n T , 1 , 2 , 3 ",
        "tomogram\tx\ty\tz\nT\t1\t2\t3\n",
        "tomogram;x;y;z\nT;1;2;3\n",
        '"tomogram","x","y","z"\n"T","1","2","3"\n',
    ],
)
def test_csv_variants(tmp_path: Path, text: str) -> None:
    picks = read_picks(write(tmp_path, text, "p.csv"))
    assert picks.picks["slabkitTomogram"].tolist() == ["T"]
    np.testing.assert_array_equal(xyz(picks), [[1, 2, 3]])


def test_imod_half_pixel_in_plane_only(tmp_path: Path) -> None:
    path = write(tmp_path, "0.5 0.5 0\n 10.5 20.5 30\n")
    picks = read_picks(path, format="imod", tomogram="T", voxel_size=7.3)
    np.testing.assert_allclose(xyz(picks), [[0, 0, 0], [73, 146, 219]], atol=1e-12)


def test_imod_with_object_and_contour(tmp_path: Path) -> None:
    path = write(tmp_path, "1 2 10.5 20.5 30\n1 3 11.5 20.5 30\n")
    picks = read_picks(path, format="imod", tomogram="T", voxel_size=2.0)
    np.testing.assert_allclose(xyz(picks), [[20, 40, 60], [22, 40, 60]])
    assert picks.picks["imodContour"].tolist() == ["2", "3"]


def test_ndjson_types_and_rotation(tmp_path: Path) -> None:
    turn = [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    lines = [
        {"type": "point", "location": {"x": 1, "y": 2.5, "z": 3}},
        {
            "type": "orientedPoint",
            "location": {"x": 4, "y": 5, "z": 6},
            "xyz_rotation_matrix": turn,
        },
        {
            "type": "instancePoint",
            "location": {"x": 7, "y": 8, "z": 9},
            "instance_id": 12,
            "a": [1],
        },
    ]
    path = write(tmp_path, "\n".join(map(json.dumps, lines)) + "\n\n", "p.ndjson")
    picks = read_picks(path, tomogram="T", voxel_size=10.012)
    np.testing.assert_allclose(
        xyz(picks), np.array([[1, 2.5, 3], [4, 5, 6], [7, 8, 9]]) * 10.012, rtol=1e-12
    )
    assert picks.picks["instance_id"].tolist() == ["", "", "12"]
    assert picks.picks["a"].tolist() == ["", "", "[1]"]
    write_picks(tmp_path / "back.ndjson", picks)
    back = [json.loads(line) for line in (tmp_path / "back.ndjson").read_text().splitlines()]
    assert [item["type"] for item in back] == ["point", "orientedPoint", "instancePoint"]
    assert back[1]["xyz_rotation_matrix"] == turn
    assert back[2]["instance_id"] == 12
    write_picks(tmp_path / "p.star", picks)
    write_picks(tmp_path / "r4.star", read_picks(tmp_path / "p.star"), format="relion4", binning=1)
    write_picks(tmp_path / "third.ndjson", read_picks(tmp_path / "r4.star", voxel_size=10.012))
    third = [json.loads(line) for line in (tmp_path / "third.ndjson").read_text().splitlines()]
    for first, last in zip(back, third, strict=True):  # RELION's optics come along
        assert {key for key in last if not key.startswith("rln")} == set(first)
        assert last["location"] == pytest.approx(first["location"], abs=1e-9)
        assert last.get("instance_id") == first.get("instance_id")
    assert back[0]["location"] == pytest.approx({"x": 1, "y": 2.5, "z": 3}, abs=1e-12)


def copick_file(**changes: Any) -> dict[str, Any]:
    content = {
        "pickable_object_name": "ribosome",
        "user_id": "ann",
        "session_id": "7",
        "run_name": "TS_1",
        "voxel_spacing": 7.3,
        "unit": "angstrom",
        "points": [
            {
                "location": {"x": 10.0, "y": 20.0, "z": 30.0},
                "transformation_": np.eye(4).tolist(),
                "instance_id": 0,
                "score": 0.75,
            }
        ],
        "trust_orientation": True,
    }
    return content | changes


def moved(x: float, y: float, z: float) -> list[list[float]]:
    return [[0, -1, 0, x], [1, 0, 0, y], [0, 0, 1, z], [0, 0, 0, 1]]


def test_copick_adds_the_translation_and_says_so(tmp_path: Path) -> None:
    points = [
        {"location": {"x": 10, "y": 20, "z": 30}, "transformation_": moved(1, -2, 3)},
        {"location": {"x": 5, "y": 6, "z": 7}, "transformation_": moved(0, 0, 0), "note": "good"},
    ]
    path = write(tmp_path, json.dumps(copick_file(points=points, lab="ours")), "p.json")
    with pytest.warns(SlabkitWarning, match="1 of 2 points had a translation"):
        picks = read_picks(path)
    np.testing.assert_array_equal(xyz(picks), [[11, 18, 33], [5, 6, 7]])
    assert picks.picks["note"].tolist() == ["", "good"]
    assert picks.picks["lab"].tolist() == ["ours", "ours"]
    write_picks(tmp_path / "back.json", picks)
    back = json.loads((tmp_path / "back.json").read_text())
    assert back["points"][0]["transformation_"] == moved(0, 0, 0)
    assert (back["user_id"], back["session_id"], back["run_name"]) == ("ann", "7", "TS_1")
    assert back["trust_orientation"] is True
    assert back["points"][1]["note"] == "good"


def test_copick_run_from_the_path(tmp_path: Path) -> None:
    folder = tmp_path / "TS_9" / "Picks"
    folder.mkdir(parents=True)
    path = write(folder, json.dumps(copick_file(run_name=None)), "ann_7_ribosome.json")
    picks = read_picks(path)
    assert picks.picks["slabkitTomogram"].tolist() == ["TS_9"]
    assert picks.picks["slabkitSpecies"].tolist() == ["ribosome"]
    assert picks.picks["slabkitScore"].tolist() == [0.75]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unit": "pixel"}, "unit is 'pixel'"),
        ({"points": {}}, "points is no list"),
        ({"points": [{}]}, "point 1: location must have x, y and z"),
        ({"points": [{"location": {"x": "1", "y": 2, "z": 3}}]}, 'x is "1"; it must be a finite'),
        ({"points": [{"location": {"x": True, "y": 2, "z": 3}}]}, "x is true"),
        (
            {"points": [{"location": {"x": 1, "y": 2, "z": 3}, "transformation_": [[1]]}]},
            "must be a 4 × 4 matrix",
        ),
        (
            {
                "points": [
                    {"location": {"x": 1, "y": 2, "z": 3}, "transformation_": [[1, 0, 0, 0]] * 4}
                ]
            },
            "last row of transformation_",
        ),
        ({"run_name": None}, "give --tomogram"),
        ({"run_name": "a/b"}, "cannot be used as a name"),
    ],
)
def test_copick_refusals(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path, json.dumps(copick_file(**changes)), "p.json")
    with pytest.raises(InputError, match=message):
        read_picks(path)


def relion(columns: str, *rows: str, optics: str = "") -> str:
    labels = "".join(f"_{name}\n" for name in columns.split())
    head = ""
    if optics:
        names, values = optics.split("=")
        head = "data_optics\n\nloop_\n" + "".join(f"_{n}\n" for n in names.split())
        head += values.replace("|", "\n") + "\n\n"
    return f"{head}data_particles\n\nloop_\n{labels}" + "\n".join(rows) + "\n"


CENTRED = "rlnTomoName " + " ".join(f"rlnCenteredCoordinate{axis}Angst" for axis in "XYZ")
CORNER = "rlnTomoName rlnCoordinateX rlnCoordinateY rlnCoordinateZ"
WARP = CORNER.replace("rlnTomoName", "rlnMicrographName")


def test_relion5_centre_of_odd_and_even_sizes(tmp_path: Path) -> None:
    path = write(tmp_path, relion(CENTRED, "TS_1 0 0 0", "00255 -10 20 3.5"), "p.star")
    picks = read_picks(path, tomograms=TWO_TOMOGRAMS)
    expected = [
        [101 / 2 * 7.3, 80 / 2 * 7.3, 41 / 2 * 7.3],
        [64 / 2 * 10.012 - 10, 91 / 2 * 10.012 + 20, 30 / 2 * 10.012 + 3.5],
    ]
    np.testing.assert_allclose(xyz(picks), expected, rtol=0, atol=1e-9)
    other = read_picks(path, tomograms=TWO_TOMOGRAMS, centre="size/2-1", binning=4)
    shift = np.array([[7.3 / 4], [10.012 / 4]])
    np.testing.assert_allclose(xyz(other), np.array(expected) - shift, rtol=0, atol=1e-9)


def test_relion5_other_centre_needs_the_pixel_size(tmp_path: Path) -> None:
    path = write(tmp_path, relion(CENTRED, "TS_1 0 0 0"), "p.star")
    with pytest.raises(InputError, match="give --binning"):
        read_picks(path, tomograms=TWO_TOMOGRAMS, centre="size/2-1")
    with pytest.raises(InputError, match=r"the size of TS_1 is not known.*give --tomograms"):
        read_picks(path)
    with pytest.raises(InputError, match="the size of TS_1 is not known"):
        read_picks(path, voxel_size=10.0)


def test_relion4_pixel_size_from_optics_or_binning(tmp_path: Path) -> None:
    optics = "rlnOpticsGroup rlnTomoTiltSeriesPixelSize=1 1.825|2 2.503"
    text = relion(CORNER + " rlnOpticsGroup", "TS_1 40 80 120 1", "00255 4 8 12 2", optics=optics)
    path = write(tmp_path, text, "p.star")
    expected = [[73, 146, 219], [10.012, 20.024, 30.036]]
    np.testing.assert_allclose(xyz(read_picks(path)), expected, rtol=1e-12)
    binned = read_picks(path, tomograms=TWO_TOMOGRAMS, binning=4)
    np.testing.assert_allclose(xyz(binned), expected, rtol=1e-12)
    with pytest.warns(SlabkitWarning, match="--binning was followed"):
        twice = read_picks(path, tomograms=TWO_TOMOGRAMS, binning=8)
    np.testing.assert_allclose(xyz(twice), np.array(expected) / 2, rtol=1e-12)


def test_relion4_subtomogram_binning_and_unknown_groups(tmp_path: Path) -> None:
    optics = "rlnOpticsGroup rlnImagePixelSize rlnTomoSubtomogramBinning=1 7.3 4"
    text = relion(CORNER + " rlnOpticsGroup", "TS_1 40 80 120 1", optics=optics)
    picks = read_picks(write(tmp_path, text, "p.star"))
    np.testing.assert_allclose(xyz(picks), [[73, 146, 219]], rtol=1e-12)
    with pytest.raises(InputError, match="optics group 2"):
        read_picks(write(tmp_path, text.replace("120 1", "120 2"), "q.star"))
    no_size = write(tmp_path, relion(CORNER, "TS_1 1 2 3"), "r.star")
    with pytest.raises(InputError, match="give --binning"):
        read_picks(no_size)
    small = relion(CORNER + " rlnTomoTiltSeriesPixelSize", "TS_1 1 2 3 9")
    with pytest.raises(InputError, match="less than the tilt series' 9 Å"):
        read_picks(write(tmp_path, small, "s.star"), tomograms=TWO_TOMOGRAMS)


def test_relion_shifts_are_subtracted_and_counted(tmp_path: Path) -> None:
    columns = CORNER + " rlnTomoTiltSeriesPixelSize rlnOriginXAngst rlnOriginYAngst rlnOriginZAngst"
    text = relion(columns, "T 10 20 30 2 1 -2 0.5", "T 1 2 3 2 0 0 0")
    with pytest.warns(SlabkitWarning, match="1 of 2 particles had an origin shift"):
        picks = read_picks(write(tmp_path, text, "p.star"))
    np.testing.assert_allclose(xyz(picks), [[19, 42, 59.5], [2, 4, 6]])
    assert not [name for name in picks.picks.columns if "Origin" in name]
    # A quarter turn about z carries the particle's x into the tomogram's -y.
    turned = columns + " rlnTomoSubtomogramRot rlnTomoSubtomogramTilt rlnTomoSubtomogramPsi"
    text = relion(turned, "T 10 20 30 2 1 0 0 90 0 0", "T 10 20 30 2 0 0 1 0 90 0")
    with pytest.warns(SlabkitWarning, match="2 of 2"):
        picks = read_picks(write(tmp_path, text, "q.star"))
    np.testing.assert_allclose(xyz(picks), [[20, 41, 60], [21, 40, 60]], atol=1e-12)
    pixels = relion(CORNER + " rlnTomoTiltSeriesPixelSize rlnOriginX", "T 1 2 3 2 4")
    with pytest.raises(InputError, match="shifts in pixels"):
        read_picks(write(tmp_path, pixels, "r.star"))


def test_relion_with_both_coordinates(tmp_path: Path) -> None:
    both = CENTRED + " rlnCoordinateX rlnCoordinateY rlnCoordinateZ rlnTomoTiltSeriesPixelSize"
    centre = np.array([101, 80, 41]) / 2 * 7.3
    row = f"TS_1 0 0 0 {centre[0] / 1.825 + 2} {centre[1] / 1.825} {centre[2] / 1.825} 1.825"
    path = write(tmp_path, relion(both, row), "p.star")
    with pytest.warns(SlabkitWarning, match=r"differ by up to 3\.65 Å"):
        picks = read_picks(path, tomograms=TWO_TOMOGRAMS)
    np.testing.assert_allclose(xyz(picks), [centre])
    with pytest.warns(
        SlabkitWarning, match=r"RELION 5 would follow \(--from relion5\); they are left out"
    ):
        other = read_picks(path, tomograms=TWO_TOMOGRAMS, format="relion4")
    np.testing.assert_allclose(xyz(other), centre[None] + [[3.65, 0, 0]])


def test_relion5_writes_the_centred_formula(tmp_path: Path) -> None:
    with pytest.warns(SlabkitWarning, match="Give --binning"):
        write_picks(tmp_path / "p.star", TWO, format="relion5")
    from slabkit.formats.tables.star import read_star

    blocks = read_star(tmp_path / "p.star")
    particles = blocks["particles"]
    assert list(particles.columns[:4]) == CENTRED.split()
    first = [float(v) for v in particles.iloc[0, 1:4]]
    np.testing.assert_allclose(
        first, [10.5 - 101 * 7.3 / 2, 20.25 - 80 * 7.3 / 2, 30.0 - 41 * 7.3 / 2], atol=1e-9
    )
    assert particles["rlnParticleName"].tolist() == TWO.picks["slabkitPickId"].tolist()
    group = dict(zip(blocks["optics"]["rlnOpticsGroup"], blocks["optics"].index, strict=True))
    sizes = blocks["optics"]["rlnTomoTiltSeriesPixelSize"].astype(float).to_numpy()
    rows = [sizes[group[g]] for g in particles["rlnOpticsGroup"]]
    np.testing.assert_allclose(rows, [7.3, 10.012])


def test_relion_keeps_optics_and_unknown_columns(tmp_path: Path) -> None:
    optics = "rlnOpticsGroup rlnVoltage rlnTomoTiltSeriesPixelSize=1 200 1.825"
    text = relion(
        CORNER + " rlnOpticsGroup rlnAngleRot rlnLCCmax", "TS_1 40 80 120 1 33.5 0.5", optics=optics
    )
    picks = read_picks(write(tmp_path, text, "p.star"), tomograms=TWO_TOMOGRAMS)
    assert picks.picks["slabkitScore"].tolist() == [0.5]
    assert picks.picks["slabkitScoreKind"].tolist() == ["rlnLCCmax"]
    write_picks(tmp_path / "q.star", picks, format="relion5")
    written = (tmp_path / "q.star").read_text()
    assert "200" in written
    assert "1.825" in written
    again = read_picks(tmp_path / "q.star", tomograms=TWO_TOMOGRAMS)
    np.testing.assert_allclose(xyz(again), xyz(picks), atol=1e-9)
    assert again.picks["rlnAngleRot"].tolist() == ["33.5"]


# --- there and back, over drawn sizes and positions -------------------------------------------

names = st.text(
    st.characters(codec="utf-8", exclude_characters="#/\\'\"", exclude_categories=("C", "Z")),
    min_size=1,
    max_size=8,
).map(composed)  # as names are read
names = names.filter(lambda name: name not in (".", ".."))


@st.composite
def drawn_lists(draw: st.DrawFn) -> PickList:
    count = draw(st.integers(1, 3))
    tomograms = draw(st.lists(names, min_size=count, max_size=count, unique=True))
    size = st.integers(1, 700)
    table = tomogram_table(
        **{
            name: (draw(size), draw(size), draw(size), draw(st.sampled_from([7.3, 10.012, 1.0])))
            for name in tomograms
        }
    )
    rows = []
    for index in draw(st.lists(st.integers(0, count - 1), max_size=6)):
        row = table.iloc[index]
        place = [
            draw(st.floats(0, (row[f"slabkitTomogramSize{a}"] - 1) * row["slabkitVoxelSize"]))
            for a in "XYZ"
        ]
        rows.append((tomograms[index], draw(names | st.just("")), *place))
    picks = pick_list(list(dict.fromkeys(rows)), table)
    scores = st.floats(allow_nan=True, allow_infinity=False, width=64)
    count = len(picks.picks)
    scored = picks.picks.assign(
        slabkitScore=draw(st.lists(scores, min_size=count, max_size=count)),
        slabkitDecision="accepted",
        slabkitFlags="border",
    )
    return PickList(make_table(PICKS, dict(scored.items())), table)


@pytest.mark.parametrize("name", ["native", "csv", "relion5", "relion4"])
@SLOW
@given(
    picks=drawn_lists(),
    binning=st.sampled_from([1, 4, 6.5]),
    centre=st.sampled_from(["size/2", "size/2-1"]),
)
def test_round_trip_is_exact(
    tmp_path: Path, name: str, picks: PickList, binning: float, centre: Any
) -> None:
    path = tmp_path / "p.any"
    before = picks.picks.copy()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(holds no picks|all .* in one corner).*")
        write_picks(path, picks, format=name, binning=binning, centre=centre)
        back = read_picks(
            path, format=name, tomograms=picks.tomograms, binning=binning, centre=centre
        )
    pd.testing.assert_frame_equal(picks.picks, before)
    np.testing.assert_allclose(xyz(back), xyz(picks), rtol=0, atol=1e-6)
    same = [column for column in PICKS.names if column[-1] not in "XYZ"]
    pd.testing.assert_frame_equal(back.picks[same], picks.picks[same], check_dtype=False)


@pytest.mark.parametrize("name", ["ndjson", "imod"])
@SLOW
@given(picks=drawn_lists())
def test_round_trip_of_one_tomogram(tmp_path: Path, name: str, picks: PickList) -> None:
    first = picks.tomograms["slabkitTomogram"].iloc[0]
    picks = PickList(
        picks.picks[picks.picks["slabkitTomogram"] == first].reset_index(drop=True), picks.tomograms
    )
    path = tmp_path / "p.any"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(cannot hold|no picks|exact duplicates).*")
        write_picks(path, picks, format=name)
        back = read_picks(path, format=name, tomograms=picks.tomograms, tomogram=first)
    if name == "ndjson":
        pd.testing.assert_frame_equal(
            back.picks[PICKS.names], picks.picks[PICKS.names], check_dtype=False, atol=1e-6
        )
    else:
        np.testing.assert_allclose(
            np.unique(xyz(back).round(6), axis=0), np.unique(xyz(picks).round(6), axis=0), atol=3e-6
        )


def test_imod_writes_the_hand_formula(tmp_path: Path) -> None:
    one = PickList(TWO.picks.iloc[:1], TWO.tomograms)
    with pytest.warns(SlabkitWarning, match="imod cannot hold pick_id, species"):
        write_picks(tmp_path / "p.txt", one, format="imod")
    values = [float(v) for v in (tmp_path / "p.txt").read_text().split()]
    np.testing.assert_allclose(values, [10.5 / 7.3 + 0.5, 20.25 / 7.3 + 0.5, 30 / 7.3], rtol=1e-12)


def test_folder_of_copick_files(tmp_path: Path) -> None:
    rows = [
        ("TS_1", "beta_gal", 1.0, 2.0, 3.0),
        ("TS_1", "ribosome", 4.0, 5.0, 6.0),
        ("00255", "ribosome", 7.0, 8.0, 9.0),
    ]
    picks = pick_list(rows)
    with pytest.warns(SlabkitWarning, match="'beta_gal' was written as 'beta-gal'"):
        written = write_picks(tmp_path / "out", picks, format="copick")
    relative = sorted(path.relative_to(tmp_path / "out").as_posix() for path in written)
    assert relative == [
        "00255/Picks/slabkit_0_ribosome.json",
        "TS_1/Picks/slabkit_0_beta-gal.json",
        "TS_1/Picks/slabkit_0_ribosome.json",
        "picks.star",
    ]
    back = read_picks(tmp_path / "out")
    place = {i: tuple(p) for i, p in zip(back.picks["slabkitPickId"], xyz(back), strict=True)}
    expected = {i: tuple(p) for i, p in zip(picks.picks["slabkitPickId"], xyz(picks), strict=True)}
    assert place == expected
    assert sorted(back.picks["slabkitSpecies"]) == ["beta-gal", "ribosome", "ribosome"]
    twin = pick_list([("TS_1", "a_b", 1, 2, 3), ("TS_1", "a-b", 4, 5, 6)])
    with pytest.raises(InputError, match="two names become the same"):
        write_picks(tmp_path / "twin", twin, format="copick")
    assert not (tmp_path / "twin").exists()


def test_several_tomograms_do_not_go_into_one_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"2 files.*holds one tomogram.*give a folder"):
        write_picks(tmp_path / "p.ndjson", TWO)
    with pytest.raises(InputError, match="holds one tomogram and species"):
        write_picks(tmp_path / "p.json", TWO)
    assert not list(tmp_path.iterdir())


def test_copick_needs_a_species(tmp_path: Path) -> None:
    picks = pick_list([("TS_1", "", 1.0, 2.0, 3.0)])
    with pytest.raises(InputError, match="give --species"):
        write_picks(tmp_path / "p.json", picks)
    write_picks(tmp_path / "p.json", picks, species="thyroglobulin")
    assert read_picks(tmp_path / "p.json").picks["slabkitSpecies"].tolist() == ["thyroglobulin"]


WRITTEN = [entry for entry in formats_of("picks") if entry.write is not None]


@pytest.mark.parametrize("entry", WRITTEN, ids=lambda entry: entry.name)
def test_no_picks_at_all(tmp_path: Path, entry: Any) -> None:
    empty = pick_list([], tomogram_table(T=(10, 11, 12, 7.3)))
    write_picks(tmp_path / "p.txt", empty, format=entry.name)
    with pytest.warns(SlabkitWarning, match="holds no picks"):
        back = read_picks(tmp_path / "p.txt", format=entry.name, tomograms=empty.tomograms)
    assert list(back.picks.columns) == PICKS.names
    assert len(back.picks) == 0
    assert back.tomograms["slabkitTomogram"].tolist() == ["T"]


# --- which format, which tomogram -------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("native", "x"), ("csv", "x"), ("ndjson", "x"), ("copick", "x"), ("relion5", "star")],
)
def test_content_says_the_format_whatever_the_name(tmp_path: Path, name: str, suffix: str) -> None:
    one = PickList(TWO.picks.iloc[:1], TWO.tomograms)
    path = tmp_path / f"p.{suffix}"
    write_picks(path, one, format=name, binning=1)
    back = read_picks(path, tomograms=TWO_TOMOGRAMS)
    np.testing.assert_allclose(xyz(back), xyz(one), atol=1e-9)


def test_bare_numbers_have_to_be_named(tmp_path: Path) -> None:
    path = write(tmp_path, "1 2 3\n")
    with pytest.raises(InputError, match=r"--from \(native, csv, ndjson, copick, relion5, relion4"):
        read_picks(path)
    with pytest.raises(InputError, match="no pick format 'mrc'; there are native, csv"):
        read_picks(path, format="mrc")
    with pytest.raises(InputError, match="give --to"):
        write_picks(tmp_path / "p.xyz", TWO)


@pytest.mark.parametrize("name", [known.name for known in formats_of("picks") if not known.binary])
@pytest.mark.parametrize("suffix", ["mod", "star"])
def test_a_binary_model_is_refused_by_every_format_of_text(
    tmp_path: Path, name: str, suffix: str
) -> None:
    with pytest.warns(SlabkitWarning, match="imod-model cannot hold pick_id, species"):
        write_picks(tmp_path / "p.mod", PickList(TWO.picks.iloc[:1], TWO.tomograms))
    path = (tmp_path / "p.mod").rename(tmp_path / f"q.{suffix}")
    with pytest.raises(FormatError, match=rf"q.{suffix}: is a binary IMOD model; give --from imod"):
        read_picks(path, format=name, tomograms=TWO_TOMOGRAMS, tomogram="TS_1")
    read_picks(path, format="imod-model", tomograms=TWO_TOMOGRAMS, tomogram="TS_1")  # as advised


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("relion5", "".join(f"_{c}\n" for c in CENTRED.split()) + "TS_1 1 2 3\n"),
        ("warp", "".join(f"_{c}\n" for c in WARP.split()) + "TS_1.tomostar .1 .2 .3\n"),
        ("eman", '{"boxes_3d": [[1, 2, 3, "manual", 0.0, 0]], "apix_unbin": 2.5}'),
    ],
)
@pytest.mark.parametrize("voxel_size", [None, 7.3])
def test_a_size_that_is_needed_is_asked_for_at_once(
    tmp_path: Path, name: str, text: str, voxel_size: float | None
) -> None:
    body = text if name == "eman" else f"data_\nloop_\n{text}"
    path = write(tmp_path, body, "TS_1_info.json" if name == "eman" else "TS_1.star")
    with pytest.raises(InputError, match=r"the size of TS_1 is not known.*give --tomograms\.$"):
        read_picks(path, format=name, voxel_size=voxel_size)
    read_picks(path, format=name, tomograms=TWO_TOMOGRAMS, check_bounds=False)


def test_two_formats_that_fit_are_ambiguous(tmp_path: Path) -> None:
    from dataclasses import replace

    from slabkit.formats import registry

    add_format(replace(format_named("csv"), name="csv2"))
    try:
        path = write(tmp_path, "tomogram,x,y,z\nT,1,2,3\n", "p.csv")
        with pytest.raises(InputError, match="could be csv, csv2; say which with --from"):
            read_picks(path)
    finally:
        registry._FORMATS.pop()  # the last one


def test_tomogram_name_given_or_contradicted(tmp_path: Path) -> None:
    path = write(tmp_path, "x,y,z\n1,2,3\n", "p.csv")
    with pytest.raises(InputError, match="give --tomogram NAME"):
        read_picks(path)
    assert read_picks(path, tomogram="T").picks["slabkitTomogram"].tolist() == ["T"]
    named = write(tmp_path, "tomogram,x,y,z\nA,1,2,3\n", "q.csv")
    with pytest.raises(InputError, match="--tomogram T contradicts"):
        read_picks(named, tomogram="T")


def test_unknown_tomogram_lists_the_closest(tmp_path: Path) -> None:
    path = write(tmp_path, "tomogram,x,y,z\nTS_01,1,2,3\n", "p.csv")
    with pytest.raises(InputError, match=r"tomogram TS_01 is not among the 2.*closest: TS_1"):
        read_picks(path, tomograms=TWO_TOMOGRAMS)


def test_native_takes_sizes_and_refuses_other_voxels(tmp_path: Path) -> None:
    write_picks(tmp_path / "p.star", TWO)
    other = TWO_TOMOGRAMS.assign(slabkitVoxelSize=[7.3, 5.0])
    with pytest.raises(InputError, match=r"voxel size of 00255 is 10\.012 Å in the file and 5 Å"):
        read_picks(tmp_path / "p.star", tomograms=other)
    with pytest.warns(SlabkitWarning, match="1 of 2 picks lie outside"):
        settled = read_picks(tmp_path / "p.star", tomograms=other, voxel_size=9.0)
    assert settled.tomograms["slabkitVoxelSize"].tolist() == [9.0, 9.0]
    bare = PickList(TWO.picks, TWO.tomograms.assign(slabkitTomogramSizeX=0))
    write_picks(tmp_path / "q.star", bare)
    filled = read_picks(tmp_path / "q.star", tomograms=TWO_TOMOGRAMS)
    pd.testing.assert_frame_equal(filled.tomograms, TWO_TOMOGRAMS)
    pd.testing.assert_frame_equal(filled.picks, TWO.picks)


# --- bad rows ---------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["nan", "<NA>", "inf", "", "12;5", "1_0", "１２", "abc", "1e999"])
def test_bad_coordinates_stop_with_their_rows(tmp_path: Path, value: str) -> None:
    text = f"tomogram,x,y,z\nT,1,2,3\nT,1,{value},3\nT,4,5,6\nT,{value},5,7\n"
    path = write(tmp_path, text, "p.csv")
    with pytest.raises(InputError, match=r"p.csv: x is .* in row 4; it must be a finite number"):
        read_picks(path)
    star = write(tmp_path, relion(CORNER, "T 1 2 3", f"T 1 {value or '<NA>'} 3"), "p.star")
    with pytest.raises(InputError, match=r"p.star: rlnCoordinateY is .* in row 2"):
        read_picks(star, binning=1, voxel_size=1.0)


def test_rows_are_counted_from_the_file_start(tmp_path: Path) -> None:
    rows = [f"T,{i},0,0" for i in range(20_003)]
    rows[20_001] = "T,1,nan,0"
    path = write(tmp_path, "tomogram,x,y,z\n" + "\n".join(rows), "p.csv")
    with pytest.raises(InputError, match="row 20002;"):
        read_picks(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tomogram,x,y,z\nT,1,2\n", "row 1 has 3 values for 4 columns"),
        ("tomogram,x,y,z\nT,12,5,13,6,14,7\n", "a decimal comma"),
        ("tomogram;x;y;z\nT;12,5;1;2\n", "'12,5' in row 1"),
        ("tomogram,x,y,z,x\nT,1,2,3,4\n", "'x' appears more than once"),
        ("tomogram,x,y\nT,1,2\n", "has no column z"),
        ("tomogram,x,y,z,score\nT,1,2,3,high\n", "score is 'high' in row 1"),
        ("tomogram,x,y,z,decision\nT,1,2,3,yes\n", "it must be one of accepted"),
        ("tomogram,x,y,z\n#T,1,2,3\n,1,2,3\n", "tomogram '' cannot be used as a name"),
        ("tomogram,x,y,z\na/b,1,2,3\n", "cannot be used as a name"),
        ("tomogram,x,y,z\n..,1,2,3\n", "cannot be used as a name"),
        ('tomogram,x,y,z\n"a\nb",1,2,3\n', "cannot be used as a name"),
        ("tomogram,species,x,y,z\nT,a#b,1,2,3\n", "species 'a#b' cannot be used"),
        ('tomogram,x,y,z\n"T,1,2,3\n', "not well-formed CSV"),
        ("pick_id,tomogram,x,y,z\na,T,1,2,3\na,T,4,5,6\n", "'a' appears in rows 1, 2"),
    ],
)
def test_csv_refusals(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_picks(write(tmp_path, text, "p.csv"), format="csv")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"type": "point", "location": {"x": 1, "y"', "line 2: is not valid JSON"),
        ('{"type": "blob", "location": {"x": 1, "y": 2, "z": 3}}', "line 2: is not an object"),
        ('{"type": "point"}', "line 2: location must have x, y and z"),
        ('{"type": "point", "location": {"x": NaN, "y": 2, "z": 3}}', "line 2: is not valid JSON"),
        (
            '{"type": "orientedPoint", "location": {"x": 1, "y": 2, "z": 3}}',
            "needs an xyz_rotation",
        ),
        ("[" * 100_000, "line 2: is not valid JSON"),
        (
            '{"type": "point", "location": {"x": 1' + "0" * 400 + ', "y": 2, "z": 3}}',
            "line 2: x is",
        ),
    ],
)
def test_ndjson_refusals(tmp_path: Path, line: str, message: str) -> None:
    good = '{"type": "point", "location": {"x": 1, "y": 2, "z": 3}}\n'
    path = write(tmp_path, good + line, "p.ndjson")
    with pytest.raises(InputError, match=message):
        read_picks(path, tomogram="T", voxel_size=2.0)


def test_star_refusals(tmp_path: Path) -> None:
    short = write(tmp_path, relion(CORNER, "T 1 2 3", "T 1 2"), "p.star")
    with pytest.raises(InputError, match="line 9: 3 values for 4 columns"):
        read_picks(short, voxel_size=1.0, binning=1)
    twice = relion(CORNER, "T 1 2 3")
    with pytest.raises(InputError, match="second block data_particles"):
        read_picks(write(tmp_path, twice + "\n" + twice, "q.star"), format="relion4")
    with pytest.raises(InputError, match="no block has the columns rlnCentered"):
        read_picks(write(tmp_path, twice, "r.star"), format="relion5")
    slabs = "data_micrographs\n\nloop_\n_rlnMicrographName\na.mrc\n"
    with pytest.raises(InputError, match="can be told by its content"):
        read_picks(write(tmp_path, slabs, "s.star"))


def test_exact_duplicates_are_dropped_and_counted(tmp_path: Path) -> None:
    text = "tomogram,x,y,z,score\nT,1,2,3,0.1\nT,9,9,9,1\nT,1,2,3,0.7\nU,1,2,3,0.2\nT,1,2,3.01,0\n"
    path = write(tmp_path, text, "p.csv")
    with pytest.warns(SlabkitWarning, match="1 of 5 picks were exact duplicates"):
        picks = read_picks(path)
    assert picks.picks["slabkitScore"].tolist() == [1, 0.7, 0.2, 0]


def test_the_same_path_twice_stops_and_equal_content_does_not(tmp_path: Path) -> None:
    first = write(tmp_path, "tomogram,x,y,z\nT,1,2,3\n", "p.csv")
    second = write(tmp_path, "tomogram,x,y,z\nT,1,2,3\n", "q.csv")
    third = write(tmp_path, "tomogram,species,x,y,z\nT,a,1,2,4\n", "r.csv")
    with pytest.raises(InputError, match="is given twice"):
        read_picks([first, first])
    with pytest.warns(SlabkitWarning, match="1 of 2 picks were exact duplicates"):
        assert len(read_picks([first, second]).picks) == 1
    assert len(read_picks([first, second], keep_duplicates=True).picks) == 2
    both = read_picks([first, third])
    assert both.picks["slabkitSpecies"].tolist() == ["", "a"]


def test_species_replaces_and_says_so(tmp_path: Path) -> None:
    path = write(tmp_path, "tomogram,species,x,y,z\nT,THG,1,2,3\nT,,4,5,6\n", "p.csv")
    with pytest.warns(SlabkitWarning, match="1 picks were THG and are thyroglobulin now"):
        picks = read_picks(path, species="thyroglobulin")
    assert set(picks.picks["slabkitSpecies"]) == {"thyroglobulin"}


def test_strange_column_names_are_made_safe(tmp_path: Path) -> None:
    path = write(tmp_path, "tomogram,x,y,z,a b,a#b,\nT,1,2,3,p,q,r\n", "p.csv")
    with pytest.warns(SlabkitWarning, match="columns were renamed: 'a b' as a_b, 'a#b' as a_b_2"):
        picks = read_picks(path)
    write_picks(tmp_path / "p.star", picks)
    back = read_picks(tmp_path / "p.star")
    assert back.picks.iloc[0, -3:].tolist() == ["p", "q", "r"]


def test_empty_files(tmp_path: Path) -> None:
    for name, fmt in (("p.csv", None), ("p.ndjson", None), ("p.txt", "imod")):
        with pytest.warns(SlabkitWarning, match="holds no picks"):
            assert len(read_picks(write(tmp_path, "", name), format=fmt).picks) == 0
    for text in ("", " \n\n", "# made by a program\n# and nothing else\n", "\ndata_\n", "data_x\n"):
        with pytest.warns(SlabkitWarning, match="holds no picks"):
            assert len(read_picks(write(tmp_path, text, "p.star")).picks) == 0
    with pytest.raises(InputError, match=r"line 2: expected a block .* found 'loop_'"):
        read_picks(write(tmp_path, "\nloop_\n_rlnCoordinateX\n", "p.star"))
    with pytest.raises(InputError, match="cannot be read"):
        read_picks(tmp_path / "none.csv")


# --- bounds -----------------------------------------------------------------------------------

BIG = tomogram_table(T=(630, 631, 184, 10.0))


def spread(count: int, scale: float, tmp_path: Path) -> Path:
    random = np.random.default_rng(3)
    places = random.uniform(0, 1, (count, 3)) * [629, 630, 183] * scale
    rows = "\n".join(f"T,{x},{y},{z}" for x, y, z in places.tolist())
    return write(tmp_path, f"tomogram,x,y,z\n{rows}\n", "p.csv")


def test_angstrom_read_as_pixels_stops_with_both_readings(tmp_path: Path) -> None:
    path = spread(200, 10.0, tmp_path)
    assert len(read_picks(path, tomograms=BIG).picks) == 200
    with pytest.raises(InputError, match=r"read as px [0-9] % lie inside, read as Å 100 %"):
        read_picks(path, tomograms=BIG, unit="px")
    read_picks(path, tomograms=BIG, unit="px", check_bounds=False)


def test_pixels_read_as_angstrom_warn(tmp_path: Path) -> None:
    path = spread(200, 1.0, tmp_path)
    with pytest.warns(SlabkitWarning, match=r"in one corner.*read as px 100 %"):
        read_picks(path, tomograms=BIG)


def test_wrong_binning_is_named(tmp_path: Path) -> None:
    path = spread(200, 10.0 * 4, tmp_path)
    with pytest.raises(InputError, match=r"divided by 4 \(binning\), 95 % or more"):
        read_picks(path, tomograms=BIG)


def test_five_percent_may_be_outside(tmp_path: Path) -> None:
    rows = ["T,100,100,100"] + [f"T,{6000 + i / 10},3000,900" for i in range(18)]
    inside = "\n".join([*rows, "T,7000,10,10"])
    path = write(tmp_path, f"tomogram,x,y,z\n{inside}")
    with pytest.warns(SlabkitWarning, match="1 of 20 picks lie outside their tomograms; they are"):
        assert len(read_picks(path, tomograms=BIG).picks) == 20
    outside = "\n".join([*rows, "T,7000,10,10", "T,-50,10,10"])
    with pytest.raises(InputError, match="2 of 21 picks lie outside"):
        read_picks(write(tmp_path, f"tomogram,x,y,z\n{outside}"), tomograms=BIG)


def test_volume_ends_at_the_outer_faces(tmp_path: Path) -> None:
    good = write(tmp_path, "tomogram,x,y,z\nT,-5,-5,-5\nT,6295,6305,1835\n", "p.csv")
    assert len(read_picks(good, tomograms=BIG).picks) == 2
    for place in ("-5.1,0,0", "6295.1,0,0", "0,6305.1,0", "0,0,1835.1"):
        with pytest.raises(InputError, match="1 of 1 picks lie outside"):
            read_picks(write(tmp_path, f"tomogram,x,y,z\nT,{place}\n", "q.csv"), tomograms=BIG)


def test_centred_positions_in_a_corner_format_stop(tmp_path: Path) -> None:
    path = write(tmp_path, "tomogram,x,y,z\nT,-500,20,30\nT,500,-20,30\n", "p.csv")
    with pytest.raises(InputError, match="2 of 2 picks have negative positions"):
        read_picks(path)
    assert len(read_picks(path, check_bounds=False).picks) == 2


# --- fuzz: a SlabkitError or a right answer ----------------------------------------------------

BASES = {
    "csv": b"pick_id,tomogram,species,x,y,z,score\na,TS_1,r,1,2,3,0.5\nb,00255,s,4,5,6,\n",
    "ndjson": b'{"type":"point","location":{"x":1,"y":2,"z":3}}\n'
    b'{"type":"instancePoint","location":{"x":4,"y":5,"z":6},"instance_id":3}\n',
    "copick": json.dumps(copick_file()).encode(),
    "relion5": relion(CENTRED, "TS_1 1 2 3", "00255 4 5 6").encode(),
    "relion4": relion(CORNER + " rlnTomoTiltSeriesPixelSize", "TS_1 1 2 3 2").encode(),
    "imod": b"1 2 3\n4 5 6\n",
    "native": b"",
}


@pytest.mark.parametrize("name", [*BASES, None])
@SLOW
@given(
    data=st.binary(max_size=60) | st.text(max_size=60).map(lambda t: t.encode("utf-8", "replace"))
)
def test_fuzz_random_bytes(tmp_path: Path, name: str | None, data: bytes) -> None:
    read_or_refuse(tmp_path / "p.fuzz", data, name)


@pytest.mark.parametrize("name", BASES)
@SLOW
@given(draw=st.data())
def test_fuzz_damaged_files(tmp_path: Path, name: str, draw: st.DataObject) -> None:
    base = BASES[name]
    if name == "native":
        write_picks(tmp_path / "n.star", TWO)
        base = (tmp_path / "n.star").read_bytes()
    start = draw.draw(st.integers(0, len(base)))
    stop = draw.draw(st.integers(start, min(len(base), start + 12)))
    middle = draw.draw(
        st.binary(max_size=4)
        | st.sampled_from([b"\n", b",", b" ", b"nan", b'"', b"null", b"-", b"[]", b"\x00", b"\xff"])
    )
    options = {"tomogram": "TS_1"} if name in ("imod", "ndjson") else {}
    read_or_refuse(tmp_path / "p.fuzz", base[:start] + middle + base[stop:], name, **options)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
keys = st.sampled_from(
    ["points", "unit", "run_name", "pickable_object_name", "user_id", "x", "pick_id", "score"]
)
point_keys = st.sampled_from(
    ["location", "transformation_", "score", "instance_id", "pick_id", "x", "type", "tomogram"]
)


@SLOW
@given(
    changes=st.dictionaries(keys, json_values, max_size=2),
    point=st.dictionaries(point_keys, json_values, max_size=2),
)
def test_fuzz_json_of_wrong_types(
    tmp_path: Path, changes: dict[str, Any], point: dict[str, Any]
) -> None:
    content = copick_file()
    content["points"][0] |= point
    read_or_refuse(tmp_path / "p.json", json.dumps(content | changes).encode(), "copick")
    line = {"type": "point", "location": {"x": 1, "y": 2, "z": 3}} | point
    read_or_refuse(tmp_path / "p.ndjson", json.dumps(line).encode(), "ndjson", tomogram="TS_1")


# --- documentation ----------------------------------------------------------------------------


def test_the_documented_table_is_the_registry() -> None:
    text = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    assert format_table() in text, (
        "docs/formats.md is behind the registry; put in what format_table() of "
        "slabkit.formats.registry gives"
    )


def test_help_names_every_format() -> None:
    from slabkit.cli.options import picks as pick_options

    assert pick_options.FORMATS.split() == [entry.name for entry in formats_of("picks")]
