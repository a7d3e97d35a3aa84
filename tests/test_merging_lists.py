"""Lists of several pickers: one-to-one between them, weighted positions, provenance of all."""

from __future__ import annotations

import json

import numpy as np
import pytest
from curation_tables import NO, OPEN, YES, ids, label_table
from hypothesis import given, settings
from hypothesis import strategies as st

import slabkit as package
from slabkit.curation import curate_picks, pick_history
from slabkit.errors import InputError
from slabkit.merging import PRESETS, merge_picks
from slabkit.steps.shared import many_lists
from slabkit.tables import LEDGER, PICKS, TOMOGRAMS, make_table, parse_ledger, recorded_labels


def picks(name, x, score=1.0, kind="blob", **more):
    return make_table(
        PICKS,
        {
            "slabkitPickId": [f"{name}{i}" for i in range(len(x))],
            "slabkitTomogram": "T1",
            "slabkitX": x,
            "slabkitY": 0.0,
            "slabkitZ": 0.0,
            "slabkitScore": score,
            "slabkitScoreKind": kind,
            "slabkitSource": kind,
            **more,
        },
    )


def test_one_pick_never_swallows_two_of_another_list():
    blob, template = picks("a", [0.0], 9.0), picks("b", [-90.0, 80.0], 1.0)
    merged, counts = merge_picks([blob, template], 100.0)
    assert ids(merged) == ["a0", "b0"]  # the nearer one is the pair
    assert (counts.merged, counts.shared) == (1, 1)
    assert merged["slabkitMembers"].tolist() == [2, 1]
    assert merged["slabkitLists"].tolist() == [2, 1]
    grouped, counts = merge_picks([blob, template], 100.0, between="groups")
    assert (ids(grouped), counts.merged) == (["a0"], 2)


def test_as_many_pairs_as_can_be_not_the_nearest_first():
    # b0 is nearest to a1, but then a0 and b1 would stay alone.
    merged, _ = merge_picks([picks("a", [0.0, 100.0]), picks("b", [60.0, 170.0])], 80.0)
    assert ids(merged) == ["a0", "a1"]


def test_within_a_list_groups_come_first():
    first = picks("a", [0.0, 30.0, 60.0], [1.0, 3.0, 1.0])
    merged, counts = merge_picks([first, picks("b", [40.0, 75.0], [9.0, 8.0])], 50.0)
    # a1 stands for its group, b0 for its own, and the two are a pair; b0 scores best.
    assert ids(merged) == ["b0"]
    assert (counts.merged, counts.kept) == (4, (0, 1))
    assert merged["slabkitMembers"].tolist() == [5]


def test_presets():
    species = ["thyroglobulin", "beta-galactosidase"]
    one = picks("a", [0.0, 0.0], slabkitSpecies=species)
    other = picks("b", [180.0, 130.0], slabkitSpecies=species)
    merged, _ = merge_picks([one, other], PRESETS["czii"])
    assert ids(merged) == ["a0", "a1", "b1"]
    third = picks("c", [0.0], slabkitSpecies="ribosome")
    with pytest.raises(InputError, match="no distance is given for ribosome"):
        merge_picks([one, third], PRESETS["czii"])


def test_positions_weighted_by_score_rank_and_source():
    one, other = picks("a", [0.0], 1.0), picks("b", [40.0], 3.0)
    at = [
        merge_picks([one, other], 50.0, position=p)[0]["slabkitX"].item() for p in ("best", "score")
    ]
    assert at == [40.0, 30.0]
    weights = {"second.star": 4.0}
    merged, _ = merge_picks(
        [one, other], 50.0, position="source", weights=weights, names=["first.star", "second.star"]
    )
    assert merged["slabkitX"].item() == 32.0
    by_picker, _ = merge_picks(
        [one, picks("b", [40.0], kind="template")], 50.0, position="source", weights={"blob": 3.0}
    )
    assert by_picker["slabkitX"].item() == 10.0
    # Of kind blob, a0 is the worse of two: rank 1/2; b0 is the only one of its kind: rank 1.
    ranked, _ = merge_picks(
        [picks("a", [0.0, 900.0], [1.0, 2.0]), picks("b", [40.0], 99.0, kind="template")],
        50.0,
        position="rank",
    )
    assert ranked["slabkitX"].tolist() == [pytest.approx(40 / 1.5), 900.0]


def test_a_rejected_pick_does_not_move_an_accepted_one():
    lists = [
        picks("a", [0.0], 1.0, slabkitDecision=YES),
        picks("b", [30.0], 1.0, slabkitDecision=YES),
        picks("c", [-40.0], 9.0, slabkitDecision=NO),
    ]
    merged, _ = merge_picks(lists, 50.0, position="score")
    assert merged["slabkitX"].tolist() == [15.0]
    assert merged["slabkitMembers"].tolist() == [3]


def test_what_cannot_weight_a_position():
    one = picks("a", [0.0], 1.0)
    for other, options, message in (
        (picks("b", [9.0], 2.0, kind="template"), {"position": "score"}, "different kinds"),
        (picks("b", [9.0], -2.0), {"position": "score"}, "pick b0 has the score -2"),
        (picks("b", [9.0], np.nan), {"position": "rank"}, "pick b0 has no score"),
        (picks("b", [9.0]), {"position": "mean"}, "position must be one of best"),
        (picks("b", [9.0]), {"between": "two"}, "between must be one-to-one or groups"),
        (picks("b", [9.0]), {"weights": {"blob": 1}}, "weights are for the position source"),
        (picks("b", [9.0]), {"position": "source", "weights": {"x": 2}}, "no pick has that source"),
        (picks("b", [9.0]), {"position": "source", "weights": {"blob": 0}}, "must be above 0"),
    ):
        with pytest.raises(InputError, match=message):
            merge_picks([one, other], 50.0, **options)
    # What is not merged needs no score.
    far, _ = merge_picks([one, picks("b", [900.0], np.nan)], 50.0, position="score")
    assert far["slabkitX"].tolist() == [0.0, 900.0]


def test_provenance_of_both_is_kept():
    one = curate_picks(picks("a", [0.0], 5.0), [label_table(("a0", YES), author="kim")]).kept
    other = curate_picks(
        picks("b", [40.0], 2.0, kind="template", rlnMicrographName="s/T1_slab001.mrc"),
        [label_table(("b0", NO), author="lee")],
        keep="all",
    ).kept
    merged, _ = merge_picks([one, other], 50.0, position="rank", names=["a.star", "b.star"])
    entries = parse_ledger(merged[LEDGER].item())
    assert [entry["step"] for entry in entries] == ["label", "curate", "merge", "label", "curate"]
    absorbed = entries[2]
    assert (absorbed["list"], absorbed["id"], absorbed["source"]) == ("b.star", "b0", "template")
    assert (float(absorbed["x"]), float(absorbed["score"])) == (40.0, 2.0)
    assert (absorbed["decision"], absorbed["slab"]) == (NO, "s/T1_slab001.mrc")
    assert [entry.get("of") for entry in entries] == [None, None, None, "b0", "b0"]
    labels = recorded_labels(merged)
    assert labels["slabkitAuthor"].tolist() == ["kim", "lee"]
    assert ids(labels) == ["a0", "b0"]  # each of the pick that was looked at
    # So what was said of another image is no vote on this one.
    votes = curate_picks(merged, recorded=True).kept
    assert votes[["slabkitVotesAccepted", "slabkitVotesRejected"]].iloc[0].tolist() == [1, 0]
    events = pick_history(merged, "b0")  # found under the id it had
    assert events["what"].iloc[-1].startswith("merged into a0; ")
    # And once more: what was absorbed by the absorbed keeps its own name.
    again, _ = merge_picks([picks("c", [10.0], 99.0, slabkitDecision=YES), merged], 50.0)
    assert ids(again) == ["c0"]
    named = {entry.get("id") for entry in parse_ledger(again[LEDGER].item())} - {None}
    assert named == {"a0", "b0"}
    owners = [e.get("of") for e in parse_ledger(again[LEDGER].item()) if e["step"] == "label"]
    assert owners == ["a0", "b0"]
    assert again["slabkitMembers"].item() == 3


def test_two_curations_of_one_list_join_their_ledgers():
    base = picks("a", [0.0, 500.0])
    kim = curate_picks(base, [label_table(("a0", YES), author="kim")], keep="all").kept
    lee = curate_picks(base, [label_table(("a0", YES), ("a1", NO), author="lee")], keep="all").kept
    merged, counts = merge_picks([kim, lee], 10.0)
    assert (counts.duplicates, counts.picks) == (2, 2)
    labels = recorded_labels(merged)
    assert list(zip(ids(labels), labels["slabkitAuthor"], strict=True)) == [
        ("a0", "kim"), ("a0", "lee"), ("a1", "lee"),
    ]  # fmt: skip


def test_a_mean_position_is_nearer_the_truth_than_either():
    random = np.random.default_rng(1)
    truth = (random.permutation(40)[:, None] * 500.0 + [0, 0, 0]) + random.random((40, 3))
    lists = []
    for name in "ab":
        place = truth + random.normal(0, 20, truth.shape)
        table = picks(name, place[:, 0])
        lists.append(table.assign(slabkitY=place[:, 1], slabkitZ=place[:, 2]))
    errors = {}
    for position in ("best", "score"):
        merged, counts = merge_picks(lists, 185.0, position=position)
        assert counts.shared == counts.picks == 40
        found = merged[["slabkitX", "slabkitY", "slabkitZ"]].to_numpy()
        order = np.argsort(found[:, 0]), np.argsort(truth[:, 0])
        errors[position] = np.sqrt(((found[order[0]] - truth[order[1]]) ** 2).mean())
    assert errors["score"] / errors["best"] == pytest.approx(1 / np.sqrt(2), abs=0.1)


places = st.lists(st.integers(0, 60).map(float), max_size=12, unique=True)


@settings(max_examples=80, deadline=None)
@given(first=places, second=places)
def test_between_lists_no_pick_is_lost_or_used_twice(first, second):
    lists = [picks("a", first), picks("b", second)]
    if not (first and second):
        return
    merged, counts = merge_picks(lists, 5.0)
    assert counts.picks + counts.merged == len(first) + len(second)
    assert merged["slabkitMembers"].sum() == len(first) + len(second) if counts.merged else True
    absorbed = [
        entry["id"]
        for text in (merged[LEDGER] if LEDGER in merged.columns else [])
        for entry in parse_ledger(text)
        if entry["step"] == "merge"
    ]
    assert sorted([*ids(merged), *absorbed]) == sorted([*ids(lists[0]), *ids(lists[1])])
    again, _ = merge_picks(lists, 5.0)
    assert again.equals(merged)


def test_a_merge_without_anything_to_merge_adds_no_column():
    merged, _ = merge_picks([picks("a", [0.0]), picks("b", [900.0])], 50.0)
    assert merged.columns.tolist() == PICKS.names
    assert merged["slabkitDecision"].tolist() == [OPEN, OPEN]


def lists_of_tomograms(case, folder):
    """Write eight lists, two of each of four tomograms, the second ones last."""
    draw = np.random.default_rng(5)
    tomograms = make_table(TOMOGRAMS, {"slabkitTomogram": [f"t{n}" for n in range(4)]})
    earlier = picks("", [])
    for number in range(8):
        name = f"t{number % 4}"
        table = picks(f"{name}-{number}-", draw.uniform(0, 400, 30), draw.uniform(1, 9, 30))
        table["slabkitTomogram"] = name
        table["slabkitDecision"] = draw.choice(["accepted", "undecided", "rejected"], 30)
        if case == "the same pick twice" and number == 6:
            table.loc[0, :] = earlier.loc[0, :]
        if case == "an id in two tomograms" and number == 5:
            table.loc[0, "slabkitPickId"] = earlier.loc[0, "slabkitPickId"]
            table.loc[0, "slabkitTomogram"] = "t2"
        if case == "kinds and species":
            table["slabkitScoreKind"] = draw.choice(["", "b", "a"], 30) if number > 1 else "b"
            table["slabkitSpecies"] = draw.choice(["", "ribosome"], 30)
        if case == "further columns" and number % 3:
            table[f"new{number % 3}"] = draw.choice(["x", "y"], 30)
        if case == "merged before" and number in (2, 3):
            table = merge_picks([table], 30.0)[0]
        if number == 2:
            earlier = table
        if case == "an empty list" and number == 4:
            table = table.iloc[:0]
        package.write_picks(folder / f"{number}.star", package.PickList(table, tomograms))
    return [f"{number}.star" for number in range(8)]


@pytest.mark.parametrize("batch", [1, 10**9])
@pytest.mark.parametrize(
    ("case", "options"),
    [
        ("", ("--distance", 20)),
        ("", ("--distance", 20, "--between", "groups")),
        ("", ("--distance", 0)),
        ("the same pick twice", ("--distance", 0)),
        ("the same pick twice", ("--distance", 20)),
        ("kinds and species", ("--distance", 30, "--distance", "ribosome=15")),
        ("further columns", ("--distance", 20)),
        ("merged before", ("--distance", 20)),
        ("merged before", ("--distance", 0)),
        ("an empty list", ("--distance", 20)),
    ],
)
def test_lists_that_are_not_held_together_give_the_same_bytes(
    slabkit, tmp_path, monkeypatch, case, options, batch
):
    lists = lists_of_tomograms(case, tmp_path)
    at_once = slabkit("merge", *lists, "-o", "once.star", *options)
    monkeypatch.setattr(many_lists, "STREAM_BYTES", 0)
    monkeypatch.setattr(many_lists, "_BATCH", batch)
    streamed = slabkit("merge", *lists, "-o", "many.star", *options)
    assert (tmp_path / "many.star").read_bytes() == (tmp_path / "once.star").read_bytes()
    assert streamed.stderr.replace("many.star", "once.star") == at_once.stderr


@pytest.mark.parametrize("case", ["", "further columns", "merged before", "an empty list"])
def test_lists_are_pooled_to_the_same_bytes_without_holding_them(
    slabkit, tmp_path, monkeypatch, case
):
    lists = lists_of_tomograms(case, tmp_path)
    slabkit("convert", *lists, "once.star")
    monkeypatch.setattr(many_lists, "STREAM_BYTES", 0)
    pooled = slabkit("convert", *lists, "many.star", "--json")
    assert (tmp_path / "many.star").read_bytes() == (tmp_path / "once.star").read_bytes()
    at_once = slabkit("convert", *lists, "again.csv", "--json")
    told = [json.loads(one.stdout) for one in (pooled, at_once)]
    for name in ("picks", "tomograms", "outside", "species"):
        assert told[0][name] == told[1][name]


def test_an_id_in_two_tomograms_is_refused_where_lists_are_many(slabkit, tmp_path, monkeypatch):
    lists = lists_of_tomograms("an id in two tomograms", tmp_path)
    monkeypatch.setattr(many_lists, "STREAM_BYTES", 0)
    done = slabkit("merge", *lists, "-o", "many.star", "--distance", 20, code=2)
    assert "stands for two different picks" in done.stderr
