"""Bootstrap intervals and curves over thresholds, against scores of tables made by hand."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from slabkit.errors import InputError, SlabkitWarning
from slabkit.formats.tables.native import PickList, write_picks
from slabkit.pictures.figures import curve_drawing
from slabkit.scoring import score_curve, score_intervals, score_picks
from slabkit.tables import PICKS, TOMOGRAMS, empty_table, make_table

MEASURES = ("precision", "recall", "f_beta")


def rows_table(rows):
    """Rows of (tomogram, species, x, score)."""
    if not rows:
        return empty_table(PICKS)
    tomogram, species, x, score = zip(*rows, strict=True)
    return make_table(
        PICKS,
        {
            "slabkitPickId": [f"p{i}" for i in range(len(rows))],
            "slabkitTomogram": list(tomogram),
            "slabkitSpecies": list(species),
            "slabkitX": np.array(x, dtype=float),
            "slabkitY": 0.0,
            "slabkitZ": 0.0,
            "slabkitScore": np.array(score, dtype=float),
            "slabkitScoreKind": "blob",
        },
    )


def experiment(tomograms=8, seed=0):
    """Truth of two species, picks that find part of it and some that are wrong."""
    random = np.random.default_rng(seed)
    truth, picks = [], []
    for number in range(tomograms):
        name = f"t{number}"
        for species, most in (("ribosome", 12), ("thyroglobulin", 5)):
            for index in range(int(random.integers(1, most))):
                x = 1000.0 * index + (0 if species == "ribosome" else 500_000)
                truth.append((name, species, x, 0))
                if random.random() < 0.7:
                    picks.append((name, species, x + 10, random.normal(8, 2)))
            for index in range(int(random.integers(0, 6))):
                picks.append((name, species, -1000.0 * (index + 1), random.normal(5, 2)))
    return rows_table(picks), rows_table(truth)


def with_tomograms(table, drawn):
    """Put tomograms together again, each as often as drawn, under names of their own."""
    parts = [
        table[table["slabkitTomogram"] == f"t{number}"].assign(slabkitTomogram=f"{turn}-t{number}")
        for turn, number in enumerate(drawn)
    ]
    whole = pd.concat(parts, ignore_index=True)
    return whole.assign(slabkitPickId=[f"q{i}" for i in range(len(whole))])


@pytest.mark.parametrize("mode", ["strict", "czii"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_resample_scores_as_the_tomograms_drawn_do(mode, seed):
    picks, truth = experiment()
    names = sorted(set(truth["slabkitTomogram"]))
    assert names == sorted(f"t{i}" for i in range(8))
    found = score_intervals(picks, truth, mode=mode, beta=2, resamples=1, seed=seed)
    drawn = np.random.default_rng(seed).integers(8, size=(1, 8))[0]
    expected = score_picks(
        with_tomograms(picks, drawn), with_tomograms(truth, drawn), mode=mode, beta=2
    )
    table = found.table.set_index("species")
    wanted = expected.table.set_index("species")
    for species in ("ribosome", "thyroglobulin"):
        for name in MEASURES:
            assert table.loc[species, f"{name}_low"] == pytest.approx(wanted.loc[species, name])
    for name in MEASURES:
        assert table.loc["all", f"{name}_high"] == pytest.approx(expected.total[name])
    assert table.loc["weighted", "f_beta_low"] == pytest.approx(expected.weighted_f_beta)
    whole = score_picks(picks, truth, mode=mode, beta=2)
    assert table.loc["weighted", "f_beta"] == whole.weighted_f_beta
    assert table.loc["all", "recall"] == whole.total["recall"]


def test_tomograms_are_drawn_whole():
    # In every other tomogram all is found, in the others nothing: binomial.
    truth = rows_table([(f"t{t}", "ribosome", 1e3 * i, 0) for t in range(20) for i in range(30)])
    picks = truth[truth["slabkitTomogram"].str[1:].astype(int) % 2 == 0].reset_index(drop=True)
    with pytest.warns(SlabkitWarning, match="there is no pick in"):
        row = score_intervals(picks, truth, resamples=2000).table.iloc[0]
    # 2000 draws come within one tomogram of the ends of the binomial distribution.
    assert row["recall_low"] == pytest.approx(binom.ppf(0.025, 20, 0.5) / 20, abs=0.051)
    assert row["recall_high"] == pytest.approx(binom.ppf(0.975, 20, 0.5) / 20, abs=0.051)
    assert row["recall_low"] < row["recall"] == 0.5 < row["recall_high"]
    same = score_intervals(truth, truth).table.iloc[0]
    assert same["f_beta_low"] == same["f_beta_high"] == 1


def test_intervals_hold_the_true_value_about_as_often_as_they_say():
    random = np.random.default_rng(5)
    truth = rows_table([(f"t{t:02d}", "ribosome", 1e3 * i, 0) for t in range(30) for i in range(8)])
    inside = 0
    for turn in range(100):
        picks = truth[random.random(len(truth)) < 0.7].reset_index(drop=True)
        row = score_intervals(picks, truth, resamples=200, level=0.9, seed=turn).table.iloc[0]
        inside += row["recall_low"] <= 0.7 <= row["recall_high"]
    assert 80 <= inside <= 97


def test_the_seed_decides_and_the_order_does_not():
    picks, truth = experiment()
    first = score_intervals(picks, truth, resamples=50, seed=3)
    again = score_intervals(
        picks.sample(frac=1, random_state=1, ignore_index=True),
        truth.sample(frac=1, random_state=2, ignore_index=True),
        resamples=50,
        seed=3,
    )
    pd.testing.assert_frame_equal(first.table, again.table)
    other = score_intervals(picks, truth, resamples=50, seed=4)
    assert not other.table.equals(first.table)


def test_picks_without_species_have_intervals_of_what_is_known():
    picks, truth = experiment()
    table = score_intervals(picks.assign(slabkitSpecies=""), truth, resamples=50).table
    table = table.set_index("species")
    assert table.loc["ribosome", ["precision", "precision_low", "f_beta_low"]].isna().all()
    assert table.loc["ribosome", "recall_low"] < table.loc["ribosome", "recall_high"]
    assert table.loc["all", "precision_low"] < table.loc["all", "precision_high"] < 1


def test_refusals():
    picks, truth = experiment(6)
    one = truth[truth["slabkitTomogram"] == "t0"]
    with pytest.raises(InputError, match="two tomograms with truth or more, not 1"):
        score_intervals(picks[picks["slabkitTomogram"] == "t0"], one)
    for options, message in (
        ({"resamples": 0}, "resamples must be 1 or more"),
        ({"level": 1.0}, "between 0 and 1"),
        ({"seed": -1}, "seed must be 0 or more"),
    ):
        with pytest.raises(InputError, match=message):
            score_intervals(picks, truth, **options)
    few = truth[truth["slabkitTomogram"].isin(["t0", "t1"])]
    with pytest.warns(SlabkitWarning, match="intervals of 2 tomograms are rough"):
        score_intervals(few, few)
    mixed = picks.assign(slabkitScoreKind=["a", *["b"] * (len(picks) - 1)])
    with pytest.raises(InputError, match=r"different kinds \(a, b\)"):
        score_curve(mixed, truth)
    with pytest.raises(InputError, match=f"{len(picks)} of {len(picks)} have no score"):
        score_curve(picks.assign(slabkitScore=np.nan), truth)
    with pytest.raises(InputError, match="points must be 1 or more"):
        score_curve(picks, truth, points=0)


@pytest.mark.parametrize("mode", ["strict", "czii"])
def test_each_point_of_a_curve_is_the_score_above_it(mode):
    picks, truth = experiment(5)
    curve = score_curve(picks, truth, mode=mode, points=7, radii={"ribosome": 140})
    thresholds = curve["threshold"].unique()
    assert len(thresholds) == 7
    assert set(thresholds) <= set(picks["slabkitScore"])
    assert thresholds[0] == picks["slabkitScore"].min()
    for threshold, rows in curve.groupby("threshold"):
        above = picks[picks["slabkitScore"] >= threshold]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SlabkitWarning)  # tomograms without such a pick
            score = score_picks(above, truth, mode=mode, radii={"ribosome": 140})
        rows = rows.set_index("species")
        wanted = score.table.set_index("species")
        for name in ("picks", "true_positives", *MEASURES):
            found = rows.loc[wanted.index, name].astype(float)
            np.testing.assert_array_equal(found, wanted[name].astype(float))
            assert rows.loc["all", name] == score.total[name]
    recall = curve[curve["species"] == "all"]["recall"].to_numpy()
    assert (np.diff(recall) <= 0).all()
    assert recall[0] > recall[-1]


def test_a_curve_without_picks_and_its_picture():
    _, truth = experiment(2)
    curve = score_curve(rows_table([]), truth)
    assert curve["threshold"].unique().tolist() == [0]
    picks, truth = experiment(5)
    drawing = curve_drawing(score_curve(picks, truth), 4)
    assert drawing.picture().shape[2] == 3
    assert "ribosome" in drawing.svg()
    assert "nan" not in drawing.svg()


def test_command(slabkit, tmp_path):
    picks, truth = experiment(6)
    tomograms = make_table(TOMOGRAMS, {"slabkitTomogram": [f"t{i}" for i in range(6)]})
    write_picks(tmp_path / "p.star", PickList(picks, tomograms))
    write_picks(tmp_path / "t.star", PickList(truth, tomograms))
    both = slabkit("score", "p.star", "t.star", "--mode", "both", "--bootstrap", 100)
    head = both.stdout.splitlines()[1]
    assert head.index("strict F-beta") < head.index("czii precision")
    assert both.stdout.count("ribosome") == 1
    found = json.loads(
        slabkit("score", "p.star", "t.star", "--bootstrap", 100, "--seed", 2, "--json").stdout
    )
    wanted = score_intervals(picks, truth, resamples=100, seed=2).table.set_index("species")
    low, high = found["intervals"]["ribosome"]["recall"]
    assert (low, high) == tuple(wanted.loc["ribosome", ["recall_low", "recall_high"]])
    slabkit("score", "p.star", "t.star", "--curve", "c.csv", "--plot", "c.png")
    again = slabkit("score", "p.star", "t.star", "--curve", "c.csv", "--plot", "c.png")
    assert "skipped" in again.stderr
    assert "ribosome" in again.stdout
    curve = pd.read_csv(tmp_path / "c.csv")
    np.testing.assert_allclose(curve["recall"], score_curve(picks, truth)["recall"])
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    slabkit("score", "t.star", "t.star", "--curve", "c.star")  # one score, so one threshold
    assert "_slabkitTruePositives" in (tmp_path / "c.star").read_text()
    for options, message in (
        (("--curve", "c.csv", "--beta", 1), "exists already"),
        (("--curve", "c.txt"), "--curve writes .star or .csv"),
        (("--plot", "c.jpg"), "--plot writes .png"),
    ):
        assert message in slabkit("score", "p.star", "t.star", *options, code=2).stderr
