"""A second look: what is chosen, at random and not, and that nothing changes by it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from curation_tables import NO, OPEN, YES, ids, label_table, pick_table

from slabkit.curation import curate_picks, rescue_picks
from slabkit.errors import InputError, SlabkitWarning
from slabkit.tables import LEDGER


def test_choices_keep_picks_as_they_are():
    picks = pick_table([YES, NO, OPEN, NO]).assign(note="n")
    chosen = rescue_picks(picks)
    assert ids(chosen) == ["p1", "p3"]
    pd.testing.assert_frame_equal(
        chosen.drop(columns="slabkitRescue"), picks.iloc[[1, 3]].reset_index(drop=True)
    )
    both = rescue_picks(picks, "undecided,rejected")
    assert both["slabkitRescue"].tolist() == [NO, OPEN, NO]


def test_a_sample_is_seeded_and_does_not_depend_on_the_order():
    picks = pick_table([YES] * 400 + [NO] * 5)
    sample = rescue_picks(picks, ["rejected", "accepted=10%"], seed=4)
    assert sample["slabkitRescue"].value_counts().to_dict() == {"accepted": 40, "rejected": 5}
    order = np.random.default_rng(0).permutation(len(picks))
    other = rescue_picks(picks.iloc[order], ["accepted=10%", "rejected"], seed=4)
    assert set(ids(other)) == set(ids(sample))
    assert set(ids(rescue_picks(picks, {"accepted": 40}, seed=5))) != set(ids(sample)[:40])
    # A larger sample of the same seed holds the smaller.
    assert set(ids(rescue_picks(picks, "accepted=80", seed=4))) > set(ids(sample)[:40])
    # Every stretch of the list has its share.
    rows = [int(name[1:]) for name in ids(rescue_picks(picks, "accepted=200", seed=1))]
    assert 25 <= sum(row < 80 for row in rows) <= 55


def test_contradictory_picks_come_from_the_ledger():
    votes = [label_table((0, YES), (1, YES), author="kim"),
             label_table((0, NO), (1, YES), author="lee")]  # fmt: skip
    with pytest.warns(SlabkitWarning, match="contradict"):
        picks = curate_picks(pick_table([OPEN] * 3), votes, keep="all").kept
    assert ids(rescue_picks(picks, "contradictory")) == ["p0"]
    with pytest.raises(InputError, match="no recorded labels, so none can contradict"):
        rescue_picks(pick_table([YES]), "contradictory")


def test_a_rescued_pick_keeps_its_first_label():
    first = curate_picks(pick_table([OPEN] * 2), [label_table((0, NO), (1, YES), author="kim")])
    again = rescue_picks(first.dropped)
    assert ids(again) == ["p0"]
    back = curate_picks(again, [label_table((0, YES), author="lee", round_name="rescue")])
    assert ids(back.kept) == ["p0"]
    assert "author=kim:decision=rejected" in back.kept[LEDGER][0]
    assert "round=rescue:author=lee:decision=accepted" in back.kept[LEDGER][0]


def test_refusals_and_warnings():
    picks = pick_table([YES, NO])
    for which, message in (
        ("bad", "which must be of rejected, undecided, accepted, contradictory, not 'bad'"),
        ("rejected,rejected", "names rejected twice"),
        ("accepted=some", "NAME=NUMBER or NAME=PERCENT%, not 'accepted=some'"),
        ("accepted=0.5", "counted in whole numbers"),
        ("accepted=120%", "above 0 and at most 100"),
        ("accepted=0", "whole number or a share below 1"),
        ({"accepted": 2.5}, "whole number or a share below 1"),
    ):
        with pytest.raises(InputError, match=message):
            rescue_picks(picks, which)
    with pytest.warns(SlabkitWarning, match="5 accepted picks are asked for and there are 1"):
        assert len(rescue_picks(picks, "accepted=5")) == 1
    with pytest.warns(SlabkitWarning, match="none of the 2 picks is undecided"):
        assert not len(rescue_picks(picks, "undecided"))
    assert not len(rescue_picks(pick_table([]), "rejected"))
