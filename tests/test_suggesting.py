"""What to label next: posteriors by hand, the order, and fewer labels than at random."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from curation_tables import NO, OPEN, YES, label_table

from slabkit.arrays.tiling import GalleryLayout
from slabkit.curation import corrected_odds, suggest_labels
from slabkit.curation.corrected_odds import CorrectedOdds
from slabkit.curation.suggesting import best_acceptance, label_posterior
from slabkit.errors import InputError, SlabkitWarning
from slabkit.formats.picks.reading import read_picks
from slabkit.formats.tables.native import (
    PickList,
    read_labels,
    read_minislabs,
    write_labels,
    write_minislabs,
    write_picks,
)
from slabkit.formats.volumes.mrc import read_image, write_mrc
from slabkit.labels import candidate_probability, particle_probability, score_family
from slabkit.minislabs.galleries import gallery_set_id, geometry_table, minislab_table
from slabkit.review.listing import join_picks, read_listing
from slabkit.review.ordering import suggested_order
from slabkit.tables import LABELS, PICKS, TOMOGRAMS, empty_table, make_table


def candidates(classes=None, scores=None, count=None):
    count = len(classes if classes is not None else scores)
    table = pd.DataFrame({"slabkitPickId": [f"p{i}" for i in range(count)]})
    if classes is not None:
        table["slabkitClass"] = [str(name) for name in classes]
    if scores is not None:
        table["slabkitScore"] = np.asarray(scores, dtype=float)
    return table


def test_the_share_of_a_class_is_a_beta_distribution():
    table = candidates([1] * 10 + [2] * 10 + [3] * 20)
    labels = label_table(*[(i, YES) for i in range(4)], *[(i, NO) for i in range(10, 14)])
    found = label_posterior(table, labels)
    # A class starts from 1/2, worth two labels: one class of four is all right, one all wrong.
    mean = found.probability
    assert mean[:4].tolist() == [1] * 4
    assert mean[10:14].tolist() == [0] * 4
    np.testing.assert_allclose(mean[4:10], 5 / 6, atol=1e-6)
    np.testing.assert_allclose(mean[14:20], 1 / 6, atol=1e-6)
    np.testing.assert_allclose(mean[20:], 1 / 2, atol=1e-6)
    np.testing.assert_allclose((found.accepted + found.rejected), [6, 6, 2])


def test_labels_of_uncertain_classes_do_not_make_all_uncertain():
    # All labels are in class 1, a tenth of the picks; the rest starts from between, not from 1.
    table = candidates([1] * 10 + [2] * 90)
    found = label_posterior(table, label_table(*[(i, YES) for i in range(10)]))
    assert 0.5 < found.probability[50] < 0.75


def test_scores_count_within_classes():
    random = np.random.default_rng(0)
    scores = random.normal(size=300)
    table = candidates([i % 3 for i in range(300)], scores)
    labels = label_table(*[(i, YES if scores[i] > 0.5 else NO) for i in range(150)])
    mean = label_posterior(table, labels).probability
    assert mean[150:][scores[150:] > 0.7].min() > mean[150:][scores[150:] < 0].max()
    alone = label_posterior(candidates(scores=scores), labels).probability
    assert alone[150:][scores[150:] > 1].min() > 0.7 > 0.3 > alone[150:][scores[150:] < 0].max()


def test_the_accepted_list_has_the_best_f_beta_to_be_expected():
    random = np.random.default_rng(1)
    for _ in range(20):
        probability = random.beta(0.4, 0.8, 12)
        accepted, expected = best_acceptance(probability, 4)
        order = np.argsort(-probability)
        tried = [
            17 * probability[order[:k]].sum() / (k + 16 * probability.sum()) for k in range(1, 13)
        ]
        assert expected == pytest.approx(max(tried))
        assert set(np.flatnonzero(accepted)) == set(order[: np.argmax(tried) + 1])
    assert not best_acceptance(np.zeros(3), 4)[0].any()


def test_what_is_sure_is_not_shown_first():
    # Class 1 is all right, class 2 all wrong, class 3 not known: of as many picks each.
    table = candidates([1] * 60 + [2] * 60 + [3] * 60)
    labels = label_table(*[(i, YES) for i in range(20)], *[(i, NO) for i in range(60, 80)])
    # With beta 1 a class is accepted from about a half on, and class 3 may be on either side.
    order = suggest_labels(table, labels, count=12, beta=1).order
    assert order["slabkitClass"].tolist() == ["3"] * 12
    assert order["slabkitSuggestion"].tolist() == list(range(1, 13))
    assert not set(order["slabkitPickId"]) & set(labels["slabkitPickId"])


def test_the_first_labels_go_to_all_large_classes():
    table = candidates(np.repeat(np.arange(8), [40, 40, 40, 40, 40, 40, 40, 2]))
    first = suggest_labels(table, count=14).order
    assert first["slabkitClass"].value_counts().to_dict() == {str(i): 2 for i in range(7)}


def test_within_a_class_scores_and_tomograms_are_spread():
    table = candidates([1] * 90 + [2] * 90, list(np.arange(90.0)) * 2)
    rows = suggest_labels(table, count=60).order
    one = rows[rows["slabkitClass"] == "1"]["slabkitScore"]
    assert one.min() < 15
    assert one.max() > 75
    table = candidates([1] * 90 + [2] * 90).assign(
        slabkitTomogram=[f"t{i // 10}" for i in range(180)]
    )
    rows = suggest_labels(table, count=18).order
    assert rows["slabkitTomogram"].nunique() >= 14


def test_the_order_of_rows_does_not_matter_but_for_ties():
    random = np.random.default_rng(0)
    table = candidates(random.integers(0, 5, 100), random.normal(size=100))
    labels = label_table(*[(int(i), YES if i % 3 else NO) for i in random.permutation(100)[:20]])
    first = suggest_labels(table, labels, count=30).order
    shuffled = table.sample(frac=1, random_state=3, ignore_index=True)
    assert set(suggest_labels(shuffled, labels, count=30).order["slabkitPickId"]) == set(
        first["slabkitPickId"]
    )


def test_decisions_keep_what_people_said():
    table = candidates([1] * 10 + [2] * 10)
    labels = label_table((0, NO), (1, YES), (2, YES), (3, YES), (10, NO), (11, NO), (12, NO),
                         (13, OPEN), ("other", YES), (0, YES), author="kim")  # fmt: skip
    found = suggest_labels(table, labels, count=1, beta=1)
    decisions = found.decisions.set_index("slabkitPickId")
    assert sorted(decisions.index) == sorted(table["slabkitPickId"])
    assert decisions.loc["p0", "slabkitDecision"] == YES  # the last word
    said = decisions[decisions["slabkitAuthor"] == "kim"]
    assert sorted(said.index) == ["p0", "p1", "p10", "p11", "p12", "p2", "p3"]
    inferred = decisions[decisions["slabkitSource"] == "propagated"]
    assert (inferred.loc[[f"p{i}" for i in range(4, 10)], "slabkitDecision"] == YES).all()
    assert (inferred.loc[[f"p{i}" for i in range(13, 20)], "slabkitDecision"] == NO).all()
    assert inferred["slabkitScore"].between(0, 1).all()
    assert found.labelled == 7


def world(seed, picks=900, classes=24):
    """Classes of very different size and purity, and scores that tell a little."""
    random = np.random.default_rng(seed)
    purity = random.beta(0.18, 0.52, classes)
    number = random.choice(classes, picks, p=random.dirichlet(np.full(classes, 1.5)))
    right = random.random(picks) < purity[number]
    return candidates(number, random.normal(right.astype(float), 1.0)), right


def f4(decisions, table, right):
    said = dict(zip(decisions["slabkitPickId"], decisions["slabkitDecision"] == YES, strict=True))
    accepted = np.array([said[name] for name in table["slabkitPickId"]])
    return 17 * (accepted & right).sum() / (accepted.sum() + 16 * right.sum())


def labels_needed(table, right, goal, chosen):
    """Label 30 at a time until F4 is the goal; ``chosen`` is None or an order of rows."""
    truth = dict(zip(table["slabkitPickId"], right, strict=True))
    names: list[str] = []
    while True:
        labels = label_table(*[(name, YES if truth[name] else NO) for name in names])
        found = suggest_labels(table, labels, count=30)
        if f4(found.decisions, table, right) >= goal or len(names) >= 600:
            return len(names)
        more = found.order["slabkitPickId"] if chosen is None else chosen[len(names) :][:30]
        names += list(more)


@pytest.mark.filterwarnings("ignore::slabkit.errors.SlabkitWarning")
def test_fewer_labels_than_at_random_reach_a_given_f4():
    needed = []
    for seed in range(6):
        table, right = world(seed)
        order = table["slabkitPickId"].sample(frac=1, random_state=seed).tolist()
        needed.append([labels_needed(table, right, 0.94, one) for one in (None, order)])
    suggested, at_random = np.mean(needed, axis=0)
    assert suggested < 0.8 * at_random, needed


def beforehand(seed=0, picks=900, classes=24):
    """The same world, and what is known beforehand: too low by 1, and twice as sure as it is."""
    table, right = world(seed, picks, classes)
    score = table.pop("slabkitScore")
    odds = 2 * (score - 0.5) - 1.8
    return table.assign(slabkitProbability=1 / (1 + np.exp(-odds))), right


def labels_of(rows, right):
    return label_table(*[(int(row), YES if right[row] else NO) for row in rows])


def test_without_labels_the_probability_beforehand_decides():
    table, _ = beforehand()
    found = suggest_labels(table, count=20)
    known = table["slabkitProbability"].to_numpy()
    decisions = found.decisions.set_index("slabkitPickId").loc[table["slabkitPickId"]]
    np.testing.assert_allclose(decisions["slabkitScore"], known, atol=1e-12)
    accepted, expected = best_acceptance(known, 4)
    assert ((decisions["slabkitDecision"] == YES) == accepted).all()
    assert found.expected_f_beta == pytest.approx(expected)
    assert (found.order["slabkitGain"] > 0).all()


@pytest.mark.parametrize("model", [False, True])
def test_labels_correct_the_odds_as_a_normal_distribution_of_all_would(model):
    table, right = beforehand(1, 200, 9)
    verdict = np.full(200, -1)
    rows = np.random.default_rng(0).choice(200, 60, replace=False)
    verdict[rows] = right[rows]
    classes = table["slabkitClass"].astype(int).to_numpy()
    told = np.random.default_rng(1).uniform(0.02, 0.98, 200) if model else None
    prior = table["slabkitProbability"].to_numpy()
    found = CorrectedOdds.learn(prior, classes, verdict, told)
    # Rasmussen and Williams 2006, Gaussian Processes for Machine Learning, section 3.4.
    prior = np.log(prior / (1 - prior))
    along = (prior - np.median(prior)) / 2
    shift, slope, own = corrected_odds._SHIFT, corrected_odds._SLOPE, corrected_odds._CLASS
    kernel = shift**2 + slope**2 * np.outer(along, along)
    kernel += own**2 * (classes[:, None] == classes)
    start = prior * np.sqrt(1 + np.pi / 8 * np.diag(kernel))
    if told is not None:
        evidence = np.log(told / (1 - told)) - np.log(told.mean() / (1 - told.mean()))
        kernel += corrected_odds._EVIDENCE**2 * np.outer(evidence, evidence)
        start += corrected_odds._USUAL * evidence
    near = kernel[np.ix_(rows, rows)]
    odds = start[rows]
    for _ in range(50):
        share = 1 / (1 + np.exp(-odds))
        weight = share * (1 - share)
        side = weight * (odds - start[rows]) + right[rows] - share
        odds = start[rows] + near @ np.linalg.solve(np.eye(60) + weight[:, None] * near, side)
    share = 1 / (1 + np.exp(-odds))
    mean = start + kernel[:, rows] @ (right[rows] - share)
    inside = np.linalg.inv(near + np.diag(1 / (share * (1 - share))))
    covariance = kernel - kernel[:, rows] @ inside @ kernel[rows]
    every = np.arange(200)
    np.testing.assert_allclose(found.mean, mean, atol=1e-4)
    np.testing.assert_allclose(found.known.covariance(every, every), covariance, atol=1e-4)
    np.testing.assert_allclose(found.known.variance(every), np.diag(covariance), atol=1e-4)


def test_a_label_tells_most_of_its_class_and_something_of_all():
    table = candidates([1] * 20 + [2] * 20).assign(slabkitProbability=0.3)
    none = suggest_labels(table, count=1).decisions["slabkitScore"].to_numpy()
    labels = label_table(*[(i, NO) for i in range(6)])
    found = suggest_labels(table, labels, count=20).decisions
    after = found.set_index("slabkitPickId")["slabkitScore"]
    assert after["p10"] < after["p30"] < none[0] - 0.05


def test_a_model_counts_as_much_as_its_labels_bear_it_out():
    """Beside qualities that say nothing, one that is right decides, and one that is wrong does not.

    What it says of labelled picks is that of models which had not seen them.
    """
    random = np.random.default_rng(4)
    right = random.random(400) < 0.3
    table = candidates(["1"] * 400).assign(slabkitProbability=0.3)
    good = 1 / (1 + np.exp(-random.normal(np.where(right, 2, -2), 1.5)))
    labels = labels_of(range(0, 400, 5), right)
    open_ = np.arange(400) % 5 > 0

    def loss(told):
        one = table if told is None else table.assign(slabkitPredicted=told)
        found = suggest_labels(one, labels).decisions.set_index("slabkitPickId")["slabkitScore"]
        share = found[table["slabkitPickId"][open_]].to_numpy().astype(float)
        return -np.log(np.where(right[open_], share, 1 - share)).mean()

    none = loss(None)
    assert loss(good) < 0.5 * none
    assert loss(random.permutation(good)) < 1.05 * none
    # Unknown of all is as without, and without a label it already counts.
    assert loss(np.full(400, np.nan)) == pytest.approx(none)
    labels = label_table()
    assert loss(good) < 0.8 * loss(None)


def test_probabilities_of_other_order_and_missing_ones():
    table, right = beforehand()
    table.loc[5:9, "slabkitProbability"] = np.nan
    labels = labels_of(range(0, 60, 2), right)
    first = suggest_labels(table, labels, count=30)
    shuffled = table.sample(frac=1, random_state=3, ignore_index=True)
    again = suggest_labels(shuffled, labels, count=30)
    pd.testing.assert_frame_equal(first.order, again.order)
    assert first.decisions["slabkitScore"].between(0, 1).sum() == 870
    with pytest.raises(InputError, match="slabkitProbability: needs values from 0 to 1"):
        suggest_labels(table.assign(slabkitProbability=1.5))
    with pytest.raises(InputError, match="slabkitProbability: needs values from 0 to 1"):
        suggest_labels(table.assign(slabkitProbability=np.nan))


def test_refusals_and_warnings():
    table = candidates([1, 1, 2])
    with pytest.raises(InputError, match="neither classes nor scores"):
        suggest_labels(table[["slabkitPickId"]])
    with pytest.raises(InputError, match="'p0' appears in rows 1, 2"):
        suggest_labels(table.assign(slabkitPickId="p0").iloc[:2])
    with pytest.raises(InputError, match="must be 1 or more, not 0"):
        suggest_labels(table, count=0)
    with pytest.raises(InputError, match="beta must be a positive number"):
        suggest_labels(table, beta=np.nan)
    with pytest.warns(SlabkitWarning, match="only 3 minislabs have no label yet, and 10 were"):
        assert len(suggest_labels(table, count=10).order) == 3
    with pytest.warns(SlabkitWarning, match="none of the 1 labels decides"):
        suggest_labels(table, label_table(("x", YES)), count=1)
    with pytest.warns(SlabkitWarning, match="all minislabs have labels"):
        done = suggest_labels(table, label_table((0, YES), (1, NO), (2, NO)), count=1)
    assert done.decisions["slabkitDecision"].tolist() == [YES, NO, NO]
    with pytest.warns(SlabkitWarning, match="only 0 minislabs"):
        assert not len(suggest_labels(table.iloc[:0], empty_table(LABELS)).order)


LAYOUT = GalleryLayout(20, 2, 3)


@pytest.fixture
def project(tmp_path):
    """Ten minislabs in two galleries, each tile of one value about its own number; classes."""
    names, tilts = [f"p{i}" for i in range(10)], np.zeros(10)
    random = np.random.default_rng(0)
    tiles = random.normal(size=(10, 20, 20)).astype(np.float32)
    for number in range(2):
        part = tiles[number * 6 : number * 6 + 6]
        write_mrc(tmp_path / f"g{number}.mrc", LAYOUT.assemble(part), 10.0, label="test")
    name = gallery_set_id(LAYOUT, 10, names, tilts)
    table = minislab_table(
        LAYOUT, galleries=["g0.mrc", "g1.mrc"], pick_ids=names, tomograms=["a"] * 10, tilts=tilts,
        inside_fraction=np.ones(10), set_id=name, centres=np.zeros((10, 3)),
    )  # fmt: skip
    geometry = geometry_table(
        LAYOUT, tiles=10, pixel_size=10, box=200, depth=300, contrast="dark", set_id=name
    )
    write_minislabs(tmp_path / "m.star", table, geometry)
    classes = [1, 1, 1, 1, 2, 2, 2, 2, 2, 2]
    write_minislabs(tmp_path / "classified.star", table.assign(
        rlnClassNumber=classes, rlnMaxValueProbDistribution=0.9), geometry)  # fmt: skip
    picks = make_table(PICKS, {
        "slabkitPickId": names, "slabkitTomogram": "a", "slabkitX": 0.0, "slabkitY": 0.0,
        "slabkitZ": np.arange(10.0), "slabkitScore": np.arange(10.0),
    })  # fmt: skip
    write_picks(tmp_path / "p.star", PickList(picks, make_table(
        TOMOGRAMS, {"slabkitTomogram": ["a"]})))  # fmt: skip
    (tmp_path / "kim.csv").write_text("pick_id,decision\np0,accepted\np1,accepted\np2,accepted\n")
    return tmp_path


def test_command(slabkit, project):
    slabkit("label", "kim.csv", "--minislabs", "m.star", "--author", "kim", "-o", "kim.star",
            "--quiet")  # fmt: skip
    done = slabkit(
        "suggest", "m.star", "--classified", "classified.star", "--labels", "kim.star",
        "-n", 4, "-o", "next.star", "--decide", "all.star", "--gallery", "next", "--json",
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert (found["minislabs"], found["labelled"], found["suggested"]) == (10, 3, 4)
    rows, _ = read_minislabs(project / "next.star")
    assert not set(rows["slabkitPickId"]) & {"p0", "p1", "p2"}
    assert len(read_labels(project / "all.star")) == 10
    again = slabkit("suggest", "m.star", "--classified", "classified.star", "--labels", "all.star",
                    "-n", 4, "-o", "again.star", "--json")  # fmt: skip
    assert "7 labels are predictions, not of people" in again.stderr
    assert json.loads(again.stdout)["labelled"] == 3
    assert read_minislabs(project / "again.star")[0].equals(rows)
    # The tiles are those of the picks, in the order suggested, and their labels come back.
    shown, _ = read_minislabs(project / "next" / "minislabs.star")
    assert shown["slabkitPickId"].tolist() == rows["slabkitPickId"].tolist()
    now = LAYOUT.disassemble(read_image(project / shown["rlnMicrographName"][0])[0])
    for number, row in enumerate(rows.itertuples()):
        old = LAYOUT.disassemble(read_image(project / row.rlnMicrographName)[0])
        tile = old[row.slabkitTileRow * LAYOUT.columns + row.slabkitTileColumn]
        assert np.corrcoef(tile.ravel(), now[number].ravel())[0, 1] > 0.999
    gallery = Path(shown["rlnMicrographName"][0]).name
    (project / "lee.csv").write_text(f"gallery,row,column,decision\n{gallery},0,1,rejected\n")
    # Given with the table of all minislabs, they would land on another particle.
    refused = slabkit("label", "lee.csv", "--minislabs", "m.star", "-o", "l.star", code=2).stderr
    assert f"'{gallery}' (the minislabs have 'g0.mrc')" in refused
    slabkit("label", "lee.csv", "--minislabs", "next/minislabs.star", "-o", "lee.star")
    labels = read_labels(project / "lee.star")
    decided = labels[labels["slabkitDecision"] == NO]["slabkitPickId"].tolist()
    assert decided == [rows["slabkitPickId"][1]]
    slabkit("curate", "p.star", "all.star", "-o", "c.star")
    by_score = slabkit("suggest", "m.star", "--picks", "p.star", "-n", 3, "-o", "s.star", "--json")
    assert json.loads(by_score.stdout)["suggested"] == 3


def test_command_with_class_quality_and_scores(slabkit, project):
    # Both tell: class 1 is good and its picks have low scores, class 2 is poor.
    listed = read_picks(project / "p.star")
    scored = listed.picks.assign(
        slabkitScore=[9.0, 8.0, 2.0, 2.0, 9.0, 2.0, 1.0, 1.0, 1.0, 1.0],
        slabkitScoreKind="blob-rims",
        slabkitZConfidence=[0.99, 0.43, np.nan, 0.0, 0.9, 0.99, 0.99, 0.7, np.nan, 0.99],
    )
    write_picks(project / "blobs.star", PickList(scored, listed.tomograms))
    qualities = "data_classes\n\nloop_\n_rlnClassNumber #1\n_slabkitQuality #2\n1 0.8\n{} 0.1\n"
    (project / "classes.star").write_text(qualities.format(2))
    ask = ("suggest", "m.star", "--classified", "classified.star", "--picks", "blobs.star", "-n", 3)
    slabkit(*ask, "-o", "next.star", "--decide", "all.star")
    decided = read_labels(project / "all.star").set_index("slabkitPickId")
    names = [f"p{i}" for i in range(10)]
    quality = np.array([0.8] * 4 + [0.1] * 6)
    score = scored["slabkitScore"].to_numpy()
    depth = scored["slabkitZConfidence"].to_numpy()
    expected = np.maximum(candidate_probability(quality, score, "blob", depth), 1e-4)
    np.testing.assert_allclose(decided.loc[names, "slabkitScore"], expected, atol=1e-6)
    accepted = decided.index[decided["slabkitDecision"] == YES]
    assert set(accepted) >= {"p0", "p1"}
    assert not set(accepted) & {"p6", "p7", "p8", "p9"}
    # The review page has the same order.
    listing = read_listing(str(project / "m.star"), str(project / "classified.star"))
    join_picks(listing, str(project / "blobs.star"))
    order, shown, _ = suggested_order(listing, empty_table(LABELS), 4.0)
    suggested, _ = read_minislabs(project / "next.star")
    assert listing.ids[order[:3]].tolist() == suggested["slabkitPickId"].tolist()
    np.testing.assert_allclose(shown, expected, atol=1e-6)
    # Without the list its quality alone tells, and without qualities the list; qualities of other
    # classes are not used, as is said.
    slabkit(*ask[:4], "-o", "by_class.star", "--decide", "by_class_all.star", "--beta", "1")
    decided = read_labels(project / "by_class_all.star").set_index("slabkitPickId")
    np.testing.assert_allclose(decided.loc[names, "slabkitScore"], quality, atol=1e-6)
    (project / "classes.star").write_text(qualities.format(3))
    said = slabkit(*ask, "-o", "other.star", "--decide", "other_all.star").stderr
    assert "classes.star: is of another classification" in " ".join(said.split())
    decided = read_labels(project / "other_all.star").set_index("slabkitPickId")
    expected = candidate_probability(np.full(10, np.nan), score, "blob", depth)
    expected = np.maximum(expected, 1e-4)
    np.testing.assert_allclose(decided.loc[names, "slabkitScore"], expected, atol=1e-6)


def test_scores_of_one_family():
    assert score_family(["blob-rims", "blob-laplacian"]) == "blob"
    assert score_family(["template"]) == "template"
    assert score_family(["template-3d"]) == "template-3d"
    for kinds in (
        [],
        [""],
        ["template", "template-3d"],
        ["blob-rims", "template"],
        ["blob-rims", ""],
    ):
        assert score_family(kinds) is None


def test_what_is_known_beforehand():
    score = np.array([2.0, 2.5, 3.0, 4.0, 6.0, 12.0])
    for kind in ("blob", "template", "template-3d"):
        for quality in (np.full(6, 0.05), np.full(6, 0.5), np.full(6, np.nan)):
            assert (np.diff(candidate_probability(quality, score, kind)) > 0).all()
    quality, middle = np.full(6, 0.5), np.full(6, 0.93)
    usual, plain = candidate_probability(quality, score), particle_probability(quality, score)
    above = plain > 0.1
    np.testing.assert_allclose(usual[above], plain[above])
    assert (usual[~above] < plain[~above]).all()
    assert above.tolist() == [False] * 2 + [True] * 4
    np.testing.assert_allclose(candidate_probability(quality, score, "blob", middle), usual)
    for depth, sign in ((0.99, 1), (0.5, -1)):
        given = np.full(6, depth)
        assert (sign * (candidate_probability(quality, score, "blob", given) - usual) > 0).all()
        told = candidate_probability(quality, score, "template", given)
        np.testing.assert_array_equal(told, particle_probability(quality, score, "template"))


def test_no_minislabs_are_an_empty_result(slabkit, project):
    table, geometry = read_minislabs(project / "m.star")
    write_minislabs(project / "none.star", table.iloc[:0], geometry)
    rows = label_table((0, YES)).assign(slabkitProbability_a=0.9, slabkitProbability_none=0.1)
    write_labels(project / "predicted.star", rows)
    done = slabkit(
        "suggest", "none.star", "--predicted", "predicted.star", "-o", "x.star", "--json"
    )
    assert json.loads(done.stdout)["suggested"] == 0
    assert "only 0 minislabs" in " ".join(done.stderr.split())
    assert not len(read_minislabs(project / "x.star")[0])


def test_command_refusals(slabkit, project):
    (project / "no.star").write_text("data_particles\n\nloop_\n_slabkitPickId #1\np0\n")
    other = (project / "p.star").read_text().replace("p0", "q0")
    for number in range(1, 10):
        other = other.replace(f"p{number}\t", f"q{number}\t")
    (project / "other.star").write_text(other)
    before = sorted(project.rglob("*"))
    for arguments, message in (
        (("m.star",), "give --classified, --picks or both"),
        (("m.star", "--classified", "no.star"), "has no classes"),
        (("m.star", "--picks", "other.star"), "has none of the picks of the minislabs"),
        (("p.star", "--picks", "p.star"), "no block data_particles"),
        (("m.star", "--picks", "p.star", "--labels", "m.star"), "no block data_labels"),
        (("m.star", "--picks", "p.star", "--decide", "x.star"), "--decide is an input or -o"),
        (("m.star", "--picks", "p.star", "--beta", "0"), "beta must be a positive number"),
    ):
        done = slabkit("suggest", *arguments, "-o", "x.star", code=2)
        assert message in done.stderr, done.stderr
    assert sorted(project.rglob("*")) == before
