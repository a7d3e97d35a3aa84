"""Schemas, checks, ids, and the native files."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slabkit.errors import FormatError, InputError
from slabkit.formats.tables import native as files
from slabkit.formats.tables.paths import path_for_table, resolve_path
from slabkit.tables import (
    LABELS,
    MINISLABS,
    PICKS,
    PICKS2D,
    SLABS,
    TOMOGRAMS,
    empty_table,
    make_table,
    new_pick_ids,
    require_unique,
    rows_named,
    validate_table,
)


def picks(count=3, **columns):
    base = {
        "slabkitPickId": [f"p{i}" for i in range(count)],
        "slabkitTomogram": ["00255"] * count,
        "slabkitX": np.arange(count) / 3,
        "slabkitY": np.arange(count) * 10.0,
        "slabkitZ": np.arange(count) - 5.0,
    }
    return make_table(PICKS, {**base, **columns})


def tomograms(*names):
    return make_table(TOMOGRAMS, {"slabkitTomogram": list(names)})


@pytest.mark.parametrize("schema", [SLABS, PICKS2D, TOMOGRAMS, PICKS, MINISLABS, LABELS])
def test_an_empty_table_has_the_same_columns_and_types(schema):
    table = empty_table(schema)
    assert list(table.columns) == schema.names
    assert len(table) == 0
    for column in schema.columns:
        kind = {"string": "OUT", "integer": "i", "real": "f"}[column.kind]
        assert table[column.name].to_numpy().dtype.kind in kind


def test_defaults_fill_and_unknown_columns_stay():
    table = picks(2, mine=["a", "b"])
    assert table["slabkitDecision"].tolist() == ["undecided"] * 2
    assert np.isnan(table["slabkitScore"]).all()
    assert list(table.columns) == [*PICKS.names, "mine"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"slabkitX": [1, np.nan, 2]}, r"slabkitX is nan in row 2; it must be a finite number"),
        ({"slabkitX": ["1", "12,5", "<NA>"]}, r"slabkitX is '12,5' in rows 2, 3; .*decimal point"),
        ({"slabkitSlabCount": [1, 2.5, 3]}, r"slabkitSlabCount is 2.5 in row 2; .* whole number"),
        ({"slabkitDecision": ["accepted", "yes", "no"]}, r"'yes' in rows 2, 3; .* one of accepted"),
        ({"slabkitTomogram": [1, 2, 3]}, r"slabkitTomogram in row 1 is 1, which is not a string"),
        ({"slabkitTomogram": ["a", "", "b"]}, r"slabkitTomogram is empty in row 2"),
    ],
)
def test_wrong_values_are_named_with_their_rows(columns, message):
    with pytest.raises(InputError, match=message):
        picks(3, **columns)


def test_missing_and_doubled_columns_are_named():
    with pytest.raises(InputError, match=r"f\.star: a picks table needs the column slabkitZ"):
        validate_table(picks().drop(columns="slabkitZ"), PICKS, "f.star")
    doubled = pd.concat([picks(), picks()[["slabkitX"]]], axis=1)
    with pytest.raises(InputError, match="column slabkitX appears more than once"):
        validate_table(doubled, PICKS)
    with pytest.raises(InputError, match=r"slabkitPickId 'p1' appears in rows 2, 4"):
        require_unique(picks(4, slabkitPickId=["p0", "p1", "p2", "p1"]), "slabkitPickId")


def test_many_wrong_rows_are_counted():
    assert rows_named(np.ones(9, bool)) == "rows 1, 2, 3, 4, 5 and 4 more"
    assert rows_named(np.array([False, True])) == "row 2"


def test_the_input_is_left_alone():
    table = picks().drop(columns="slabkitScore")
    before = table.copy()
    validate_table(table, PICKS)
    pd.testing.assert_frame_equal(table, before)


def test_ids_depend_on_what_a_pick_is_and_not_on_its_row():
    names, x = ["a", "a", "b"], [1.0, 2.0, 1.0]
    ids = new_pick_ids(names, x, x, x)
    assert len(set(ids)) == 3
    assert new_pick_ids(names[::-1], x[::-1], x[::-1], x[::-1]) == ids[::-1]
    assert new_pick_ids(names, x, x, x, salt="other") != ids
    assert new_pick_ids(["a"], [-0.0], [0.0], [0.0]) == new_pick_ids(["a"], [0.0], [0.0], [0.0])
    assert new_pick_ids(["x y/z"], [0], [0], [0])[0].startswith("x_y_z-")


def test_equal_picks_still_get_different_ids():
    ids = new_pick_ids(["a"] * 3, [1] * 3, [2] * 3, [3] * 3)
    assert ids == [ids[0], f"{ids[0]}-2", f"{ids[0]}-3"]
    assert new_pick_ids(["a"], [1], [2], [3], taken=ids) == [f"{ids[0]}-4"]


def test_a_hundred_thousand_ids_do_not_collide():
    x = np.arange(100_000) * 0.1
    ids = new_pick_ids(["t"] * len(x), x, x, x)
    assert len(set(ids)) == len(ids)
    assert max(map(len, ids)) == len("t-") + 12


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["00255", "1e5", "nan", "a b", "TS_1_10.00Apx"]),
            st.floats(-1e5, 1e5),
            st.sampled_from(["", "ribosome"]),
        ),
        max_size=8,
    )
)
def test_pick_lists_round_trip_exactly(tmp_path_factory, rows):
    table = picks(
        len(rows),
        slabkitTomogram=[r[0] for r in rows],
        slabkitX=[r[1] for r in rows],
        slabkitSpecies=[r[2] for r in rows],
        slabkitScore=[1 / 3 if i % 2 else np.nan for i in range(len(rows))],
    )
    path = tmp_path_factory.mktemp("picks") / "p.star"
    known = tomograms(*sorted({r[0] for r in rows}), "empty one")
    files.write_picks(path, files.PickList(table, known))
    back = files.read_native_picks(path)
    pd.testing.assert_frame_equal(back.picks, table)
    pd.testing.assert_frame_equal(back.tomograms, known)


def test_pick_lists_must_fit_their_tomograms(tmp_path):
    with pytest.raises(InputError, match="picks in 00255, which the tomograms block does not have"):
        files.write_picks(tmp_path / "p.star", files.PickList(picks(), tomograms("other")))
    assert not list(tmp_path.iterdir())


def test_the_wrong_table_is_named_and_the_right_command_suggested(tmp_path):
    path = tmp_path / "p.star"
    files.write_picks(path, files.PickList(picks(), tomograms("00255")))
    with pytest.raises(InputError, match=r"no block data_micrographs.*slabkit slab"):
        files.read_slabs(path)
    (tmp_path / "empty.star").write_text("")
    with pytest.raises(FormatError, match="is empty"):
        files.read_native_picks(tmp_path / "empty.star")


def slab_rows():
    return make_table(
        SLABS,
        {
            "rlnMicrographName": ["a.mrc", "b.mrc"],
            "rlnTomoName": "t",
            "slabkitZStart": [0, 30],
            "slabkitZCount": 30,
            "slabkitVoxelSize": [10.0, 5.0],
            "slabkitContrast": "dark",
            "slabkitTomogramContrast": "dark",
            "slabkitTomogramSizeX": 3,
            "slabkitTomogramSizeY": 3,
            "slabkitTomogramSizeZ": 60,
        },
    )


def test_slab_tables_have_an_optics_group_a_pixel_size(tmp_path):
    path = tmp_path / "slabs.star"
    files.write_slabs(path, slab_rows())
    back = files.read_slabs(path)
    assert back["rlnOpticsGroup"].tolist() == [2, 1]
    pd.testing.assert_frame_equal(
        back.drop(columns="rlnOpticsGroup"), slab_rows().drop(columns="rlnOpticsGroup")
    )
    from slabkit.formats.tables.star import read_star

    optics = read_star(path)["optics"]
    assert optics["rlnMicrographPixelSize"].astype(float).tolist() == [5.0, 10.0]
    for needed in ("rlnOpticsGroup", "rlnVoltage", "rlnSphericalAberration"):
        assert needed in optics


def test_paths_are_found_from_the_working_directory_or_the_table(tmp_path, monkeypatch):
    (tmp_path / "slabs").mkdir()
    image = tmp_path / "slabs" / "a.mrc"
    image.touch()
    table = tmp_path / "slabs" / "slabs.star"
    monkeypatch.chdir(tmp_path)
    assert path_for_table(image) == "slabs/a.mrc"
    assert resolve_path("slabs/a.mrc", table).samefile(image)
    monkeypatch.chdir(tmp_path / "slabs")
    assert resolve_path("a.mrc", table).samefile(image)
    # Which folder the names start in is taken from the record, never guessed from what lies around.
    assert str(resolve_path("slabs/a.mrc", "slabs.star")) == "slabs/a.mrc"
    (tmp_path / "slabs" / "slabs.star.json").write_text('{"working_directory": ".."}')
    assert resolve_path("slabs/a.mrc", "slabs.star").samefile(image)
    # Of a step that was killed, names of files stand behind what its record says.
    with (tmp_path / "slabs" / "slabs.star.json").open("a") as record:
        record.write('\n["b.mrc"]\n["c.m')
    assert resolve_path("slabs/a.mrc", "slabs.star").samefile(image)
    assert str(resolve_path("nowhere.mrc", table)) == "nowhere.mrc"
