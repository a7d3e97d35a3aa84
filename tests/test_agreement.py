"""Agreement between raters against numbers worked out by hand and published ones."""

from __future__ import annotations

import numpy as np
import pytest
from curation_tables import NO, OPEN, YES, ids, label_table

from slabkit.curation import cohen_kappa, fleiss_kappa, measure_agreement
from slabkit.errors import InputError, SlabkitWarning


def rater(words, **who):
    return label_table(*enumerate(words), **who)


def fifty():
    """Two raters of 50 picks: 20 both accept, 5 the first alone, 10 the second, 15 neither."""
    first = [YES] * 25 + [NO] * 25
    second = [YES] * 20 + [NO] * 5 + [YES] * 10 + [NO] * 15
    return {"kim": rater(first), "lee": rater(second)}


def test_cohens_kappa_by_hand():
    result = measure_agreement(fifty())
    # Agreement 35/50; by chance 25/50 × 30/50 + 25/50 × 20/50 = 1/2.
    assert result.kappa == pytest.approx((0.7 - 0.5) / (1 - 0.5))
    assert result.pairs.iloc[0].tolist() == ["kim", "lee", 50, 0.7, pytest.approx(0.4)]
    assert result.raters["accepted"].tolist() == [25, 30]
    found = result.contradictions
    assert ids(found) == [f"p{i}" for i in range(20, 35)]
    assert found["slabkitVerdicts"].iloc[0] == "kim=accepted,lee=rejected"
    assert found["slabkitVerdicts"].iloc[-1] == "kim=rejected,lee=accepted"


def test_other_species_are_counted_aloud():
    raters = [label_table((0, YES), (1, YES), slabkitSpecies=name) for name in ("a", "b")]
    with pytest.warns(SlabkitWarning, match="2 picks are accepted as more than one species"):
        assert not len(measure_agreement(raters).contradictions)


def test_fleiss_kappa_of_the_published_kind():
    # Fourteen raters, ten items, five categories: 0.210 in every textbook.
    counts = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    table = np.array([np.repeat(range(5), row) for row in counts])
    assert fleiss_kappa(table) == pytest.approx(0.20993, abs=5e-6)
    assert fleiss_kappa(np.vstack([table, np.full(14, -1)])) == pytest.approx(0.20993, abs=5e-6)


def test_fleiss_kappa_of_three_raters_by_hand():
    three = {"a": rater([YES, YES, NO, YES]), "b": rater([YES, NO, NO, YES]),
             "c": rater([YES, NO, NO, NO, YES])}  # fmt: skip
    result = measure_agreement(three)
    # Pairs that agree: 1, 1/3, 1, 1/3, mean 2/3; shares 1/2 and 1/2; p4 was seen by one alone.
    assert result.kappa == pytest.approx((2 / 3 - 1 / 2) / (1 / 2))
    assert (result.picks, len(result.pairs)) == (4, 3)
    assert ids(result.contradictions) == ["p1", "p3"]
    assert result.contradictions["slabkitVotesAccepted"].tolist() == [1, 2]


def test_extremes():
    assert cohen_kappa([1, 0, 1, 0], [1, 0, 1, 0]) == 1
    assert cohen_kappa([1, 0, 1, 0], [0, 1, 0, 1]) == -1
    assert cohen_kappa([1, 1, 0, 0], [1, 0, 1, 0]) == 0
    assert np.isnan(cohen_kappa([1, 1], [1, 1]))  # chance alone would agree
    assert np.isnan(cohen_kappa([1, -1], [-1, 1]))
    assert np.isnan(fleiss_kappa(np.full((3, 3), -1)))


def test_raters_by_author_and_the_last_verdict_counts():
    tables = [
        rater([YES, YES, NO], author="kim", source="one.csv"),
        rater([NO, OPEN, OPEN], author="kim", source="two.csv"),
        rater([NO, YES, NO], author="lee", slabkitTile="r0c0@g.mrc"),
    ]
    by_author = measure_agreement(tables, by="author")
    assert by_author.raters["rater"].tolist() == ["kim", "lee"]
    assert by_author.kappa == 1
    assert not len(by_author.contradictions)
    by_table = measure_agreement(tables)
    assert by_table.raters["rater"].tolist() == ["1", "2", "3"]
    assert by_table.contradictions["slabkitVerdicts"].tolist() == [
        "1=accepted,2=rejected,3=rejected"
    ]
    assert by_table.contradictions["slabkitTile"].tolist() == ["r0c0@g.mrc"]


def test_raters_with_nothing_in_common():
    with pytest.warns(SlabkitWarning, match=r"no pick was decided by all raters \(kim, lee\)"):
        result = measure_agreement({"kim": rater([YES]), "lee": label_table((1, YES))})
    assert np.isnan(result.kappa)
    assert result.pairs["picks"].tolist() == [0]
    with pytest.warns(SlabkitWarning, match="no pick"):
        assert not measure_agreement([label_table(), label_table()]).raters["picks"].any()


def test_refusals():
    one = rater([YES])
    for tables, by, message in (
        ([], None, "no label table"),
        ([one], None, "needs two raters or more, and there is 1; --by author, round or source"),
        ([one, one], "author", "2 of 2 labels have no author; `slabkit label --author`"),
        ([one], "name", "told by author, round, source, not by 'name'"),
    ):
        with pytest.raises(InputError, match=message):
            measure_agreement(tables, by)
