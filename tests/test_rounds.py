"""Rounds of labelling: the ledger, weighted votes, confidence, a pick's history."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from curation_tables import NO, OPEN, YES, ids, label_table, pick_table
from hypothesis import given, settings
from hypothesis import strategies as st

from slabkit.arrays.tiling import GalleryLayout
from slabkit.curation import confidence_rule, curate_picks, pick_history
from slabkit.errors import FormatError, InputError, SlabkitWarning
from slabkit.formats.tables.native import PickList, read_native_picks, write_picks
from slabkit.labels import label_minislabs
from slabkit.minislabs.galleries import minislab_table
from slabkit.tables import (
    LABELS,
    LEDGER,
    TOMOGRAMS,
    ledger_entries,
    make_table,
    parse_ledger,
    recorded_labels,
)

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=80, deadline=None)
@given(values=st.lists(st.tuples(texts, st.floats(allow_nan=False)), min_size=1, max_size=4))
def test_a_ledger_holds_any_text(values):
    names, numbers = zip(*values, strict=True)
    entries = ledger_entries("label", {"source": names, "score": np.array(numbers)})
    ledger = ",".join(entries)
    assert all(c.isalnum() or c in "./@_-+:=," for c in ledger)  # STAR needs no quotes
    parsed = parse_ledger(ledger)
    assert [entry.get("source", "") for entry in parsed] == list(names)
    assert [float(entry["score"]) for entry in parsed] == list(numbers)
    assert {entry["step"] for entry in parsed} == {"label"}


def test_what_is_not_a_ledger_is_refused():
    with pytest.raises(FormatError, match=r"pick p0: 'label:round' is not an entry of a ledger"):
        recorded_labels(pick_table([OPEN]).assign(**{LEDGER: "label:round"}))
    with pytest.raises(FormatError, match="pick p0: 'labelround=a:author=b' is not an entry"):
        pick_history(pick_table([OPEN]).assign(**{LEDGER: "labelround=a:author=b"}), "p0")


def first_round():
    return label_table(
        (0, YES),
        (1, NO),
        (2, OPEN),
        round_name="class2d",
        author="kim",
        source="Class2D/job 7, it025.star",
        slabkitClass=["3", "9", ""],
        slabkitScore=[0.1, 0.7, np.nan],
        slabkitTile="r1c2@minislabs/minislabs_000.mrc",
        slabkitSpecies=["ribosome", "", ""],
        slabkitCentreX=[1.25, np.nan, np.nan],
    )


def test_every_label_is_kept_and_comes_back_equal_from_a_file(tmp_path):
    labels = [first_round(), label_table((0, NO), (1, NO), round_name="abinitio", author="lee")]
    with pytest.warns(SlabkitWarning, match="contradict"):
        result = curate_picks(pick_table([OPEN] * 4), labels, keep="all")
    path = tmp_path / "picks.star"
    write_picks(path, PickList(result.kept, make_table(TOMOGRAMS, {"slabkitTomogram": ["a"]})))
    again = read_native_picks(path).picks
    expected = pd.concat(labels).sort_values("slabkitPickId", kind="stable", ignore_index=True)
    pd.testing.assert_frame_equal(recorded_labels(again)[LABELS.names], expected[LABELS.names])
    assert again[LEDGER].tolist() == result.kept[LEDGER].tolist()
    assert again[LEDGER].tolist()[3] == ""  # nobody spoke of p3


def test_dropped_picks_keep_their_ledger():
    result = curate_picks(pick_table([OPEN] * 3), [first_round()])
    assert ids(result.dropped) == ["p1", "p2"]
    steps = [[entry["step"] for entry in parse_ledger(text)] for text in result.dropped[LEDGER]]
    assert steps == [["label", "curate"], ["label", "curate"]]


def test_the_same_labels_again_are_not_recorded_twice():
    labels = [first_round()]
    once = curate_picks(pick_table([OPEN] * 3), labels, keep="all").kept
    twice = curate_picks(once, labels, keep="all").kept
    assert twice[LEDGER].tolist() == once[LEDGER].tolist()
    with pytest.warns(SlabkitWarning, match="contradict"):
        both = curate_picks(once, [*labels, label_table((0, NO), author="lee")], keep="all").kept
    assert both[LEDGER][0].startswith(once[LEDGER][0])
    assert recorded_labels(both)["slabkitAuthor"].tolist() == ["kim", "lee", "kim", "kim"]


def test_recorded_labels_vote_only_on_request():
    first = [label_table((0, YES), author="kim"), label_table((0, YES), author="lee")]
    picks = curate_picks(pick_table([OPEN]), first).kept
    new = [label_table((0, NO), author="ann")]
    with pytest.warns(SlabkitWarning, match="none of the 1 picks is kept"):
        alone = curate_picks(picks, new, policy="majority")
    assert alone.dropped["slabkitVotesRejected"].tolist() == [1]
    with pytest.warns(SlabkitWarning, match="contradict"):
        together = curate_picks(picks, new, policy="majority", recorded=True)
    assert together.kept["slabkitVotesAccepted"].tolist() == [2]
    assert together.kept["slabkitDecision"].tolist() == [YES]
    # What is recorded and given again has one vote, not two.
    with pytest.warns(SlabkitWarning, match="contradict"):
        again = curate_picks(together.kept, new, policy="majority", recorded=True)
    assert again.kept[["slabkitVotesAccepted", "slabkitVotesRejected"]].iloc[0].tolist() == [2, 1]


@pytest.mark.filterwarnings("ignore::slabkit.errors.SlabkitWarning")
def test_weights_by_author_round_and_source():
    votes = [
        label_table((0, YES), (1, NO), (2, YES), author="kim", round_name="class2d"),
        label_table((0, NO), (1, YES), (2, NO), author="lee", round_name="class2d"),
        label_table((0, NO), (1, YES), source="auto.csv"),
    ]
    picks = pick_table([OPEN] * 3)

    def outcome(weights):
        kept = curate_picks(picks, votes, policy="weighted", weights=weights, keep="all").kept
        return kept["slabkitDecision"].tolist()

    assert outcome({}) == [NO, YES, OPEN]
    assert outcome({"kim": 3}) == [YES, NO, YES]
    assert outcome({"kim": 2}) == [OPEN, OPEN, YES]
    assert outcome({"kim": 2, "auto.csv": 0}) == [YES, NO, YES]
    # A vote's author and round multiply: 3 × 0.25 for kim, 0.25 for lee, 1 for the file.
    assert outcome({"kim": 3, "class2d": 0.25}) == [NO, YES, YES]
    # Ten times 0.1 and 1 balance, whatever binary fractions say.
    many = [label_table((0, YES), author=f"a{i}", round_name="r") for i in range(10)]
    many += [label_table((0, NO), author="lee")]
    tied = curate_picks(pick_table([OPEN]), many, policy="weighted", weights={"r": 0.1}, keep="all")
    assert tied.kept["slabkitDecision"].tolist() == [OPEN]


def test_weights_are_checked():
    picks, votes = pick_table([OPEN]), [label_table((0, YES), author="kim", source="a.csv")]
    for weights, message in (
        ({"kin": 2}, r"weight is given for kin, and no label has .*; there are a.csv, kim"),
        ({"kim": -1}, "weight of kim must be finite and not negative, not -1"),
        ({"kim": np.inf}, "weight of kim must be finite"),
    ):
        with pytest.raises(InputError, match=message):
            curate_picks(picks, votes, policy="weighted", weights=weights)
    with pytest.raises(InputError, match="weights are for the policy weighted, and it is all"):
        curate_picks(picks, votes, policy="all", weights={"kim": 2})


def test_the_rule_of_the_authors():
    two_d = label_table((0, YES), (1, YES), (2, NO), (3, YES), round_name="class2d")
    three_d = label_table((0, YES), (1, NO), (2, YES), (5, YES), round_name="abinitio")
    with pytest.warns(SlabkitWarning, match="1 picks have a label of a later round"):
        result = curate_picks(
            pick_table([OPEN] * 6), [two_d, three_d], confidence="class2d,abinitio", keep="all"
        )
    confidence = result.kept["slabkitConfidence"]
    assert confidence[:4].tolist() == [1, 0.5, 0, 0.5]
    assert confidence[4:].isna().all()
    # p5, which 2D never saw, goes by its own label; p4 has none.
    assert result.kept["slabkitDecision"].tolist() == [YES, YES, NO, YES, OPEN, YES]
    assert result.contradictory == 0  # what 3D does not confirm is no contradiction
    steps = dict(zip(result.funnel["step"], result.funnel["picks"], strict=True))
    assert [steps[f"kept with confidence {c}"] for c in ("1", "0.5", "0")] == [1, 2, 1]
    assert steps["kept: rejected by confidence"] == 1


def test_the_least_confidence_rejects_and_a_persons_last_look_wins():
    two_d = label_table((0, YES), (1, YES), (2, NO), (3, NO), round_name="class2d")
    three_d = label_table((0, YES), (1, NO), round_name="abinitio")
    rule = "class2d,abinitio"
    result = curate_picks(
        pick_table([OPEN] * 4), [two_d, three_d], confidence=rule, min_confidence=0.75
    )
    assert ids(result.kept) == ["p0"]
    assert result.dropped["slabkitReason"].tolist() == [
        "rejected (confidence too low)",
        "rejected by confidence",
        "rejected by confidence",
    ]
    manual = label_table((3, YES), (0, NO), round_name="manual")
    last = curate_picks(
        pick_table([OPEN] * 4), [two_d, three_d, manual], confidence=rule, min_confidence=0.5
    )
    assert ids(last.kept) == ["p1", "p3"]
    assert last.kept["slabkitConfidence"].tolist() == [0.5, 0]
    # The same in two steps: the confidence, and the labels behind it, travel with the picks.
    voted = curate_picks(pick_table([OPEN] * 4), [two_d, three_d], confidence=rule, keep="all")
    final = curate_picks(voted.kept, [manual], min_confidence=0.5)
    assert ids(final.kept) == ["p1", "p3"]


def test_a_confidence_finds_its_first_round_in_the_ledger():
    two_d = label_table((0, YES), (1, YES), (2, NO), round_name="class2d")
    picks = curate_picks(pick_table([OPEN] * 3), [two_d], keep="all").kept
    three_d = label_table((0, YES), round_name="abinitio")
    kept = curate_picks(picks, [three_d], confidence="class2d,abinitio", keep="all").kept
    assert kept["slabkitConfidence"].tolist() == [1, 0.5, 0]


def test_weights_within_a_round_of_the_confidence():
    two_d = [
        label_table((0, YES), (1, NO), round_name="class2d", author="kim"),
        label_table((0, NO), (1, YES), round_name="class2d", author="lee"),
    ]
    three_d = label_table((0, YES), (1, YES), round_name="abinitio")
    with pytest.warns(SlabkitWarning, match="2 picks have labels that contradict"):
        result = curate_picks(
            pick_table([OPEN] * 2),
            [*two_d, three_d],
            policy="weighted",
            weights={"kim": 2},
            confidence="class2d,abinitio",
            keep="all",
        )
    assert result.kept["slabkitConfidence"].tolist() == [1, 0]


def test_rules_of_confidence():
    assert confidence_rule("class2d,abinitio") == {"class2d": 0.5, "abinitio": 1}
    assert confidence_rule(["a", "b", "c", "d"]) == {"a": 0.25, "b": 0.5, "c": 0.75, "d": 1}
    assert confidence_rule("a=0.2, b=0.9") == {"a": 0.2, "b": 0.9}
    assert confidence_rule({"a": 0.2}) == {"a": 0.2}
    for rule, message in (
        ("", "names of rounds"),
        ("a,,b", "names of rounds"),
        ("a,a", "names the round a twice"),
        ("a=0.5,b", "a number for every round, or for none"),
        ("a=0.9,b=0.5", "rise from one round to the next, not 0.9, 0.5"),
        ("a=0,b=1", "must be above 0"),
        ("a=1.5", "at most 1"),
        ("a=half", "ROUND=NUMBER"),
    ):
        with pytest.raises(InputError, match=message):
            confidence_rule(rule)
    labels = [label_table((0, YES), round_name="class2d")]
    with pytest.raises(InputError, match=r"the round abinito, .*; there are class2d"):
        curate_picks(pick_table([OPEN]), labels, confidence="class2d,abinito")
    with pytest.raises(InputError, match="from 0 to 1, not 50"):
        curate_picks(pick_table([OPEN]), labels, min_confidence=50)


def test_a_least_confidence_needs_confidences():
    with pytest.raises(InputError, match="--min-confidence is given, but no pick has a confidence"):
        curate_picks(pick_table([YES, NO]), min_confidence=0.5)
    voted = pick_table([YES, YES, NO, YES], slabkitConfidence=[0.25, np.nan, np.nan, 0.5])
    with pytest.warns(SlabkitWarning, match="^1 accepted picks have no confidence; --min-conf"):
        result = curate_picks(voted, min_confidence=0.5)
    assert ids(result.kept) == ["p1", "p3"]


def test_nothing_flows_through():
    nothing = curate_picks(pick_table([]), [label_table()], confidence="a,b", min_confidence=0.5)
    assert len(nothing.kept) == 0
    assert LEDGER in nothing.kept.columns


def test_confidence_orders_simulated_particles_by_their_truth():
    # Two rounds that are right in 80 % of particles and wrong in 30 % of junk: by Bayes' rule,
    # with half of the picks true, a confidence of 1 is true in 0.64 / (0.64 + 0.09).
    random = np.random.default_rng(3)
    true = random.random(4000) < 0.5
    passed = [np.where(true, random.random(4000) < 0.8, random.random(4000) < 0.3) for _ in "ab"]
    rounds = [
        label_table(*((int(i), YES if ok[i] else NO) for i in rows), round_name=name)
        for name, ok, rows in (
            ("class2d", passed[0], range(4000)),
            ("abinitio", passed[1], np.flatnonzero(passed[0])),
        )
    ]
    picks = pick_table([OPEN] * 4000)
    kept = curate_picks(picks, rounds, confidence="class2d,abinitio", keep="all").kept
    share = [true[(kept["slabkitConfidence"] == level).to_numpy()].mean() for level in (0, 0.5, 1)]
    expected = [0.2 / 0.9, 0.16 / (0.16 + 0.21), 0.64 / 0.73]
    np.testing.assert_allclose(share, expected, atol=0.04)


def history_list():
    picks = pick_table([OPEN] * 2, slabkitSource="blob", slabkitSlabCount=3)
    picks = picks.assign(rlnMicrographName="slabs/a_slab003.mrc", rlnCoordinateX=12.5)
    picks = picks.assign(rlnCoordinateY=40.0)
    labels = first_round().iloc[:1]
    labels = labels.assign(slabkitCentreX=30.0, slabkitCentreY=7.0, slabkitCentreZ=2.0)
    return curate_picks(picks, [labels], recentre=True).kept


def test_the_history_of_a_pick_from_voxel_to_verdict():
    tomograms = make_table(TOMOGRAMS, {"slabkitTomogram": ["a"], "slabkitVoxelSize": 10.0})
    events = pick_history(history_list(), "p0", tomograms=tomograms)
    assert events["step"].tolist() == ["voxel", "slab", "pick", "label", "curate", "move", "now"]
    what = events.set_index("step")["what"]
    assert what["voxel"] == "tomogram=a index=0,0,0 voxel_size=10"  # before it was moved
    assert what["slab"] == "x_px=12.5 y_px=40 slabs=3"
    assert what["label"].startswith("class=3 score=0.1 species=ribosome tile=r1c2@minislabs/")
    assert what["move"] == "by=label x=0.0 y=0.0 z=0.0"
    assert what["now"] == "species=ribosome x=30 y=7 z=2"
    label = events[events["step"] == "label"].iloc[0]
    assert label[["round", "author", "source", "decision"]].tolist() == [
        "class2d", "kim", "Class2D/job 7, it025.star", YES,
    ]  # fmt: skip


def test_the_history_of_nobody():
    with pytest.raises(InputError, match=r"there is no pick p00 in the list, .* closest: p0"):
        pick_history(history_list(), "p00")
    with pytest.raises(InputError, match="the list is empty"):
        pick_history(pick_table([]), "p0")


def test_a_label_knows_its_author_and_the_tile_that_was_looked_at():
    layout = GalleryLayout(20, 2, 3)
    names = ["p0", "p0", "p1", "p1"]
    minislabs = minislab_table(
        layout,
        galleries=["g/minislabs_000.mrc"],
        pick_ids=names,
        tomograms=["a"] * 4,
        tilts=np.array([0.0, 20.0, 0.0, 20.0]),
        inside_fraction=np.ones(4),
        set_id="set-1",
    )
    said = pd.DataFrame(
        {
            "rlnMicrographName": "g/minislabs_000.mrc",
            "slabkitTileRow": [0],
            "slabkitTileColumn": [1],
            "slabkitDecision": [YES],
        }
    )
    labels, _ = label_minislabs(
        said, minislabs, layout, unlisted="rejected", views="any", author="kim"
    )
    assert labels["slabkitDecision"].tolist() == [YES, NO]
    assert labels["slabkitAuthor"].tolist() == ["kim", "kim"]
    # p0 by the view that decided, p1, which nobody listed, by its first.
    assert labels["slabkitTile"].tolist() == [
        "r0c1@g/minislabs_000.mrc", "r0c2@g/minislabs_000.mrc",
    ]  # fmt: skip
