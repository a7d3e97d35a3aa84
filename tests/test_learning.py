"""Species from labels: invariant comparisons, calibration, models in folders, the commands."""

from __future__ import annotations

import json
import shutil
import sys

import mrcfile
import numpy as np
import pandas as pd
import pytest
from curation_tables import NO, OPEN, YES, label_table, pick_table

from slabkit.arrays.boxes import cut_boxes, cut_images
from slabkit.curation import curate_picks, suggest_labels
from slabkit.errors import FormatError, InputError, MissingDependencyError, SlabkitWarning
from slabkit.formats.models import read_model, write_model
from slabkit.formats.picks.reading import read_picks
from slabkit.formats.tables.native import (
    read_labels,
    read_minislabs,
    read_native_picks,
    write_labels,
    write_minislabs,
)
from slabkit.formats.volumes.mrc import write_mrc
from slabkit.labels import candidate_probability
from slabkit.learning import learn_species, predict_species
from slabkit.learning.harmonics import PLANES, SIDE, Components, similarities, transform
from slabkit.learning.judging import (
    best_thresholds,
    calibrated,
    fit_calibration,
    judge,
    named,
    pooled,
)
from slabkit.learning.packing import pack_model, unpack_model
from slabkit.learning.regression import fit_regression, logits_of, softmax
from slabkit.learning.scaling import relative_scores, scores_alone, weighed
from slabkit.learning.suggesting import choose_by_probability, label_gains
from slabkit.scoring import match_picks, score_picks
from slabkit.steps.learn import labelled_species, warn_of_no_rejection
from slabkit.tables import ROTATION, recorded_labels
from slabkit.tomogram import Tomogram, TomogramVoxels

SHAPES = {  # places (z, y, x) of Gaussian lumps, in samples from the centre
    "ball": [(0, 0, 0)],
    "dumbbell": [(0, -5, 0), (0, 5, 0)],
    "hand": [(-1, 0, -5), (0, 4, 1), (1, -3, 4)],
}


def boxes_of(shape, angles, mirrored=False, noise=0.0, seed=0):
    """Boxes with lumps, turned about z."""
    random = np.random.default_rng(seed)
    z = 2.0 * (np.arange(PLANES) - PLANES // 2)[:, None, None]
    y, x = np.meshgrid(*[np.arange(SIDE) - SIDE // 2] * 2, indexing="ij")
    boxes = np.zeros((len(angles), PLANES, SIDE, SIDE), dtype=np.float32)
    for box, angle in zip(boxes, angles, strict=True):
        for dz, dy, dx in SHAPES.get(shape, ()):
            dx = -dx if mirrored else dx
            to_y = dy * np.cos(angle) + dx * np.sin(angle)
            to_x = dx * np.cos(angle) - dy * np.sin(angle)
            box += np.exp(-((z - dz) ** 2 + (y - to_y) ** 2 + (x - to_x) ** 2) / 18)
        box += noise * random.normal(size=box.shape)
    return boxes


class Held:
    """Boxes in an array."""

    def __init__(self, boxes):
        self.boxes = boxes

    def __len__(self):
        return len(self.boxes)

    def read(self, numbers):
        return self.boxes[numbers]


def test_boxes_are_cut_where_they_are_asked_for():
    z, y, x = np.meshgrid(*map(np.arange, (20, 30, 40)), indexing="ij")
    volume = (z + 10.0 * y + 100.0 * x).astype(np.float32)
    voxels = TomogramVoxels(Tomogram("a", volume, 10.0))
    (box,) = cut_boxes(voxels, np.array([[9.25, 15.5, 20.75]]), (3, 5, 5), (2, 1, 1))
    at = [np.arange(n) - n // 2 for n in (3, 5, 5)]
    expected = (
        9.25 + 2 * at[0][:, None, None]
        + 10 * (15.5 + at[1][:, None])
        + 100 * (20.75 + at[2])
    )  # fmt: skip
    np.testing.assert_allclose(box, expected, rtol=1e-6)
    # Beyond the volume its edge is repeated.
    (out,) = cut_boxes(voxels, np.array([[-50.0, 15, 20]]), (3, 5, 5), (2, 1, 1))
    np.testing.assert_array_equal(out[0], out[2])
    np.testing.assert_allclose(cut_images(volume[:1, :, :30], 5, 1)[0, 2, 2], 10 * 15 + 100 * 15)


def test_rotation_and_mirroring_change_no_similarity():
    turned = [k * np.pi / 12 for k in (0, 3, 7, 20)]  # of the rotations that are compared
    many = [boxes_of(shape, turned) for shape in SHAPES]
    components = Components.fit(transform(np.concatenate(many)))
    hands = components.describe(transform(many[2]))
    mirrored = components.describe(transform(boxes_of("hand", turned, mirrored=True)))
    others = components.describe(transform(many[1]))
    np.testing.assert_allclose(similarities(hands, hands), 1, atol=0.01)
    np.testing.assert_allclose(similarities(mirrored, hands), 1, atol=0.01)
    assert similarities(others, hands).max() < 0.9
    # Rings of rotated boxes differ by phases only.
    power = np.abs(transform(many[2])).astype(float)
    np.testing.assert_allclose(power, np.broadcast_to(power[:1], power.shape), atol=0.02)


def test_the_regression_is_the_one_that_everybody_fits():
    random = np.random.default_rng(0)
    x, codes = random.normal(size=(300, 4)), random.integers(0, 3, 300)
    x[:, 0] += codes
    weights = fit_regression(x, codes, 3, 1.0)
    # At the minimum the gradient of loss and penalty is zero.
    from slabkit.learning.regression import balanced

    error = (softmax(logits_of(x, weights)) - np.eye(3)[codes]) * balanced(codes, 3)[:, None]
    np.testing.assert_allclose(x.T @ error + weights[:-1], 0, atol=0.3)
    assert (logits_of(x, weights).argmax(axis=1) == codes).mean() > 0.5


def test_calibration_makes_probabilities_true():
    random = np.random.default_rng(1)
    logits = random.normal(size=(6000, 3)) * 2
    codes = np.array([random.choice(3, p=row) for row in softmax(logits)])
    wrong = 3 * logits + [1.0, 0, -2]  # far too sure, and of the wrong class
    probability = calibrated(wrong, fit_calibration(wrong, codes))
    expected = judge(probability, codes, ["a", "b", "none"], np.array([0.3, 0.3]), 1.0, 0)
    assert expected.calibration_error < 0.02
    np.testing.assert_allclose(probability, softmax(logits), atol=0.05)
    crude = judge(softmax(wrong), codes, ["a", "b", "none"], np.array([0.3, 0.3]), 1.0, 0)
    assert crude.calibration_error > 0.1
    assert expected.confusion.sum() == 6000


def test_thresholds_are_those_of_the_best_expected_f_beta():
    random = np.random.default_rng(2)
    p = random.beta(0.3, 2, 400)
    (threshold,) = best_thresholds(np.column_stack([p, 1 - p]), 4.0)
    scores = [17 * p[p >= t].sum() / ((p >= t).sum() + 16 * p.sum()) for t in np.sort(p)]
    kept = p >= threshold
    assert 17 * p[kept].sum() / (kept.sum() + 16 * p.sum()) == pytest.approx(max(scores))
    table = np.array([[0.2, 0.3, 0.5], [0.01, 0.02, 0.97]])
    assert named(table, np.array([0.05, 0.2])).tolist() == [0, 2]


def test_scores_are_relative_to_their_tomogram():
    random = np.random.default_rng(5)
    logits = np.column_stack([random.normal(-4, 1, (2, 90)).reshape(180), np.zeros(180)])
    clean, noisy = np.arange(5), 90 + np.arange(5)
    logits[clean, 0], logits[noisy, 0] = [6.0, 5, 7, 6, 6], [1.0, 0.5, 1.5, 1, 1]
    owner = np.repeat([0, 1], 90)
    alone, usual = relative_scores(logits[:90], owner[:90])
    assert np.median(alone) == pytest.approx(0, abs=1e-12)
    assert np.sort(alone[:, 0])[-3:].mean() == pytest.approx(1)
    both, _ = relative_scores(logits, owner, usual)
    np.testing.assert_allclose(both[clean], alone[clean])
    assert both[noisy].min() > 0.85
    assert np.delete(both, [*clean, *noisy]).max() < 0.7
    few, _ = relative_scores(logits[6:9], owner[6:9], usual)  # no particle among them
    assert few.max() < 0.5
    told = weighed(logits, both, np.zeros((180, 0)))
    np.testing.assert_allclose(logits_of(told, scores_alone(2)), logits, atol=1e-9)


def test_joined_scores_are_no_worse_than_what_is_joined():
    random = np.random.default_rng(8)
    codes = random.integers(0, 3, 300)
    features = np.eye(3)[codes] + random.normal(0, 1, (2, 300, 3))
    told = np.hstack(features)
    ways = []
    for one in (slice(0, 3), slice(3, 6)):
        weights = np.zeros((7, 3))
        weights[one] = np.eye(3) * (3 if one.start else 0.2)  # too sure, and not sure enough
        ways.append((weights, logits_of(told, weights)))
    weights, logits = pooled(ways, codes)
    np.testing.assert_allclose(logits_of(told, weights), logits, atol=1e-6)

    def loss(values):
        return -np.log(softmax(values)[np.arange(300), codes]).mean()

    fitted = [loss(pooled([way], codes)[1]) for way in ways]
    assert all(after < loss(way[1]) for after, way in zip(fitted, ways, strict=True))
    assert loss(logits) < min(fitted)  # each knows what the other does not


@pytest.fixture(scope="module")
def learned():
    """A model of two shapes and of noise, and the boxes that it was taught."""
    random = np.random.default_rng(3)
    names = ["ball", "hand", "none"] * 40
    boxes = np.concatenate(
        [
            boxes_of(name, [random.uniform(0, 2 * np.pi)], noise=0.4, seed=seed)
            for seed, name in enumerate(names)
        ]
    )
    tomograms = [f"t{k // 30}" for k in range(len(names))]
    kind = {"pixel_size": 10.0}
    said = learn_species(Held(boxes), names, tomograms, kind=kind)
    return said, boxes, names, tomograms


def test_a_model_names_what_it_was_taught_whatever_its_rotation(learned):
    said, *_ = learned
    assert said.model.classes == ["ball", "hand", "none"]
    fresh = [boxes_of(n, [0.3, 1.7, 4.0], noise=0.4, seed=99) for n in ("ball", "hand", "none")]
    probability, code = predict_species(said.model, Held(np.concatenate(fresh)))
    assert probability.argmax(axis=1).tolist() == code.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    assert all(row["f_beta"] > 0.9 for row in said.expected.species)


def test_the_same_seed_gives_the_same_bytes_and_files_hold_a_model(learned, tmp_path):
    said, boxes, names, tomograms = learned
    again = learn_species(Held(boxes), names, tomograms, kind={"pixel_size": 10.0}, jobs=2)
    for folder, model in (("a", said.model), ("b", again.model)):
        write_model(tmp_path / folder, *pack_model(model))
    for file in ("model.json", "arrays.npz"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    back = unpack_model(*read_model(tmp_path / "a"), "a")
    before, after = (predict_species(model, Held(boxes[:9]))[0] for model in (said.model, back))
    np.testing.assert_array_equal(before, after)


def test_damaged_and_dangerous_models_are_refused(learned, tmp_path):
    folder = tmp_path / "model"
    with pytest.raises(InputError, match=r"is no model, it has no model\.json"):
        read_model(folder)
    description, arrays = pack_model(learned[0].model)
    write_model(folder, description, arrays)
    np.savez(folder / "arrays.npz", weights=np.array([{"run": "me"}], dtype=object))
    with pytest.raises(FormatError, match="not a file of arrays of numbers"):
        read_model(folder)
    write_model(folder, description, {**arrays, "weights": arrays["weights"] * np.nan})
    with pytest.raises(FormatError, match="weights does not hold finite numbers"):
        read_model(folder)
    for change in ({"weights": arrays["weights"][1:]}, {"basis_0_1": arrays["basis_0_1"][1:]}):
        write_model(folder, description, {**arrays, **change})
        with pytest.raises(FormatError, match="its parts do not fit together"):
            unpack_model(*read_model(folder), "model")
    del arrays["mean_1"]
    write_model(folder, description, arrays)
    with pytest.raises(FormatError, match=r"damaged or incomplete|do not fit"):
        unpack_model(*read_model(folder), "model")
    (folder / "model.json").write_text("{")
    with pytest.raises(FormatError, match="not well-formed JSON"):
        read_model(folder)


def test_too_few_labels_are_said(learned):
    _, boxes, *_ = learned
    held, tomograms = Held(boxes[:9]), ["a"] * 9
    with pytest.raises(InputError, match="a species needs 3 accepted labels"):
        learn_species(held, ["ball", "", "none"] + [""] * 6, tomograms, kind={})
    with pytest.raises(InputError, match="1 labels say rejected, and 3 are needed"):
        learn_species(held, ["ball"] * 3 + ["none"] + [""] * 5, tomograms, kind={})
    few = ["ball"] * 3 + ["none"] * 3 + ["hand"] * 2 + [""]
    with (
        pytest.warns(SlabkitWarning, match=r"suggested but never named: hand \(2\)"),
        pytest.warns(SlabkitWarning, match="all labels are of one tomogram"),
    ):
        model = learn_species(held, few, tomograms, kind={}).model
    assert model.classes == ["ball", "hand", "none"]
    assert model.thresholds[1] == 1


def test_labels_that_contradict_each_other_are_counted(tmp_path):
    rows = (0, YES), (0, YES), (1, NO), (1, NO), (2, YES), (2, OPEN)
    labels = label_table(*rows, slabkitSpecies=["a", "b", "", "a", "b", ""])
    write_labels(tmp_path / "l.star", labels)
    table = pd.DataFrame({"slabkitPickId": ["p2", "p0", "p1", "p3"]})
    with pytest.warns(SlabkitWarning, match="1 picks have labels that contradict each other; the"):
        assert labelled_species(table, (str(tmp_path / "l.star"),)) == ["b", "b", "none", ""]


def test_a_model_that_rejects_nothing_is_warned_of():
    said = "rejects none of the 29 labelled as no particle: with --beta 4"
    with pytest.warns(SlabkitWarning, match=said):
        warn_of_no_rejection(np.array([[80, 0], [29, 0]]), 4.0)
    warn_of_no_rejection(np.array([[80, 0], [28, 1]]), 4.0)


def test_a_network_needs_pytorch(learned, slabkit, monkeypatch, tmp_path):
    _, boxes, names, tomograms = learned
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        MissingDependencyError, match=r"--network needs PyTorch, .* leave --network"
    ):
        learn_species(Held(boxes), names, tomograms, kind={}, network=True)
    learn = ("learn", "--minislabs", "m.star", "--labels", "l.star", "-o", "m", "--device", "cuda")
    said = slabkit(*learn, cwd=tmp_path, code=2)
    assert "--device says where --network trains" in said.stderr


def test_a_label_is_worth_what_it_may_change():
    probability = np.array([[0.99, 0, 0.01], [0.3, 0, 0.7], [0.0, 0, 1.0], [0.0, 0.5, 0.5]])
    gain = label_gains(probability, np.array([0.1, 0.1]))
    # Accepted anyway: worth what is lost where it is none, 0.1 × (1 - p), of 1.29 or 1 particles.
    np.testing.assert_allclose(gain, [0.001 / 1.29, 0.07 / 1.29, 0, 0.05], atol=1e-12)


def test_the_first_labels_are_doubts_and_the_likeliest_of_each_species_in_turn():
    probability = np.zeros((60, 3))
    probability[:, 0] = np.linspace(0.0, 0.98, 60)  # row 59 is the likeliest of the first species
    probability[20, :2] = 0.3, 0.6  # and row 20 of the second
    probability[:, 2] = 1 - probability[:, :2].sum(axis=1)
    labelled = np.zeros(60, dtype=bool)
    labelled[58] = True
    rows, gains = choose_by_probability(probability, labelled, 6, 4.0)
    assert 59 in rows[:2]  # by worth, of the first species, by worth, of the second
    assert 20 in rows[:4]
    worth = label_gains(probability, best_thresholds(probability, 4.0))
    worth[58] = -1
    assert rows[0] == worth.argmax()
    assert len(set(rows.tolist())) == 6
    assert 58 not in rows
    np.testing.assert_array_equal(gains, worth[rows])
    assert len(choose_by_probability(probability, labelled, 100, 4.0)[0]) == 59


@pytest.mark.parametrize("policy", ["latest", "all", "any", "majority"])
@pytest.mark.parametrize("earlier", [False, True])
def test_a_prediction_never_overrules_a_person(policy, earlier):
    picks = pick_table([OPEN] * 5)
    person = label_table((0, YES), (1, NO), (2, OPEN), author="kim")
    model = label_table((0, NO), (1, YES), (2, YES), (3, NO), source="model:12345678")
    if earlier:  # what the ledger holds counts
        picks = curate_picks(picks, [person], keep="all").kept
        found = curate_picks(picks, [model], policy=policy, keep="all")
    else:
        found = curate_picks(picks, [person, model], policy=policy, keep="all")
    assert found.kept["slabkitDecision"].tolist() == [YES, NO, YES, NO, OPEN]
    assert found.contradictory == 0
    steps = dict(zip(found.funnel["step"], found.funnel["picks"], strict=True))
    assert steps["kept: accepted by prediction"] == steps["kept: rejected by prediction"] == 1
    # Every opinion is in the ledger, under its own name.
    sources = recorded_labels(found.kept)["slabkitSource"].tolist()
    assert sources.count("model:12345678") == 4
    # Another model's opinion replaces the first one's; a person's always.
    other = label_table((0, NO), (3, YES), source="model:00000000")
    last = curate_picks(found.kept, [other], policy=policy, keep="all").kept
    assert last["slabkitDecision"].tolist() == [YES, NO, YES, YES, OPEN]
    kim = label_table((3, NO), author="kim")
    assert curate_picks(last, [kim], keep="all").kept["slabkitDecision"].tolist()[3] == NO


@pytest.mark.parametrize(
    ("kind", "kept"), [("template", [0, 2, 5, 6, 7, 8]), ("blob-rims", [2, 5, 6, 7, 8])]
)
def test_of_predictions_for_one_particle_the_likeliest_stays(kind, kept):
    # 0, 1 and 2 are at 0, 60 and 100 Å; 3 is beside a person's 5, 7 of another species, 8 of
    # another tomogram. A single diameter that is off (of 0) does not count.
    picks = pick_table(
        [OPEN] * 9,
        slabkitX=[0.0, 60, 100, 1000, 1400, 1020, 1410, 1010, 1000],
        slabkitTomogram=["a"] * 8 + ["b"],
        slabkitDiameter=[300.0, *[140] * 8],
        slabkitScoreKind=kind,
    )
    names = ["ball"] * 9
    names[7] = "rod"
    guesses = [(number, YES) for number in (0, 1, 2, 3, 4, 7, 8)]
    model = label_table(
        *guesses,
        source="model:12345678",
        slabkitScore=[0.6, 0.7, 0.8, 0.9, 0.9, 0.2, 0.1],
        slabkitSpecies=[names[number] for number, _ in guesses],
    )
    person = label_table((5, YES), (6, YES), author="kim", slabkitSpecies="ball")
    found = curate_picks(picks, [person, model])
    assert found.kept["slabkitPickId"].tolist() == [f"p{number}" for number in kept]
    gone = found.dropped.set_index("slabkitPickId")
    assert gone.loc["p3", "slabkitReason"].endswith(
        "(predicted, but another pick is of the same particle)"
    )
    assert gone.loc["p3", "slabkitSpecies"] == ""
    assert "note=same+20particle+20as+20p5" in gone.loc["p3", "slabkitLedger"]


def test_the_orientation_of_the_label_that_decides_counts():
    one, other, third = (f"{number}.0,0.0,0.0" * 3 for number in (1, 2, 3))
    picks = pick_table([OPEN] * 4, **{ROTATION: [one, one, "none", "none"]})
    labels = label_table(
        (0, YES), (1, YES), (2, YES), (3, NO), **{ROTATION: [other, "none", third, "none"]}
    )
    with pytest.warns(SlabkitWarning, match="1 picks had another orientation"):
        kept = curate_picks(picks, [labels], keep="all").kept
    assert kept[ROTATION].tolist() == [other, one, third, ""]
    again = curate_picks(kept, [labels.drop(columns=ROTATION)], keep="all").kept
    assert again[ROTATION].tolist() == kept[ROTATION].tolist()


def test_a_decision_without_a_label_counts_as_a_persons():
    model = label_table((0, NO), (1, YES), source="model:12345678")
    kept = curate_picks(pick_table([YES, OPEN]), [model], keep="all").kept
    assert kept["slabkitDecision"].tolist() == [YES, YES]


@pytest.fixture(scope="module")
def project(tour, tmp_path_factory):
    """The tour's minislabs with labels of all picks by their truth, as a CSV."""
    folder = tmp_path_factory.mktemp("learning") / "project"
    shutil.copytree(tour, folder)
    picks = read_native_picks(folder / "picks.star").picks
    truth = read_picks(folder / "tomograms" / "truth.star").picks
    match = match_picks(picks.assign(slabkitSpecies=""), truth)
    species = np.full(len(picks), "", dtype=object)
    species[match["pick"]] = match["species"]
    pd.DataFrame(
        {
            "pick_id": picks["slabkitPickId"],
            "decision": np.where(species == "", "rejected", "accepted"),
            "species": species,
        }
    ).to_csv(folder / "labels.csv", index=False)
    return folder


@pytest.mark.filterwarnings("ignore::slabkit.errors.SlabkitWarning")
def test_labels_as_csv_to_a_named_list(project, slabkit):
    tiles = "minislabs/minislabs.star"
    slabkit("label", "labels.csv", "--minislabs", tiles, "-o", "labels.star", cwd=project)
    given = pd.read_csv(project / "labels.csv", keep_default_na=False).set_index("pick_id")
    labels = read_labels(project / "labels.star").set_index("slabkitPickId")
    assert labels["slabkitSpecies"].to_dict() == given["species"].to_dict()
    assert labels["slabkitDecision"].to_dict() == given["decision"].to_dict()
    learn = ("learn", "--minislabs", tiles, "--labels", "labels.star", "-o")
    said = slabkit(*learn, "model", "--json", cwd=project)
    summary = json.loads(said.stdout)
    assert summary["seen"] == "volumes"
    assert summary["calibration_error"] < 0.05
    page = (project / "model" / "report.html").read_text()
    assert "What is taken for what" in page
    predict = ("predict", tiles, "--model", "model", "-o")
    slabkit(*predict, "predicted.star", cwd=project)
    predicted = read_labels(project / "predicted.star")
    columns = [name for name in predicted.columns if name.startswith("slabkitProbability_")]
    assert "slabkitProbability_ribosome" in columns
    assert columns[-1] == "slabkitProbability_none"
    np.testing.assert_allclose(predicted[columns].astype(float).sum(axis=1), 1, atol=1e-3)
    assert set(predicted["slabkitSource"]) == {summary["model"]}
    slabkit("curate", "picks.star", "predicted.star", "-o", "curated.star", cwd=project)
    curated = read_native_picks(project / "curated.star").picks
    truth = read_picks(project / "tomograms" / "truth.star").picks
    table = score_picks(curated, truth).table.set_index("species")
    for name in ("ribosome", "virus-like-particle"):
        assert table.loc[name, "recall"] >= 0.9
        assert table.loc[name, "precision"] >= 0.7
    # Volumes that are given are held against the pick list that the minislabs name.
    first, *others = sorted(project.glob("tomograms/*.mrc"))
    (project / "other").mkdir()
    write_mrc(project / "other" / first.name, mrcfile.read(first), 8.0, label="other")
    volumes = [word for one in (f"other/{first.name}", *others) for word in ("--tomograms", one)]
    done = slabkit(*predict, "other.star", *volumes, cwd=project, code=2)
    assert "has 8 Å per voxel, " in done.stderr
    # What to label next: what has no label, the model's doubts first, a fifth by score.
    half = given.iloc[: len(given) // 2].reset_index()
    half.to_csv(project / "half.csv", index=False)
    slabkit("label", "half.csv", "--minislabs", tiles, "-o", "half.star", cwd=project)
    ask = ("suggest", tiles, "--model", "model", "--labels", "half.star", "-n", 20)
    slabkit(*ask, "-o", "next.star", "--decide", "decided.star", cwd=project)
    order = read_minislabs(project / "next.star")[0]
    assert not set(order["slabkitPickId"]) & set(half["pick_id"])
    assert order["slabkitGain"].astype(float).is_monotonic_decreasing
    decisions = read_labels(project / "decided.star").set_index("slabkitPickId")
    assert len(decisions) == len(given)
    person = decisions.loc[half["pick_id"]]
    assert not person["slabkitSource"].str.startswith("model:").any()
    assert person["slabkitDecision"].tolist() == half["decision"].tolist()
    slabkit(*ask, "--picks", "picks.star", "-o", "mixed.star", cwd=project)
    mixed = read_minislabs(project / "mixed.star")[0]
    assert len(mixed) == 20
    assert len(set(mixed["slabkitPickId"]) - set(order["slabkitPickId"])) >= 3
    # Without species, model, scores and labels decide together.
    half[["pick_id", "decision"]].to_csv(project / "plain.csv", index=False)
    slabkit("label", "plain.csv", "--minislabs", tiles, "-o", "plain.star", cwd=project)
    only = ("learn", "--minislabs", tiles, "--labels", "plain.star", "--images-only", "-o", "plain")
    slabkit(*only, cwd=project)
    slabkit("predict", tiles, "--model", "plain", "-o", "particles.star", cwd=project)
    join = ("suggest", tiles, "--model", "plain", "--labels", "plain.star", "-n", 20)
    join = (*join, "--picks", "picks.star", "-o", "joined.star", "--decide", "all.star")
    slabkit(*join, cwd=project)
    description = json.loads((project / "plain" / "model.json").read_text())
    held_out = description["held_out"]
    assert sorted(held_out) == sorted(half["pick_id"])
    nothing = read_labels(project / "particles.star").set_index("slabkitPickId")
    nothing = nothing["slabkitProbability_none"].astype(float)
    picks = read_native_picks(project / "picks.star").picks.set_index("slabkitPickId")
    picks = picks.loc[read_minislabs(project / tiles)[0]["slabkitPickId"]].reset_index()

    def told(held_out):
        score, depth = picks["slabkitScore"].to_numpy(), picks["slabkitZConfidence"].to_numpy()
        prior = candidate_probability(np.full(len(picks), np.nan), score, z_confidence=depth)
        ids = picks["slabkitPickId"]
        known = pd.Series(held_out, dtype=float).reindex(ids).fillna(nothing.loc[ids])
        known = known.replace(np.inf, np.nan)
        table = picks[["slabkitPickId", "slabkitTomogram"]].assign(
            slabkitProbability=prior, slabkitPredicted=1 - known.to_numpy()
        )
        return suggest_labels(table, read_labels(project / "plain.star"), count=20)

    def decided():
        return read_labels(project / "all.star").set_index("slabkitPickId")

    expected = told(held_out)
    assert set(decided()["slabkitSource"]) == {"plain.csv", "propagated"}
    share = expected.decisions.set_index("slabkitPickId")["slabkitScore"]
    share = share[expected.decisions["slabkitSource"].to_numpy() == "propagated"]
    np.testing.assert_allclose(decided().loc[share.index, "slabkitScore"], share, atol=1e-3)
    joined = read_minislabs(project / "joined.star")[0].set_index("slabkitPickId")
    assert len(joined) == 20
    wanted = share[joined.index]  # KeyError if one has a label
    np.testing.assert_allclose(joined["slabkitProbability"].astype(float), wanted, atol=1e-3)
    # A model that does not say which labels it had seen is not judged by them.
    del description["held_out"]
    (project / "plain" / "model.json").write_text(json.dumps(description))
    slabkit(*join, "--overwrite", cwd=project)
    share = told(dict.fromkeys(half["pick_id"], np.inf)).decisions.set_index("slabkitPickId")
    share = share["slabkitScore"][share["slabkitSource"] == "propagated"]
    np.testing.assert_allclose(decided().loc[share.index, "slabkitScore"], share, atol=1e-3)
    (project / "plain" / "model.json").write_text(json.dumps({**description, "held_out": [1]}))
    done = slabkit(*join, "--overwrite", cwd=project, code=2)
    assert "is damaged or incomplete; learn the model again" in done.stderr
    # Probabilities of a table do as a model does, and need no volumes.
    ask = ("suggest", tiles, "--predicted", "predicted.star", "-n", 20)
    slabkit(*ask, "--labels", "half.star", "-o", "first.star", cwd=project)
    first = read_minislabs(project / "first.star")[0]["slabkitPickId"]
    assert len(first) == 20
    assert not set(first) & set(half["pick_id"])
    likely = predicted.set_index("slabkitPickId")["slabkitProbability_ribosome"].astype(float)
    likely = likely.drop(half["pick_id"])
    assert likely.idxmax() in set(first)
    for wrong, said in (
        (("--predicted", "half.star"), "has no probabilities of species"),
        (("--predicted", "predicted.star", "--model", "model"), "--model or --predicted, not both"),
    ):
        done = slabkit("suggest", tiles, *wrong, "-o", "no.star", cwd=project, code=2)
        assert said in done.stderr
    # Learned labels are no teachers.
    said = slabkit(
        "learn", "--minislabs", tiles, "--labels", "predicted.star", "-o", "m", cwd=project, code=2
    )
    assert "holds no label of a person" in said.stderr
    # Images alone, twice: the same bytes.
    for name in ("one", "two"):
        slabkit(*learn, name, "--images-only", cwd=project)
        slabkit("predict", tiles, "--model", name, "-o", f"{name}.star", cwd=project)
    for file in ("one/arrays.npz", "one.star"):
        assert (project / file).read_bytes() == (project / file.replace("one", "two")).read_bytes()


@pytest.mark.filterwarnings("ignore::slabkit.errors.SlabkitWarning")
def test_the_order_of_rows_makes_no_other_model(project, slabkit):
    tiles = project / "minislabs" / "minislabs.star"
    slabkit("label", "labels.csv", "--minislabs", tiles, "-o", "in_order.star", cwd=project)
    table, geometry = read_minislabs(tiles)
    assert len(table) > 300  # of which examples are drawn
    random = np.random.default_rng(0)
    shuffled = table.iloc[random.permutation(len(table))].reset_index(drop=True)
    write_minislabs(tiles.with_name("shuffled.star"), shuffled, geometry)
    labels = read_labels(project / "in_order.star")
    write_labels(project / "any_order.star", labels.iloc[random.permutation(len(labels))])
    models = []
    for name, rows, said in (
        ("as_written", "minislabs", "in_order"),
        ("shuffled", "shuffled", "any_order"),
    ):
        learn = ("learn", "--minislabs", tiles.with_name(f"{rows}.star"), "--images-only")
        slabkit(*learn, "--labels", f"{said}.star", "-o", name, cwd=project)
        models.append([file.read_bytes() for file in sorted((project / name).glob("*.np*"))])
    assert models[0]
    assert models[0] == models[1]


@pytest.mark.filterwarnings("ignore::slabkit.errors.SlabkitWarning")
def test_maps_are_kept_with_the_model(project, slabkit):
    tiles = "minislabs/minislabs.star"
    density = np.zeros((24, 24, 24), dtype=np.float32)
    z, y, x = np.meshgrid(*[np.arange(24) - 12] * 3, indexing="ij")
    density[(z / 9) ** 2 + (y / 5) ** 2 + (x / 5) ** 2 < 1] = 1
    write_mrc(project / "rod.mrc", density, 10.0, label="rod")
    slabkit("label", "labels.csv", "--minislabs", tiles, "-o", "m.star", cwd=project)
    learn = ("learn", "--minislabs", tiles, "--labels", "m.star", "--map", "rod=rod.mrc")
    said = slabkit(*learn, "-o", "no", "--images-only", cwd=project, code=2)
    assert "--map is compared with volumes" in said.stderr
    slabkit(*learn, "-o", "maps", cwd=project)
    (project / "rod.mrc").rename(project / "gone.mrc")  # predict does not need it
    slabkit("predict", tiles, "--model", "maps", "-o", "by_maps.star", cwd=project)
    description, arrays = read_model(project / "maps")
    assert description["maps"] == [["rod", 10.0]]
    assert "maps/fit:rod" in description["columns"]
    np.testing.assert_array_equal(arrays["map_0"], density)
    assert len(read_labels(project / "by_maps.star")) == len(pd.read_csv(project / "labels.csv"))


@pytest.mark.filterwarnings("ignore::slabkit.errors.SlabkitWarning")
def test_minislabs_of_another_kind_are_refused(project, slabkit):
    tiles = "minislabs/minislabs.star"
    slabkit("label", "labels.csv", "--minislabs", tiles, "-o", "l.star", cwd=project)
    slabkit(
        "learn", "--minislabs", tiles, "--labels", "l.star", "-o", "i", "--images-only", cwd=project
    )
    assert read_minislabs(project / tiles)[1]["slabkitDepth"].astype(float).tolist() == [300]
    cut = ("minislab", "picks.star", "--stack")
    slabkit(*cut, "--box", "400", "--depth", "200", "-o", "thin", cwd=project)
    slabkit(*cut, "--box", "300", "--depth", "300", "-o", "small", cwd=project)
    slabkit(*cut, "--box", "400", "--depth", "300", "--pixel-size", "20", "-o", "far", cwd=project)
    for folder, message in (
        ("thin", "has a depth of 200 Å, and the model i is of 300.0 Å"),
        ("small", "has boxes of 30 pixels, and the model i is of 40 pixels"),
        ("far", "has pixels of 20 Å, and the model i is of pixels of 10 Å"),
    ):
        table = f"{folder}/minislabs.star"
        said = slabkit("predict", table, "--model", "i", "-o", "p.star", cwd=project, code=2)
        assert message in said.stderr
    assert not (project / "p.star").exists()
