"""`slabkit classify` as a user runs it, and its classes back on the picks through `label`."""

from __future__ import annotations

import json
import re
import shutil
import sys
import warnings

import mrcfile
import numpy as np
import pandas as pd
import pytest
from command_line import run_in_process
from PIL import Image
from volume_files import gallery_file

from slabkit.formats.tables.native import PickList, read_labels, read_native_picks, write_picks
from slabkit.formats.tables.star import read_star
from slabkit.formats.tables.star_writing import format_star
from slabkit.formats.volumes.mrc import write_mrc
from slabkit.steps.learn import labelled_species
from slabkit.tables import PICKS, TOMOGRAMS, make_table

VOXEL, SIDE, EVERY = 10.0, 24, 30  # Å; pixels of a minislab; voxels from particle to particle
ROWS, COLUMNS = 6, 8
# Parts of each kind of particle: x, y and radius in voxels.
KINDS = ([(0, 0, 5.0)], [(-5, 0, 2.2), (5, 0, 2.2)], [(0, -4, 2.2), (-4, 3, 2.2), (4, 3, 2.2)])
QUICK = ("--classes", 5, "--iterations", 8, "--angular-step", 15)
RESULTS = ("classified.star", "classes.star", "classes.mrcs", "classes.png")
NEW = ["rlnClassNumber", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst"]
NEW += ["rlnMaxValueProbDistribution", "rlnLogLikeliContribution"]


def particle(kind, angle, x, y):
    """Density of a particle at the origin, turned from x towards y, at pixels x and y."""
    u = x * np.cos(angle) + y * np.sin(angle)
    v = y * np.cos(angle) - x * np.sin(angle)
    parts = [1 / (1 + np.exp(2 * (np.hypot(u - a, v - b) - r))) for a, b, r in KINDS[kind]]
    return np.sum(parts, axis=0)


def make_tomogram(folder, moved=0.0, noise=0.4, kinds=(0, 1, 2), seed=0):
    """A tomogram of flat particles, protein dark, and picks beside them by (x, y) in voxels.

    Gives the kind of each pick by its id and writes picks.star.
    """
    rng = np.random.default_rng(seed)
    shape = (12, ROWS * EVERY, COLUMNS * EVERY)
    volume = rng.normal(0, noise, shape)
    y, x = np.mgrid[: shape[1], : shape[2]]
    ids, centres, truth = [], [], {}
    for number in range(ROWS * COLUMNS):
        row, column = divmod(number, COLUMNS)
        centre = np.array([EVERY * (column + 0.5), EVERY * (row + 0.5)])
        kind = kinds[number % len(kinds)]
        own = particle(kind, rng.uniform(0, 2 * np.pi), x - centre[0], y - centre[1])
        volume[4:8] -= own
        ids.append(f"pick-{number:02d}")
        centres.append(centre)
        truth[ids[-1]] = kind
    write_mrc(folder / "T1.mrc", volume.astype(np.float32), VOXEL, label="test")
    places = (np.array(centres) + moved) * VOXEL
    columns = {"slabkitX": places[:, 0], "slabkitY": places[:, 1], "slabkitZ": 55.0}
    picks = make_table(PICKS, {"slabkitPickId": ids, "slabkitTomogram": "T1", **columns})
    sizes = {f"slabkitTomogramSize{a}": [n] for a, n in zip("XYZ", shape[::-1], strict=True)}
    tomograms = make_table(
        TOMOGRAMS,
        {"slabkitTomogram": ["T1"], "slabkitTomogramFile": ["T1.mrc"], "slabkitVoxelSize": [VOXEL],
         **sizes},
    )  # fmt: skip
    write_picks(folder / "picks.star", PickList(picks, tomograms))
    return truth


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Tomogram, picks, minislabs with stacks, and their classes: made once, copied to each test."""
    folder = tmp_path_factory.mktemp("original")
    truth = make_tomogram(folder)
    run_in_process("minislab", "picks.star", "-o", "mini", "--box", SIDE * VOXEL, "--depth", 80,
                   "--stack", "--tiles", "4x5", "--border", 20, cwd=folder)  # fmt: skip
    run_in_process("classify", "mini/minislabs.star", "-o", "classes", *QUICK, cwd=folder)
    return folder, truth


@pytest.fixture
def made(tmp_path, original):
    folder, truth = original
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return truth


def classified(folder, out="classes"):
    return read_star(folder / out / "classified.star")


def classes_of(folder, out="classes"):
    """Ids by class number."""
    rows = classified(folder, out)["particles"]
    return {number: set(own.slabkitPickId) for number, own in rows.groupby("rlnClassNumber")}


def decided(path):
    labels = read_labels(path)
    found = {word: set(own.slabkitPickId) for word, own in labels.groupby("slabkitDecision")}
    return {word: found.get(word, set()) for word in ("accepted", "rejected", "undecided")}


def image_named(text, folder):
    """Find an image as RELION does: NNNNNN@path, from 1, from the working directory."""
    match = re.fullmatch(r"(\d{6})@(\S+\.mrcs)", text)
    assert match, text
    stack = mrcfile.read(folder / match[2])
    assert stack.ndim == 3
    return stack[int(match[1]) - 1]


def same_results(folder, one, other):
    for name in RESULTS:
        first, second = (folder / out / name for out in (one, other))
        if name == "classes.star":  # which names the stack of averages
            text = first.read_text().replace(f"@{one}/", f"@{other}/")
            assert text == second.read_text()
        else:
            assert first.read_bytes() == second.read_bytes(), name


def dark_ring(picture):
    """Tell whether a picture has green pixels: a class that is framed."""
    red, green, blue = np.moveaxis(np.asarray(picture.convert("RGB"), dtype=int), 2, 0)
    return bool(((green > red + 60) & (green > blue + 40)).any())


class TestResults:
    def test_classes_are_the_kinds_of_particles(self, tmp_path, made):
        for ids in classes_of(tmp_path).values():
            assert len({made[one] for one in ids}) == 1
        kinds = {made[min(ids)] for ids in classes_of(tmp_path).values()}
        assert kinds == {0, 1, 2}

    def test_every_column_block_and_row_of_the_input_stays(self, tmp_path, made):
        before = read_star(tmp_path / "mini" / "minislabs.star")
        after = classified(tmp_path)
        assert list(after) == list(before)
        for name in ("galleries", "optics"):
            pd.testing.assert_frame_equal(after[name], before[name])
        own = before["particles"]
        assert list(after["particles"].columns) == [*own.columns, *NEW]
        pd.testing.assert_frame_equal(after["particles"][own.columns], own)
        assert own.slabkitPickId.tolist() == list(made)

    def test_values_are_in_range_and_say_what_they_should(self, tmp_path, made):
        values = classified(tmp_path)["particles"][NEW].astype(float)
        assert values["rlnAnglePsi"].between(-180, 180, inclusive="right").all()
        assert (values["rlnAnglePsi"] % 15 == 0).all()
        reach = np.hypot(values["rlnOriginXAngst"], values["rlnOriginYAngst"])
        assert reach.max() <= 0.075 * SIDE * VOXEL + 1e-3
        assert values["rlnMaxValueProbDistribution"].between(1 / 5, 1).all()
        assert np.isfinite(values["rlnLogLikeliContribution"]).all()

    def test_averages_table_and_picture_belong_together(self, tmp_path, made):
        rows = read_star(tmp_path / "classes" / "classes.star")["classes"]
        numbers = rows.rlnClassNumber.astype(int).tolist()
        assert numbers == list(range(1, len(rows) + 1))
        sizes = rows.slabkitClassSize.astype(int)
        counts = {int(n): len(ids) for n, ids in classes_of(tmp_path).items()}
        assert dict(zip(numbers, sizes, strict=True)) == counts
        share = rows.rlnClassDistribution.astype(float)
        np.testing.assert_allclose(share, sizes / len(made))
        quality = rows.slabkitQuality.astype(float).tolist()
        assert quality == sorted(quality, reverse=True)
        assert quality[0] > 0.1
        with mrcfile.open(tmp_path / "classes" / "classes.mrcs") as file:
            averages = file.data.copy()
            assert float(file.voxel_size.x) == VOXEL
            assert int(file.header.ispg) == 0
        assert averages.shape == (len(rows), SIDE, SIDE)
        # Turning about the middle keeps the mean on a ring: averages are numbered as the classes.
        particles = classified(tmp_path)["particles"]
        y, x = np.indices((SIDE, SIDE)) - SIDE // 2
        ring = np.rint(np.hypot(y, x)).astype(int)
        members = np.stack([image_named(t, tmp_path) for t in particles.rlnImageName])
        profiles = [
            np.bincount(ring.ravel(), image.ravel())[:9] / np.bincount(ring.ravel())[:9]
            for image in (
                *averages,
                *(
                    members[(particles.rlnClassNumber == str(n)).to_numpy()].mean(0)
                    for n in numbers
                ),
            )
        ]
        near = np.corrcoef(profiles)[: len(rows), len(rows) :]
        assert (np.diag(near) > 0.95).all()
        for number, text in zip(numbers, rows.rlnReferenceImage, strict=True):
            np.testing.assert_array_equal(image_named(text, tmp_path), averages[number - 1])
        with Image.open(tmp_path / "classes" / "classes.png") as picture:
            assert dark_ring(picture)
            assert picture.width > 3 * 100

    def test_the_picture_frames_classes_of_the_quality_asked_for(self, tmp_path, made, slabkit):
        slabkit("classify", "mini/minislabs.star", "-o", "strict", *QUICK, "--quality", 1)
        with Image.open(tmp_path / "strict" / "classes.png") as picture:
            assert not dark_ring(picture)
        for name in ("classified.star", "classes.mrcs"):
            one, other = (tmp_path / out / name for out in ("classes", "strict"))
            assert one.read_bytes() == other.read_bytes()


class TestWaysIn:
    def test_galleries_alone_give_the_same_classes(self, tmp_path, made, slabkit):
        slabkit("minislab", "picks.star", "-o", "bare", "--box", SIDE * VOXEL, "--depth", 80,
              "--tiles", "4x5", "--border", 20)  # fmt: skip
        assert not list(tmp_path.glob("bare/*.mrcs"))
        slabkit("classify", "bare/minislabs.star", "-o", "bare_classes", *QUICK)
        one, other = (classified(tmp_path, out)["particles"] for out in ("classes", "bare_classes"))
        pd.testing.assert_frame_equal(one[["slabkitPickId", *NEW]], other[["slabkitPickId", *NEW]])
        averages = [
            (tmp_path / out / "classes.mrcs").read_bytes() for out in ("classes", "bare_classes")
        ]
        assert averages[0] == averages[1]

    def test_bright_galleries_are_not_inverted(self, tmp_path, made, slabkit):
        slabkit("minislab", "picks.star", "-o", "bare", "--box", SIDE * VOXEL, "--depth", 80,
              "--tiles", "4x5", "--border", 20, "--invert")  # fmt: skip
        slabkit("classify", "bare/minislabs.star", "-o", "bare_classes", *QUICK)
        one, other = (classified(tmp_path, out)["particles"] for out in ("classes", "bare_classes"))
        pd.testing.assert_frame_equal(one[NEW], other[NEW])

    def test_contrast_turns_the_averages_over(self, tmp_path, made, slabkit):
        one_class = ("classify", "mini/minislabs.star", "--classes", 1, "--iterations", 2)
        slabkit(*one_class, "-o", "bright")
        slabkit(*one_class, "-o", "dark", "--contrast", "dark")
        one, other = (mrcfile.read(tmp_path / o / "classes.mrcs") for o in ("bright", "dark"))
        np.testing.assert_allclose(one, -other, atol=0.02 * np.abs(one).max())

    def test_standard_input(self, tmp_path, made, slabkit):
        text = (tmp_path / "mini" / "minislabs.star").read_text()
        slabkit("classify", "-", "-o", "piped", *QUICK, stdin=text)
        same_results(tmp_path, "classes", "piped")

    def test_from_another_directory(self, tmp_path, made, slabkit):
        away = tmp_path / "elsewhere" / "deep"
        away.mkdir(parents=True)
        slabkit("classify", "../../mini/minislabs.star", "-o", "out", *QUICK, cwd=away)
        rows = classified(away, "out")["particles"]
        galleries = [gallery_file(tmp_path / "mini", number).name for number in range(3)]
        assert rows.rlnImageName.iloc[0] == f"000001@../../mini/{galleries[0]}s"
        assert set(rows.rlnMicrographName) == {f"../../mini/{name}" for name in galleries}
        here = classified(tmp_path)["particles"]
        pd.testing.assert_frame_equal(rows[NEW], here[NEW])
        for text, before in zip(rows.rlnImageName, here.rlnImageName, strict=True):
            np.testing.assert_array_equal(image_named(text, away), image_named(before, tmp_path))
        # And the result serves as an input again, from where it all began.
        slabkit("classify", "elsewhere/deep/out/classified.star", "-o", "again", *QUICK)
        pd.testing.assert_frame_equal(classified(tmp_path, "again")["particles"], here)

    def test_tilted_views_of_each_pick(self, tmp_path, made, slabkit):
        slabkit("minislab", "picks.star", "-o", "tilted", "--box", SIDE * VOXEL, "--depth", 80,
              "--stack", "--tilts", "-20,0,20")  # fmt: skip
        slabkit("classify", "tilted/minislabs.star", "-o", "out", *QUICK)
        rows = classified(tmp_path, "out")["particles"]
        assert len(rows) == 3 * len(made)
        assert rows.slabkitTilt.astype(float).tolist() == [-20, 0, 20] * len(made)
        slabkit("label", "out/classified.star", "--minislabs", "tilted/minislabs.star",
              "--classes", "1,3", "-o", "labels.star")  # fmt: skip
        yes = rows.rlnClassNumber.isin(["1", "3"]).groupby(rows.slabkitPickId).sum()
        found = decided(tmp_path / "labels.star")
        assert found["accepted"] == set(yes.index[yes >= 2])
        assert found["rejected"] == set(yes.index[yes < 2])


@pytest.fixture
def halves(tmp_path, made):
    """The picks in two lists, with minislabs of each."""
    blocks = read_star(tmp_path / "picks.star")
    rows = blocks["picks"]
    for name, own in (("a", rows.iloc[30:]), ("b", rows.iloc[:30])):
        (tmp_path / f"{name}.star").write_text(format_star(blocks | {"picks": own}))
        run_in_process("minislab", f"{name}.star", "-o", name, "--box", SIDE * VOXEL, "--depth", 80,
                       "--stack", "--tiles", "4x5", "--border", 20, cwd=tmp_path)  # fmt: skip
    return "a/minislabs.star", "b/minislabs.star"


class TestSeveralTables:
    def test_they_are_classified_as_one(self, tmp_path, made, halves, slabkit):
        (tmp_path / "list.txt").write_text("\n".join(halves))
        for number, given in enumerate((halves, ["@list.txt"], ["[ab]/minislabs.star"])):
            slabkit("classify", *given, "-o", f"out{number}", *QUICK)
        rows = classified(tmp_path, "out0")["particles"]
        assert rows.slabkitPickId.tolist() == [*list(made)[30:], *list(made)[:30]]
        whole = classified(tmp_path)["particles"].set_index("slabkitPickId")
        found = rows.set_index("slabkitPickId")
        pd.testing.assert_frame_equal(found[NEW], whole.loc[found.index, NEW])
        for text, pick in zip(rows.rlnImageName, rows.slabkitPickId, strict=True):
            np.testing.assert_array_equal(
                image_named(text, tmp_path), image_named(whole.rlnImageName[pick], tmp_path)
            )
        for name in ("out1", "out2"):
            same_results(tmp_path, "out0", name)
        geometry = classified(tmp_path, "out0")["galleries"]
        assert geometry["slabkitTileCount"].tolist() == [str(len(made))]
        # What was classified together is its own table of minislabs.
        slabkit("label", "out0/classified.star", "--minislabs", "out0/classified.star",
              "--classes", "1", "-o", "labels.star")  # fmt: skip
        assert decided(tmp_path / "labels.star")["accepted"] == classes_of(tmp_path)["1"]

    @pytest.mark.parametrize(
        ("given", "options", "said"),
        [
            (("a/minislabs.star", "mini/minislabs.star"), (), "has the pick pick-30, as a/"),
            (("a/minislabs.star", "a/../a/minislabs.star"), (), "is given twice"),
            (("a/minislabs.star", "deep/minislabs.star"), ("--depth", 60), "Depth is 60.0, and 80"),
            (("a/minislabs.star", "deep/minislabs.star"), ("--box", 200), "20 pixels of 10 Å"),
        ],
    )
    def test_what_does_not_go_together(self, tmp_path, halves, slabkit, given, options, said):
        asked = {"--box": SIDE * VOXEL, "--depth": 80} | dict([options] if options else [])
        sizes = [value for pair in asked.items() for value in pair]
        slabkit("minislab", "b.star", "-o", "deep", *sizes, "--tiles", "4x5", "--border", 20)
        done = slabkit("classify", *given, "-o", "out", *QUICK, code=2)
        assert said in done.stderr
        assert not (tmp_path / "out" / "classified.star").exists()

    def test_optics_groups_are_numbered_anew(self, tmp_path, slabkit, foreign):
        rows = foreign["particles"]
        first = {**foreign, "particles": rows.iloc[:20]}
        second = {**foreign, "particles": rows.iloc[20:]}
        second["optics"] = foreign["optics"].assign(rlnOpticsGroupName=["two", "one", "unused"])
        for name, blocks in (("p", first), ("q", second)):
            (tmp_path / f"{name}.star").write_text(format_star(blocks))
        done = slabkit("classify", "p.star", "q.star", "-o", "out", "--classes", 2,
                     "--iterations", 1)  # fmt: skip
        assert "the blocks notes of 2 tables are left out" in done.stderr
        blocks = classified(tmp_path, "out")
        optics = blocks["optics"].set_index("rlnOpticsGroup")
        assert optics["rlnOpticsGroupName"].tolist() == ["one", "two", "unused", "two_4", "one_5"]
        sizes = optics["rlnImagePixelSize"][blocks["particles"]["rlnOpticsGroup"]].tolist()
        before = foreign["optics"].set_index("rlnOpticsGroup")["rlnImagePixelSize"]
        assert sizes == before[rows["rlnOpticsGroup"]].tolist()


def test_a_sample_is_learned_on_and_all_are_in_the_result(tmp_path, made, slabkit):
    done = slabkit("classify", "mini/minislabs.star", "-o", "out", *QUICK, "--sample", 30)
    assert "30 images were learned on (--sample); the other 18 were assigned" in done.stderr
    rows = read_star(tmp_path / "out" / "classes.star")["classes"]
    assert rows.slabkitClassSize.astype(int).sum() == len(made)
    assert rows.slabkitClassAssigned.astype(int).sum() == 18
    kinds = [[made[one] for one in ids] for ids in classes_of(tmp_path, "out").values()]
    assert sum(max(map(own.count, own)) for own in kinds) >= 0.9 * len(made)
    slabkit("classify", "mini/minislabs.star", "-o", "same", *QUICK, "--sample", 30, "--jobs", 2)
    same_results(tmp_path, "out", "same")
    done = slabkit("classify", "mini/minislabs.star", "-o", "out", *QUICK, "--sample", 40, code=2)
    assert "made otherwise: sample" in done.stderr
    done = slabkit("classify", "mini/minislabs.star", "-o", "no", *QUICK, "--sample", 0, code=2)
    assert "sample" in done.stderr


class TestLabels:
    LABEL = ("label", "classes/classified.star", "--minislabs", "mini/minislabs.star")

    def test_classes_chosen_are_the_picks_accepted(self, tmp_path, made, slabkit):
        by_class = classes_of(tmp_path)
        slabkit(*self.LABEL, "--classes", "1-2", "-o", "labels.star")
        found = decided(tmp_path / "labels.star")
        assert found["accepted"] == by_class["1"] | by_class["2"]
        assert found["rejected"] == set(made) - found["accepted"]
        assert not found["undecided"]
        labels = read_labels(tmp_path / "labels.star").set_index("slabkitPickId")
        assert all(set(labels.slabkitClass[list(ids)]) == {n} for n, ids in by_class.items())

    @pytest.mark.parametrize("quality", [None, 0.0, "middle"])
    def test_auto_accepts_the_classes_of_that_quality(self, tmp_path, made, slabkit, quality):
        rows = read_star(tmp_path / "classes" / "classes.star")["classes"]
        values = rows.slabkitQuality.astype(float)
        if quality == "middle":
            quality = float(values.median())
            assert quality > values.min()
        chosen = values >= (0.2 if quality is None else quality)
        good = rows.rlnClassNumber[chosen]
        by_class = classes_of(tmp_path)
        option = () if quality is None else ("--quality", quality)
        done = slabkit(*self.LABEL, "--auto", *option, "-o", "labels.star")
        found = decided(tmp_path / "labels.star")
        assert found["accepted"] == set().union(*(by_class[number] for number in good))
        assert found["rejected"] == set(made) - found["accepted"]
        if len(good) == len(rows):
            assert "EVERYTHING IS ACCEPTED" in done.stderr

    def test_nothing_chosen_of_the_whole_result_stops(self, tmp_path, made, slabkit):
        done = slabkit(*self.LABEL, "-o", "labels.star", code=2)
        assert "is a whole classification and no selection; give --classes" in done.stderr
        slabkit(*self.LABEL, "--classes", "all", "-o", "labels.star")
        assert decided(tmp_path / "labels.star")["accepted"] == set(made)

    def test_auto_of_another_quality_is_another_result(self, tmp_path, made, slabkit):
        slabkit(*self.LABEL, "--auto", "-o", "labels.star")
        done = slabkit(*self.LABEL, "--auto", "--quality", 0.5, "-o", "labels.star", code=2)
        assert "exists already, made otherwise: quality" in done.stderr

    def test_learning_from_what_no_person_decided_is_said(self, tmp_path, made, slabkit):
        table = pd.DataFrame({"slabkitPickId": sorted(made)})
        for name, choice in {"auto": ("--auto",), "own": ("--classes", "all")}.items():
            labels = str(tmp_path / f"{name}.star")
            slabkit(*self.LABEL, *choice, "-o", labels)
            with warnings.catch_warnings(record=True, action="always") as said:
                assert "" not in labelled_species(table, (labels,))
            warned = [str(one.message) for one in said if "no person did" in str(one.message)]
            assert len(warned) == (name == "auto")

    def test_auto_follows_the_table_of_classes(self, tmp_path, made, slabkit):
        slabkit(*self.LABEL, "--auto", "-o", "labels.star")
        table = tmp_path / "classes" / "classes.star"
        blocks = read_star(table)
        blocks["classes"]["slabkitQuality"] = "0.9"
        table.write_text(format_star(blocks))
        done = slabkit(*self.LABEL, "--auto", "-o", "labels.star", code=2)
        assert "classes.star changed" in done.stderr or "changed" in done.stderr

    def test_auto_on_a_selection_of_the_result(self, tmp_path, made, slabkit):
        blocks = classified(tmp_path)
        rows = blocks["particles"]
        blocks["particles"] = rows[rows.rlnClassNumber.isin(["1", "2"])].iloc[::-1]
        (tmp_path / "classes" / "some.star").write_text(format_star(blocks))
        slabkit("label", "classes/some.star", *self.LABEL[2:], "--auto", "-o", "labels.star")
        by_class = classes_of(tmp_path)
        found = decided(tmp_path / "labels.star")
        assert found == {"accepted": by_class["1"], "rejected": by_class["2"], "undecided": set()}

    def test_auto_without_a_table_of_classes(self, tmp_path, made, slabkit):
        (tmp_path / "classes" / "classes.star").unlink()
        done = slabkit(*self.LABEL, "--auto", "-o", "labels.star", code=2)
        assert "classes/classes.star: is not there, and --auto reads the quality" in done.stderr
        assert not (tmp_path / "labels.star").exists()

    @pytest.mark.parametrize("option", [("--classes", "1"), ("--threshold", "0.5")])
    def test_auto_beside_another_rule(self, tmp_path, made, slabkit, option):
        done = slabkit(*self.LABEL, "--auto", *option, "-o", "labels.star", code=2)
        assert "--auto decides by itself; leave --classes and --threshold out" in done.stderr

    def test_auto_with_the_classes_of_another_classification(self, tmp_path, made, slabkit):
        slabkit("classify", "mini/minislabs.star", "-o", "two", "--classes", 2, "--iterations", 2)
        shutil.copy(tmp_path / "two" / "classes.star", tmp_path / "classes" / "classes.star")
        done = slabkit(*self.LABEL, "--auto", "-o", "labels.star", code=2)
        assert re.search(r"class 3 of the result is not in the table of classes", done.stderr)

    def test_auto_with_something_else_for_a_table(self, tmp_path, made, slabkit):
        shutil.copy(tmp_path / "mini" / "minislabs.star", tmp_path / "classes" / "classes.star")
        done = slabkit(*self.LABEL, "--auto", "-o", "labels.star", code=2)
        assert "is no table of classes; `slabkit classify` writes classes.star" in done.stderr

    @pytest.mark.parametrize("quality", ["1.2", "-0.1", "nan"])
    def test_qualities_that_cannot_be(self, tmp_path, made, slabkit, quality):
        done = slabkit(*self.LABEL, "--auto", "--quality", quality, "-o", "labels.star", code=2)
        assert f"--quality must be from 0 to 1, not {quality}" in done.stderr
        done = slabkit("classify", "mini/minislabs.star", "-o", "out", *QUICK, "--quality", quality,
                     code=2)  # fmt: skip
        assert f"--quality must be from 0 to 1, not {quality}" in done.stderr
        assert not (tmp_path / "out").exists()

    def test_images_in_no_class(self, tmp_path, made, slabkit):
        """NaN and constant images are in class 0: nothing for --auto, rejected by --classes."""
        stack = gallery_file(tmp_path / "mini", 1, ".mrcs")
        with mrcfile.open(stack, "r+", permissive=True) as file:
            file.data[3] = 7
            file.data[5, 2, 2] = np.nan
        done = slabkit("classify", "mini/minislabs.star", "-o", "out", *QUICK)
        text = (
            "2 of 48 images are constant or have values that are not finite; they are in no class"
        )
        assert text in " ".join(done.stderr.split())
        rows = classified(tmp_path, "out")["particles"].set_index("slabkitPickId")
        lost = {"pick-23", "pick-25"}
        assert set(rows.index[rows.rlnClassNumber == "0"]) == lost
        assert (rows.loc[sorted(lost), NEW].astype(float) == 0).all(axis=None)
        sizes = read_star(tmp_path / "out" / "classes.star")["classes"].slabkitClassSize
        assert sizes.astype(int).sum() == 46
        label = ("label", "out/classified.star", *self.LABEL[2:])
        slabkit(*label, "--auto", "-o", "auto.star")
        found = decided(tmp_path / "auto.star")
        assert found["undecided"] == lost
        assert found["accepted"]
        slabkit(*label, "--classes", "1-3", "-o", "chosen.star")
        assert decided(tmp_path / "chosen.star")["rejected"] >= lost


@pytest.fixture
def foreign(tmp_path, original):
    """A particle STAR of another program: two stacks of one name, two optics groups, no ids."""
    folder, _ = original
    images = np.concatenate([mrcfile.read(p) for p in sorted(folder.glob("mini/*.mrcs"))])
    names = []
    for place, part in (("a", images[:19]), ("b", images[19:])):
        (tmp_path / place).mkdir()
        write_mrc(tmp_path / place / "p.mrcs", part, VOXEL, label="test", stack=True)
        names += [f"{number}@{place}/p.mrcs" for number in range(1, len(part) + 1)]
    order = np.random.default_rng(4).permutation(len(names))[:40]
    order = [0, *order[order > 0][:39]]
    rows = pd.DataFrame(
        {
            "rlnImageName": [names[i] for i in order],
            "rlnOpticsGroup": [str(1 + i % 2) for i in order],
            "rlnDefocusU": [f"{10000 + i}.5" for i in order],
            "rlnClassNumber": "7",
            "otherRemark": [f"1e{i}" for i in order],
        }
    )
    optics = pd.DataFrame(
        {
            "rlnOpticsGroupName": ["one", "two", "unused"],
            "rlnOpticsGroup": ["1", "2", "3"],
            "rlnImagePixelSize": ["10", "10.0001", "5"],
            "rlnImageSize": [str(SIDE)] * 3,
        },
        dtype=object,
    )
    notes = pd.DataFrame({"otherKey": ["x"], "otherValue": ["y"]}, dtype=object)
    return {"optics": optics, "particles": rows, "notes": notes}


class TestForeignStacks:
    def test_classes_ids_and_everything_else(self, tmp_path, slabkit, foreign):
        (tmp_path / "p.star").write_text(format_star(foreign))
        slabkit("classify", "p.star", "-o", "out", *QUICK)
        blocks = classified(tmp_path, "out")
        rows, before = blocks["particles"], foreign["particles"]
        assert list(blocks) == list(foreign)
        pd.testing.assert_frame_equal(blocks["optics"], foreign["optics"])
        pd.testing.assert_frame_equal(blocks["notes"], foreign["notes"])
        for name in ("rlnOpticsGroup", "rlnDefocusU", "otherRemark"):
            assert rows[name].tolist() == before[name].tolist()
        for text, old in zip(rows.rlnImageName, before.rlnImageName, strict=True):
            number, path = old.split("@")
            assert text == f"{int(number):06d}@{path}"
        assert set(rows.rlnClassNumber) <= {"1", "2", "3", "4", "5"}
        assert rows.slabkitPickId.is_unique
        assert not rows.slabkitPickId.isin(["", "none"]).any()
        assert rows.rlnParticleName.tolist() == rows.slabkitPickId.tolist()

    def test_ids_and_classes_follow_the_images(self, tmp_path, slabkit, foreign):
        (tmp_path / "p.star").write_text(format_star(foreign))
        slabkit("classify", "p.star", "-o", "out", *QUICK)
        rows = foreign["particles"]
        foreign["particles"] = rows.iloc[np.random.default_rng(5).permutation(len(rows))]
        (tmp_path / "q.star").write_text(format_star(foreign))
        slabkit("classify", "q.star", "-o", "other", *QUICK)
        one, other = (
            classified(tmp_path, out)["particles"].set_index("rlnImageName")
            for out in ("out", "other")
        )
        columns = ["slabkitPickId", "rlnParticleName", *NEW]
        pd.testing.assert_frame_equal(one[columns], other.loc[one.index, columns])
        # Fewer rows: other classes perhaps, but the same ids.
        foreign["particles"] = rows.iloc[:9]
        (tmp_path / "r.star").write_text(format_star(foreign))
        slabkit("classify", "r.star", "-o", "few", "--classes", 2, "--iterations", 1)
        few = classified(tmp_path, "few")["particles"].set_index("rlnImageName")
        assert few.slabkitPickId.tolist() == one.slabkitPickId[few.index].tolist()

    def test_names_of_particles_become_ids(self, tmp_path, slabkit, foreign):
        names = [f"P{number:03d}" for number in range(40)]
        foreign["particles"]["rlnParticleName"] = names
        (tmp_path / "p.star").write_text(format_star(foreign))
        slabkit("classify", "p.star", "-o", "out", "--classes", 2, "--iterations", 1)
        assert classified(tmp_path, "out")["particles"].slabkitPickId.tolist() == names

    def test_a_table_of_relion_3_0(self, tmp_path, slabkit, foreign):
        """One block without a name and no optics: the stacks say the pixel size."""
        rows = foreign["particles"][["rlnImageName", "rlnDefocusU"]]
        (tmp_path / "p.star").write_text(format_star({"": rows}))
        slabkit("classify", "p.star", "-o", "out", "--classes", 2, "--iterations", 1)
        blocks = classified(tmp_path, "out")
        assert list(blocks) == ["particles"]
        assert len(blocks["particles"]) == 40
        assert blocks["particles"].slabkitPickId.is_unique

    def test_pixel_size_given(self, tmp_path, slabkit, foreign):
        (tmp_path / "p.star").write_text(format_star(foreign))
        slabkit("classify", "p.star", "-o", "out", *QUICK, "--pixel-size", 5)
        with mrcfile.open(tmp_path / "out" / "classes.mrcs") as file:
            assert float(file.voxel_size.x) == 5
        values = classified(tmp_path, "out")["particles"][NEW].astype(float)
        assert np.hypot(values.rlnOriginXAngst, values.rlnOriginYAngst).max() <= 0.075 * SIDE * 5


class TestRunningAgain:
    def test_bytes_do_not_depend_on_jobs(self, tmp_path, made, slabkit):
        for jobs in (1, 2):
            slabkit("classify", "mini/minislabs.star", "-o", f"j{jobs}", *QUICK, "--jobs", jobs)
            same_results(tmp_path, "classes", f"j{jobs}")

    def test_finished_work_is_skipped(self, tmp_path, made, slabkit):
        before = {p: p.stat().st_mtime_ns for p in (tmp_path / "classes").iterdir()}
        done = slabkit("classify", "mini/minislabs.star", "-o", "classes", *QUICK, "--jobs", 1)
        assert "is finished already" in done.stderr
        assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "classes").iterdir()}

    def test_what_is_lost_is_made_again(self, tmp_path, made, slabkit):
        shutil.copytree(tmp_path / "classes", tmp_path / "kept")
        (tmp_path / "classes" / "classes.png").unlink()
        slabkit("classify", "mini/minislabs.star", "-o", "classes", *QUICK)
        same_results(tmp_path, "kept", "kept")
        assert (tmp_path / "classes" / "classes.png").read_bytes() == (
            tmp_path / "kept" / "classes.png"
        ).read_bytes()

    @pytest.mark.parametrize(
        ("change", "message"),
        [(("--seed", 1), "seed"), (("--classes", 3), "classes"), (("--quality", 0.3), "quality")],
    )
    def test_other_settings_want_overwrite(self, tmp_path, made, slabkit, change, message):
        command = ("classify", "mini/minislabs.star", "-o", "classes", *QUICK, *change)
        before = (tmp_path / "classes" / "classified.star").read_bytes()
        done = slabkit(*command, code=2)
        assert f"exists already, made otherwise: {message}" in done.stderr
        assert (tmp_path / "classes" / "classified.star").read_bytes() == before
        if message == "seed":
            slabkit(*command, "--overwrite")
            assert (tmp_path / "classes" / "classified.star").read_bytes() != before

    def test_images_that_changed_want_overwrite(self, tmp_path, made, slabkit):
        stack = gallery_file(tmp_path / "mini", 2, ".mrcs")
        with mrcfile.open(stack, "r+", permissive=True) as file:
            file.data[0] += 1
        done = slabkit("classify", "mini/minislabs.star", "-o", "classes", *QUICK, code=2)
        assert stack.name in done.stderr
        assert "changed" in done.stderr

    def test_files_of_others_are_left_alone(self, tmp_path, made, slabkit):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "classes.png").write_text("mine")
        command = ("classify", "mini/minislabs.star", "-o", "out", *QUICK)
        done = slabkit(*command, code=2)
        assert "out/classes.png: exists already" in done.stderr
        assert [p.name for p in (tmp_path / "out").iterdir()] == ["classes.png"]
        slabkit(*command, "--overwrite")
        same_results(tmp_path, "classes", "out")

    def test_json(self, tmp_path, made, slabkit):
        done = slabkit("classify", "mini/minislabs.star", "-o", "out", *QUICK, "--json", "--quiet")
        said = json.loads(done.stdout)
        rows = read_star(tmp_path / "out" / "classes.star")["classes"]
        good = rows.slabkitQuality.astype(float) >= 0.2
        assert {name: said[name] for name in ("command", "status", "images", "classes")} == {
            "command": "classify", "status": "done", "images": 48, "classes": len(rows)
        }  # fmt: skip
        assert said["good_classes"] == good.sum()
        assert said["images_in_good_classes"] == rows.slabkitClassSize[good].astype(int).sum()
        assert said["warnings"] == []
        assert done.stderr == ""
        record = json.loads((tmp_path / "out" / "classified.star.json").read_text())
        assert sorted(record["outputs"]) == sorted(RESULTS)

    def test_what_a_person_sees(self, tmp_path, made, slabkit):
        done = slabkit("classify", "mini/minislabs.star", "-o", "out", *QUICK)
        assert "resolution Å" in done.stderr
        assert "classes; " in done.stderr
        assert done.stdout == ""


def changed(blocks, **columns):
    return {**blocks, "particles": blocks["particles"].assign(**columns)}


def with_name(blocks, row, text):
    names = blocks["particles"]["rlnImageName"].tolist()
    names[row] = text
    return changed(blocks, rlnImageName=names)


class TestBadInput:
    """One clear sentence, exit code 2, and nothing written."""

    def refused(self, tmp_path, slabkit, blocks, message, *options):
        text = blocks if isinstance(blocks, str) else format_star(blocks)
        (tmp_path / "p.star").write_text(text)
        done = slabkit("classify", "p.star", "-o", "out", *QUICK, *options, code=2)
        assert message in " ".join(done.stderr.split())
        assert done.stderr.count("\n") <= 3
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda b: {**b, "particles": b["particles"].iloc[:0]}, "p.star: has no particles"),
            (lambda b: {"optics": b["optics"]}, "p.star: has no block data_particles"),
            (
                lambda b: {**b, "particles": b["particles"].drop(columns="rlnImageName")},
                "has particles without images: no rlnImageName",
            ),
            (
                lambda b: with_name(b, 3, "none"),
                "p.star, particle 4: rlnImageName names no image (1 such particles of 40)",
            ),
            (lambda b: with_name(b, 3, "1@c/p.mrcs"), "names c/p.mrcs, which is not there"),
            (
                lambda b: with_name(b, 3, "0@a/p.mrcs"),
                "p.star, particle 4: 0@a/p.mrcs: images are numbered from 1",
            ),
            (
                lambda b: with_name(b, 3, "20@a/p.mrcs"),
                "p.star, particle 4: image 20 of a/p.mrcs, which has only 19",
            ),
            (
                lambda b: changed(b, rlnOpticsGroup=["3", *b["particles"].rlnOpticsGroup[1:]]),
                "Å a pixel; classify them apart",
            ),
            (
                lambda b: {**b, "optics": b["optics"].assign(rlnImagePixelSize="0")},
                "rlnImagePixelSize is '0', not a positive number; give --pixel-size",
            ),
            (lambda b: changed(b, rlnOpticsGroup="9"), "says no pixel size; give --pixel-size"),
            (lambda b: "no table at all\n", "p.star"),
            (lambda b: "", "p.star"),
        ],
    )
    def test_tables(self, tmp_path, slabkit, foreign, change, message):
        self.refused(tmp_path, slabkit, change(foreign), message)

    def test_images_that_are_not_square(self, tmp_path, slabkit, foreign):
        write_mrc(
            tmp_path / "a/p.mrcs", np.ones((19, 24, 26), np.float32), 10, label="", stack=True
        )
        message = "a/p.mrcs: its images are not square (26 × 24 pixels)"
        self.refused(tmp_path, slabkit, foreign, message)

    def test_stacks_of_different_sizes(self, tmp_path, slabkit, foreign):
        write_mrc(
            tmp_path / "b/p.mrcs", np.ones((29, 26, 26), np.float32), 10, label="", stack=True
        )
        self.refused(tmp_path, slabkit, foreign, "p.mrcs 24; classify them apart")

    def test_a_pixel_size_that_nothing_says(self, tmp_path, slabkit, foreign):
        for place in "ab":
            with mrcfile.open(tmp_path / place / "p.mrcs", "r+", permissive=True) as file:
                file.voxel_size = 0
        bare = {"": foreign["particles"]}
        self.refused(tmp_path, slabkit, bare, "p.star: says no pixel size; give --pixel-size")
        slabkit(
            "classify", "p.star", "-o", "out", "--pixel-size", 10, "--classes", 2, "--iterations", 1
        )

    def test_a_stack_cut_short(self, tmp_path, slabkit, foreign):
        path = tmp_path / "a" / "p.mrcs"
        path.write_bytes(path.read_bytes()[:-100])
        self.refused(tmp_path, slabkit, foreign, "a/p.mrcs")

    def test_a_stack_that_is_none(self, tmp_path, slabkit, foreign):
        (tmp_path / "a" / "p.mrcs").write_text("hello")
        self.refused(tmp_path, slabkit, foreign, "a/p.mrcs")

    def test_nothing_but_nan(self, tmp_path, slabkit, foreign):
        for place in "ab":
            with mrcfile.open(tmp_path / place / "p.mrcs", "r+", permissive=True) as file:
                file.data[:] = np.nan
        message = "nothing to classify: none of 40 images has finite, varying values"
        self.refused(tmp_path, slabkit, foreign, message)

    def test_galleries_that_are_gone(self, tmp_path, made, slabkit):
        blocks = read_star(tmp_path / "mini" / "minislabs.star")
        blocks["particles"] = blocks["particles"].drop(columns="rlnImageName")
        gone = gallery_file(tmp_path / "mini", 1)
        gone.unlink()
        self.refused(tmp_path, slabkit, blocks, f"{gone.name}, which is not there")

    def test_galleries_of_another_layout(self, tmp_path, made, slabkit):
        blocks = read_star(tmp_path / "mini" / "minislabs.star")
        blocks["particles"] = blocks["particles"].drop(columns="rlnImageName")
        blocks["galleries"]["slabkitGalleryBorder"] = "0"
        self.refused(tmp_path, slabkit, blocks, "has 124 × 100 pixels, galleries of p.star")

    def test_an_empty_table_of_minislabs(self, tmp_path, made, slabkit):
        picks = read_native_picks(tmp_path / "picks.star")
        write_picks(tmp_path / "none.star", PickList(picks.picks.iloc[:0], picks.tomograms))
        slabkit("minislab", "none.star", "-o", "none", "--box", 240, "--depth", 80, "--stack")
        done = slabkit("classify", "none/minislabs.star", "-o", "out", code=2)
        assert "has no particles, so there is nothing to classify" in done.stderr
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--resolution", 19), "--resolution 19 Å is finer than two pixels, 20 Å"),
            (("--resolution", 200), "at most half the box, 120 Å"),
            (("--resolution", "nan"), "--resolution must be a positive number of Å"),
            (("--diameter", 250), "--diameter 250 Å is more than the box of 240 Å"),
            (("--shift-range", 130), "--shift-range 130 Å is more than half the box"),
            (("--shift-range", -1), "--shift-range must be 0 Å or more"),
            (("--shift-step", 0), "--shift-step must be a positive number of Å"),
            (("--angular-step", 0), "--angular-step must be above 0"),
            (("--pixel-size", 0), "--pixel-size"),
            (("--contrast", "white"), "dark or bright"),
            (("--classes", 0), "--classes"),
            (("--iterations", 0), "--iterations"),
            (("--device-memory", 8), "give --device cuda, or leave --device-memory out"),
        ],
    )
    def test_settings(self, tmp_path, made, slabkit, options, message):
        before = sorted(tmp_path.iterdir())
        done = slabkit("classify", "mini/minislabs.star", "-o", "out", *options, code=2)
        assert message in " ".join(done.stderr.split())
        assert sorted(tmp_path.iterdir()) == before

    def test_a_graphics_card_without_pytorch(self, tmp_path, made, slabkit, monkeypatch):
        monkeypatch.setitem(sys.modules, "torch", None)  # importing it fails
        done = slabkit("classify", "mini/minislabs.star", "-o", "out", "--device", "cuda", code=2)
        assert "--device cuda needs PyTorch, which is not installed" in done.stderr
        assert not (tmp_path / "out").exists()

    def test_results_on_standard_output(self, tmp_path, made, slabkit):
        done = slabkit("classify", "mini/minislabs.star", "-o", "-", code=2)
        assert "-o takes a folder here" in done.stderr

    def test_a_file_where_the_folder_should_be(self, tmp_path, made, slabkit):
        done = slabkit("classify", "mini/minislabs.star", "-o", "picks.star", *QUICK, code=2)
        assert "picks.star" in done.stderr

    def test_more_classes_than_images(self, tmp_path, slabkit, foreign):
        foreign["particles"] = foreign["particles"].iloc[:3]
        (tmp_path / "p.star").write_text(format_star(foreign))
        done = slabkit("classify", "p.star", "-o", "out", *QUICK)
        assert "p.star: has 3 images, so 5 classes cannot be made of them" in done.stderr
        rows = read_star(tmp_path / "out" / "classes.star")["classes"]
        assert 1 <= len(rows) <= 3


class TestRecentring:
    def test_positions_move_to_their_particles(self, tmp_path, slabkit):
        """Most picks are where their particles are, which holds the class; every fourth is off."""
        rng = np.random.default_rng(3)
        angle, distance = rng.uniform(0, 2 * np.pi, 48), rng.uniform(2, 4, 48)
        off = np.arange(48) % 4 == 0
        moved = np.where(off, distance * np.array([np.cos(angle), np.sin(angle)]), 0).T
        make_tomogram(tmp_path, moved=moved, kinds=(1,))
        slabkit("minislab", "picks.star", "-o", "mini", "--box", SIDE * VOXEL, "--depth", 80,
              "--stack")  # fmt: skip
        slabkit("classify", "mini/minislabs.star", "-o", "classes", "--classes", 1, "--iterations",
              10, "--angular-step", 12, "--shift-range", 50)  # fmt: skip
        slabkit("label", "classes/classified.star", "--minislabs", "mini/minislabs.star",
              "--classes", "1", "-o", "labels.star")  # fmt: skip
        done = slabkit(
            "curate", "picks.star", "labels.star", "-o", "on.star", "--recentre", "--json"
        )
        assert json.loads(done.stdout)["recentred"] >= off.sum()
        before, after = (
            read_native_picks(tmp_path / name)
            .picks.set_index("slabkitPickId")[["slabkitX", "slabkitY", "slabkitZ"]]
            .to_numpy()
            / VOXEL
            for name in ("picks.star", "on.star")
        )
        error = np.hypot(*(after[:, :2] - (before[:, :2] - moved)).T)
        assert np.median(np.hypot(*moved[off].T)) > 3
        assert np.median(error[off]) < 1
        assert error[off].max() < 1.5
        assert error[~off].max() < 1.5
        assert np.median(error[~off]) < 0.5
        np.testing.assert_allclose(after[:, 2], before[:, 2], atol=1e-6)


def write_maps(folder):
    """Write a map of each kind of particle; gives the options that name them."""
    options = []
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    for kind in range(len(KINDS)):
        density = np.zeros((SIDE, SIDE, SIDE), dtype=np.float32)
        density[SIDE // 2 - 2 : SIDE // 2 + 2] = particle(kind, 0.3, x, y)
        density[density < 0.05] = 0
        write_mrc(folder / f"map{kind}.mrc", density, VOXEL, label="test")
        options += ["--map", f"kind {kind}=map{kind}.mrc"]
    return options


class TestRepeats:
    def test_repeats_are_those_of_the_next_seeds(self, tmp_path, made, slabkit):
        for seed in (1, 2):
            slabkit("classify", "mini/minislabs.star", "-o", f"s{seed}", *QUICK, "--seed", seed)
        slabkit("classify", "mini/minislabs.star", "-o", "all", *QUICK, "--repeats", 3)
        before, after = (classified(tmp_path, out)["particles"] for out in ("classes", "all"))
        assert list(after.columns) == [*before.columns, "slabkitRepeatShare"]
        same = [name for name in NEW if name != "rlnClassNumber"]
        pd.testing.assert_frame_equal(after[same], before[same])
        shares = np.zeros(len(made))
        for seed in (1, 2):
            other = classified(tmp_path, f"s{seed}")["particles"]["rlnClassNumber"]
            table = pd.crosstab(before["rlnClassNumber"], other)
            for row, (one, two) in enumerate(zip(before["rlnClassNumber"], other, strict=True)):
                both = table.loc[one, two]
                smaller = min(table.loc[one].sum(), table[two].sum())
                shares[row] += (both >= smaller / 3 and both >= 3) / 2
        assert after["slabkitRepeatShare"].astype(float).tolist() == shares.tolist()
        rows = read_star(tmp_path / "all" / "classes.star")["classes"]
        mean = pd.Series(shares).groupby(after["rlnClassNumber"].to_numpy()).mean()
        found = rows.slabkitRepeatShare.astype(float)
        np.testing.assert_allclose(found, mean[rows.rlnClassNumber], atol=1e-4)
        record = json.loads((tmp_path / "all" / "classified.star.json").read_text())
        assert record["parameters"]["repeats"] == 3
        record = json.loads((tmp_path / "classes" / "classified.star.json").read_text())
        assert "repeats" not in record["parameters"]

    def test_auto_never_accepts_a_class_that_does_not_come_again(self, tmp_path, made, slabkit):
        table = tmp_path / "classes" / "classes.star"
        blocks = read_star(table)
        rows = blocks["classes"]
        rows["slabkitRepeatShare"] = ["0.1", *["0.3"] * (len(rows) - 1)]
        table.write_text(format_star(blocks))
        slabkit(*TestLabels.LABEL, "--auto", "--quality", 0, "-o", "labels.star")
        assert decided(tmp_path / "labels.star")["rejected"] == classes_of(tmp_path)["1"]


@pytest.fixture(scope="module")
def clear(tmp_path_factory):
    """As `original`, with less noise."""
    folder = tmp_path_factory.mktemp("clear")
    truth = make_tomogram(folder, noise=0.1)
    run_in_process("minislab", "picks.star", "-o", "mini", "--box", SIDE * VOXEL, "--depth", 80,
                   "--stack", "--tiles", "4x5", cwd=folder)  # fmt: skip
    run_in_process("classify", "mini/minislabs.star", "-o", "classes", *QUICK, cwd=folder)
    return folder, truth


class TestNames:
    @pytest.fixture
    def made(self, tmp_path, clear):
        folder, truth = clear
        shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
        return truth

    def test_classes_get_the_names_of_the_maps_they_look_like(self, tmp_path, made, slabkit):
        maps = write_maps(tmp_path)
        before = read_star(tmp_path / "classes" / "classes.star")["classes"]
        picture = (tmp_path / "classes" / "classes.png").read_bytes()
        slabkit("name", "classes", *maps, "--tilt-range", "none")
        rows = read_star(tmp_path / "classes" / "classes.star")["classes"]
        pd.testing.assert_frame_equal(rows[before.columns], before)
        by_class = classes_of(tmp_path)
        kinds = [f"kind {made[min(by_class[number])]}" for number in rows.rlnClassNumber]
        assert rows.slabkitSpecies.tolist() == rows.slabkitMapSpecies.tolist() == kinds
        assert (rows.slabkitMapCoefficient.astype(float) >= 0.6).all()
        assert (rows.slabkitMapMargin.astype(float) >= 0.02).all()
        assert (tmp_path / "classes" / "classes.png").read_bytes() != picture

        label = ("label", "classes/classified.star", "--minislabs", "mini/minislabs.star",
                 "--species-from-classes")  # fmt: skip
        slabkit(*label, "--classes", "all", "-o", "labels.star")
        labels = read_labels(tmp_path / "labels.star").set_index("slabkitPickId")
        assert labels.slabkitSpecies.to_dict() == {one: f"kind {k}" for one, k in made.items()}
        slabkit(*label, "--auto", "-o", "auto.star")
        table = tmp_path / "classes" / "classes.star"
        fewer = read_star(table)["classes"].assign(slabkitClassSize="1")
        table.write_text(format_star({"classes": fewer}))
        for option in ("--species-from-classes", "--auto"):
            words = (*label[:-1], option, *("--classes", "all")[: 2 * (option != "--auto")])
            done = slabkit(*words, "-o", "x.star", code=2)
            assert "they are not of one classification" in done.stderr.replace("\n", " ")
        auto = read_labels(tmp_path / "auto.star").set_index("slabkitPickId")
        yes = auto.slabkitDecision == "accepted"
        assert (auto.slabkitSpecies == labels.slabkitSpecies.where(yes, "")).all()

    def test_naming_again(self, tmp_path, made, slabkit):
        maps = write_maps(tmp_path)
        slabkit("name", "classes/classes.star", *maps)
        table = tmp_path / "classes" / "classes.star"
        named, time = table.read_bytes(), table.stat().st_mtime_ns
        slabkit("name", "classes", *maps)
        assert table.stat().st_mtime_ns == time
        done = slabkit("name", "classes", *maps[:2], code=2)
        assert "its classes are named already, otherwise; --overwrite" in done.stderr
        assert table.read_bytes() == named
        slabkit("name", "classes", *maps[:2], "--overwrite")
        rows = read_star(table)["classes"]
        assert set(rows.slabkitSpecies) <= {"kind 0", "none"}
        assert set(rows.slabkitMapMargin) == {"nan"}  # of one map

    @pytest.mark.parametrize(
        ("tilts", "said"),
        [
            ((), "as tilts from -45 to 45° show them"),
            (("--tilt-range", "none"), "without a missing wedge"),
        ],
    )
    def test_classify_names_as_name_does(self, tmp_path, made, slabkit, tilts, said):
        maps = write_maps(tmp_path)
        done = slabkit("classify", "mini/minislabs.star", "-o", "named", *QUICK, *maps, *tilts)
        assert said in done.stderr
        assert said in slabkit("name", "classes", *maps, *tilts).stderr
        same_results(tmp_path, "classes", "named")

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("name", "classes"), "Missing option '--map'"),
            (("name", "classes", "--map", "map0.mrc"), "say of which species, as NAME=map0.mrc"),
            (("name", "classes", "--map", "a=map0.mrc", "--map", "a=map1.mrc"), "names a twice"),
            (("name", "mini/minislabs.star", "--map", "a=map0.mrc"), "is no table of classes"),
            (("name", "nothing", "--map", "a=map0.mrc"), "nothing"),
            (("name", "mini", "--map", "a=map0.mrc"), "mini: has no classes.star"),
            (("name", "classes", "--map", "a=none.mrc"), "none.mrc"),
            (("label", "classes/classified.star", "--minislabs", "mini/minislabs.star", "--auto",
              "--species-from-classes", "-o", "l.star"), "its classes have no names"),
            (("label", "classes/classified.star", "--minislabs", "mini/minislabs.star", "--auto",
              "--species-from-classes", "--species", "a", "-o", "l.star"),
             "--species names what is accepted"),
            (("label", "classes/classified.star", "--minislabs", "mini/minislabs.star",
              "--classes", "a=1", "--species-from-classes", "-o", "l.star"),
             "--classes names the species already"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_named(self, tmp_path, made, slabkit, arguments, said):
        write_maps(tmp_path)
        before = (tmp_path / "classes" / "classes.star").read_bytes()
        assert said in slabkit(*arguments, code=2).stderr
        assert (tmp_path / "classes" / "classes.star").read_bytes() == before
