"""Out to the real RELION and back: every pick keeps its name and place.

RELION 3.1 of Debian: ``apt-get install --no-install-recommends relion``.
"""

from __future__ import annotations

import json
import shutil

import mrcfile
import numpy as np
import pandas as pd
import pytest
from relion_sample import BALL, DUMBBELL, LOPSIDED, ROUND, Sample

from slabkit.formats.picks2d import read_picks2d_any
from slabkit.formats.tables.native import read_labels, read_minislabs, read_native_picks, read_slabs
from slabkit.formats.tables.star import read_star
from slabkit.formats.tables.star_writing import format_star
from slabkit.formats.volumes.mrc import write_mrc

PROGRAMS = ("relion_autopick", "relion_preprocess", "relion_refine", "relion_star_handler")
MISSING = [program for program in PROGRAMS if shutil.which(program) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"RELION: no {', '.join(MISSING)} on PATH")

POSITION = ["slabkitX", "slabkitY", "slabkitZ"]
QUICK = ("--pad", 1, "--zero_mask", "--flatten_solvent", "--norm", "--scale", "--pool", 30)
QUICK += ("--j", 1, "--random_seed", 0, "--tau2_fudge", 2)


def classify(relion, particles, out, iterations, *options):
    """Run 2D classification; gives the name of its table of particles."""
    relion("refine", "--i", particles, "--o", f"{out}/run", "--iter", iterations, *QUICK, *options)
    return f"{out}/run_it{iterations:03d}_data.star"


def images(path):
    return mrcfile.read(path)


# ------------------------------------------------------------------ slabs, LoG picks, map


@pytest.fixture
def picked(tmp_path, slabkit, relion):
    """Two tomograms that share neither shape nor voxel size, their slabs picked by LoG."""
    sample = Sample(tmp_path, seed=0)
    sample.add("TS_1_7.30Apx", (60, 170, 290), 7.3, [BALL], step=360)
    sample.add("00255", (45, 210, 130), 10.012, [BALL], step=360)
    slabkit("slab", "TS_1_7.30Apx.mrc", "00255.mrc", "-o", "slabs", "--step", "150")
    said = slabkit("export", "relion", "slabs/slabs.star", "-o", "relion").stderr
    assert "relion_autopick --i relion/micrographs_" in said
    tables = sorted(path.name for path in tmp_path.glob("relion/*.star"))
    assert tables == ["micrographs_130x210_10.012A.star", "micrographs_290x170_7.3A.star"]
    for table in tables:
        relion(
            *("autopick", "--i", f"relion/{table}", "--odir", "AutoPick/", "--pickname", "log"),
            *("--LoG", "--LoG_diam_min", 180, "--LoG_diam_max", 220, "--shrink", 0),
            *("--lowpass", 20, "--LoG_adjust_threshold", 2),
        )
    return sample


def picks_of_relion(folder):
    """Read RELION's own files, one a micrograph, without slabkit's readers."""
    rows = []
    for path in sorted(folder.glob("AutoPick/slabs/*_log.star")):
        lines = [line.split() for line in path.read_text().split("\n")]
        numbers = [line for line in lines if line and line[0][0] in "-0123456789"]
        name = f"slabs/{path.name.removesuffix('_log.star')}.mrc"
        rows += [(name, float(x), float(y), float(score)) for x, y, score, *_ in numbers]
    return rows


def test_log_picks_come_back_through_map(tmp_path, slabkit, picked):
    rows = picks_of_relion(tmp_path)
    slabs = read_slabs(tmp_path / "slabs" / "slabs.star").set_index("rlnMicrographName")
    assert {slabs.rlnTomoName[name] for name, *_ in rows} == {"TS_1_7.30Apx", "00255"}
    files = [f"AutoPick/slabs/{p.name}" for p in tmp_path.glob("AutoPick/slabs/*_log.star")]
    rng = np.random.default_rng(1)
    options = ("--slabs", "slabs/slabs.star", "--diameter", "200")
    slabkit("map", *rng.permutation(files), *options, "-o", "all.star", "--no-refine-z",
            "--min-distance", "0")  # fmt: skip
    found = read_native_picks(tmp_path / "all.star").picks
    expected = set()
    for name, x, y, score in rows:
        slab = slabs.loc[name]
        z = slab.slabkitZStart + (slab.slabkitZCount - 1) / 2
        place = np.array([x, y, z]) * slab.slabkitVoxelSize
        expected.add((slab.rlnTomoName, name, *np.round(place, 6), score))
    got = {
        (row.slabkitTomogram, row.rlnMicrographName,
         *np.round([row.slabkitX, row.slabkitY, row.slabkitZ], 6), row.slabkitScore)
        for row in found.itertuples()
    }  # fmt: skip
    assert got == expected
    assert len(found) == len(rows) > 8
    assert set(found.slabkitScoreKind) == {"rlnAutopickFigureOfMerit"}

    slabkit("map", *files, *options, "-o", "picks.star")
    merged = read_native_picks(tmp_path / "picks.star").picks
    truth = picked.places
    assert len(merged) == len(truth)
    for name in ("TS_1_7.30Apx", "00255"):
        have = merged[merged.slabkitTomogram == name][POSITION].to_numpy()
        want = truth[truth.tomogram == name][["x", "y", "z"]].to_numpy(float)
        nearest = np.linalg.norm(have[:, None] - want[None], axis=2)
        assert sorted(nearest.argmin(axis=1)) == list(range(len(want)))
        assert nearest.min(axis=1).max() < 20  # two voxels; RELION resamples the image


def test_lists_of_relion_say_the_same_as_their_files(tmp_path, slabkit, picked):
    options = ("--slabs", "slabs/slabs.star", "--diameter", "200")
    files = sorted(f"AutoPick/slabs/{p.name}" for p in tmp_path.glob("AutoPick/slabs/*_log.star"))
    slabkit("map", *files, *options, "-o", "picks.star")
    names = [f"slabs/{file.split('/')[-1].removesuffix('_log.star')}.mrc" for file in files]
    listed = pd.DataFrame({"rlnMicrographName": names, "rlnMicrographCoordinates": files})
    (tmp_path / "autopick.star").write_text(format_star({"coordinate_files": listed}))
    slabkit("map", "autopick.star", *options, "-o", "list.star")
    # RELION 3.1 marks the folder instead: a file with the path of the micrographs' table.
    (tmp_path / "AutoPick" / "coords_suffix_log.star").write_text("slabs/slabs.star\n")
    slabkit("map", "AutoPick/coords_suffix_log.star", *options, "-o", "marker.star")
    one = (tmp_path / "picks.star").read_bytes()
    assert one == (tmp_path / "list.star").read_bytes() == (tmp_path / "marker.star").read_bytes()
    inputs = json.loads((tmp_path / "list.star.json").read_text())["inputs"]
    assert {entry["name"].split("/")[-1] for entry in inputs} >= {f.split("/")[-1] for f in files}


def test_particles_extracted_from_slabs_map_back_with_their_shifts(tmp_path, slabkit, relion,
                                                                   picked):  # fmt: skip
    relion(
        *("preprocess", "--i", "relion/micrographs_290x170_7.3A.star", "--coord_dir", "AutoPick/"),
        *("--coord_suffix", "_log.star", "--part_star", "Ex/p.star", "--part_dir", "Ex/"),
        *("--extract", "--extract_size", 40),
    )
    particles = read_star(tmp_path / "Ex" / "p.star")
    rows = particles["particles"]
    shifts = np.random.default_rng(2).uniform(-40, 40, (len(rows), 2)).round(3)
    rows["rlnOriginXAngst"], rows["rlnOriginYAngst"] = shifts.T
    (tmp_path / "shifted.star").write_text(format_star(particles))
    relion("star_handler", "--i", "shifted.star", "--o", "again.star")
    slabs = read_slabs(tmp_path / "slabs" / "slabs.star")
    with pytest.warns(match=f"{len(rows)} of {len(rows)} particles had a shift"):
        found = read_picks2d_any([tmp_path / "again.star"], slabs)
    place = rows[["rlnCoordinateX", "rlnCoordinateY"]].to_numpy(float) - shifts / 7.3
    got = found[["rlnCoordinateX", "rlnCoordinateY"]].to_numpy()
    order = np.lexsort(place.T)
    np.testing.assert_allclose(got[np.lexsort(got.T)], place[order], atol=1e-3)
    assert set(found.rlnMicrographName) <= set(slabs.rlnMicrographName)


# ------------------------------------------------------------------ minislabs, classes, labels


@pytest.fixture
def minislabs(tmp_path, slabkit):
    """Minislabs of two tomograms, in galleries of 3 by 5 tiles of which the last is not full."""
    sample = Sample(tmp_path, seed=4)
    sample.add("T1", (40, 150, 290), 7.3, [LOPSIDED], step=290, noise=1)
    sample.add("T2", (30, 200, 120), 10.012, [LOPSIDED], step=290, noise=1)
    sample.ids = sample.write_picks("picks.star")
    slabkit("minislab", "picks.star", "-o", "mini", "--box", "320", "--depth", "200", "--stack",
            "--pixel-size", "10", "--tiles", "3x5", "--border", "20")  # fmt: skip
    table, geometry = read_minislabs(tmp_path / "mini" / "minislabs.star")
    assert 0 < int(geometry["slabkitLastGalleryTiles"].iloc[0]) < 15
    assert len(table) == len(sample.ids) > 30
    return sample


def decided(path):
    """Ids by decision in a table of labels."""
    labels = read_labels(path)
    return {word: set(own.slabkitPickId) for word, own in labels.groupby("slabkitDecision")}


def test_classes_come_back_on_the_right_picks(tmp_path, slabkit, relion, minislabs):
    (tmp_path / "C").mkdir()
    data = classify(
        *(relion, "mini/minislabs.star", "C", 3, "--K", 4, "--particle_diameter", 300),
        *("--psi_step", 24, "--oversampling", 0, "--offset_range", 3, "--offset_step", 2),
    )
    result = read_star(tmp_path / data)
    rows = result["particles"]
    assert set(rows.slabkitPickId) == set(minislabs.ids)
    # RELION may find but one class in few images: deal them anew, rows shuffled and some left out.
    rng = np.random.default_rng(5)
    rows = rows.iloc[rng.permutation(len(rows))[4:]].reset_index(drop=True)
    rows["rlnClassNumber"] = rng.integers(1, 5, len(rows)).astype(str)
    result["particles"] = rows
    (tmp_path / "dealt.star").write_text(format_star(result))
    by_class = {n: set(own.slabkitPickId) for n, own in rows.groupby("rlnClassNumber")}
    slabkit("label", "dealt.star", "--minislabs", "mini/minislabs.star", "--classes", "1,3",
            "-o", "labels.star")  # fmt: skip
    found = decided(tmp_path / "labels.star")
    assert found["accepted"] == by_class["1"] | by_class["3"]
    assert found["rejected"] == by_class["2"] | by_class["4"]
    assert "undecided" not in found  # and those left out are not in the table

    # A selection made by RELION's own tool: listed is accepted, missing rejected.
    relion("star_handler", "--i", "dealt.star", "--o", "selected.star", "--select",
           "rlnClassNumber", "--minval", 2, "--maxval", 2)  # fmt: skip
    slabkit("label", "selected.star", "--minislabs", "mini/minislabs.star", "-o", "two.star")
    found = decided(tmp_path / "two.star")
    assert found["accepted"] == by_class["2"]
    assert found["rejected"] == set(minislabs.ids) - by_class["2"]

    # Without our columns and ids the image's name and number serve.
    bare = rows[["rlnImageName", "rlnOpticsGroup", "rlnClassNumber"]]
    (tmp_path / "bare.star").write_text(format_star({**result, "particles": bare}))
    relion("star_handler", "--i", "bare.star", "--o", "bare2.star")
    slabkit("label", "bare2.star", "--minislabs", "mini/minislabs.star", "--classes", "1,3",
            "-o", "labels2.star")  # fmt: skip
    assert decided(tmp_path / "labels2.star") == decided(tmp_path / "labels.star")


def test_galleries_are_extracted_tile_by_tile(tmp_path, slabkit, relion, minislabs):
    slabkit("export", "relion", "mini/minislabs.star", "-o", "relion")
    extract = (
        *("preprocess", "--i", "relion/galleries.star", "--coord_dir", "relion/"),
        *("--coord_suffix", "_slabkit.star", "--extract", "--extract_size", 32),
    )
    relion(*extract, "--part_star", "Ex/particles.star", "--part_dir", "Ex/")
    table, _ = read_minislabs(tmp_path / "mini" / "minislabs.star")
    blocks = read_star(tmp_path / "Ex" / "particles.star")
    rows = blocks["particles"]
    assert rows.slabkitPickId.tolist() == rows.rlnParticleName.tolist()
    assert sorted(rows.slabkitPickId) == sorted(minislabs.ids)
    galleries = {name: images(tmp_path / name) for name in table.rlnMicrographName.unique()}
    own = table.set_index("slabkitPickId")
    for row in rows.itertuples():
        number, stack = row.rlnImageName.split("@")
        tile = own.loc[row.slabkitPickId]
        y = 2 + 32 * tile.slabkitTileRow
        x = 2 + 32 * tile.slabkitTileColumn
        expected = galleries[tile.rlnMicrographName][y : y + 32, x : x + 32]
        np.testing.assert_array_equal(images(tmp_path / stack)[int(number) - 1], expected)

    # A subset, shuffled; then by place alone, our columns taken away.
    rng = np.random.default_rng(6)
    kept = rows.iloc[rng.permutation(len(rows))[: len(rows) // 2]].reset_index(drop=True)
    (tmp_path / "kept.star").write_text(format_star({**blocks, "particles": kept}))
    relion("star_handler", "--i", "kept.star", "--o", "kept2.star")
    slabkit("label", "kept2.star", "--minislabs", "mini/minislabs.star", "-o", "labels.star")
    assert decided(tmp_path / "labels.star")["accepted"] == set(kept.slabkitPickId)
    bare = kept[["rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY", "rlnImageName",
                 "rlnOpticsGroup"]]  # fmt: skip
    (tmp_path / "bare.star").write_text(format_star({**blocks, "particles": bare}))
    slabkit("label", "bare.star", "--minislabs", "mini/minislabs.star", "-o", "place.star",
            "--y-axis", "down")  # fmt: skip
    assert decided(tmp_path / "place.star") == decided(tmp_path / "labels.star")


def test_shifts_of_a_classification_bring_picks_to_their_particles(
    tmp_path, slabkit, relion, minislabs
):
    """The sign and the frame: particles lie at random angles, picks are off by known shifts."""
    shifts = np.random.default_rng(7).uniform(-35, 35, (len(minislabs.ids), 2))
    minislabs.write_picks("off.star", moved=shifts)
    slabkit("minislab", "off.star", "-o", "off", "--box", "400", "--depth", "200", "--stack",
            "--pixel-size", "10", "--diameter", "320")  # fmt: skip
    # A reference whose middle is the particle's: else RELION's class may settle off its centre.
    y, x = np.mgrid[:40, :40] - 20.0
    reference = np.zeros((1, 40, 40), dtype=np.float32)
    for along, radius, density in LOPSIDED:
        off = ((x - along / 10) ** 2 + y**2) * 100
        reference[0] += density * np.sqrt(np.maximum(0, radius**2 - off)) / 30
    write_mrc(tmp_path / "reference.mrcs", reference, 10.0, label="test", stack=True)
    (tmp_path / "C").mkdir()
    data = classify(
        *(relion, "off/minislabs.star", "C", 4, "--K", 1, "--particle_diameter", 320),
        *("--ref", "reference.mrcs", "--firstiter_cc", "--ini_high", 30, "--psi_step", 12),
        *("--oversampling", 1, "--offset_range", 6, "--offset_step", 2),
    )
    slabkit("label", data, "--minislabs", "off/minislabs.star", "-o", "labels.star")
    done = slabkit("curate", "off.star", "labels.star", "-o", "on.star", "--recentre", "--json")
    report = json.loads(done.stdout)
    assert report["recentred"] == len(shifts)
    truth = minislabs.places[["x", "y", "z"]].to_numpy(float)
    picks = read_native_picks(tmp_path / "on.star").picks.set_index("slabkitPickId")
    error = picks.loc[minislabs.ids, POSITION].to_numpy() - truth
    before, after = np.hypot(*shifts.T), np.hypot(*error[:, :2].T)
    assert np.median(before) > 25
    assert np.median(after) < 8
    assert (after < before).mean() > 0.85
    np.testing.assert_allclose(error[:, 2], 0, atol=1e-9)  # z is not touched
    # Twice is once: labels say where the particle is, not how far to go.
    slabkit("curate", "on.star", "labels.star", "-o", "on2.star", "--recentre")
    again = read_native_picks(tmp_path / "on2.star").picks.set_index("slabkitPickId")
    np.testing.assert_allclose(again.loc[minislabs.ids, POSITION] - truth, error, atol=1e-9)


def test_tomography_particles_pass_through_relion(tmp_path, slabkit, relion, minislabs):
    """RELION 3.1 knows nothing of tomography particles, but its tools keep what they hold."""
    rows = pd.DataFrame(
        {
            "rlnTomoName": ["T1", "T2"],
            "rlnTomoTiltSeriesPixelSize": [1.825, 2.503],
            "rlnTomoTomogramBinning": [4.0, 4.0],
            "rlnTomoSizeX": [1161, 479],
            "rlnTomoSizeY": [600, 801],
            "rlnTomoSizeZ": [160, 121],
            "rlnTomoReconstructedTomogram": ["T1.mrc", "T2.mrc"],
        }
    )
    (tmp_path / "tomograms.star").write_text(format_star({"global": rows}))
    want = read_native_picks(tmp_path / "picks.star").picks.set_index("slabkitPickId")
    for version in ("relion4", "relion5"):
        out = f"{version}.star"
        slabkit("convert", "picks.star", out, "--to", version, "--tomograms", "tomograms.star")
        relion("star_handler", "--i", out, "--o", f"again_{out}", "--select", "rlnOpticsGroup",
               "--minval", 1)  # fmt: skip
        slabkit("convert", f"again_{out}", f"back_{out}", "--to", "native", "--tomograms",
                "tomograms.star")  # fmt: skip
        got = read_native_picks(tmp_path / f"back_{out}").picks.set_index("slabkitPickId")
        assert sorted(got.index) == sorted(minislabs.ids)
        np.testing.assert_allclose(got.loc[want.index, POSITION], want[POSITION], atol=1e-5)
        assert (got.loc[want.index, "slabkitTomogram"] == want["slabkitTomogram"]).all()


def test_optics_groups_of_a_converted_list_pass_through_relion(tmp_path, slabkit, relion):
    """Report 06: two groups with a beam tilt each, out of slabkit and through RELION's tools."""
    optics = {
        "rlnOpticsGroup": [1, 2],
        "rlnOpticsGroupName": ["sessionA", "sessionB"],
        "rlnTomoTiltSeriesPixelSize": [2.5, 2.5],
        "rlnVoltage": [300, 300],
        "rlnSphericalAberration": [2.7, 2.7],
        "rlnAmplitudeContrast": [0.1, 0.1],
        "rlnBeamTiltX": [0.11, -0.25],
    }
    particles = {
        "rlnTomoName": ["TS_01", "TS_02"],
        "rlnCoordinateX": [100.0, 110.0],
        "rlnCoordinateY": [100.0, 120.0],
        "rlnCoordinateZ": [50.0, 60.0],
        "rlnOpticsGroup": [1, 2],
    }
    blocks = {"general": {"rlnTomoSubTomosAre2DStacks": [0]}, "optics": optics,
              "particles": particles}  # fmt: skip
    (tmp_path / "in.star").write_text(format_star(blocks, lists=("general",)))
    slabkit("convert", "in.star", "out.star", "--to", "relion4")
    relion("star_handler", "--i", "out.star", "--o", "selected.star", "--select",
           "rlnCoordinateX", "--minval", 105)  # fmt: skip
    relion("star_handler", "--i", "out.star", "--o", "changed.star", "--operate",
           "rlnCoordinateX", "--add_to", 1)  # fmt: skip
    for name, left in (("selected.star", ["TS_02"]), ("changed.star", ["TS_01", "TS_02"])):
        found = read_star(tmp_path / name)
        assert found["particles"].rlnTomoName.tolist() == left
        assert found["optics"].rlnOpticsGroupName.tolist() == ["sessionA", "sessionB"]
        assert found["optics"].rlnBeamTiltX.astype(float).tolist() == [0.11, -0.25]
        slabkit("convert", name, "back.csv", "--overwrite")


# ------------------------------------------------------------------ the whole chain


def scored(done):
    return json.loads(done.stdout)


def elongation(image):
    """Ratio of the long to the short axis of a class average; nothing in it: 0."""
    y, x = np.indices(image.shape) - image.shape[0] // 2
    weight = np.where((np.hypot(x, y) < 15) & (image > 0.5 * image.max()), image, 0)
    if weight.sum() <= 0:
        return 0.0
    offsets = np.stack([axis - (weight * axis).sum() / weight.sum() for axis in (x, y)])
    spread = np.einsum("iyx,jyx,yx->ij", offsets, offsets, weight)
    low, high = np.linalg.eigvalsh(spread)
    return float(np.sqrt(high / low))


def test_chain_on_particles_with_noise_raises_the_score(tmp_path, slabkit, relion):
    sample = Sample(tmp_path, seed=8)
    for name in ("T1", "T2"):
        sample.add(name, (30, 220, 300), 10.0, [ROUND, DUMBBELL], step=310, noise=6)
    sample.write_picks("truth.star", kind=1, species="dumbbell")
    slabkit("slab", "T1.mrc", "T2.mrc", "-o", "slabs")
    relion(
        *("autopick", "--i", "slabs/slabs.star", "--odir", "AutoPick/", "--LoG"),
        *("--LoG_diam_min", 180, "--LoG_diam_max", 260, "--shrink", 0, "--lowpass", 20),
        *("--LoG_adjust_threshold", 1),
    )
    files = sorted(f"AutoPick/slabs/{p.name}" for p in tmp_path.glob("AutoPick/slabs/*.star"))
    slabkit("map", *files, "--slabs", "slabs/slabs.star", "--diameter", "240", "-o", "picks.star")
    slabkit("minislab", "picks.star", "-o", "mini", "--box", "360", "--depth", "240", "--stack",
            "--diameter", "300")  # fmt: skip
    (tmp_path / "C").mkdir()
    data = classify(
        *(relion, "mini/minislabs.star", "C", 12, "--K", 4, "--particle_diameter", 300),
        *("--psi_step", 24, "--oversampling", 0, "--offset_range", 4, "--offset_step", 2),
        *("--firstiter_cc", "--ini_high", 40),
    )
    # As a person would, by the looks of the class averages: the long ones.
    averages = images(tmp_path / "C" / "run_it012_classes.mrcs")
    long = [number for number, image in enumerate(averages, 1) if elongation(image) > 1.5]
    used = set(read_star(tmp_path / data)["particles"].rlnClassNumber.astype(int))
    classes = ",".join(str(number) for number in long if number in used)
    slabkit("label", data, "--minislabs", "mini/minislabs.star", "--classes", classes,
            "-o", "labels.star")  # fmt: skip
    slabkit("curate", "picks.star", "labels.star", "-o", "curated.star")
    slabkit("curate", "picks.star", "labels.star", "-o", "centred.star", "--recentre")
    slabkit("merge", "curated.star", "--distance", "160", "-o", "unmoved.star")
    slabkit("merge", "centred.star", "--distance", "160", "-o", "final.star")
    score = ("truth.star", "--radius", "dumbbell=200", "--json")
    before, curated, final = (
        scored(slabkit("score", name, *score))["total"]
        for name in ("picks.star", "curated.star", "final.star")
    )
    assert before["precision"] < 0.55
    assert curated["precision"] > before["precision"] + 0.25
    assert curated["f_beta"] > before["f_beta"]
    # Of some dumbbells both ends were picked, 190 Å apart: only near the middle they become one.
    picks = [read_native_picks(tmp_path / f"{name}.star").picks for name in ("unmoved", "final")]
    assert len(picks[0]) == curated["picks"]
    assert len(picks[1]) < curated["picks"] - 5
    assert final["precision"] > curated["precision"] + 0.15
    assert final["f_beta"] > curated["f_beta"]


def test_chain_on_denoised_tomograms_keeps_every_id(tmp_path, slabkit, relion):
    """RELION's classes are of no use on denoised data, so they are dealt into its own file."""
    slabkit("simulate", "-o", "tomograms", "--preset", "small", "--count", "2", "--seed", "1")
    slabkit("slab", "tomograms/sim_001.mrc", "tomograms/sim_002.mrc", "-o", "slabs", "--step", "75")
    relion(
        *("autopick", "--i", "slabs/slabs.star", "--odir", "AutoPick/", "--LoG"),
        *("--LoG_diam_min", 100, "--LoG_diam_max", 350, "--shrink", 0, "--lowpass", 20),
    )
    files = sorted(f"AutoPick/slabs/{p.name}" for p in tmp_path.glob("AutoPick/slabs/*.star"))
    slabkit("map", *files, "--slabs", "slabs/slabs.star", "--diameter", "200", "-o", "picks.star")
    slabkit("minislab", "picks.star", "-o", "mini", "--box", "400", "--depth", "300", "--stack",
            "--tiles", "8x6")  # fmt: skip
    (tmp_path / "C").mkdir()
    data = classify(
        *(relion, "mini/minislabs.star", "C", 2, "--K", 5, "--particle_diameter", 300),
        *("--psi_step", 30, "--oversampling", 0, "--offset_range", 2, "--offset_step", 2),
        *("--firstiter_cc", "--ini_high", 40),
    )
    picks = read_native_picks(tmp_path / "picks.star").picks
    result = read_star(tmp_path / data)
    rows = result["particles"]
    assert sorted(rows.slabkitPickId) == sorted(picks.slabkitPickId)
    rng = np.random.default_rng(9)
    rows = rows.iloc[rng.permutation(len(rows))].reset_index(drop=True)
    rows["rlnClassNumber"] = rng.integers(1, 6, len(rows)).astype(str)
    (tmp_path / "dealt.star").write_text(format_star({**result, "particles": rows}))
    slabkit("label", "dealt.star", "--minislabs", "mini/minislabs.star", "--classes", "2,4-5",
            "-o", "labels.star")  # fmt: skip
    accepted = set(rows.slabkitPickId[rows.rlnClassNumber.isin(["2", "4", "5"])])
    found = decided(tmp_path / "labels.star")
    assert found["accepted"] == accepted
    assert found["rejected"] == set(picks.slabkitPickId) - accepted
    slabkit("curate", "picks.star", "labels.star", "-o", "curated.star")
    curated = read_native_picks(tmp_path / "curated.star").picks
    kept = picks[picks.slabkitPickId.isin(accepted)].reset_index(drop=True)
    assert curated.slabkitPickId.tolist() == kept.slabkitPickId.tolist()
    np.testing.assert_array_equal(curated[POSITION], kept[POSITION])
    assert curated.slabkitClass.tolist() == [
        rows.set_index("slabkitPickId").rlnClassNumber[name] for name in curated.slabkitPickId
    ]
    report = scored(slabkit("score", "curated.star", "tomograms/truth.star", "--json"))
    assert report["total"]["picks"] == len(curated)
