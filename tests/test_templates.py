"""Template picking on images and maps whose contents are known."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from analytic import slab_table_of, tomogram_of
from scipy import ndimage

from slabkit.arrays.density_maps import view_directions, view_matrix
from slabkit.errors import InputError, MissingDependencyError, SlabkitWarning
from slabkit.picking.template import (
    find_templates,
    image_templates,
    map_templates,
    pick_templates,
)
from slabkit.tables import PICKS2D

PIXEL = 7.3
SIDE = 44
# Blobs (y, x, sigma, height) in Å about the centre: two shapes without any symmetry.
SHAPES = (
    ((20, -10, 40, 1.0), (-60, 10, 25, 1.2), (-10, 70, 20, 0.8)),
    ((60, 60, 25, 1.0), (-70, 20, 25, 0.9), (0, -60, 30, 1.1), (0, 0, 20, 0.7)),
)


def shape_at(shape, y, x):
    return sum(h * np.exp(-((y - a) ** 2 + (x - b) ** 2) / (2 * s**2)) for a, b, s, h in shape)


def turned(shape, y, x, psi):
    """The shape turned by RELION's psi, at places in Å."""
    sine, cosine = np.sin(np.radians(psi)), np.cos(np.radians(psi))
    return shape_at(shape, sine * x + cosine * y, cosine * x - sine * y)


def averages(pixel=PIXEL, side=SIDE):
    line = (np.arange(side) - side // 2) * pixel
    return np.stack([shape_at(shape, line[:, None], line[None, :]) for shape in SHAPES])


# y, x (pixels), psi, template
PLACES = [
    (40.4, 50.2, 0, 1),
    (60.0, 120.7, 30, 2),
    (100.3, 60.6, 90, 1),
    (110.1, 140.0, -120, 2),
    (45.5, 175.4, 150, 1),
]


def scene(shape=(150, 214), noise=0.05, seed=0, places=PLACES, pixel=PIXEL):
    y, x = np.indices(shape) * pixel
    image = sum(turned(SHAPES[n - 1], y - cy * pixel, x - cx * pixel, p) for cy, cx, p, n in places)
    image = image + np.random.default_rng(seed).normal(0, noise, shape)
    return image.astype(np.float32)


@pytest.fixture(scope="module")
def two():
    return image_templates(averages(), PIXEL, lowpass=40.0)


def check(found, places=PLACES, within=0.15):
    """The best matches are the true ones, with angle and template."""
    assert len(found) >= len(places)
    for y, x, psi, number in places:
        away = np.hypot(found.y_px[: len(places)] - y, found.x_px[: len(places)] - x)
        assert away.min() < within
        best = away.argmin()
        assert found.template[best] == number
        assert (found.psi[best] - psi + 180) % 360 - 180 == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("contrast", ["dark", "bright"])
def test_place_angle_and_template(two, contrast):
    image = 7 + scene() * (1 if contrast == "bright" else -1)
    before = image.copy()
    found = find_templates(image, PIXEL, templates=two, contrast=contrast)
    check(found)
    assert (found.correlation[:5] > 0.95).all()
    assert (found.score[:5] > 3 * found.score[5:].max()).all()
    assert (np.diff(found.score) <= 0).all()
    assert (found.psi > -180).all()
    assert (found.psi <= 180).all()
    np.testing.assert_array_equal(image, before)
    other = "dark" if contrast == "bright" else "bright"
    wrong = find_templates(image, PIXEL, templates=two, contrast=other)
    assert wrong.correlation.max() < 0.8


def test_angles_between_the_steps_go_to_the_nearest(two):
    places = [(50, 50, 13, 1), (100, 150, -77, 2)]
    found = find_templates(scene(places=places), PIXEL, templates=two, contrast="bright")
    assert found.psi[:2].tolist() in ([10, -80], [-80, 10])
    one = find_templates(
        scene(places=places), PIXEL, templates=two, contrast="bright", angular_step=360
    )
    assert set(one.psi) == {0.0}


def test_templates_on_another_pixel_size(two):
    fine = image_templates(averages(2.6, 124), 2.6, lowpass=40.0)
    assert fine.diameter == pytest.approx(two.diameter, rel=0.06)
    check(find_templates(scene(), PIXEL, templates=fine, contrast="bright"))
    dark = image_templates(3 - averages(), PIXEL, lowpass=40.0, contrast="dark")
    check(find_templates(scene(), PIXEL, templates=dark, contrast="bright"))


def test_grey_values_do_not_matter(two):
    one = find_templates(scene(), PIXEL, templates=two, contrast="bright")
    for image in (1e-9 * scene() + 0.0, 1e6 * scene(), 100 + 3 * scene().astype(np.float64)):
        other = find_templates(image, PIXEL, templates=two, contrast="bright")
        assert len(other) == len(one)
        np.testing.assert_allclose(other.score, one.score, rtol=2e-3)
        np.testing.assert_allclose(other.x_px, one.x_px, atol=0.01)


def test_a_coarser_low_pass_works_on_a_coarser_grid_and_finds_the_same(two):
    coarse = image_templates(averages(), PIXEL, lowpass=60.0)
    check(find_templates(scene(), PIXEL, templates=coarse, contrast="bright"), within=0.3)


def test_limits(two):
    everything = find_templates(scene(), PIXEL, templates=two, contrast="bright", threshold=1)
    three = find_templates(scene(), PIXEL, templates=two, contrast="bright", max_count=3)
    np.testing.assert_allclose(three.score, everything.score[:3], rtol=1e-5)
    high = find_templates(scene(), PIXEL, templates=two, contrast="bright", threshold=15)
    assert len(high) == 5
    apart = find_templates(
        scene(), PIXEL, templates=two, contrast="bright", threshold=1, min_distance=500
    )
    places = np.column_stack([apart.x_px, apart.y_px]) * PIXEL
    distance = np.linalg.norm(places[:, None] - places[None], axis=2)
    assert distance[~np.eye(len(apart), dtype=bool)].min() >= 500


def test_no_noise_and_constant_images(two):
    check(find_templates(scene(noise=0), PIXEL, templates=two, contrast="bright"))
    assert len(find_templates(np.full((90, 80), 5.0), PIXEL, templates=two)) == 0


def test_padding_is_no_image(two):
    image = np.full((190, 300), 9.0, dtype=np.float32)
    image[20:170, 40:254] = scene()
    found = find_templates(image, PIXEL, templates=two, contrast="bright")
    check(found, [(y + 20, x + 40, psi, n) for y, x, psi, n in PLACES])
    assert found.y_px.min() > 18
    assert found.y_px.max() < 171
    assert found.x_px.min() > 38
    assert found.x_px.max() < 255


def table(count, size=(150, 214), contrast="bright"):
    tomogram = tomogram_of(np.zeros((80, *size)), PIXEL, contrast)
    return slab_table_of(tomogram, [(20 * i, 40) for i in range(count)])


def test_slabs_of_a_tomogram(two):
    images = [scene(seed=1), scene(seed=2, places=PLACES[:1]), scene(seed=3, places=PLACES[1:])]
    picks = pick_templates(images, table(3), templates=two, threshold=12)
    assert list(picks.columns) == PICKS2D.names
    assert picks["rlnMicrographName"].value_counts(sort=False).tolist() == [5, 1, 4]
    assert set(picks["slabkitScoreKind"]) == {"template"}
    first = picks[picks["rlnMicrographName"] == "slabs/T1_slab001.mrc"].iloc[0]
    assert (first["rlnAnglePsi"], first["rlnClassNumber"]) == (0, 1)
    assert first["slabkitDiameter"] == two.diameter
    threads = pick_templates(iter(images), table(3), templates=two, threshold=12, jobs=3)
    pd.testing.assert_frame_equal(picks, threads)
    dark = pick_templates(
        [-image for image in images], table(3), templates=two, threshold=12, contrast="dark"
    )
    np.testing.assert_allclose(
        dark["rlnAutopickFigureOfMerit"], picks["rlnAutopickFigureOfMerit"], rtol=1e-4
    )


def test_a_device_without_pytorch(two, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it fails
    with pytest.raises(MissingDependencyError, match="--device cuda needs PyTorch, which is not"):
        find_templates(scene(), PIXEL, templates=two, device="cuda")
    with pytest.raises(MissingDependencyError, match="pip install"):
        pick_templates([scene()], table(1), templates=two, device="mps")


def test_a_full_device_is_told(two, monkeypatch):
    class OutOfMemoryError(RuntimeError):
        pass

    def full(*_):
        raise OutOfMemoryError("CUDA out of memory. Tried to allocate")

    monkeypatch.setattr("slabkit.picking.template_search.TemplateSearch.sampled", full)
    with pytest.raises(InputError, match="--device cpu: its memory is full"):
        find_templates(scene(), PIXEL, templates=two)
    with pytest.raises(InputError, match="--device cpu: its memory is full"):
        pick_templates([scene()], table(1), templates=two)
    monkeypatch.setattr("slabkit.picking.template_search.TemplateSearch.sampled", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        find_templates(scene(), PIXEL, templates=two)


def test_one_noise_scale_a_tomogram(two):
    """A slab whose own scores spread more is not judged by its own scale."""
    images = [scene(seed=1, noise=0.3), scene(seed=2, noise=0.01)]
    same = {"templates": two, "threshold": 5, "correlation_only": True}
    picks = pick_templates(images, table(2), **same)
    alone = find_templates(images[1], PIXEL, contrast="bright", **same)
    own = picks[picks["rlnMicrographName"] == "slabs/T1_slab001.mrc"]
    ratio = own["rlnAutopickFigureOfMerit"].iloc[0] / alone.score[0]
    assert abs(np.log(ratio)) > 0.1


def test_sets_of_templates_name_species_and_number_on():
    one = image_templates(averages()[:1], PIXEL, lowpass=40.0, species="one")
    other = image_templates(averages()[1:], PIXEL, lowpass=40.0, species="other", numbers=[4])
    picks = pick_templates([scene()], table(1), templates=[one, other], threshold=10)
    best = picks.iloc[:5]
    assert set(zip(best["slabkitSpecies"], best["rlnClassNumber"], strict=True)) == {
        ("one", 1),
        ("other", 5),
    }
    for y, x, _, number in PLACES:
        away = np.hypot(best["rlnCoordinateY"] - y, best["rlnCoordinateX"] - x)
        assert best["slabkitSpecies"].iloc[away.argmin()] == ("one", "other")[number - 1]
    assert len(pick_templates([], table(1).iloc[:0], templates=one)) == 0


def test_decoys_take_their_places_and_are_not_reported():
    one = image_templates(averages()[:1], PIXEL, lowpass=40.0, species="one")
    other = image_templates(averages()[1:], PIXEL, lowpass=40.0, species="other")
    both = pick_templates([scene()], table(1), templates=[one, other], threshold=10)
    decoy = dataclasses.replace(other, decoy=True)
    picks = pick_templates([scene()], table(1), templates=[one, decoy], threshold=10)
    expected = both[both["slabkitSpecies"] == "one"].reset_index(drop=True)
    assert 0 < len(expected) < len(both)
    assert picks.equals(expected)
    few = pick_templates([scene()], table(1), templates=[one, decoy], threshold=10, max_per_slab=2)
    assert few.equals(expected.iloc[:2])


def test_constant_slabs_are_warned_of(two):
    with pytest.warns(SlabkitWarning, match="1 of 2 slabs are constant .*T1_slab000"):
        picks = pick_templates(
            [np.zeros((150, 214)), scene()], table(2), templates=two, threshold=12
        )
    assert len(picks) == 5


def molecule(voxel=5.0, side=60):
    """Gaussian balls in a map, and their centres ``(x, y, z)``, widths and heights in Å."""
    balls = [((60, 0, 0), 22, 1.0), ((0, 50, 10), 18, 1.1), ((-20, -30, 60), 16, 1.0)]
    balls += [((0, 0, 0), 30, 0.8), ((10, -60, -30), 14, 1.2)]
    z, y, x = (np.indices((side, side + 4, side + 8)).T - [30.0, 31.0, 35.0]).T * voxel
    density = sum(
        h * np.exp(-((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / (2 * s**2))
        for (a, b, c), s, h in balls
    )
    return density, balls


def projected(balls, rot, tilt, psi, y, x):
    """The molecule seen from a direction, in closed form."""
    image = np.zeros(np.broadcast(y, x).shape)
    for centre, width, height in balls:
        a, b, _ = view_matrix(rot, tilt) @ np.array(centre, dtype=float)
        image += height * width * turned([(b, a, width, 1.0)], y, x, psi)
    return image


def mass_centre(balls):
    weight = np.array([h * s**3 for _, s, h in balls])
    return weight @ np.array([c for c, _, _ in balls]) / weight.sum()


def test_views_of_a_map_are_its_projections():
    density, balls = molecule()
    views = map_templates(
        density, 5.0, lowpass=20.0, thickness=5000.0, tilt_range=None, view_step=90
    )
    centre = mass_centre(balls)
    balls = [(tuple(np.array(c) - centre), s, h) for c, s, h in balls]
    line = np.arange(-12, 13) * 9.0
    y, x = (grid.ravel() for grid in np.meshgrid(line, line, indexing="ij"))
    for psi in (0.0, 70.0):
        drawn = views.drawn(psi, y, x, np.ones_like)
        for image, (rot, tilt) in zip(drawn, view_directions(90), strict=True):
            expected = projected(balls, rot, tilt, psi, y, x)
            image = image - image.min()
            scale = (image @ expected) / (image @ image)
            assert np.abs(scale * image - expected).max() < 0.03 * expected.max()


@pytest.mark.parametrize("thickness", [300.0, 120.0])
def test_views_through_slab_and_wedge(thickness):
    """Against a volume that is cut in Fourier space, then in depth."""
    density, _ = molecule()
    side = 128
    box = np.zeros((side, side, side))
    box[34:94, 34:98, 30:98] = density
    box = ndimage.shift(box, 64 - np.array(ndimage.center_of_mass(box)))
    kz, ky, kx = np.meshgrid(*[np.fft.fftfreq(side)] * 3, indexing="ij")
    low = np.exp(-(((kx**2 + ky**2 + kz**2) / 0.14**2) ** 4))
    line = np.arange(-10, 11) * 10.0
    y, x = (grid.ravel() for grid in np.meshgrid(line, line, indexing="ij"))
    direction = view_directions(150)
    views = map_templates(
        density, 5.0, lowpass=30.0, thickness=thickness, view_step=150, tilt_range=(-40, 40)
    )
    whole = map_templates(
        density, 5.0, lowpass=30.0, thickness=thickness, view_step=150, tilt_range=None
    )
    inside = (x**2 + y**2) < 100**2
    for psi in (0.0, 90.0):
        sine, cosine = np.sin(np.radians(psi)), np.cos(np.radians(psi))
        turn = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])
        matrix = (turn @ view_matrix(*direction[0]))[::-1, ::-1]  # now of (z, y, x)
        seen = ndimage.affine_transform(
            box, matrix.T, offset=64 - matrix.T @ np.full(3, 64.0), order=3
        )
        cut = np.fft.ifftn(
            np.fft.fftn(seen) * low * (np.abs(kz) <= np.abs(kx) * np.tan(np.radians(40)))
        ).real
        half = round(thickness / 10)
        image = (cut[64 - half : 64 + half] + cut[65 - half : 65 + half]).mean(axis=0)
        expected = ndimage.map_coordinates(image, [64 + y / 5, 64 + x / 5], order=3)

        def agreement(templates, expected=expected, psi=psi):
            drawn = templates.drawn(psi, y, x, lambda f: np.exp(-(((f * 5) ** 2 / 0.14**2) ** 4)))
            return np.corrcoef(drawn[0][inside], expected[inside])[0, 1]

        assert agreement(views) > 0.997
        assert agreement(whole) < 0.98


@pytest.mark.parametrize("tilts", [None, (-40, 40), (-60, 30)])
def test_half_a_turn_is_a_reflection_unless_the_wedge_is_lopsided(tilts):
    density, _ = molecule()
    views = map_templates(
        density, 5.0, lowpass=30.0, thickness=100.0, view_step=90, tilt_range=tilts
    )
    y, x = np.random.default_rng(1).uniform(-60, 60, (2, 50))
    one = views.drawn(17.0, y, x, np.ones_like)
    other = views.drawn(197.0, -y, -x, np.ones_like)
    assert views.half_turn_reflects == (tilts != (-60, 30))
    assert views.half_turn_reflects == bool(np.abs(one - other).max() < 1e-9 * np.ptp(one))
    even, odd = views.drawn_parts(17.0, y, x, np.ones_like)
    np.testing.assert_array_equal(even + odd, views.drawn(17.0, -y, -x, np.ones_like))


def test_map_finds_its_views():
    density, balls = molecule()
    centre = mass_centre(balls)
    balls = [(tuple(np.array(c) - centre), s, h) for c, s, h in balls]
    views = map_templates(
        density, 5.0, lowpass=40.0, thickness=400.0, tilt_range=None, species="m", view_step=50
    )
    assert views.diameter == pytest.approx(205, abs=30)
    rough = {0.3: 0.3, 0.5: 1.0, 1.0: 1.0, 1.2: 1.2, 2.0: 1.4, 2.6: 2.6}
    for factor, used in rough.items():  # near its own it cuts nothing off, beyond it is a mask
        given = map_templates(
            density, 5.0, lowpass=40.0, thickness=400.0, diameter=factor * views.diameter
        )
        assert given.diameter == pytest.approx(used * views.diameter)
    directions = view_directions(50)
    y, x = np.indices((120, 150)) * PIXEL
    image = np.random.default_rng(0).normal(0, 0.3, y.shape)
    places = [(30, 40, 2, 20), (80, 40, 9, -100), (60, 110, 14, 170)]
    for cy, cx, view, psi in places:
        image += projected(balls, *directions[view], psi, y - cy * PIXEL, x - cx * PIXEL)
    found = find_templates(image, PIXEL, templates=views, contrast="bright")
    # To half a voxel of the map.
    check(found, [(cy, cx, psi, view + 1) for cy, cx, view, psi in places], within=2.5 / PIXEL)


def test_view_directions_are_even():
    for step, count in ((30, 46), (15, 184), (180, 2)):
        directions = view_directions(step)
        assert len(directions) == count
    vectors = np.array([view_matrix(rot, tilt)[2] for rot, tilt in view_directions(15)])
    cosine = vectors @ vectors.T - 2 * np.eye(len(vectors))
    nearest = np.degrees(np.arccos(cosine.max(axis=1)))
    assert nearest.min() > 9
    assert nearest.max() < 18
    anywhere = np.random.default_rng(0).normal(size=(2000, 3))
    anywhere /= np.linalg.norm(anywhere, axis=1, keepdims=True)
    assert np.degrees(np.arccos((anywhere @ vectors.T).max(axis=1))).max() < 15


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((3, 4, 5))}, r"a real image \(y, x\) is needed"),
        (
            {"image": np.array([[0, np.nan]] * 60)},
            "60 pixels are NaN or infinite, the first at y=0",
        ),
        ({"pixel_size": -1.0}, "pixel size must be a positive"),
        ({"pixel_size": 20.0}, "needs finer pixels than 20 Å; give --lowpass 46 or more"),
        ({"image": scene()[:20]}, "does not fit in an image of 214 × 20 pixels"),
        ({"angular_step": 0.0}, "--angular-step must be above 0"),
        ({"threshold": np.nan}, "--threshold must be a number"),
        ({"max_count": 0}, "--max-per-slab must be at least 1"),
        ({"min_distance": -1.0}, "--min-distance must be 0 Å or more"),
        ({"contrast": "grey"}, "contrast must be 'dark' or 'bright'"),
        ({"templates": []}, "there are no templates"),
    ],
)
def test_bad_searches(two, change, message):
    arguments = {"image": scene(), "pixel_size": PIXEL, "templates": two, **change}
    with pytest.raises(InputError, match=message):
        find_templates(arguments.pop("image"), arguments.pop("pixel_size"), **arguments)


def test_low_passes_must_agree(two):
    other = image_templates(averages(), PIXEL, lowpass=50.0)
    with pytest.raises(InputError, match="different low-passes"):
        find_templates(scene(), PIXEL, templates=[two, other])


def test_tables_that_do_not_fit(two):
    with pytest.raises(InputError, match="has 2 slabs, but there are only 1 images"):
        pick_templates([scene()], table(2), templates=two)
    with pytest.raises(InputError, match="more images than the 1 slabs"):
        pick_templates([scene()] * 2, table(1), templates=two)
    mixed = table(2).assign(slabkitContrast=["dark", "bright"])
    with pytest.raises(InputError, match="differ in slabkitContrast"):
        pick_templates([scene()] * 2, mixed, templates=two)


BAD = np.array(averages())
BAD[1, 3, 3] = np.inf


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (np.zeros((2, 8, 9)), {}, r"square images \(n, y, x\), not of shape \(2, 8, 9\)"),
        (averages(), {"pixel_size": np.nan}, "give --template-pixel-size"),
        (BAD, {}, "template 2 has NaN"),
        (np.stack([averages()[0], np.ones((SIDE, SIDE))]), {}, "template 2 is constant"),
        (averages(), {"diameter": 400.0}, "does not fit in templates of 321"),
        (averages(), {"lowpass": 0.0}, "--lowpass must be a positive"),
        (averages(), {"contrast": "x"}, "contrast must be"),
    ],
)
def test_bad_images(images, options, message):
    options = {"pixel_size": PIXEL, "lowpass": 40.0, **options}
    with pytest.raises(InputError, match=message):
        image_templates(images, options.pop("pixel_size"), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"density": np.ones((4, 4))}, "must have three axes"),
        ({"density": -np.ones((4, 4, 4))}, "has no positive density"),
        ({"density": np.full((4, 4, 4), np.nan)}, "NaN or infinite voxels"),
        ({"voxel_size": 0.0}, "the voxel size of the map must be a positive"),
        ({"lowpass": -1.0}, "--lowpass must be"),
        ({"thickness": 0.0}, "the slabs' thickness must be"),
        ({"tilt_range": (50, -50)}, "--tilt-range takes MIN:MAX"),
        ({"view_step": 0.0}, "--view-step must be above 0"),
        ({"diameter": -5.0}, "--diameter must be"),
    ],
)
def test_bad_maps(options, message):
    options = {
        "density": np.ones((4, 4, 4)),
        "voxel_size": 5.0,
        "lowpass": 40.0,
        "thickness": 300.0,
        **options,
    }
    with pytest.raises(InputError, match=message):
        map_templates(options.pop("density"), options.pop("voxel_size"), **options)


def test_relion_finds_the_same_places_and_angles(two, tmp_path):
    """RELION's template picker on the same slab and templates."""
    program = shutil.which("relion_autopick")
    if program is None:
        pytest.skip("relion_autopick is not installed")
    from slabkit.formats.tables.star import read_star
    from slabkit.formats.volumes.mrc import write_mrc

    image = scene(noise=0.1)
    write_mrc(tmp_path / "slab.mrc", -image, PIXEL, label="test")
    write_mrc(tmp_path / "ref.mrcs", averages()[:1].astype(np.float32), PIXEL, label="test")
    command = f"{program} --i slab.mrc --odir AP/ --pickname t --ref ref.mrcs --angpix {PIXEL}"
    command += f" --angpix_ref {PIXEL} --invert --ang 10 --shrink 1 --lowpass 40"
    command += " --particle_diameter 240 --threshold 0.6 --min_distance 150"
    subprocess.run(command.split(), cwd=tmp_path, capture_output=True, check=False, timeout=120)
    table = read_star(tmp_path / "AP/slab_t.star")
    theirs = next(iter(table.values())).astype(float)
    one = image_templates(averages()[:1], PIXEL, lowpass=40.0)
    ours = find_templates(-image, PIXEL, templates=one)
    for y, x, psi, number in PLACES:
        if number != 1:
            continue
        # RELION works on a micrograph reduced to 20 Å a pixel here.
        for place_y, place_x, angle, within in (
            (theirs["rlnCoordinateY"], theirs["rlnCoordinateX"], theirs["rlnAnglePsi"], 20 / PIXEL),
            (ours.y_px, ours.x_px, ours.psi, 0.3),
        ):
            away = np.hypot(np.asarray(place_y) - y, np.asarray(place_x) - x)
            assert away.min() < within
            assert (np.asarray(angle)[away.argmin()] - psi + 180) % 360 - 180 == pytest.approx(
                0, abs=1e-6
            )


def test_a_real_map_finds_its_molecules_before_others(data_folder):
    """The best eight of each slab: apo-ferritin among ribosomes, membranes and others."""
    from slabkit import find_blobs, open_tomogram, project_slabs, read_picks

    if not (data_folder / "maps").is_dir():
        pytest.skip(f"no maps in {data_folder}")
    tomogram = open_tomogram(data_folder / "tomograms" / "TS_912.mrc")
    truth = read_picks(data_folder / "tomograms" / "truth.csv").picks
    truth = truth[truth["slabkitTomogram"] == "TS_912"]
    truth = truth[truth["slabkitSpecies"] == "apo-ferritin"]
    images, slabs = project_slabs(tomogram, thickness=300.0)
    volume = open_tomogram(data_folder / "maps" / "10A" / "6pxm.mrc", contrast="bright")
    density = volume.data[tuple(slice(0, side) for side in volume.shape)]
    views = map_templates(density, 10.0, lowpass=40.0, thickness=300.0, view_step=60)
    assert views.diameter == pytest.approx(135, abs=15)
    picks = pick_templates(images, slabs, templates=views, max_per_slab=8)
    found = {"template": 0, "blob": 0}
    count = 0
    for index, row in enumerate(slabs.itertuples()):
        low, high = row.slabkitZStart * 10, (row.slabkitZStart + row.slabkitZCount) * 10
        own = truth[truth["slabkitZ"].between(low + 50, high - 50)]
        count += len(own)
        best = picks[picks["rlnMicrographName"] == row.rlnMicrographName]
        blobs = find_blobs(images[index], 10.0, diameter=(100, 350), max_count=8)
        for particle in own.itertuples():
            for name, x, y in (
                ("template", best["rlnCoordinateX"], best["rlnCoordinateY"]),
                ("blob", blobs.x_px, blobs.y_px),
            ):
                away = np.hypot(10 * x - particle.slabkitX, 10 * y - particle.slabkitY)
                found[name] += bool(len(away) and away.min() <= 30)
    assert found["template"] >= 0.8 * count
    assert found["template"] > found["blob"]
