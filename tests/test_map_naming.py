"""Picks named by density maps, without labels."""

from __future__ import annotations

import json
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd
import pytest
from test_map_evidence import VOXEL, density, sample

import slabkit
from slabkit.errors import InputError, SlabkitWarning
from slabkit.learning import map_naming, rotated_maps
from slabkit.learning.map_evidence import MapFits
from slabkit.learning.map_naming import name_by_maps
from slabkit.steps.shared.maps import read_map
from slabkit.tables import ROTATION

__all__ = ["sample"]


def fits(coefficients: np.ndarray, shift: float = 0.0) -> MapFits:
    count, maps = coefficients.shape
    moved = np.full((count, maps, 3), shift)
    turned = np.zeros((count, maps, 3, 3))
    return MapFits(coefficients, coefficients, coefficients, moved, turned)


@pytest.fixture
def scene() -> tuple[MapFits, MapFits, np.ndarray]:
    """Give 6 particles of map 0, 4 of map 1, 200 of neither, and random places."""
    rng = np.random.default_rng(0)
    chance = rng.normal(0.3, 0.06, (210, 2))
    chance[:6, 0] = rng.normal(0.68, 0.03, 6)
    chance[6:10, 1] = rng.normal(0.68, 0.03, 4)
    places = np.arange(210)[:, None] * np.array([1000.0, 0, 0])
    return fits(chance), fits(rng.normal(0.26, 0.06, (200, 2))), places


def test_species_that_stand_out_are_named(scene: tuple) -> None:
    fit, at_random, places = scene
    found = name_by_maps(fit, at_random, places, ["t"] * 210, [100, 100])
    assert np.flatnonzero(found.named).tolist() == list(range(10))
    assert found.best[:10].tolist() == [0] * 6 + [1] * 4
    assert np.allclose(found.probability.sum(axis=1), 1)
    assert found.probability[10:, 2].min() > 0.95
    decoy = name_by_maps(fit, at_random, places, ["t"] * 210, [100, 100], decoys=1)
    assert np.flatnonzero(decoy.named).tolist() == list(range(6))


@pytest.mark.parametrize("decoys", [1, 0])
def test_a_map_of_a_part_of_a_particle_takes_none_of_them(scene: tuple, decoys: int) -> None:
    fit, at_random, places = scene
    rng = np.random.default_rng(1)
    # A part of map 0: it fits those six well for its own scale, yet not as well as the whole.
    part = rng.normal(0.2, 0.04, (210, 1))
    part[:6] = fit.coefficient[:6, :1] - 0.08
    part[20:23] = 0.66  # and three that are nothing but this part
    chance = rng.normal(0.18, 0.04, (200, 1))
    both, random = (
        fits(np.hstack([fit.coefficient, part])),
        fits(np.hstack([at_random.coefficient, chance])),
    )
    found = name_by_maps(both, random, places, ["t"] * 210, [100, 100, 60], decoys=decoys)
    parts = [] if decoys else [20, 21, 22]
    assert np.flatnonzero(found.named).tolist() == [*range(10), *parts]
    assert found.best[:10].tolist() == [0] * 6 + [1] * 4
    assert np.flatnonzero(found.best == 2)[:3].tolist() == [20, 21, 22]
    alone = name_by_maps(fit, at_random, places, ["t"] * 210, [100, 100])
    assert np.allclose(found.probability[:10, :2], alone.probability[:10, :2], atol=1e-6)


def test_of_picks_at_one_place_the_better_is_named(scene: tuple) -> None:
    fit, at_random, places = scene
    places[1] = places[0] + 30
    first = int(fit.coefficient[1, 0] > fit.coefficient[0, 0])
    found = name_by_maps(fit, at_random, places, ["t"] * 210, [120, 100])
    assert found.named[:2].tolist() == [first == 0, first == 1]
    assert np.flatnonzero(found.duplicate).tolist() == [1 - first]
    apart = name_by_maps(fit, at_random, places, ["t", "u"] + ["t"] * 208, [120, 100])
    assert apart.named[:2].all()


def test_a_map_of_which_there_is_nothing_names_nothing(scene: tuple) -> None:
    fit, at_random, places = scene
    none = fits(np.delete(fit.coefficient, slice(0, 6), axis=0))
    found = name_by_maps(none, at_random, places[6:], ["t"] * 204, [100, 100])
    assert found.named[:4].all()
    assert found.probability[:, 0].max() < 0.3
    outside = fits(np.where(np.arange(210)[:, None] == 2, np.nan, fit.coefficient))
    assert not name_by_maps(outside, at_random, places, ["t"] * 210, [100, 100]).named[2]
    with pytest.raises(InputError, match="--min-probability"):
        name_by_maps(fit, at_random, places, ["t"] * 210, [100, 100], min_probability=0)


@pytest.fixture
def project(sample: tuple, tmp_path: Path) -> tuple[Path, list[str], np.ndarray]:
    """Write the tomogram, the maps and a pick list with eight particles and three other places."""
    tomogram, picks, names, turned, _ = sample
    with mrcfile.new(tmp_path / "t.mrc") as file:
        file.set_data(np.asarray(tomogram.data, dtype=np.float32))
        file.voxel_size = VOXEL
    for name in ("arm", "ring"):
        with mrcfile.new(tmp_path / f"{name}.mrc") as file:
            file.set_data(density(name, np.eye(3)).astype(np.float32))
            file.voxel_size = VOXEL
    empty = pd.DataFrame([[350, 390, 240], [650, 390, 240], [920, 390, 240]], columns=picks.columns)
    table = pd.concat([picks, empty], ignore_index=True)
    text = "tomogram,x,y,z\n" + "\n".join(f"t,{x},{y},{z}" for x, y, z in table.to_numpy().tolist())
    (tmp_path / "places.csv").write_text(text + "\n")
    return tmp_path, names, turned


def test_name_a_list_with_a_decoy(project: tuple, slabkit) -> None:  # type: ignore[no-untyped-def]
    folder, names, turned = project
    slabkit("convert", "places.csv", "picks.star", "--tomograms", "t.mrc", cwd=folder)
    arms = [name == "arm" for name in names] + [False] * 3
    line = ["name", "picks.star", "--map", "arm=arm.mrc", "--decoy", "ring=ring.mrc"]
    line += ["--tilt-range", "-60:60"]
    slabkit(*line, "-o", "names.star", "--jobs", "1", cwd=folder)
    labels = read_labels(folder / "names.star")
    assert (labels["slabkitDecision"] == "accepted").tolist() == arms
    assert (labels["slabkitSpecies"] == "arm").tolist() == arms
    share = labels[["slabkitProbability_arm", "slabkitProbability_none"]].astype(float).sum(axis=1)
    assert np.allclose(share, 1, atol=2e-4)
    slabkit("curate", "picks.star", "names.star", "-o", "arms.star", cwd=folder)
    kept = read_picks(folder / "arms.star").picks
    assert kept["slabkitSpecies"].tolist() == ["arm"] * 4
    # The list says how each lies, to the step of the orientations, and so does RELION's.
    slabkit("convert", "arms.star", "relion.star", "--to", "relion5", cwd=folder)
    slabkit("convert", "relion.star", "back.star", "--tomograms", "t.mrc", cwd=folder)
    for table in (kept, read_picks(folder / "back.star").picks):
        pose = np.array([row.split(",") for row in table[ROTATION]], float).reshape(-1, 3, 3)
        turn = pose @ turned[np.flatnonzero(arms)].transpose(0, 2, 1)
        angle = np.degrees(np.arccos((np.trace(turn, axis1=1, axis2=2) - 1) / 2))
        assert angle.max() < 1.5 * 18
    slabkit("curate", "picks.star", "names.star", "-o", "all.star", "--keep", "all", cwd=folder)
    slabkit("convert", "all.star", "all.csv", cwd=folder)
    texts = pd.read_csv(folder / "all.csv", keep_default_na=False)[ROTATION]
    assert ((texts != "") & (texts != "none")).tolist() == arms
    (folder / "classes.star").write_text("")
    dark = np.asarray(mrcfile.read(folder / "arm.mrc"))
    for name, values in (("dark", 0.5 - dark), ("same", np.ones_like(dark))):
        with mrcfile.new(folder / f"{name}.mrc") as file:
            file.set_data(values)
            file.voxel_size = VOXEL
    with pytest.warns(SlabkitWarning, match="looks inverted"):
        read_map(folder / "dark.mrc")
    read_map(folder / "arm.mrc")
    out = ["-o", "x.star"]
    for words, problem in (
        (["name", ".", *line[2:], *out], "whose names go into classes.star; leave -o out"),
        (["name", "picks.star", "--map", "none=arm.mrc", *out], "may not be called none"),
        (["name", "picks.star", "--map", "a=same.mrc", *out], "is 1 everywhere"),
        *(
            ([one, "t.mrc", *("--map", "a=arm.mrc", "--map", name), "-o", "no"], said)
            for one in ("auto", "tomogram")
            for name, said in (
                ("a=ring.mrc", "--map names a twice"),
                ("none=ring.mrc", "called none"),
            )
        ),
        (["name", "picks.star", "--map", "arm.mrc", "-o", "x.star"], "say of which species"),
        ([*line, "--map", "ring=ring.mrc", "-o", "x.star"], "twice"),
        ([*line, "--min-probability", "0", "-o", "x.star"], "--min-probability"),
        (line, "-o"),
        (line[:4], "For a pick list, say with -o"),
    ):
        assert problem in slabkit(*words, cwd=folder, code=2).stderr
    assert not (folder / "no").exists()


MAPS = ("--map", "arm=arm.mrc", "--map", "ring=ring.mrc")


def test_templates_are_judged_again_in_three_dimensions(
    project: tuple,
    sample: tuple,
    slabkit,  # type: ignore[no-untyped-def]
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, names, turned = project
    ready = {one.name: one for one in sample[-1]}  # to be quick: turned already, for these tilts
    monkeypatch.setattr(rotated_maps, "rotate_map", lambda *_, name, **__: ready[name])
    monkeypatch.setattr(map_naming, "RANDOM_PLACES", 30)
    slabkit("slab", "t.mrc", "-o", "dark", "--step", "150", cwd=folder)
    slabkit("slab", "t.mrc", "-o", "bright", "--step", "150", "--invert", cwd=folder)
    how = ["--tilt-range", "-60:60", "--refine", "--view-step", "60", "--angular-step", "30"]
    at = np.array([[x, y, 24] for y in (20, 58) for x in (20, 50, 80, 104)]) * VOXEL

    def found(slabs: str, *words: str) -> pd.DataFrame:
        hits, picks = f"{slabs}2d.star", f"{slabs}.star"
        slabkit("pick", "template", f"{slabs}/slabs.star", *how, *words, "-o", hits, cwd=folder)
        slabkit("map", hits, "--slabs", f"{slabs}/slabs.star", "-o", picks, cwd=folder)
        return read_picks(folder / picks).picks

    both = found("dark", *MAPS)
    places = both[["slabkitX", "slabkitY", "slabkitZ"]].to_numpy(dtype=float)
    away = np.linalg.norm(places[:, None] - at, axis=2)
    assert away.min(axis=0).max() < VOXEL  # each is found once, in all three dimensions
    assert len(both) == len(at)
    which = away.argmin(axis=1)
    assert both["slabkitSpecies"].tolist() == [names[k] for k in which]
    assert set(both["slabkitScoreKind"]) == {"template-3d"}
    pose = np.array([row.split(",") for row in both[ROTATION]], float).reshape(-1, 3, 3)
    arms = np.flatnonzero(both["slabkitSpecies"] == "arm")  # the ring has symmetry
    turn = pose[arms] @ turned[which[arms]].transpose(0, 2, 1)
    angle = np.degrees(np.arccos((np.trace(turn, axis1=1, axis2=2) - 1) / 2))
    assert angle.max() < 1.5 * 18
    best = both[both["slabkitSpecies"] == "arm"].iloc[:3]  # the best first
    lowest = str(best["slabkitScore"].iloc[-1])
    words = [*MAPS[:2], "--decoy", MAPS[3], "--threshold", lowest, "--jobs", "2"]
    higher = found("bright", *words)
    for name in ("slabkitSpecies", "slabkitX", "slabkitZ", "slabkitScore", ROTATION):
        assert higher[name].tolist() == best[name].tolist()
    (folder / "t.mrc").rename(folder / "elsewhere.mrc")
    words = ["pick", "template", "dark/slabs.star", *how, *MAPS, "-o", "x.star"]
    gone = slabkit(*words, cwd=folder, code=2)
    assert "t.mrc: the tomogram that the slab table names is not there" in gone.stderr
    assert not (folder / "x.star").exists()


def test_scores_of_places_by_maps(sample: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_naming, "RANDOM_PLACES", 30)
    tomogram, picks, names, _, maps = sample
    empty = np.array([[350.0, 390, 240], [650, 390, 240], [-900, 390, 240]])
    places = np.vstack([picks.to_numpy(), empty])
    found = slabkit.score_by_maps(tomogram, places, maps)
    assert [maps[k].name for k in found.best[:8]] == names
    assert found.score[:8].min() > 5 > 3 > found.score[8:10].max()
    assert np.isnan(found.score[10])
    decoy = slabkit.score_by_maps(tomogram, places, maps, decoys=1, jobs=2)
    assert decoy.best[:8].tolist() == found.best[:8].tolist()
    assert np.array_equal(decoy.score[:8], found.score[:8])
    assert len(slabkit.score_by_maps(tomogram, places[:0], maps).score) == 0


def test_auto_and_tomogram_name_what_maps_show(project: tuple, slabkit) -> None:  # type: ignore[no-untyped-def]
    folder, names, _ = project
    (folder / "t.tlt").write_text("".join(f"{angle:8.2f}\n" for angle in range(-60, 61, 3)))
    slabkit("auto", "t.mrc", *MAPS, "-o", "made", "--tilt-range", "-60:60", cwd=folder)
    assert set(read_labels(folder / "made" / "labels.star")["slabkitSource"]) == {"model:maps"}
    assert (folder / "made" / "report.html").exists()
    kept = read_picks(folder / "made" / "curated.star").picks
    centre = np.array([[x, y, 24] for y in (20, 58) for x in (20, 50, 80, 104)]) * VOXEL
    places = kept[["slabkitX", "slabkitY", "slabkitZ"]].to_numpy()
    away = np.linalg.norm(centre[:, None] - places, axis=2)
    assert away.min(axis=1).max() < 30
    assert kept["slabkitSpecies"].to_numpy()[away.argmin(axis=1)].tolist() == names
    assert len(kept) == 8

    # The unit of workflows takes the same road, and so does gather, which keeps all.
    slabkit("tomogram", "t.mrc", *MAPS, "-o", "unit", "--tilt-range", "t.tlt", cwd=folder)
    told = json.loads((folder / "unit" / "done.json").read_text())
    assert (told["status"], told["named"]) == ("done", 8)
    slabkit(
        *("gather", "unit", "-o", "all.star", "--names", "names.star", "--threshold", 0), cwd=folder
    )
    for own, of_auto in (("all.star", "picks.star"), ("unit/picks.star", "picks.star")):
        text = (folder / own).read_text().replace("unit/slabs/", "made/slabs/")
        assert text == (folder / "made" / of_auto).read_text()
    labels = (folder / "made" / "labels.star").read_bytes()
    assert (folder / "names.star").read_bytes() == labels
    assert (folder / "unit" / "names.star").read_bytes() == labels
    slabkit("curate", "all.star", "names.star", "-o", "curated.star", cwd=folder)
    text = (folder / "curated.star").read_text().replace("unit/slabs/", "made/slabs/")
    assert text == (folder / "made" / "curated.star").read_text()
    # A cut leaves out the names of what is below it.
    cut = float(np.median(kept["slabkitScore"]))
    slabkit(
        *("gather", "unit", "-o", "some.star", "--names", "some_names.star", "--threshold", cut),
        cwd=folder,
    )
    ids = read_picks(folder / "some.star").picks["slabkitPickId"]
    assert read_labels(folder / "some_names.star")["slabkitPickId"].tolist() == ids.tolist()
    assert 0 < len(ids) < len(read_labels(folder / "names.star"))


read_labels, read_picks = slabkit.read_labels, slabkit.read_picks
