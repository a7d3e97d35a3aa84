"""Pooling pick lists: which pick stays, what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from slabkit.errors import InputError, SlabkitWarning
from slabkit.merging import merge_picks, merge_tomograms
from slabkit.tables import PICKS, TOMOGRAMS, empty_table, make_table


def picks(ids, x, score=1.0, **more):
    return make_table(
        PICKS,
        {
            "slabkitPickId": ids,
            "slabkitTomogram": "T1",
            "slabkitX": x,
            "slabkitY": 0.0,
            "slabkitZ": 0.0,
            "slabkitScore": score,
            "slabkitScoreKind": "blob",
            **more,
        },
    )


def test_the_best_score_within_a_kind_stays():
    merged, counts = merge_picks(
        [picks(["a", "b"], [0.0, 500.0], [1.0, 1.0]), picks(["c", "d"], [50.0, 900.0], [2.0, 1.0])],
        100.0,
    )
    assert merged.slabkitPickId.tolist() == ["b", "c", "d"]
    assert (counts.given, counts.kept, counts.merged, counts.picks) == ((2, 2), (1, 2), 1, 3)


def test_scores_of_different_kinds_are_not_compared_the_earlier_list_stays():
    blob = picks(["a"], [0.0], 0.1)
    template = picks(["b"], [10.0], 99.0, slabkitScoreKind="template")
    assert merge_picks([blob, template], 50.0)[0].slabkitPickId.tolist() == ["a"]
    assert merge_picks([template, blob], 50.0)[0].slabkitPickId.tolist() == ["b"]
    # Without a name of its kind a score is not known to be of the kind of another list.
    first, second = (
        picks([i], [x], s, slabkitScoreKind="") for i, x, s in (("a", 0.0, 1), ("b", 9.0, 9))
    )
    assert merge_picks([first, second], 50.0)[0].slabkitPickId.tolist() == ["a"]


def test_decisions_and_borders_come_before_scores():
    first = picks(["a"], [0.0], 9.0)
    accepted = picks(["b"], [10.0], 1.0, slabkitDecision="accepted")
    rejected = picks(["c"], [20.0], 99.0, slabkitDecision="rejected")
    merged, _ = merge_picks([rejected, first, accepted], 50.0)
    assert merged.slabkitPickId.tolist() == ["b"]
    border = picks(["d"], [5.0], 99.0, slabkitFlags="near-face,z-border")
    assert merge_picks([border, first], 50.0)[0].slabkitPickId.tolist() == ["a"]


def test_distances_by_species_and_only_within_a_species():
    one = picks(
        ["a", "b", "c", "d", "e"], [0.0, 80.0, 0.0, 80.0, 40.0], [2, 1, 2, 1, 1],
        slabkitSpecies=["ribosome", "ribosome", "apo-ferritin", "apo-ferritin", ""],
    )  # fmt: skip
    merged, _ = merge_picks([one], {"ribosome": 100.0, "apo-ferritin": 50.0, "": 10.0})
    assert merged.slabkitPickId.tolist() == ["a", "c", "d", "e"]
    with pytest.raises(InputError, match="no distance is given for picks without a species, apo-f"):
        merge_picks([one], {"ribosome": 100.0})
    with pytest.raises(InputError, match="distance of ribosome must be finite and not negative"):
        merge_picks([one], {"ribosome": -1.0, "": 1.0})


def test_tomograms_are_kept_apart():
    one = picks(["a", "b"], [0.0, 0.0], slabkitTomogram=["T1", "T10"])
    assert len(merge_picks([one], 100.0)[0]) == 2


def test_the_same_pick_in_two_lists_is_one_even_without_a_distance():
    one = picks(["a", "b"], [0.0, 10.0])
    merged, counts = merge_picks([one, one.assign(slabkitDecision="accepted")], 0.0)
    assert merged.slabkitPickId.tolist() == ["a", "b"]
    assert merged.slabkitDecision.tolist() == ["accepted", "accepted"]
    assert (counts.duplicates, counts.merged) == (2, 0)


@pytest.mark.parametrize("later", ["accepted", "rejected"])
def test_of_one_pick_in_two_lists_the_decided_one_stays(later):
    first, decided = picks(["a"], [0.0]), picks(["a"], [0.0], slabkitDecision=later)
    for lists in ([first, decided], [decided, first]):
        assert merge_picks(lists, 0.0)[0].slabkitDecision.tolist() == [later]


@pytest.mark.parametrize("change", [{"slabkitX": 5.0}, {"slabkitTomogram": "T2"}])
def test_one_id_for_two_picks_is_refused(change):
    one = picks(["a"], [0.0])
    with pytest.raises(InputError, match="pick id a stands for two different picks"):
        merge_picks([one, one.assign(**change)], 1.0)


def test_one_id_of_two_species_is_refused_by_their_names():
    one = picks(["a", "b", "c"], [0.0, 500.0, 900.0]).assign(slabkitSpecies="ribosome")
    other = one.assign(slabkitSpecies=["ribosome", "apo-ferritin", ""])
    said = r"pick id b has two species in the lists \(apo-ferritin and ribosome; 2 such ids in all"
    with pytest.raises(InputError, match=said):
        merge_picks([one, other], 1.0)


def test_columns_that_a_list_lacks_are_empty_there():
    one = picks(["a"], [0.0]).assign(note="hello", rlnClassNumber=3)
    merged, _ = merge_picks([one, picks(["b"], [500.0])], 1.0)
    assert merged.note.tolist() == ["hello", ""]
    assert merged.rlnClassNumber.tolist() == [3, 0]
    assert merged.rlnClassNumber.dtype == np.int64


def test_permuted_lists_give_the_same_picks():
    random = np.random.default_rng(0)
    many = picks([f"p{i}" for i in range(500)], random.random(500) * 5000, random.random(500))
    merged, _ = merge_picks([many], 30.0)
    permuted, _ = merge_picks([many.iloc[random.permutation(500)]], 30.0)
    assert 0 < len(merged) < 500
    assert set(merged.slabkitPickId) == set(permuted.slabkitPickId)


def test_nothing_in_nothing_out():
    merged, counts = merge_picks([empty_table(PICKS), empty_table(PICKS)], 10.0)
    assert merged.columns.tolist() == PICKS.names
    assert counts.picks == 0


def tomograms(**values):
    return make_table(TOMOGRAMS, {"slabkitTomogram": ["T1"], **values})


def test_tomogram_tables_complete_each_other_and_must_not_contradict():
    known = merge_tomograms(
        [tomograms(), tomograms(slabkitVoxelSize=7.3, slabkitTomogramSizeX=9),
         tomograms(slabkitVoxelSize=float(np.float32(7.3)), slabkitTomogramFile="T1.mrc")]
    )  # fmt: skip
    assert known.slabkitVoxelSize.tolist() == [7.3]
    assert known.slabkitTomogramSizeX.tolist() == [9]
    assert known.slabkitTomogramFile.tolist() == ["T1.mrc"]
    with pytest.raises(InputError, match=r"T1: one list says slabkitVoxelSize 7.3, another 7.84"):
        merge_tomograms([known, tomograms(slabkitVoxelSize=7.84)])
    assert isinstance(merge_tomograms([]), pd.DataFrame)
    same, other = (tomograms(slabkitTomogramFile=name) for name in ("./T1.mrc", "b/T1.mrc"))
    assert merge_tomograms([known, same]).equals(known)
    with pytest.warns(SlabkitWarning, match=r"1 tomograms are other files .* T1 \(T1.mrc and b/T1"):
        assert merge_tomograms([known, other, same]).equals(known)
