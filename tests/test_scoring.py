"""Scoring: hand-computed cases, an independent challenge metric, brute-force assignment."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slabkit.arrays.assignment import pair_one_to_one
from slabkit.errors import InputError, SlabkitWarning
from slabkit.scoring import (
    CZII_RADII,
    CZII_WEIGHTS,
    canonical_species,
    match_picks,
    score_picks,
)
from slabkit.tables import PICKS, SPECIES, empty_table, make_table


def table(*rows):
    """Rows of (tomogram, species, x, y, z)."""
    if not rows:
        return empty_table(PICKS)
    tomogram, species, x, y, z = zip(*rows, strict=True)
    return make_table(
        PICKS,
        {
            "slabkitPickId": [f"id{i}" for i in range(len(rows))],
            "slabkitTomogram": list(tomogram),
            "slabkitSpecies": list(species),
            "slabkitX": np.array(x, dtype=float),
            "slabkitY": np.array(y, dtype=float),
            "slabkitZ": np.array(z, dtype=float),
        },
    )


def row(score, species):
    found = score.table[score.table["species"] == species]
    assert len(found) == 1
    return found.iloc[0]


def counts(entry):
    return tuple(int(entry[f"{w}_{n}"]) for w, n in NAMES)


NAMES = (("true", "positives"), ("false", "positives"), ("false", "negatives"))


def test_presets_are_the_challenges():
    assert set(CZII_RADII) == set(CZII_WEIGHTS) == set(SPECIES)
    assert [CZII_RADII[s] for s in SPECIES] == [150, 135, 130, 90, 60, 65]
    assert [CZII_WEIGHTS[s] for s in SPECIES] == [1, 1, 2, 2, 1, 0]


def test_limit_is_half_a_radius_inclusive():
    truth = table(("a", "ribosome", 100, 200, 300))
    at_limit = table(("a", "ribosome", 100 + 45, 200, 300 - 60))  # 75 Å exactly
    beyond = table(("a", "ribosome", 100 + 75.001, 200, 300))
    for mode in ("strict", "czii"):
        assert counts(row(score_picks(at_limit, truth, mode=mode), "ribosome")) == (1, 0, 0)
        assert counts(row(score_picks(beyond, truth, mode=mode), "ribosome")) == (0, 1, 1)


def test_radius_can_be_given():
    truth = table(("a", "ribosome", 0, 0, 0))
    picks = table(("a", "ribosome", 10, 0, 0))
    assert row(score_picks(picks, truth, radii={"ribosome": 20}), "ribosome")["recall"] == 1
    assert row(score_picks(picks, truth, radii={"ribosome": 19.9}), "ribosome")["recall"] == 0


def test_two_picks_on_one_particle():
    truth = table(("a", "ribosome", 0, 0, 0))
    picks = table(("a", "ribosome", 5, 0, 0), ("a", "ribosome", -5, 0, 0))
    for mode in ("strict", "czii"):
        assert counts(row(score_picks(picks, truth, mode=mode), "ribosome")) == (1, 1, 0)


def test_one_pick_on_two_particles():
    truth = table(("a", "ribosome", -50, 0, 0), ("a", "ribosome", 50, 0, 0))
    picks = table(("a", "ribosome", 0, 0, 0))
    assert counts(row(score_picks(picks, truth), "ribosome")) == (1, 0, 1)
    assert counts(row(score_picks(picks, truth, mode="czii"), "ribosome")) == (2, -1, 0)


def test_numbers_by_hand():
    # 3 of 4 ribosomes found by 5 picks; 1 of 2 thyroglobulins by 1.
    truth = table(
        *(("a", "ribosome", 1000 * i, 0, 0) for i in range(4)),
        *(("b", "thyroglobulin", 1000 * i, 0, 0) for i in range(2)),
    )
    picks = table(
        *(("a", "ribosome", 1000 * i + 10, 0, 0) for i in range(3)),
        ("a", "ribosome", 500, 500, 0),
        ("a", "ribosome", 1500, 500, 0),
        ("b", "thyroglobulin", 0, 64, 0),
    )
    score = score_picks(picks, truth, beta=2)
    ribosome, thyroglobulin = row(score, "ribosome"), row(score, "thyroglobulin")
    assert counts(ribosome) == (3, 2, 1)
    assert (ribosome["precision"], ribosome["recall"]) == (0.6, 0.75)
    assert ribosome["f_beta"] == pytest.approx(5 * 0.6 * 0.75 / (4 * 0.6 + 0.75))
    assert counts(thyroglobulin) == (1, 0, 1)
    assert thyroglobulin["f_beta"] == pytest.approx(5 * 0.5 / 4.5)
    expected = (ribosome["f_beta"] + 2 * thyroglobulin["f_beta"]) / 3
    assert score.weighted_f_beta == pytest.approx(expected)
    assert score.total["precision"] == pytest.approx(4 / 6)
    assert score.total["recall"] == pytest.approx(4 / 6)
    assert list(score.table["species"]) == ["ribosome", "thyroglobulin"]


def test_absent_species_keep_their_weight_in_czii_only():
    # The example of the reference: a perfect answer on three species of weights 1, 1, 0.
    truth = table(
        ("a", "ribosome", 0, 0, 0),
        ("a", "apo-ferritin", 999, 0, 0),
        ("a", "beta-amylase", 0, 999, 0),
    )
    assert score_picks(truth, truth, mode="czii").weighted_f_beta == pytest.approx(2 / 7)
    assert score_picks(truth, truth, mode="strict").weighted_f_beta == 1
    assert len(score_picks(truth, truth, mode="czii").table) == 6


def test_a_species_that_is_not_in_the_truth_is_false():
    truth = table(("a", "ribosome", 0, 0, 0))
    picks = table(("a", "ribosome", 0, 0, 0), ("a", "apo-ferritin", 0, 0, 0))
    score = score_picks(picks, truth)
    assert counts(row(score, "apo-ferritin")) == (0, 1, 0)
    assert math.isnan(row(score, "apo-ferritin")["recall"])
    assert score.weighted_f_beta == 1  # weights of the truth's species only
    assert score.total["precision"] == 0.5


def test_picks_without_species_are_candidates_for_any():
    truth = table(
        ("a", "ribosome", 0, 0, 0), ("a", "apo-ferritin", 500, 0, 0), ("a", "ribosome", 999, 0, 0)
    )
    picks = table(("a", "", 10, 0, 0), ("a", "", 500, 20, 0), ("a", "", 2000, 0, 0))
    score = score_picks(picks, truth)
    assert row(score, "ribosome")["recall"] == 0.5
    assert row(score, "apo-ferritin")["recall"] == 1
    assert math.isnan(row(score, "ribosome")["precision"])
    assert math.isnan(row(score, "ribosome")["picks"])
    assert score.total["precision"] == pytest.approx(2 / 3)
    assert math.isnan(score.weighted_f_beta)
    with pytest.raises(InputError, match=r"3 picks have no species.*--species"):
        score_picks(picks, truth, mode="czii")


def test_a_pick_with_a_species_is_none_of_another():
    truth = table(("a", "ribosome", 0, 0, 0))
    assert score_picks(table(("a", "thyroglobulin", 0, 0, 0)), truth).total["recall"] == 0


def test_tomograms_without_truth_are_ignored_and_counted():
    truth = table(("a", "ribosome", 0, 0, 0))
    picks = table(
        ("a", "ribosome", 0, 0, 0), ("b", "ribosome", 0, 0, 0), ("c", "nonsense", 0, 0, 0)
    )
    for mode in ("strict", "czii"):
        with pytest.warns(SlabkitWarning, match=r"2 picks are in tomograms without truth \(b, c\)"):
            score = score_picks(picks, truth, mode=mode)
        assert score.ignored == {"b": 1, "c": 1}
        assert score.total["false_positives"] == 0


def test_a_tomogram_known_to_be_empty_gives_false_positives():
    truth = table(("a", "ribosome", 0, 0, 0))
    picks = table(("a", "ribosome", 0, 0, 0), ("b", "ribosome", 0, 0, 0))
    score = score_picks(picks, truth, truth_tomograms=["a", "b"])
    assert score.ignored == {}
    assert score.total["false_positives"] == 1


def test_same_place_in_another_tomogram_is_no_match():
    truth = table(("a", "ribosome", 0, 0, 0), ("b", "ribosome", 500, 0, 0))
    picks = table(("b", "ribosome", 0, 0, 0))
    with pytest.warns(SlabkitWarning, match="no pick in a; 1 particles there count as missed"):
        assert score_picks(picks, truth).total["true_positives"] == 0
    truth = table(*((name, "ribosome", 500, 0, 0) for name in "abcde"))
    with pytest.warns(SlabkitWarning, match=r"no pick in a, c, d, \.\.\.; 4 particles there count"):
        score_picks(picks, truth)


def test_empty_tables():
    truth = table(("a", "ribosome", 0, 0, 0))
    nothing = score_picks(table(), truth)
    assert counts(row(nothing, "ribosome")) == (0, 0, 1)
    assert nothing.total["recall"] == 0
    assert nothing.total["f_beta"] == 0
    assert math.isnan(nothing.total["precision"])
    assert score_picks(table(), truth, mode="czii").weighted_f_beta == 0
    empty = score_picks(table(), table())
    assert list(empty.table.columns) == list(nothing.table.columns)
    assert math.isnan(empty.weighted_f_beta)


@pytest.mark.parametrize(
    ("name", "usual"),
    [
        ("THG", "thyroglobulin"),
        ("Beta_Galactosidase", "beta-galactosidase"),
        ("VLP", "virus-like-particle"),
        ("virus like particle", "virus-like-particle"),
        ("apoferritin", "apo-ferritin"),
        ("apo_ferritin", "apo-ferritin"),
        ("80S", "ribosome"),
        ("Ribosomes", "ribosome"),
        ("β-amylase", "beta-amylase"),
        ("proteasome", "proteasome"),
        ("", ""),
    ],
)
def test_aliases(name, usual):
    assert canonical_species(name) == usual
    assert canonical_species(usual) == usual


def test_aliases_match_each_other():
    truth = table(("a", "thyroglobulin", 0, 0, 0))
    score = score_picks(table(("a", "THG", 0, 0, 0)), truth, radii={"thg": 100})
    assert counts(row(score, "thyroglobulin")) == (1, 0, 0)
    assert row(score, "thyroglobulin")["radius"] == 100


def test_a_species_of_ones_own():
    truth = table(("a", "proteasome", 0, 0, 0))
    with pytest.raises(InputError, match=r"truth: .* proteasome; known are ribosome, .*=Å"):
        score_picks(truth, truth)
    score = score_picks(truth, truth, radii={"proteasome": 75})
    assert row(score, "proteasome")["weight"] == 1
    assert score.weighted_f_beta == 1


def test_refusals():
    truth = table(("a", "ribosome", 0, 0, 0))
    with pytest.raises(InputError, match="picks: no radius is known for the species blob"):
        score_picks(table(("a", "blob", 0, 0, 0)), truth)
    with pytest.raises(InputError, match="particles without a species"):
        score_picks(truth, table(("a", "", 0, 0, 0)))
    twice = table(
        ("a", "ribosome", 1, 2, 3), ("a", "ribosome", 9, 9, 9), ("a", "ribosome", 1, 2, 3)
    )
    with pytest.raises(InputError, match="truth: rows 1, 3 are at one position in tomogram a"):
        score_picks(truth, twice)
    with pytest.raises(InputError, match="mode must be 'strict' or 'czii', not 'lenient'"):
        score_picks(truth, truth, mode="lenient")
    with pytest.raises(InputError, match="beta must be a positive number"):
        score_picks(truth, truth, beta=0)
    with pytest.raises(InputError, match="radius of ribosome must be a positive"):
        score_picks(truth, truth, radii={"ribosome": math.nan})


# The challenge's metric, written from its description: per experiment and type, sets and loops.
def reference_metric(picks, truth, beta=4):
    totals = {name: [0, 0, 0] for name in CZII_WEIGHTS}
    points = [
        {
            key: frame[["slabkitX", "slabkitY", "slabkitZ"]].to_numpy().tolist()
            for key, frame in t.groupby(["slabkitTomogram", "slabkitSpecies"])
        }
        for t in (picks, truth)
    ]
    experiments = sorted(set(truth["slabkitTomogram"]))
    for experiment, name in itertools.product(experiments, totals):
        candidates = points[0].get((experiment, name), [])
        reference = points[1].get((experiment, name), [])
        limit = CZII_RADII[name] * 0.5
        hit = {
            i
            for i, r in enumerate(reference)
            if any(math.dist(r, candidate) <= limit for candidate in candidates)
        }
        totals[name][0] += len(hit)
        totals[name][1] += len(candidates) - len(hit)
        totals[name][2] += len(reference) - len(hit)
    score = 0.0
    for name, (tp, fp, fn) in totals.items():
        precision = tp / (tp + fp) if tp + fp > 0 else 0
        recall = tp / (tp + fn) if tp + fn > 0 else 0
        if precision + recall > 0:
            f = (1 + beta**2) * precision * recall / (beta**2 * precision + recall)
            score += CZII_WEIGHTS[name] * f
    return totals, score / sum(CZII_WEIGHTS.values())


# Coordinates on a coarse lattice make ties, limits and crowds frequent.
points = st.tuples(
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(list(SPECIES)),
    *(st.integers(0, 12).map(lambda v: v * 15.0) for _ in range(3)),
)
truths = st.lists(points, min_size=1, max_size=25, unique_by=lambda p: (p[0], *p[2:]))
pick_lists = st.lists(points, max_size=30)


@settings(max_examples=80, deadline=None)
@given(pick_lists, truths)
@pytest.mark.filterwarnings("ignore::slabkit.errors.SlabkitWarning")
def test_czii_is_the_reference(picks, truth):
    picks, truth = table(*picks), table(*truth)
    score = score_picks(picks, truth, mode="czii")
    totals, expected = reference_metric(picks, truth)
    assert {r["species"]: list(counts(r)) for _, r in score.table.iterrows()} == totals
    assert score.weighted_f_beta == pytest.approx(expected, abs=1e-12)


def best_by_force(picks, truth):
    """Try every one-to-one pairing: (pairs, sum of distances) of the best one."""
    picks, truth = picks.to_dict("records"), truth.to_dict("records")

    def search(particle, free):
        if particle == len(truth):
            return 0, 0.0
        t = truth[particle]
        best = search(particle + 1, free)
        for index in free:
            p = picks[index]
            distance = math.dist(*([r[f"slabkit{a}"] for a in "XYZ"] for r in (p, t)))
            fits = p["slabkitSpecies"] in ("", t["slabkitSpecies"])
            same = p["slabkitTomogram"] == t["slabkitTomogram"]
            if same and fits and distance <= CZII_RADII[t["slabkitSpecies"]] / 2:
                pairs, total = search(particle + 1, free - {index})
                best = min(best, (pairs - 1, total + distance))
        return best

    pairs, total = search(0, frozenset(range(len(picks))))
    return -pairs, total


crowded = st.tuples(
    st.just("a"),
    st.sampled_from(["ribosome", "apo-ferritin"]),
    *(st.floats(0, 140, allow_nan=False).map(lambda v: round(v, 2)) for _ in range(3)),
)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(crowded, min_size=1, max_size=6),
    st.lists(crowded, min_size=1, max_size=5, unique_by=lambda p: p[2:]),
    st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_strict_is_the_best_pairing(picks, truth, nameless):
    picks = [(p[0], "" if n else p[1], *p[2:]) for p, n in zip(picks, nameless, strict=False)]
    picks, truth = table(*picks), table(*truth)
    matches = match_picks(picks, truth)
    pairs, total = best_by_force(picks, truth)
    assert len(matches) == pairs
    assert matches["distance"].sum() == pytest.approx(total, abs=1e-6)
    assert matches["pick"].is_unique
    assert matches["particle"].is_unique
    assert score_picks(picks, truth).total["true_positives"] == pairs


@settings(max_examples=40, deadline=None)
@given(pick_lists, truths, st.randoms(use_true_random=False))
@pytest.mark.filterwarnings("ignore::slabkit.errors.SlabkitWarning")
def test_order_of_rows_does_not_matter_and_bounds_hold(picks, truth, random):
    first = score_picks(table(*picks), table(*truth))
    random.shuffle(picks)
    random.shuffle(truth)
    second = score_picks(table(*picks), table(*truth))
    assert first.total == pytest.approx(second.total, nan_ok=True)
    assert first.table.equals(second.table)
    for _, entry in first.table.iterrows():
        assert 0 <= entry["true_positives"] <= min(entry["truth"], entry["picks"])


def test_a_chain_is_paired_whole():
    # Greedy pairing by distance would take (pick 1, particle 0) first and strand pick 0 for good.
    truth = table(("a", "ribosome", 0, 0, 0), ("a", "ribosome", 70, 0, 0))
    picks = table(("a", "ribosome", -60, 0, 0), ("a", "ribosome", 10, 0, 0))
    matches = match_picks(picks, truth)
    assert matches["pick"].tolist() == [0, 1]
    assert matches["distance"].tolist() == [60, 60]


def test_inputs_are_left_alone():
    truth = table(("a", "THG", 0, 0, 0))
    picks = table(("a", "THG", 1, 0, 0))
    copies = truth.copy(), picks.copy()
    score_picks(picks, truth)
    assert truth.equals(copies[0])
    assert picks.equals(copies[1])


def test_many_picks_need_no_matrix():
    rng = np.random.default_rng(1)
    n = 20_000  # a matrix of n × n distances would take 3 GB
    truth = rng.uniform(0, 9000, (n, 3))
    picks = truth + rng.normal(0, 4, truth.shape)

    def many(points):
        return make_table(
            PICKS,
            {
                "slabkitPickId": [f"p{i}" for i in range(n)],
                "slabkitTomogram": "a",
                "slabkitSpecies": "ribosome",
                **{f"slabkit{a}": v for a, v in zip("XYZ", points.T, strict=True)},
            },
        )

    matches = match_picks(many(rng.permutation(picks)), many(truth))
    assert len(matches) == n


def test_assignment_allows_zero_costs():
    first, second = np.array([0, 0, 1]), np.array([0, 1, 1])
    assert pair_one_to_one(first, second, np.zeros(3)).tolist() == [True, False, True]


def test_a_radius_for_a_species_that_is_not_there_is_refused():
    truth = table(("a", "ribosome", 0, 0, 0))
    with pytest.raises(InputError, match="a radius is given for ribosom, which neither"):
        score_picks(truth, truth, radii={"ribosom": 150})
    score_picks(truth, truth, radii={"thyroglobulin": 120})  # of the challenge, though not here
