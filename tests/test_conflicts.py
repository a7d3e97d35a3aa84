"""Conflicts between species: which positions are claimed twice, and what a decision changes."""

from __future__ import annotations

import numpy as np
import pytest
from curation_tables import NO, OPEN, YES, ids, label_table

from slabkit.curation import conflict_positions, curate_picks, find_conflicts, settle_conflicts
from slabkit.errors import InputError, SlabkitWarning
from slabkit.tables import PICKS, empty_table, make_table


def claims(*rows, **columns):
    """Rows of (x, species, decision)."""
    x, species, decisions = zip(*rows, strict=True)
    return make_table(
        PICKS,
        {
            "slabkitPickId": [f"p{i}" for i in range(len(rows))],
            "slabkitTomogram": "a",
            "slabkitX": x,
            "slabkitY": 50.0,
            "slabkitZ": 20.0,
            "slabkitSpecies": species,
            "slabkitDecision": decisions,
            "slabkitDiameter": 200.0,
            **columns,
        },
    )


R, T, F = "ribosome", "thyroglobulin", "apo-ferritin"


def test_which_positions_are_claimed_twice():
    picks = claims(
        (0, R, YES), (60, T, OPEN),  # a conflict
        (1000, R, YES), (1020, R, YES),  # one species twice: merge's business
        (2000, R, YES), (2010, T, NO),  # a rejected pick claims nothing
        (3000, R, YES), (3090, T, YES), (3180, F, YES),  # linked: one conflict of three
        (4000, R, YES), (4100, T, YES),  # at the distance itself: not closer
    )  # fmt: skip
    found = find_conflicts(picks)
    assert ids(found) == ["p0", "p1", "p8", "p6", "p7"]  # within one, by species
    assert found["slabkitConflict"].nunique() == 2
    assert found["slabkitDistance"].tolist() == [60, 60, 90, 90, 90]
    places = conflict_positions(found, picks)
    assert places["slabkitX"].tolist() == [30, 3090]
    assert places["slabkitPickId"].tolist() == found["slabkitConflict"].unique().tolist()
    apart = picks.assign(slabkitTomogram=[f"t{i}" for i in range(len(picks))])
    assert not len(find_conflicts(apart))


def test_distances():
    picks = claims((0, R, YES), (150, T, YES), (1000, T, YES), (1150, F, YES))
    assert not len(find_conflicts(picks))
    assert ids(find_conflicts(picks, 151)) == ["p0", "p1", "p3", "p2"]
    assert ids(find_conflicts(picks, {R: 151, "": 10})) == ["p0", "p1"]  # the larger counts
    large = picks.assign(slabkitDiameter=[302.0, 10, 10, 10])
    assert ids(find_conflicts(large)) == ["p0", "p1"]
    for distance, message in (
        (0, "distance must be positive and finite, not 0"),
        ({R: np.nan, "": 1}, "distance of ribosome must be positive"),
        ({R: 5}, "no distance is given for apo-ferritin, thyroglobulin"),
    ):
        with pytest.raises(InputError, match=message):
            find_conflicts(picks, distance)
    with pytest.raises(InputError, match="4 of 4 picks have no diameter"):
        find_conflicts(picks.assign(slabkitDiameter=np.nan))


def test_the_order_of_the_list_does_not_matter():
    random = np.random.default_rng(5)
    rows = [(float(x), (R, T, F)[k % 3], YES) for k, x in enumerate(random.random(300) * 9000)]
    picks = claims(*rows)
    found = find_conflicts(picks)
    assert found["slabkitConflict"].nunique() > 10
    mixed = find_conflicts(picks.iloc[random.permutation(300)])
    assert ids(mixed) == ids(found)
    for one in found.groupby("slabkitConflict"):
        assert one[1]["slabkitSpecies"].nunique() > 1


def settled(words, species):
    picks = claims((0, R, YES), (60, T, YES), (1000, R, OPEN), (3000, R, YES), (3060, T, OPEN))
    found = find_conflicts(picks)
    names = found["slabkitConflict"].unique().tolist()
    labels = label_table(*zip(names, words, strict=True), slabkitSpecies=list(species))
    return picks, found, labels


def test_a_decision_changes_its_claims_and_nothing_else():
    picks, found, labels = settled([YES, NO], [T, ""])
    votes = settle_conflicts(found, labels)
    assert dict(zip(ids(votes), votes["slabkitDecision"], strict=True)) == {
        "p0": NO, "p1": YES, "p3": NO, "p4": NO,
    }  # fmt: skip
    result = curate_picks(picks, [votes], keep="all").kept
    assert result["slabkitDecision"].tolist() == [NO, YES, OPEN, NO, NO]
    assert result["slabkitSpecies"].tolist() == picks["slabkitSpecies"].tolist()
    same = ["slabkitX", "slabkitY", "slabkitZ", "slabkitScore", "slabkitDiameter"]
    assert result[same].equals(picks[same])
    assert not len(find_conflicts(result))
    assert result["slabkitLedger"][2] == ""


def test_an_undecided_conflict_stays_as_it_is():
    picks, found, labels = settled([OPEN, YES], ["", R])
    result = curate_picks(picks, [settle_conflicts(found, labels)], keep="all").kept
    assert result["slabkitDecision"].tolist() == [YES, YES, OPEN, YES, NO]
    assert find_conflicts(result)["slabkitConflict"].unique().tolist() == [
        found["slabkitConflict"][0]
    ]


def test_labels_of_picks_pass_between():
    picks, found, labels = settled([YES, YES], [R, R])
    import pandas as pd

    mixed = pd.concat([label_table((2, NO)), labels, label_table((3, NO))], ignore_index=True)
    votes = settle_conflicts(found, mixed)
    assert ids(votes)[0] == "p2"
    assert ids(votes)[-1] == "p3"
    with pytest.warns(SlabkitWarning, match="1 picks have labels that contradict"):
        result = curate_picks(picks, [votes], keep="all").kept
    assert result["slabkitDecision"].tolist() == [YES, NO, NO, NO, NO]  # the later label wins


def test_refusals():
    picks, found, labels = settled([YES, NO], ["", ""])
    with pytest.raises(InputError, match="1 conflicts are accepted without a species"):
        settle_conflicts(found, labels)
    picks, found, labels = settled([NO, YES], ["", F])
    with pytest.raises(InputError, match=r"goes to apo-ferritin, which does not claim it; .*ribo"):
        settle_conflicts(found, labels)
    with pytest.warns(SlabkitWarning, match="5 of 5 picks have no species"):
        assert not len(find_conflicts(picks.assign(slabkitSpecies="")))


def test_nothing_in_nothing_out():
    found = find_conflicts(empty_table(PICKS))
    assert not len(found)
    assert not len(conflict_positions(found, empty_table(PICKS)))
    assert not len(settle_conflicts(found, label_table()))
