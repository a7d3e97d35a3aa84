"""The common reader of the field reads what slabkit writes, and slabkit takes what it gives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from slabkit.errors import InputError
from slabkit.formats.tables import native
from slabkit.formats.tables.blocks import read_table, write_table
from slabkit.tables import (
    DECISIONS,
    LABELS,
    PICKS,
    PICKS2D,
    SLABS,
    TOMOGRAMS,
    make_table,
    validate_table,
)

starfile = pytest.importorskip("starfile")

# Names that it does not take for numbers, missing values, quotes or comments.
NAMES = st.from_regex(r"[G-Mg-m][A-Za-z0-9_./-]{0,8}", fullmatch=True).filter(
    lambda name: name.lower() not in ("inf", "infinity", "loop_")
)
REALS = st.floats(-1e6, 1e6)


def tables_of(schema):
    def column(column):
        if column.name == "slabkitDecision":
            return st.sampled_from(DECISIONS)
        if column.kind == "string":
            return st.one_of(NAMES, st.just("")) if column.default == "" else NAMES
        if column.kind == "integer":
            return st.integers(-(10**9), 10**9)
        return REALS if column.required else st.one_of(REALS, st.just(np.nan))

    row = st.fixed_dictionaries({one.name: column(one) for one in schema.columns})
    return st.lists(row, min_size=1, max_size=6).map(
        lambda rows: make_table(schema, {name: [r[name] for r in rows] for name in schema.names})
    )


@pytest.mark.parametrize("schema", [SLABS, PICKS2D, TOMOGRAMS, PICKS, LABELS])
@settings(deadline=None, max_examples=25, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(data=st.data())
def test_tables_read_the_same_in_starfile(schema, data, tmp_path_factory):
    table = data.draw(tables_of(schema))
    path = tmp_path_factory.mktemp("starfile") / "t.star"
    write_table(path, table, schema)
    theirs = starfile.read(path)
    assert list(theirs.columns) == schema.names
    pd.testing.assert_frame_equal(validate_table(theirs, schema), table, rtol=1e-14)
    pd.testing.assert_frame_equal(read_table(path, schema), table)


def pick_list(names=("TS_1", "TS_2")):
    picks = {
        "slabkitPickId": [f"p{i}" for i in range(len(names))],
        "slabkitTomogram": list(names),
        **{f"slabkit{axis}": np.arange(len(names)) / 3 for axis in "XYZ"},
    }
    tomograms = make_table(TOMOGRAMS, {"slabkitTomogram": sorted(set(names))})
    return native.PickList(make_table(PICKS, picks), tomograms)


def test_all_blocks_of_a_file_are_taken_as_they_come(tmp_path):
    native.write_picks(tmp_path / "p.star", pick_list())
    native.write_picks(tmp_path / "q.star", starfile.read(tmp_path / "p.star"))
    assert (tmp_path / "p.star").read_bytes() == (tmp_path / "q.star").read_bytes()
    with pytest.raises(InputError, match=r"has no block data_labels \(it has tomograms, picks\)"):
        validate_table(starfile.read(tmp_path / "p.star"), LABELS)


def test_names_that_became_numbers_are_refused_with_the_remedy(tmp_path):
    native.write_picks(tmp_path / "p.star", pick_list(("00255", "00256")))
    with pytest.raises(InputError, match=r"parse_as_string=\['slabkitTomogram'\]"):
        native.check_pick_list(starfile.read(tmp_path / "p.star"))
    kept = starfile.read(tmp_path / "p.star", parse_as_string=["slabkitTomogram"])
    checked = native.check_pick_list(kept)
    assert checked.picks["slabkitTomogram"].tolist() == ["00255", "00256"]
