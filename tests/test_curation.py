"""Curation: policies against a plain reading of them, the funnel, nothing lost."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from curation_tables import ids, label_table, pick_table
from hypothesis import given, settings
from hypothesis import strategies as st

from slabkit.curation import KEEPS, POLICIES, curate_picks
from slabkit.errors import InputError, SlabkitWarning
from slabkit.formats.tables.native import PickList, read_native_picks, write_picks
from slabkit.merging import merge_picks
from slabkit.tables import PICKS, TOMOGRAMS, make_table

YES, NO, OPEN = "accepted", "rejected", "undecided"


def test_labels_decide_and_no_label_is_no_rejection():
    picks = pick_table([OPEN, OPEN, OPEN, YES, NO, YES])
    labels = label_table((1, YES), (0, NO), (2, OPEN), (5, NO))
    result = curate_picks(picks, [labels])
    assert ids(result.kept) == ["p1", "p3"]
    assert dict(zip(ids(result.dropped), result.dropped["slabkitReason"], strict=True)) == {
        "p0": "rejected by label",
        "p2": "undecided (no label)",
        "p4": "rejected (no label)",
        "p5": "rejected by label",
    }
    assert dict(zip(result.funnel["step"], result.funnel["picks"], strict=True)) == {
        "in the list": 6,
        "dropped: rejected (no label)": 1,
        "dropped: rejected by label": 2,
        "dropped: undecided (no label)": 1,
        "dropped": 4,
        "kept: accepted (no label)": 1,
        "kept: accepted by label": 1,
        "kept": 2,
    }


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("latest", [NO, YES, YES, NO, YES]),
        ("all", [NO, NO, YES, NO, NO]),
        ("any", [YES, YES, YES, NO, YES]),
        ("majority", [OPEN, OPEN, YES, NO, YES]),
    ],
)
def test_policies(policy, expected):
    tables = [
        label_table((0, YES), (1, NO), (2, YES), (3, NO), (4, YES)),
        label_table((0, NO), (1, YES), (2, YES), (4, NO)),
        label_table((2, OPEN), (4, YES), (1, OPEN)),  # says nothing about 1 and 2
    ]
    with pytest.warns(SlabkitWarning, match=r"3 picks have labels that contradict"):
        result = curate_picks(pick_table([OPEN] * 5), tables, policy=policy, keep="all")
    assert result.kept["slabkitDecision"].tolist() == expected
    assert result.contradictory == 3
    assert result.kept["slabkitVotesAccepted"].tolist() == [1, 1, 2, 0, 2]
    assert result.kept["slabkitVotesRejected"].tolist() == [1, 1, 0, 1, 1]


def test_a_row_that_a_table_has_twice_is_one_vote():
    said = ((0, YES), (1, YES), (0, NO), (0, YES))  # the last is as the first
    picks = pick_table([OPEN] * 2)
    with pytest.warns(SlabkitWarning) as warned:
        kept = curate_picks(picks, [label_table(*said)], policy="majority", keep="all").kept
    assert str(warned[0].message) == (
        "1 rows of a label table repeat another one of it in all they say (the first: pick p0); "
        "they are not votes of their own."
    )
    assert kept["slabkitDecision"].tolist() == [OPEN, YES]
    assert kept["slabkitVotesAccepted"].tolist() == [1, 1]
    assert kept["slabkitVotesRejected"].tolist() == [1, 0]
    with pytest.warns(SlabkitWarning):
        latest = curate_picks(picks, [label_table(*said)], keep="all").kept
    assert latest["slabkitDecision"].tolist() == [YES, YES]  # and no vote is moved forward


def test_equal_rows_of_two_tables_or_that_differ_in_anything_are_votes_of_their_own():
    picks = pick_table([OPEN])
    timed = label_table((0, YES), (0, YES), (0, NO), slabkitTime=["1", "2", "3"])
    with pytest.warns(SlabkitWarning, match="contradict"):
        kept = curate_picks(picks, [timed], policy="majority").kept
    assert kept["slabkitVotesAccepted"].tolist() == [2]
    two = [label_table((0, YES)), label_table((0, YES))]
    kept = curate_picks(picks, two, policy="majority").kept
    assert kept["slabkitVotesAccepted"].tolist() == [2]


def test_balanced_votes_override_an_older_decision_and_say_why():
    tables = [label_table((0, YES)), label_table((0, NO))]
    with pytest.warns(SlabkitWarning):
        result = curate_picks(pick_table([YES]), tables, policy="majority")
    assert result.dropped["slabkitReason"].tolist() == ["undecided (votes balance)"]


def test_the_deciding_label_is_carried():
    tables = [
        label_table(
            (0, YES),
            (1, YES),
            slabkitClass=["3", "4"],
            slabkitScore=[0.5, 0.25],
            slabkitSource="ada.csv",
            slabkitRound="one",
            slabkitSpecies="ribosome",
        ),
        label_table((1, NO), slabkitClass="9", slabkitSource="bob.csv"),
    ]
    picks = pick_table([OPEN] * 3)
    with pytest.warns(SlabkitWarning, match="contradict"):
        kept = curate_picks(picks, tables, keep="all").kept
    assert kept["slabkitClass"].tolist() == ["3", "9", ""]
    assert kept["slabkitLabelScore"].tolist()[0] == 0.5
    assert kept["slabkitLabelScore"].isna().tolist() == [False, True, True]
    assert kept["slabkitLabelSource"].tolist() == ["ada.csv", "bob.csv", ""]
    assert kept["slabkitLabelRound"].tolist() == ["one", "", ""]
    assert kept["slabkitSpecies"].tolist() == ["ribosome", "", ""]
    assert kept["slabkitScore"].tolist() == [1, 1.25, 1.5]  # the picker's own


@pytest.mark.parametrize(
    ("options", "species"),
    [
        ({}, "b"),
        ({"policy": "any"}, "b"),
        ({"policy": "majority"}, "a"),
        ({"policy": "weighted", "weights": {"lee": 0.3, "kim": 0.1, "ann": 0.2}}, "b"),
    ],
)
def test_the_species_is_the_latest_or_that_of_most_votes(options, species):
    said = (("kim", "a"), ("ann", "a"), ("max", ""), ("lee", "b"))
    tables = [label_table((0, YES), author=who, slabkitSpecies=one) for who, one in said]
    with pytest.warns(SlabkitWarning, match="1 picks are accepted as more than one species"):
        kept = curate_picks(pick_table([OPEN]), tables, **options).kept
    assert kept["slabkitSpecies"].tolist() == [species]


def test_species_is_set_on_what_stays_and_is_not_rejected():
    picks = pick_table([OPEN] * 3)
    labels = label_table((0, YES), (1, NO))
    result = curate_picks(picks, [labels], species="ribosome")
    assert result.kept["slabkitSpecies"].tolist() == ["ribosome"]
    assert result.dropped["slabkitSpecies"].tolist() == ["", ""]
    every = curate_picks(picks, [labels], species="ribosome", keep="all").kept
    assert every["slabkitSpecies"].tolist() == ["ribosome", "", "ribosome"]


def test_a_second_round_goes_through_a_file(tmp_path):
    picks = pick_table([OPEN] * 3)
    tomograms = make_table(TOMOGRAMS, {"slabkitTomogram": ["a"]})
    first = curate_picks(
        picks, [label_table((0, YES), (1, YES), slabkitClass="3", slabkitScore=[1.5, 2.5])]
    )
    write_picks(tmp_path / "one.star", PickList(first.kept, tomograms))
    write_picks(tmp_path / "rest.star", PickList(first.dropped, tomograms))
    assert read_native_picks(tmp_path / "rest.star").picks["slabkitReason"].tolist() == [
        "undecided (no label)"
    ]
    again = read_native_picks(tmp_path / "one.star").picks
    second = curate_picks(again, [label_table((1, NO), slabkitClass="8")], keep="all").kept
    assert second["slabkitDecision"].tolist() == [YES, NO]
    assert second["slabkitClass"].tolist() == ["3", "8"]
    assert second["slabkitLabelScore"].tolist()[0] == 1.5
    assert second["slabkitVotesAccepted"].tolist() == [0, 0]
    assert second["slabkitVotesRejected"].tolist() == [0, 1]


def test_unknown_labels():
    picks = pick_table([OPEN] * 2)
    with pytest.warns(SlabkitWarning, match="2 labels are of picks that are not in the list"):
        result = curate_picks(picks, [label_table((0, YES), ("x", YES), ("y", NO))])
    assert result.unknown_labels == 2
    with pytest.raises(InputError, match=r"none of the 2 labels is of a pick.*'x'.*'p0'"):
        curate_picks(picks, [label_table(("x", YES), ("y", NO))])


def test_empty_tables_flow_through():
    nothing = curate_picks(pick_table([]), [label_table()])
    assert (len(nothing.kept), len(nothing.dropped)) == (0, 0)
    assert nothing.funnel["picks"].tolist() == [0, 0, 0]
    with pytest.warns(SlabkitWarning, match="none of the 2 picks is kept"):
        result = curate_picks(pick_table([OPEN] * 2), [label_table()])
    assert len(result.dropped) == 2
    full = curate_picks(pick_table([YES]), [label_table((0, YES))])
    assert list(nothing.kept.columns) == list(full.kept.columns)
    assert list(nothing.dropped.columns) == list(full.dropped.columns)


def test_choices_are_checked():
    picks, labels = pick_table([YES]), label_table((0, YES))
    for options, message in (
        (
            {"policy": "newest"},
            "policy must be one of latest, all, any, .*, not 'newest'",
        ),
        ({"keep": "good"}, "keep must be one of accepted"),
    ):
        with pytest.raises(InputError, match=message):
            curate_picks(picks, [labels], **options)
    with pytest.raises(InputError, match="no label table"):
        curate_picks(pick_table([OPEN]), [])
    assert ids(curate_picks(pick_table([YES, OPEN])).kept) == ["p0"]  # by the decisions there are
    doubled = pd.concat([picks, picks])
    with pytest.raises(InputError, match="'p0' appears in rows 1, 2"):
        curate_picks(doubled, [labels])


def plain_outcome(own, votes, policy):
    votes = [v for v in votes if v != OPEN]
    if not votes:
        return own
    yes, no = votes.count(YES), votes.count(NO)
    return {
        "latest": votes[-1],
        "all": NO if no else YES,
        "any": YES if yes else NO,
        "majority": YES if yes > no else NO if no > yes else OPEN,
        "weighted": YES if yes > no else NO if no > yes else OPEN,  # all weigh 1 here
    }[policy]


words = st.sampled_from([YES, NO, OPEN])


@settings(max_examples=60, deadline=None)
@given(
    own=st.lists(words, min_size=1, max_size=8),
    tables=st.lists(st.lists(st.tuples(st.integers(0, 7), words), max_size=8), min_size=1),
    policy=st.sampled_from(POLICIES),
    keep=st.sampled_from(KEEPS),
    order=st.randoms(use_true_random=False),
)
@pytest.mark.filterwarnings("ignore::slabkit.errors.SlabkitWarning")
def test_policies_read_plainly_and_nothing_is_lost(own, tables, policy, keep, order):
    tables = [[(i % len(own), word) for i, word in rows] for rows in tables]
    once = [list(dict.fromkeys(rows[::-1]))[::-1] for rows in tables]  # the last of equal rows
    votes = {i: [w for rows in once for j, w in rows if j == i] for i in range(len(own))}
    expected = {f"p{i}": plain_outcome(word, votes[i], policy) for i, word in enumerate(own)}
    picks = pick_table(own)
    copy = picks.copy()
    labels = [label_table(*rows) for rows in tables]
    result = curate_picks(picks, labels, policy=policy, keep=keep)
    assert picks.equals(copy)
    both = pd.concat([result.kept, result.dropped])
    assert dict(zip(ids(both), both["slabkitDecision"], strict=True)) == expected
    assert all(keep in ("all", expected[name]) for name in ids(result.kept))
    assert not any(keep in ("all", expected[name]) for name in ids(result.dropped))
    # Kept and dropped together are the input: each pick once, nothing but the decision changed.
    unchanged = [c for c in PICKS.names if c != "slabkitDecision"]
    pd.testing.assert_frame_equal(
        both.sort_values("slabkitPickId")[unchanged].reset_index(drop=True), picks[unchanged]
    )
    shuffled = list(range(len(own)))
    order.shuffle(shuffled)
    other = curate_picks(picks.iloc[shuffled], labels, policy=policy, keep=keep)
    pd.testing.assert_frame_equal(
        other.kept.sort_values("slabkitPickId", ignore_index=True),
        result.kept.sort_values("slabkitPickId", ignore_index=True),
    )


def test_lists_with_and_without_labels_are_curated_again_after_a_merge(tmp_path):
    """The first list has no label scores: in its rows they are missing, not an empty text."""
    fresh = pick_table([OPEN, OPEN])
    labels = label_table((0, YES), slabkitScore=0.25)
    judged = curate_picks(pick_table([OPEN]), [labels], keep="all").kept
    judged["slabkitPickId"], judged["slabkitX"] = "q", 5000.0
    tomograms = make_table(TOMOGRAMS, {"slabkitTomogram": ["a"]})
    write_picks(tmp_path / "judged.star", PickList(judged, tomograms))
    merged, _ = merge_picks([fresh, read_native_picks(tmp_path / "judged.star").picks], 5.0)
    again = curate_picks(merged, [label_table((1, NO), slabkitScore=0.75)], keep="all").kept
    assert ids(again) == ["p0", "p1", "q"]
    np.testing.assert_array_equal(again["slabkitLabelScore"], [np.nan, 0.75, 0.25])
