"""Splits: sizes, balance, groups of similar tomograms, the tests reported, and refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from slabkit.errors import InputError, SlabkitWarning
from slabkit.formats.tables.blocks import read_table
from slabkit.formats.tables.native import PickList, write_picks
from slabkit.splitting import parse_subsets, split_tomograms
from slabkit.splitting.split import group_similar, ks_p_value, ks_statistics
from slabkit.tables import PICKS, SPLIT, TOMOGRAMS, empty_table, make_table

SPECIES = ("ribosome", "thyroglobulin", "apo-ferritin")
# Four kinds of tomogram: mean number of each species.
KINDS = np.array([[30, 5, 10], [5, 30, 10], [10, 10, 40], [2, 2, 2]])


def pick_table(counts, decision="undecided"):
    """Picks by a dict of tomogram to numbers of SPECIES."""
    rows = [
        (name, kind)
        for name, numbers in counts.items()
        for kind, number in zip(SPECIES, numbers, strict=True)
        for _ in range(number)
    ]
    if not rows:
        return empty_table(PICKS)
    tomogram, species = zip(*rows, strict=True)
    return make_table(
        PICKS,
        {
            "slabkitPickId": [f"p{i}" for i in range(len(rows))],
            "slabkitTomogram": list(tomogram),
            "slabkitSpecies": list(species),
            "slabkitX": np.arange(len(rows)) * 10.0,
            "slabkitY": 0.0,
            "slabkitZ": 0.0,
            "slabkitDecision": decision,
        },
    )


def data_set(tomograms=60, seed=0, kinds=4):
    random = np.random.default_rng(seed)
    kinds = np.arange(tomograms) % kinds
    counts = {f"t{i:03d}": random.poisson(KINDS[kind]) for i, kind in enumerate(kinds)}
    return pick_table(counts)


def subset_of(split):
    return split.tomograms.set_index("slabkitTomogram")["slabkitSubset"]


def unbalance(split, shares):
    """Largest deviation of a subset's share of a species from its share of the tomograms."""
    wide = split.subsets.pivot(index="slabkitSubset", columns="slabkitSpecies")["slabkitPicks"]
    found = wide / wide.sum(axis=0)
    return max(abs(found.loc[name] - share).max() for name, share in shares.items())


def test_every_tomogram_is_in_one_subset_of_the_size_asked_for():
    picks = data_set(61)
    split = split_tomograms(picks, "train=0.8,val=0.1,test=0.1")
    assert split.tomograms["slabkitTomogram"].tolist() == sorted(set(picks["slabkitTomogram"]))
    assert subset_of(split).value_counts().to_dict() == {"train": 49, "val": 6, "test": 6}
    czii = subset_of(split_tomograms(picks, "czii")).value_counts().to_dict()
    assert czii == {"train": 7, "public": 14, "private": 40}  # 54 / 4 = 13.5: the earlier one up
    counted = split.tomograms["slabkitPicks"].sum()
    assert (
        counted
        == len(picks)
        == split.subsets.query("slabkitSpecies == 'all'")["slabkitPicks"].sum()
    )


def test_kinds_of_tomograms_are_shared_out_alike():
    picks = data_set(48, kinds=3)
    for seed in range(5):
        split = split_tomograms(picks, {"a": 0.5, "b": 0.25, "c": 0.25}, bins=3, draws=1, seed=seed)
        kind = split.tomograms["slabkitTomogram"].str[1:].astype(int) % 3
        assert (kind.groupby(split.tomograms["slabkitBin"]).nunique() == 1).all()
        table = pd.crosstab(kind, split.tomograms["slabkitSubset"])
        assert (abs(table["a"] - 8) <= 1).all()
        assert (abs(table[["b", "c"]] - 4) <= 1).all(axis=None)
        assert split.bins["slabkitLargestKS"].max() < 0.5
        assert split.bins[["slabkitIn_a", "slabkitIn_b", "slabkitIn_c"]].sum().sum() == 48


def test_a_balanced_split_is_better_than_chance():
    picks = data_set(40, seed=3)
    shares = {"a": 0.7, "b": 0.15, "c": 0.15}
    plain = [unbalance(split_tomograms(picks, shares, bins=1, draws=1, seed=s), shares)
             for s in range(20)]  # fmt: skip
    binned = [unbalance(split_tomograms(picks, shares, draws=1, seed=s), shares) for s in range(20)]
    chosen = [unbalance(split_tomograms(picks, shares, seed=s), shares) for s in range(20)]
    assert np.mean(binned) < 0.75 * np.mean(plain)
    assert np.mean(chosen) < 0.6 * np.mean(binned)


def test_the_seed_decides_and_the_order_does_not():
    picks = data_set(40)
    first = split_tomograms(picks, "a=50%,b=50%", seed=1)
    shuffled = picks.sample(frac=1, random_state=2, ignore_index=True)
    for part in ("tomograms", "subsets", "bins", "tests"):
        again = getattr(split_tomograms(shuffled, "a=50%,b=50%", seed=1), part)
        pd.testing.assert_frame_equal(getattr(first, part), again)
    assert (subset_of(first) != subset_of(split_tomograms(picks, "a=50%,b=50%", seed=2))).any()


def test_every_tomogram_is_as_likely_to_be_in_each_subset():
    picks = data_set(16)
    draws = [subset_of(split_tomograms(picks, "a=0.5,b=0.5", draws=1, seed=s)) for s in range(300)]
    share = np.mean([(draw == "a").to_numpy() for draw in draws], axis=0)
    assert abs(share - 0.5).max() < 0.12  # four standard deviations


def test_statistics_are_those_of_kolmogorov_and_smirnov():
    counts = np.array([[30, 5, 10], [5, 30, 10], [0, 0, 0], [0, 0, 0]])
    samples = [np.repeat(np.arange(3), row) for row in counts[:2]]
    expected = ks_2samp(*samples, method="asymp")
    found = ks_statistics(counts)
    assert found[0, 1] == pytest.approx(expected.statistic, abs=1e-12)
    assert ks_p_value(found[0, 1], 45, 45) == pytest.approx(expected.pvalue, rel=1e-6)
    assert found[0, 2] == found[2, 0] == 1
    assert found[2, 3] == found[0, 0] == 0
    assert ks_p_value(1.0, 45, 0) == 1
    group = group_similar(found, 2)
    assert group[0] == group[1] != group[2] == group[3]
    picks = data_set(24)
    split = split_tomograms(picks, "a=0.5,b=0.5")
    inside = subset_of(split)
    numbers = picks[picks["slabkitSpecies"] == "ribosome"]["slabkitTomogram"].value_counts()
    numbers = numbers.reindex(inside.index, fill_value=0)
    test = ks_2samp(numbers[inside == "a"], numbers[inside == "b"])
    row = split.tests.query("slabkitSpecies == 'ribosome'").iloc[0]
    assert (row["slabkitKSStatistic"], row["slabkitP"]) == (test.statistic, test.pvalue)


def test_rejected_picks_do_not_count_and_empty_tomograms_do():
    picks = pd.concat(
        [pick_table({"a": (2, 1, 0), "b": (1, 0, 1)}), pick_table({"c": (9, 9, 9)}, "rejected")]
    ).assign(slabkitPickId=[f"q{i}" for i in range(32)])
    split = split_tomograms(picks, "x=2,y=100%", tomograms=["d"])
    found = split.tomograms.set_index("slabkitTomogram")["slabkitPicks"].to_dict()
    assert found == {"a": 3, "b": 2, "c": 0, "d": 0}
    with pytest.warns(SlabkitWarning, match="every pick is rejected"):
        split_tomograms(pick_table({"a": (1, 0, 0), "b": (1, 0, 0)}, "rejected"), "x=1,y=1")
    with pytest.warns(SlabkitWarning, match="there is no pick, so"):
        split_tomograms(pick_table({}), "x=1,y=1", tomograms=["a", "b"])
    with pytest.warns(SlabkitWarning, match="no pick has a species"):
        split_tomograms(pick_table({"a": (1, 0, 0), "b": (3, 0, 0)}).assign(slabkitSpecies=""),
                        "x=1,y=1")  # fmt: skip


@pytest.mark.parametrize(
    ("subsets", "message"),
    [
        ("", "no subset is named"),
        ("train", "written NAME=SHARE"),
        ("train=most", "written NAME=SHARE"),
        ("a=0.5,a=0.5", "named twice"),
        ("a=0.5,b=0.4", "the shares sum to 0.9"),
        ("a=1.5,b=0.4", "above 0 and at most 1"),
        ("a=nan", "above 0 and at most 1"),
        ("a=-1,b=2.0", "above 0 and at most 1"),
        ("a=0", "one tomogram or more"),
        ("../a=1", "made of letters"),
        ({"a": True}, "the subsets take 1"),
        ("a=3", "take 3 tomograms and there are 4; give one of them a share"),
        ("a=3,b=2", "take 5 tomograms and there are 4."),
        ("a=4,b=100%", "none is left for b"),
        ("a=0.9,b=0.1", "none is left for b"),
    ],
)
def test_subsets_that_cannot_be(subsets, message):
    picks = pick_table(dict.fromkeys("wxyz", (1, 1, 1)))
    if subsets == {"a": True}:
        subsets = {"a": 1}
    with pytest.raises(InputError, match=message):
        split_tomograms(picks, subsets)


def test_numbers_and_shares():
    assert parse_subsets("a=7, b=25%,c=0.75") == {"a": 7, "b": 0.25, "c": 0.75}
    assert parse_subsets(["a=33.3%", "b=33.3%", "c=33.3%"]).keys() == set("abc")
    with pytest.raises(InputError, match="bins must be 1 or more"):
        split_tomograms(pick_table({"a": (1, 0, 0)}), "a=1", bins=0)
    with pytest.raises(InputError, match="no tomogram to split"):
        split_tomograms(pick_table({}), "a=1")


def test_command(slabkit, tmp_path):
    picks = data_set(20)
    names = [*dict.fromkeys(picks["slabkitTomogram"]), "empty"]
    write_picks(tmp_path / "p.star", PickList(picks, make_table(
        TOMOGRAMS, {"slabkitTomogram": names}
    )))  # fmt: skip
    slabkit("split", "p.star", "-o", "s.star", "--fractions", "train=0.8", "val=0.1", "test=0.1",
            "--lists", "sub")  # fmt: skip
    table = read_table(tmp_path / "s.star", SPLIT)
    assert table["slabkitSubset"].value_counts().to_dict() == {"train": 17, "val": 2, "test": 2}
    assert "empty" in set(table["slabkitTomogram"])
    from slabkit.formats.tables.native import read_native_picks

    parts = [read_native_picks(tmp_path / "sub" / f"{n}.star") for n in ("train", "val", "test")]
    assert sum(len(part.picks) for part in parts) == len(picks)
    assert [len(part.tomograms) for part in parts] == [17, 2, 2]
    assert "data-set split" in slabkit("info", "s.star").stdout
    first = (tmp_path / "s.star").read_bytes()
    slabkit("split", "p.star", "-o", "s2.star", "--fractions", "train=0.8,val=0.1,test=0.1")
    assert (tmp_path / "s2.star").read_bytes() == first
    before = sorted(tmp_path.rglob("*"))
    for options, message in (
        ((), "give --fractions"),
        (("--preset", "mine"), "--preset must be czii"),
        (("--preset", "czii", "--fractions", "a=1"), "not both"),
        (("--fractions", "a=0.5,b=0.4"), "the shares sum to 0.9"),
        (("--fractions", "a=30,b=100%"), "take 30 tomograms and there are 21"),
    ):
        done = slabkit("split", "p.star", "-o", "x.star", *options, code=2)
        assert message in done.stderr, done.stderr
    slabkit("split", "p.star", "-o", "x.csv", "--preset", "czii", code=2)
    slabkit("split", "p.star", "./p.star", "-o", "x.star", "--preset", "czii", code=2)
    assert sorted(tmp_path.rglob("*")) == before
