"""Simulated tomograms: molecules, places, imaging, and the truth about them."""

import numpy as np
import pytest
from scipy import ndimage, special
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist, squareform
from scipy.spatial.transform import Rotation

from slabkit.errors import InputError, SlabkitWarning
from slabkit.simulation import CZII_COUNTS, PRESETS, TILTS, PlacedMap, simulate_tomogram
from slabkit.simulation.imaging import image_volume
from slabkit.simulation.maps import MapModel
from slabkit.simulation.molecules import (
    EXTENT_LEVEL,
    MASK_LEVEL,
    random_rotation,
    relion_angles,
    symmetry_operators,
)
from slabkit.simulation.sample import Sample, Vesicle
from slabkit.simulation.species import built_in_species, decoys, membrane_protein, small_proteins
from slabkit.tables import PICKS, SPECIES, validate_table

MOLECULES = {**built_in_species(), **decoys()}
PLAIN = {"noise": 0, "crowding": 0, "tilts": None, "smooth": False}
TABLE = {
    "ribosome": (4.3e6, "C1", 300),
    "virus-like-particle": (3.4e6, "I", 270),
    "thyroglobulin": (6.6e5, "C2", 260),
    "beta-galactosidase": (5.4e5, "D2", 180),
    "apo-ferritin": (4.5e5, "O", 120),
    "beta-amylase": (2.68e5, "D2", 130),
}


def rng(seed=0):
    return np.random.default_rng(seed)


def drawn(model, rotation=None, voxel_size=10.0, offset=(0, 0, 0)):
    half = int(np.ceil(model.reach(voxel_size) / voxel_size)) + 1
    turn = np.eye(3) if rotation is None else rotation
    return model.draw(turn, np.array(offset, dtype=float), half, voxel_size)


def positions(truth):
    return truth[["slabkitX", "slabkitY", "slabkitZ"]].to_numpy()


def rotations(truth):
    angles = truth[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]].to_numpy()
    return Rotation.from_euler("ZYZ", angles, degrees=True).inv().as_matrix()


# --- symmetry ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "order"), [("C1", 1), ("C5", 5), ("D2", 4), ("D7", 14), ("O", 24), ("I", 60)]
)
def test_operators_are_a_group_of_rotations(group, order):
    operators = symmetry_operators(group)
    assert operators.shape == (order, 3, 3)
    np.testing.assert_allclose(operators[0], np.eye(3))
    np.testing.assert_allclose(np.linalg.det(operators), 1)
    np.testing.assert_allclose(
        operators @ operators.transpose(0, 2, 1), [np.eye(3)] * order, atol=1e-12
    )
    products = np.einsum("aij,bjk->abik", operators, operators).reshape(-1, 1, 9)
    away = np.abs(products - operators.reshape(1, -1, 9)).max(axis=2).min(axis=1)
    assert away.max() < 1e-9


def test_unknown_symmetry():
    with pytest.raises(InputError, match=r"symmetry must be C<n>, D<n>, O or I, not 'T'\."):
        symmetry_operators("T")


def test_the_table_of_species():
    assert tuple(built_in_species()) == SPECIES == tuple(CZII_COUNTS)
    for name, (mass, symmetry, diameter) in TABLE.items():
        molecule = built_in_species()[name]
        assert (molecule.mass, molecule.symmetry, molecule.diameter) == (mass, symmetry, diameter)


@pytest.mark.parametrize("name", MOLECULES)
def test_rotating_by_a_symmetry_operator_reproduces_the_density(name):
    molecule = MOLECULES[name]
    turn = random_rotation(rng(1))
    density = drawn(molecule, turn)
    for operator in symmetry_operators(molecule.symmetry)[:: 7 if molecule.symmetry == "I" else 1]:
        np.testing.assert_allclose(drawn(molecule, turn @ operator), density, atol=1e-4)


@pytest.mark.parametrize(
    "name", ["ribosome", "thyroglobulin", "beta-galactosidase", "apo-ferritin"]
)
def test_no_more_symmetry_than_stated(name):
    molecule = MOLECULES[name]
    more = {"C1": "C2", "C2": "D2", "D2": "D4", "O": "I"}[molecule.symmetry]
    density = drawn(molecule)
    for operator in symmetry_operators(more):
        own = np.abs(operator - symmetry_operators(molecule.symmetry)).max(axis=(1, 2)).min() < 1e-9
        if not own:
            assert np.abs(drawn(molecule, operator) - density).max() > 0.1 * density.max()


def test_shells_are_hollow_and_the_others_are_not():
    for name, molecule in built_in_species().items():
        density = drawn(molecule)
        middle = density[tuple(n // 2 for n in density.shape)] / density.max()
        hollow = name in ("apo-ferritin", "virus-like-particle")
        assert middle < 0.05 if hollow else middle > 0.2, name


@pytest.mark.parametrize("name", MOLECULES)
def test_the_diameter_is_the_greatest_extent(name):
    step = 4.0
    density = drawn(MOLECULES[name], random_rotation(rng(2)), step)
    inside = np.argwhere(density > EXTENT_LEVEL * density.max()) * step
    measured = pdist(inside[ConvexHull(inside).vertices]).max()
    # Voxel centres lie up to half a voxel inside the border at either end.
    assert MOLECULES[name].diameter - 1.5 * step < measured < MOLECULES[name].diameter + step


@pytest.mark.parametrize("voxel_size", [5.0, 7.3, 10.012, 14.0])
def test_integrated_density_is_the_mass_and_centred(voxel_size):
    offset = np.array([0.4, -0.3, 0.1])
    for molecule in [*MOLECULES.values(), *small_proteins(), membrane_protein()]:
        density = drawn(molecule, random_rotation(rng(3)), voxel_size, offset).astype(float)
        assert density.sum() * voxel_size**3 == pytest.approx(molecule.mass, rel=1e-3)
        centre = np.array(ndimage.center_of_mass(density))[::-1] - density.shape[0] // 2
        np.testing.assert_allclose(centre, offset, atol=0.01)
        assert density.max() <= molecule.peak(voxel_size) * 1.3


# --- rotations --------------------------------------------------------------------------------


def test_random_rotations_are_uniform():
    turns = np.array([random_rotation(generator) for generator in [rng(4)] for _ in range(4000)])
    np.testing.assert_allclose(np.linalg.det(turns), 1)
    # Of uniform rotations every entry has mean 0 and mean square 1/3.
    assert np.abs(turns.mean(axis=0)).max() < 0.05
    assert np.abs((turns**2).mean(axis=0) - 1 / 3).max() < 0.03


def test_relion_angles_are_those_of_relion():
    turns = [random_rotation(generator) for generator in [rng(5)] for _ in range(50)]
    turns += [np.eye(3), np.diag([1.0, -1, -1]), np.diag([-1.0, 1, -1]), np.diag([-1.0, -1, 1])]
    for turn in turns:
        angles = relion_angles(turn)
        assert 0 <= angles[1] <= 180
        back = Rotation.from_euler("ZYZ", angles, degrees=True).inv().as_matrix()
        np.testing.assert_allclose(back, turn, atol=1e-6)
        # The matrix as RELION's source has it, from the three angles.
        a, b, c = np.radians(angles)
        row0 = (np.cos(c) * np.cos(b) * np.cos(a) - np.sin(c) * np.sin(a),)
        row0 += (np.cos(c) * np.cos(b) * np.sin(a) + np.sin(c) * np.cos(a), -np.cos(c) * np.sin(b))
        np.testing.assert_allclose(turn[0], row0, atol=1e-6)


# --- samples ----------------------------------------------------------------------------------


def test_nothing_overlaps_and_all_is_in_the_ice():
    sample = Sample((70, 130, 150), 10.0, rng(6))
    vesicle = Vesicle(np.array([700.0, 650, 350]), np.array([250.0, 220, 200]), np.eye(3))
    assert sample.add_vesicle(vesicle)
    claimed = vesicle_mask = sample.occupied.astype(int)
    assert vesicle_mask.any()
    species = built_in_species()
    placed = sample.place(species["ribosome"], 6, clustered=0.7)
    placed += sample.place(species["apo-ferritin"], 20)
    placed += sample.place(species["thyroglobulin"], 5)
    assert len(placed) == 31
    low, high = sample.ice
    assert 0 < low < high < 690
    total = np.zeros(sample.shape)
    for place in placed:
        model = species[place.name]
        centre = place.position / 10.0
        middle = np.floor(centre + 0.5).astype(int)
        patch = drawn(model, place.rotation, 10.0, centre - middle)
        pad = len(patch)
        wide = np.zeros(np.array(sample.shape) + 2 * pad)
        corner = middle[::-1] + pad - pad // 2
        wide[tuple(slice(c, c + pad) for c in corner)] = patch
        inner = wide[pad:-pad, pad:-pad, pad:-pad]
        total += inner
        claimed = claimed + (inner > MASK_LEVEL * model.peak(10.0))
        assert low <= place.position[2] - model.diameter / 2
        assert place.position[2] + model.diameter / 2 <= high
    assert claimed.max() == 1
    np.testing.assert_array_equal(claimed > 0, sample.occupied)
    shell = vesicle.draw(sample.shape, 10.0)
    total[shell[0]] += shell[1]
    np.testing.assert_allclose(sample.density, total, atol=1e-4)


def test_some_ribosomes_touch():
    sizes = {}
    for share in (0.0, 0.8):
        sample = Sample((80, 250, 250), 10.0, rng(13))
        placed = sample.place(built_in_species()["ribosome"], 8, share)
        places = np.array([place.position for place in placed])
        nearest = np.sort(squareform(pdist(places)) + 1e6 * np.eye(8), axis=1)[:, 0]
        sizes[share] = np.sum(nearest < 315)
    assert sizes[0.0] <= 2
    assert sizes[0.8] >= 5


def test_a_vesicle_is_two_leaflets_40_angstrom_apart():
    step = 4.0
    vesicle = Vesicle(np.array([202.0, 198, 200]), np.full(3, 150.0), random_rotation(rng(7)))
    box, density, occupied = vesicle.draw((101, 101, 101), step)
    whole, mask = np.zeros((101, 101, 101)), np.zeros((101, 101, 101), dtype=bool)
    whole[box], mask[box] = density, occupied
    z, y, x = np.indices(whole.shape) * step
    radius = np.sqrt((x - 202) ** 2 + (y - 198) ** 2 + (z - 200) ** 2)
    radii = np.arange(90, 211, 4)
    profile = np.array([whole[np.abs(radius - r) < 2].mean() for r in radii])
    peaks = 1 + np.flatnonzero(np.diff(np.sign(np.diff(profile))) < 0)
    assert radii[peaks].tolist() == [130, 170]
    assert profile[radii == 150] < 0.5 * profile.max()
    assert not mask[np.abs(radius - 150) > 33].any()
    assert mask[np.abs(radius - 150) < 31].all()


def test_the_surface_of_a_vesicle():
    vesicle = Vesicle(
        np.array([10.0, 20, 30]), np.array([300.0, 200, 250]), random_rotation(rng(8))
    )
    points = []
    for direction in rng(9).standard_normal((2000, 3)):
        point, normal = vesicle.surface_point(direction / np.linalg.norm(direction))
        points.append(point)
        own = vesicle.rotation.T @ (point - vesicle.centre) / vesicle.semi_axes
        assert np.linalg.norm(own) == pytest.approx(1)
        assert np.linalg.norm(normal) == pytest.approx(1)
    farthest = np.abs(np.array(points) - vesicle.centre).max(axis=0)
    np.testing.assert_allclose(farthest, vesicle.half_extents(), rtol=0.02)
    for point in points[::100]:
        own = vesicle.rotation.T @ (point - vesicle.centre) / vesicle.semi_axes
        _, normal = vesicle.surface_point(own)
        # Of a convex body no point lies beyond the tangent plane.
        assert ((np.array(points) - point) @ normal).max() < 1e-6


def test_a_vesicle_is_cut_by_the_volume():
    vesicle = Vesicle(
        np.array([0.0, 200, 200]), np.array([150.0, 120, 100]), random_rotation(rng(8))
    )
    box, density, _ = vesicle.draw((41, 41, 41), 10.0)
    far = Vesicle(np.array([410.0, 600, 500]), vesicle.semi_axes, vesicle.rotation)
    wide = far.draw((101, 121, 121), 10.0)
    whole = np.zeros((101, 121, 121), dtype=np.float32)
    whole[wide[0]] = wide[1]
    np.testing.assert_allclose(density, whole[30:71, 40:81, 41:82][box], atol=1e-4)
    away = Vesicle(np.array([-900.0, 200, 200]), vesicle.semi_axes, vesicle.rotation)
    assert away.draw((41, 41, 41), 10.0) is None


# --- imaging ----------------------------------------------------------------------------------


def point(shape):
    volume = np.zeros(shape, dtype=np.float32)
    volume[tuple(n // 2 for n in shape)] = 1
    return volume


def test_imaging_is_weighted_back_projection():
    """A point becomes streaks along the beams, each with the profile of the ramp filter."""
    shape = (31, 12, 47)
    imaged = image_volume(point(shape), TILTS, 0, rng(), smooth=False)
    z, x = np.mgrid[-15:16, -23:24]
    k = (np.arange(800) + 0.5) / 1600  # the filter |k|, integrated numerically
    expected = np.zeros((31, 47))
    for angle in np.radians(TILTS):
        s = x * np.cos(angle) + z * np.sin(angle)
        ramp = np.array([np.mean(k * np.cos(2 * np.pi * k * v)) for v in s.ravel()])
        expected += np.radians(3) * ramp.reshape(s.shape)
    np.testing.assert_allclose(imaged[:, 6], expected, atol=1e-5)
    others = np.delete(imaged, 6, axis=1)
    assert np.abs(others).max() < 1e-5


def test_no_wedge_no_noise_no_smoothing_changes_nothing():
    volume = rng().random((17, 20, 23), dtype=np.float32)
    before = volume.copy()
    imaged = image_volume(volume, None, 0, rng(), smooth=False)
    np.testing.assert_allclose(imaged, before, atol=1e-5)
    np.testing.assert_array_equal(volume, before)
    assert imaged.dtype == np.float32


def spectra(volume):
    depth, _, width = volume.shape
    window = np.hanning(depth)[:, None, None] * np.hanning(width)
    power = (np.abs(np.fft.fftn((volume - volume.mean()) * window)) ** 2).mean(axis=1)
    kz, kx = np.meshgrid(np.fft.fftfreq(depth), np.fft.fftfreq(width), indexing="ij")
    steep = np.degrees(np.arctan2(np.abs(kz), np.abs(kx)))
    ring = (np.hypot(kz, kx) > 0.08) & (np.hypot(kz, kx) < 0.25)
    return power, ring & (steep > 55), ring & (steep < 35)


@pytest.mark.parametrize("noise_only", [False, True])
def test_the_wedge_is_missing(noise_only):
    shape = (80, 24, 90)
    if noise_only:
        imaged = image_volume(np.zeros(shape, dtype=np.float32), TILTS, 1.0, rng(), smooth=False)
    else:
        imaged = image_volume(point(shape), TILTS, 0, rng(), smooth=False)
    power, missing, measured = spectra(imaged)
    assert power[missing].mean() < 0.02 * power[measured].mean()
    if not noise_only:
        whole = spectra(point(shape))[0]
        assert power[measured].sum() == pytest.approx(whole[measured].sum(), rel=0.05)


def test_noise_has_the_stated_strength_and_is_coloured():
    nothing = np.zeros((48, 60, 66), dtype=np.float32)
    noise = image_volume(nothing, TILTS, 0.7, rng(9), smooth=False)
    assert noise.std() == pytest.approx(0.7, rel=0.02)
    assert abs(noise.mean()) < 0.02
    # White along the tilt axis, smeared along the beam.
    along_y = np.mean(noise[:, 1:] * noise[:, :-1]) / 0.49
    along_z = np.mean(noise[1:] * noise[:-1]) / 0.49
    assert abs(along_y) < 0.02
    assert along_z > 0.4
    white = image_volume(nothing, None, 0.7, rng(9), smooth=False)
    assert white.std() == pytest.approx(0.7, rel=0.02)
    assert abs(np.mean(white[1:] * white[:-1]) / 0.49) < 0.02


def test_smoothing_takes_the_high_frequencies_only():
    white = rng(10).standard_normal((40, 44, 48)).astype(np.float32)
    smooth = image_volume(white, None, 0, rng())
    ratio = np.abs(np.fft.fftn(smooth)) / np.abs(np.fft.fftn(white))
    radius = np.sqrt(
        sum(np.array(np.meshgrid(*map(np.fft.fftfreq, white.shape), indexing="ij")) ** 2)
    )
    assert np.median(ratio[radius > 0.42]) < 0.1
    assert np.median(ratio[radius < 0.06]) > 0.6


# --- tomograms --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "voxel_size"), [((49, 64, 57), 7.3), ((40, 55, 66), 10.012), ((33, 32, 47), 14.0)]
)
@pytest.mark.parametrize("name", ["apo-ferritin", "beta-galactosidase", "thyroglobulin"])
def test_the_centre_of_mass_is_at_the_truth(name, shape, voxel_size):
    size = {"shape": shape, "voxel_size": voxel_size}
    tomogram, truth = simulate_tomogram("t", counts={name: 1}, seed=3, **size, **PLAIN)
    assert tomogram.shape == shape
    assert tomogram.contrast == "dark"
    assert tomogram.data.dtype == np.float32
    density = -np.asarray(tomogram.data, dtype=float)
    centre = np.array(ndimage.center_of_mass(density))[::-1] * voxel_size
    np.testing.assert_allclose(centre, positions(truth)[0], atol=0.05 * voxel_size)
    assert density.sum() * voxel_size**3 == pytest.approx(TABLE[name][0], rel=0.01)


def lopsided_map(step=5.0):
    """A heavy blob at the middle of an odd box and a light one 60 Å along x and 30 Å along z."""
    z, y, x = (np.indices((41, 45, 49)) - np.array([20, 22, 24])[:, None, None, None]) * step
    heavy = np.exp(-0.5 * (x**2 + y**2 + z**2) / 18**2)
    return (heavy + 0.5 * np.exp(-0.5 * ((x - 60) ** 2 + y**2 + (z - 30) ** 2) / 12**2)) * 7 - 1e-4


def test_a_map_is_placed_by_its_centre_of_mass_and_turned_by_its_angles():
    placed = PlacedMap(lopsided_map().astype(np.float32), 5.0, 1)
    tomogram, truth = simulate_tomogram(
        "t", shape=(50, 61, 72), voxel_size=7.3, counts={}, maps={"blob": placed}, **PLAIN
    )
    assert truth["slabkitSpecies"].tolist() == ["blob"]
    density = -np.asarray(tomogram.data, dtype=float)
    centre = np.array(ndimage.center_of_mass(np.maximum(density, 0)))[::-1] * 7.3
    np.testing.assert_allclose(centre, positions(truth)[0], atol=0.05 * 7.3)
    heavy = np.array(np.unravel_index(density.argmax(), density.shape))[::-1] * 7.3
    # From the heavy blob to the centre of mass is along (60, 0, 30) in the map's own frame.
    expected = rotations(truth)[0] @ (np.array([60.0, 0, 30]) / np.hypot(60, 30))
    direction = (centre - heavy) / np.linalg.norm(centre - heavy)
    assert direction @ expected > 0.85
    assert density.max() == pytest.approx(0.8, rel=0.1)


@pytest.mark.parametrize("step", [5.0, 10.0, 12.5])
def test_a_map_keeps_its_size_whatever_its_voxels(step):
    n = round(320 / step)
    z, y, x = (np.indices((n, n, n)) - 0.45 * n) * step
    radius, width = 60, 15  # a ball with a soft border: exact sums are known
    ball = 0.5 * special.erfc((np.sqrt(x**2 + y**2 + z**2) - radius) / (np.sqrt(2) * width))
    model = MapModel("ball", PlacedMap(ball, step, 1), 10.0)
    volume = 4 / 3 * np.pi * (radius**3 + 3 * radius * width**2)  # a blur leaves it
    width = np.sqrt(width**2 + 0.6**2 * max(0, 10**2 - step**2))
    level = np.sqrt(2) * special.erfcinv(2 * EXTENT_LEVEL)
    assert model.diameter == pytest.approx(2 * (radius + level * width), abs=1.5)
    density = drawn(model, random_rotation(rng(12))).astype(float)
    assert density.max() == pytest.approx(0.8, rel=0.01)
    assert density.sum() * 1000 == pytest.approx(0.8 * volume, rel=0.01)
    np.testing.assert_allclose(
        ndimage.center_of_mass(density), np.full(3, density.shape[0] // 2), atol=0.01
    )


def test_a_fine_map_is_low_passed_before_it_is_sampled():
    # Planes one voxel apart: at twice the voxel size sampling alone would show them or hide them.
    stripes = np.zeros((48, 48, 48))
    stripes[14:34:2, 14:34, 14:34] = 1
    model = MapModel("stripes", PlacedMap(stripes, 5.0, 1), 10.0)
    density = drawn(model)
    middle = len(density) // 2
    core = density[middle - 2 : middle + 3, middle - 2 : middle + 3, middle - 2 : middle + 3]
    assert core.std() < 0.05 * core.mean()


def test_a_map_in_place_of_a_species_has_its_mass_and_diameter():
    with pytest.warns(SlabkitWarning, match=r"map of 'ribosome': the density reaches \d+% of its"):
        model = MapModel("ribosome", PlacedMap(np.ones((20, 20, 20)), 10.0, 1), 10.0, 4.3e6, 300.0)
    assert model.diameter == 300
    counts = {"ribosome": 3, "apo-ferritin": 2}
    ball = PlacedMap(lopsided_map(), 5.0, 1)
    tomogram, truth = simulate_tomogram("t", counts=counts, maps={"ribosome": ball}, **PLAIN)
    assert truth["slabkitSpecies"].tolist() == ["ribosome", "apo-ferritin", "apo-ferritin"]
    assert truth["slabkitDiameter"].tolist() == [300, 120, 120]
    mass = -np.asarray(tomogram.data, dtype=float).sum() * 1000
    assert mass == pytest.approx(4.3e6 + 2 * 4.5e5, rel=0.01)


def test_the_small_preset():
    tomogram, truth = simulate_tomogram("sim_001", seed=1)
    assert tomogram.shape == (96, 256, 256)
    assert (tomogram.voxel_size, tomogram.contrast) == (10.0, "dark")
    assert np.isfinite(tomogram.data).all()
    counts = truth["slabkitSpecies"].value_counts().to_dict()
    assert counts == dict(zip(CZII_COUNTS, (7, 2, 2, 2, 4, 2), strict=True))
    checked = validate_table(truth, PICKS)
    assert list(checked.columns[:-3]) == PICKS.names
    assert set(truth["slabkitDecision"]) == {"accepted"}
    assert truth["slabkitPickId"].is_unique
    size = np.array([255, 255, 95]) * 10.0
    assert ((positions(truth) > 0) & (positions(truth) < size)).all()
    # Protein is dark: ribosomes are far below the rest, which lies about zero.
    smooth = ndimage.gaussian_filter(tomogram.data, 3)
    at = np.round(positions(truth)[truth["slabkitSpecies"] == "ribosome"] / 10).astype(int)
    values = smooth[at[:, 2], at[:, 1], at[:, 0]]
    assert values.max() < -3 * smooth.std()
    assert abs(np.median(smooth)) < smooth.std()


def test_counts_of_the_large_preset_are_those_of_the_table():
    from slabkit.simulation.tomograms import _models

    models = _models(PRESETS["czii"], None, {})
    assert {model.name: count for model, count in models} == CZII_COUNTS


def test_the_seed_and_the_name_decide():
    settings = {"shape": (48, 64, 72), "counts": {"apo-ferritin": 4}}
    first, truth = simulate_tomogram("a", seed=5, **settings)
    again, truth_again = simulate_tomogram("a", seed=5, **settings)
    assert np.asarray(first.data).tobytes() == np.asarray(again.data).tobytes()
    assert truth.equals(truth_again)
    for name, seed in (("b", 5), ("a", 6)):
        other, truth_other = simulate_tomogram(name, seed=seed, **settings)
        assert not np.array_equal(other.data, first.data)
        assert not np.allclose(positions(truth_other), positions(truth))
    quiet, truth_quiet = simulate_tomogram("a", seed=5, noise=0, **settings)
    assert truth_quiet.equals(truth)
    assert np.asarray(quiet.data).std() < np.asarray(first.data).std()


def test_more_noise_is_more_noise():
    empty = {"shape": (48, 64, 72), "counts": {}, "crowding": 0}
    spread = [float(simulate_tomogram("a", noise=n, **empty)[0].data.std()) for n in (0, 1, 2)]
    assert spread[0] == 0
    assert spread[2] == pytest.approx(2 * spread[1], rel=1e-4)


def test_no_particles_give_an_empty_truth():
    _, truth = simulate_tomogram("a", shape=(24, 32, 40), counts={}, crowding=0)
    assert len(truth) == 0
    assert list(truth.columns[:-3]) == PICKS.names


BALL = np.zeros((9, 9, 9))
BALL[3:6, 3:6, 3:6] = 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"preset": "huge"}, r"preset must be one of small, czii, not 'huge'\."),
        ({"shape": (10, 20)}, r"shape must be three whole numbers \(z, y, x\) from 8"),
        ({"shape": (10, 20, 4)}, r"shape must be three whole numbers .* not \(10, 20, 4\)"),
        ({"voxel_size": 0.0}, r"the voxel size must be a positive number of Å, not 0\.0"),
        ({"name": ""}, r"needs a name, not an empty string"),
        ({"name": "a#b"}, r"the name 'a#b' has a '#'"),
        ({"seed": -1}, r"seed must be a whole number from 0, not -1"),
        ({"noise": -0.5}, r"noise must be a number from 0, not -0\.5"),
        ({"noise": float("nan")}, r"noise must be a number from 0, not nan"),
        ({"crowding": float("inf")}, r"crowding must be a number from 0, not inf"),
        ({"tilts": [0]}, r"tilts must be two or more evenly spaced angles"),
        ({"tilts": [0, 3, 7]}, r"tilts must be two or more evenly spaced angles"),
        ({"tilts": [-90, 0, 90]}, r"tilts must rise, between -90 and 90 degrees"),
        ({"tilts": [3, 0, -3]}, r"tilts must rise"),
        ({"counts": {"ribosom": 1}}, r"no built-in species 'ribosom'; there are ribosome, virus"),
        ({"counts": {"ribosome": -1}}, r"the number of ribosome must be a whole number from 0"),
        ({"counts": {"ribosome": 1.5}}, r"the number of ribosome must be .* not 1\.5"),
        ({"maps": {"": PlacedMap(BALL, 10, 1)}}, r"a species needs a name, not an empty string"),
        ({"maps": {"x": PlacedMap(BALL, 10, -2)}}, r"the number of x must be .* not -2"),
        (
            {"shape": (24, 64, 64), "counts": {"ribosome": 1}},
            r"a ribosome of 300 Å does not fit into the sample, which is 630 × 630 × 17\d Å",
        ),
        (
            {"shape": (48, 48, 48), "counts": {"ribosome": 40}},
            r"only \d+ of 40 ribosome fit into the sample without overlapping; ask for fewer",
        ),
    ],
)
def test_bad_parameters(change, message):
    arguments = {"name": "a", "shape": (48, 64, 72), "counts": {"apo-ferritin": 1}, **change}
    if "preset" in change:
        del arguments["shape"]
    with pytest.raises(InputError, match=message):
        simulate_tomogram(arguments.pop("name"), **arguments)


@pytest.mark.parametrize(
    ("density", "voxel_size", "message"),
    [
        (np.ones((4, 4)), 10.0, r"the density map must have three axes, not the shape \(4, 4\)"),
        (BALL, 0.0, r"voxel size of the density map must be a positive number of Å, not 0"),
        (np.full((4, 4, 4), np.nan), 10.0, r"the density map has NaN or infinite voxels"),
        (-BALL, 10.0, r"no positive density; the molecule must be bright in it"),
    ],
)
def test_bad_maps(density, voxel_size, message):
    with pytest.raises(InputError, match=message):
        PlacedMap(density, voxel_size, 1)


def test_real_maps_are_drawn_whole_and_centred(data_folder):
    import mrcfile

    for file, name in (("10A/6qzp", "ribosome"), ("10A/6pxm", "apo-ferritin"), ("5A/1bxn", "")):
        with mrcfile.open(data_folder / "maps" / f"{file}.mrc") as opened:
            placed = PlacedMap(opened.data.copy(), float(opened.voxel_size.x), 1)
        mass, diameter = (TABLE[name][0], TABLE[name][2]) if name else (None, None)
        model = MapModel(name or "x", placed, 10.0, mass, diameter)
        density = drawn(model, random_rotation(rng(11)), 10.0, (0.3, 0.2, -0.4)).astype(float)
        if mass:
            assert density.sum() * 1000 == pytest.approx(mass, rel=0.02)
        else:
            assert model.diameter == pytest.approx(130, abs=15)
        centre = np.array(ndimage.center_of_mass(density))[::-1] - len(density) // 2
        np.testing.assert_allclose(centre, [0.3, 0.2, -0.4], atol=0.05)
