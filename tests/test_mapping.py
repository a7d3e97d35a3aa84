"""2D picks to 3D picks on analytic tomograms: geometry, merging, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from analytic import balls, hits_of, slab_table_of, tomogram_of
from hypothesis import given, settings
from hypothesis import strategies as st

from slabkit.errors import InputError, SlabkitWarning
from slabkit.mapping import map_picks, match_micrographs, tomogram_table
from slabkit.mapping.grouping import weight_of_evidence
from slabkit.tables import PICKS, PICKS2D, empty_table
from slabkit.tomogram import Tomogram

SHAPE = (52, 63, 71)
RANGES = [(0, 26), (13, 26), (26, 26)]


@pytest.fixture(scope="module")
def one_ball():
    density = balls(SHAPE, [(31.4, 40.2, 17.3)], 6.0)
    tomogram = tomogram_of(density, 7.3)
    return tomogram, slab_table_of(tomogram, RANGES)


@settings(max_examples=20, deadline=None)
@given(
    u=st.floats(0, 1), v=st.floats(0, 1), w=st.floats(0, 1),
    voxel_size=st.sampled_from([1.0, 7.3, 10.012]), contrast=st.sampled_from(["dark", "bright"]),
    slab=st.integers(0, 2),
)  # fmt: skip
def test_a_particle_comes_back_where_it_is(u, v, w, voxel_size, contrast, slab):
    depth, height, width = SHAPE
    start, count = RANGES[slab]
    x, y, z = u * (width - 1), v * (height - 1), start + w * (count - 1)
    tomogram = tomogram_of(balls(SHAPE, [(x, y, z)], 6.0), voxel_size, contrast)
    slabs = slab_table_of(tomogram, RANGES)
    picks, counts = map_picks(hits_of(slabs, [(slab, x, y, 5.0, 12 * voxel_size)]), slabs, tomogram)
    assert len(picks) == counts.picks == 1
    row = picks.iloc[0]
    assert row.slabkitX == x * voxel_size
    assert row.slabkitY == y * voxel_size
    cut_off = not 6 <= z <= depth - 7
    assert row.slabkitZ / voxel_size == pytest.approx(z, abs=6 / 3 if cut_off else 0.06)
    assert "z-border" not in row.slabkitFlags
    sides = [x + 0.5, width - 0.5 - x, y + 0.5, height - 0.5 - y, z + 0.5, depth - 0.5 - z]
    if abs(min(sides) - 6) > 0.8:
        assert ("near-face" in row.slabkitFlags) == (min(sides) < 6)


def test_columns_and_what_travels_along(one_ball):
    tomogram, slabs = one_ball
    hits = hits_of(
        slabs, [(0, 31.4, 40.2, 5.5, 90.0)], rlnAnglePsi=[33.0], rlnClassNumber=[4],
        slabkitSpecies=["apo-ferritin"], myNote=["hello"],
    )  # fmt: skip
    before = hits.copy()
    picks, _ = map_picks(hits, slabs, tomogram)
    assert hits.equals(before)
    assert picks.columns[: len(PICKS.names)].tolist() == PICKS.names
    row = picks.iloc[0]
    assert row.rlnMicrographName == "slabs/T1_slab000.mrc"
    assert (row.rlnCoordinateX, row.rlnCoordinateY) == (31.4, 40.2)
    assert (row.rlnAnglePsi, row.rlnClassNumber, row.myNote) == (33.0, 4, "hello")
    assert (row.slabkitScore, row.slabkitScoreKind, row.slabkitSource) == (5.5, "blob", "blob")
    assert (row.slabkitSpecies, row.slabkitDiameter) == ("apo-ferritin", 90.0)
    assert (row.slabkitTomogram, row.slabkitDecision) == ("T1", "undecided")
    assert 0.4 < row.slabkitZConfidence <= 1
    assert row.slabkitPickId.startswith("T1-")


def test_hits_of_overlapping_slabs_become_one_pick(one_ball):
    tomogram, slabs = one_ball
    hits = hits_of(
        slabs, [(0, 31.0, 40.0, 5.0, 88.0), (1, 31.4, 40.2, 9.0, 88.0), (1, 32.0, 40.0, 4.0, 88.0)]
    )
    picks, counts = map_picks(hits, slabs, tomogram)
    assert (counts.hits, counts.merged, counts.picks) == (3, 2, 1)
    assert picks.slabkitScore.tolist() == [9.0]
    assert picks.slabkitSlabCount.tolist() == [2]
    assert picks.slabkitX.tolist() == [31.4 * 7.3]
    kept, _ = map_picks(hits, slabs, tomogram, min_distance=0)
    assert kept.slabkitScore.tolist() == [9.0, 5.0, 4.0]
    assert kept.slabkitPickId.is_unique


def test_a_small_dense_part_does_not_stand_for_the_whole():
    """The part scores higher in one slab; the whole, within whose radius it lies, is the pick."""
    part = balls(SHAPE, [(38.5, 40.2, 17.3)], 3.0)
    density = balls(SHAPE, [(31.4, 40.2, 17.3)], 11.0) + part
    tomogram = tomogram_of(density, 7.3)
    slabs = slab_table_of(tomogram, RANGES)
    hits = hits_of(slabs, [(0, 38.5, 40.2, 20.0, 50.0), (1, 31.4, 40.2, 14.0, 160.0)])
    picks, counts = map_picks(hits, slabs, tomogram)
    assert (counts.merged, counts.picks) == (1, 1)
    row = picks.iloc[0]
    assert (row.slabkitX, row.slabkitY) == (31.4 * 7.3, 40.2 * 7.3)
    assert row.slabkitDiameter == 160.0
    assert row.rlnMicrographName == "slabs/T1_slab001.mrc"
    assert row.slabkitSlabCount == 2
    assert row.slabkitScore == 20.0  # the best of the group is kept
    # A weak large hit does not swallow a strong small one.
    weak = hits.assign(rlnAutopickFigureOfMerit=[20.0, 1.0])
    picks, _ = map_picks(weak, slabs, tomogram)
    assert picks.slabkitX.tolist() == [38.5 * 7.3]
    assert picks.slabkitScore.tolist() == [20.0]


def test_among_hits_of_one_size_the_best_score_has_the_position(one_ball):
    tomogram, slabs = one_ball
    # The second explains most, but is of the first one's size; the third is smaller.
    rows = [(0, 31.4, 40.2, 9.0, 80.0), (1, 33.0, 40.2, 8.0, 95.0), (1, 34.0, 40.2, 9.5, 55.0)]
    picks, _ = map_picks(hits_of(slabs, rows), slabs, tomogram)
    assert picks.slabkitX.tolist() == [31.4 * 7.3]
    assert picks.slabkitDiameter.tolist() == [80.0]
    assert picks.slabkitScore.tolist() == [9.5]
    assert picks.slabkitSlabCount.tolist() == [2]


def test_no_two_picks_are_closer_than_the_distance():
    """Also where the hit that stands for a group is not the one that gathered it."""
    random = np.random.default_rng(3)
    tomogram = Tomogram("T1", np.zeros(SHAPE, dtype=np.float32), 10.0)
    slabs = slab_table_of(tomogram, RANGES)
    count = 400
    columns = [random.integers(0, 3, count), random.random(count) * 70, random.random(count) * 62]
    columns += [random.uniform(3, 9, count), random.uniform(60, 160, count)]
    hits = hits_of(slabs, list(zip(*(c.tolist() for c in columns), strict=True)))
    picks, counts = map_picks(hits, slabs, tomogram, refine_z=False)
    assert 20 < counts.picks < 300
    place = picks[["slabkitX", "slabkitY", "slabkitZ"]].to_numpy()
    apart = np.linalg.norm(place[:, None] - place[None], axis=2)
    reach = picks.slabkitDiameter.to_numpy() / 2
    close = apart < np.maximum(reach[:, None], reach[None])
    assert close.sum() == len(picks)  # each with itself
    assert picks.slabkitScore.max() == hits.rlnAutopickFigureOfMerit.max()


def test_the_order_is_that_of_the_scores_kept(one_ball):
    tomogram, slabs = one_ball
    rows = [(0, 15, 15, 12.0, 60.0), (0, 50, 45, 8.0, 160.0), (0, 55, 45, 15.0, 70.0)]
    picks, _ = map_picks(hits_of(slabs, rows), slabs, tomogram, refine_z=False)
    assert picks.slabkitScore.tolist() == [15.0, 12.0]
    assert picks.slabkitX.tolist() == [50 * 7.3, 15 * 7.3]


def test_evidence_grows_with_score_size_and_sureness():
    one = np.ones(5)
    score = np.array([-4.0, -1.0, 0.0, 2.0, np.nan])
    for sign in (1.0, -1.0):
        scores = sign * np.array([2.0, 2.0, 2.0])
        sized = weight_of_evidence(scores, np.array([10.0, 20.0, 30.0]), one[:3])
        sure = weight_of_evidence(scores, one[:3], np.array([np.nan, 0.1, 0.9]))
        assert (np.diff(sized) > 0).all()
        assert (np.diff(sure) > 0).all()
    assert np.argsort(weight_of_evidence(score, 120 * one, one)).tolist() == [0, 1, 2, 3, 4]
    unknown = weight_of_evidence(score, np.array([10.0, 20.0, np.nan, 5.0, 1.0]), 0.5 * one)
    np.testing.assert_array_equal(unknown, score)


def test_a_hit_whose_depth_is_sure_stands_before_one_that_has_a_rival():
    """Two equal balls in one column, a third beside the upper: its hit has no rival."""
    tomogram = tomogram_of(balls(SHAPE, [(31, 30, 12), (31, 30, 28), (37, 30, 12)], 5.0), 7.3)
    slabs = slab_table_of(tomogram, [(0, 40)])
    hits = hits_of(slabs, [(0, 31, 30, 10.0, 73.0), (0, 37, 30, 9.0, 73.0)])
    apart, _ = map_picks(hits, slabs, tomogram, single=True, min_distance=0)
    unsure, sure = apart.slabkitZConfidence
    assert unsure < sure
    sizes = hits.assign(slabkitDiameter=[73.0, 99.0])  # so that the sure hit has the position too
    picks, _ = map_picks(sizes, slabs, tomogram, single=True, min_distance=150.0)
    assert picks.slabkitX.tolist() == [37 * 7.3]
    assert picks.slabkitScore.tolist() == [10.0]


def test_a_hit_at_the_border_yields_to_one_that_is_not(one_ball):
    tomogram, slabs = one_ball
    # From the third slab, searched without a margin, the particle only rises towards its face.
    hits = hits_of(slabs, [(2, 31.4, 40.2, 99.0, 88.0), (0, 31.0, 40.0, 1.0, 88.0)])
    alone, counts = map_picks(hits.iloc[:1], slabs, tomogram, margin=20.0)
    assert alone.slabkitFlags.tolist() == ["z-border"]
    assert counts.at_border == 1
    both, _ = map_picks(hits, slabs, tomogram, margin=20.0, min_distance=60.0)
    assert both.slabkitScore.tolist() == [1.0]
    assert both.slabkitFlags.tolist() == [""]
    assert both.slabkitSlabCount.tolist() == [2]
    assert both.slabkitZ[0] / 7.3 == pytest.approx(17.3, abs=0.06)


def test_species_and_kinds_of_score_are_not_merged_with_each_other(one_ball):
    tomogram, slabs = one_ball
    rows = [(0, 31.4, 40.2, s, 88.0) for s in (1.0, 2.0, 3.0, 4.0)]
    hits = hits_of(
        slabs, rows, slabkitSpecies=["a", "a", "b", "a"],
        slabkitScoreKind=["blob", "blob", "blob", "template"],
    )  # fmt: skip
    picks, _ = map_picks(hits, slabs, tomogram)
    found = set(zip(picks.slabkitSpecies, picks.slabkitScoreKind, picks.slabkitScore, strict=True))
    assert found == {("a", "blob", 2.0), ("b", "blob", 3.0), ("a", "template", 4.0)}
    assert picks.slabkitPickId.is_unique


def test_of_species_found_by_templates_at_a_place_the_best_is_kept(one_ball):
    tomogram, slabs = one_ball
    rows = [(0, 31.4, 40.2, 2.0, 88.0), (1, 31.0, 40.0, 3.0, 60.0), (0, 31.4, 52.5, 1.0, 88.0)]
    hits = hits_of(slabs, rows, slabkitSpecies=["a", "b", "a"], slabkitScoreKind=["template"] * 3)
    picks, counts = map_picks(hits, slabs, tomogram)
    # 88 Å between the two of one species, 44 is the distance: only the first has a better one.
    assert list(zip(picks.slabkitSpecies, picks.slabkitScore, strict=True)) == [("b", 3), ("a", 1)]
    assert (counts.hits, counts.merged, counts.other_species, counts.picks) == (3, 0, 1, 2)
    every, counts = map_picks(hits, slabs, tomogram, all_species=True)
    assert every.slabkitScore.tolist() == [3, 2, 1]
    assert counts.other_species == 0
    assert set(picks.slabkitPickId) < set(every.slabkitPickId)
    near, _ = map_picks(hits, slabs, tomogram, min_distance=0)
    assert len(near) == 3
    blobs = hits.assign(slabkitScoreKind=["template", "blob", "template"])
    assert len(map_picks(blobs, slabs, tomogram)[0]) == 3


@pytest.fixture(scope="module")
def stacked():
    density = balls(SHAPE, [(31, 40, 10.3), (31, 40, 29.6), (55, 20, 20.0)], 6.0)
    tomogram = tomogram_of(density, 10.012)
    slabs = slab_table_of(tomogram, [(0, 40)])
    return tomogram, slabs, hits_of(slabs, [(0, 31, 40, 8.0, 120.0), (0, 55, 20, 6.0, 120.0)])


def test_a_stacked_pair_becomes_two_picks(stacked):
    tomogram, slabs, hits = stacked
    picks, counts = map_picks(hits, slabs, tomogram)
    assert (counts.hits, counts.stacked, counts.merged, counts.picks) == (2, 1, 0, 3)
    assert (picks.slabkitZ / 10.012).tolist() == pytest.approx([10.3, 29.6, 20.0], abs=0.1)
    assert picks.slabkitFlags.tolist() == ["stacked", "stacked", ""]
    assert picks.slabkitScore.tolist() == [8.0, 8.0, 6.0]
    assert picks.slabkitPickId.is_unique


def test_single_keeps_one_of_a_pair(stacked):
    tomogram, slabs, hits = stacked
    picks, counts = map_picks(hits, slabs, tomogram, single=True)
    assert (counts.stacked, counts.picks) == (0, 2)
    assert picks.slabkitFlags.tolist() == ["", ""]


def test_without_refinement_z_is_the_middle_of_the_slab(one_ball):
    _, slabs = one_ball
    hits = hits_of(slabs, [(1, 31.4, 40.2, 5.0, 88.0)])
    unread = Tomogram("T1", _Unreadable(SHAPE), 7.3)
    picks, _ = map_picks(hits, slabs, unread, refine_z=False)
    assert picks.slabkitZ.tolist() == [25.5 * 7.3]
    assert picks.slabkitZConfidence.isna().all()


class _Unreadable:
    dtype = np.dtype(np.float32)

    def __init__(self, shape):
        self.shape = shape

    def __getitem__(self, key):
        raise AssertionError("the volume was read")


def test_a_z_that_the_picker_knows_is_kept(one_ball):
    tomogram, slabs = one_ball
    hits = hits_of(
        slabs, [(0, 20, 25, 5.0, 160.0), (0, 40, 25, 4.0, 160.0), (0, 60, 25, 3.0, 160.0)]
    )
    known = np.array([np.nan, 123.0, 77.0])
    picks, _ = map_picks(hits.assign(slabkitZ=known), slabs, tomogram)
    found, _ = map_picks(hits[:1], slabs, tomogram)
    assert picks["slabkitZ"].tolist() == [found["slabkitZ"][0], 123.0, 77.0]
    assert picks["slabkitZConfidence"].isna().tolist() == [False, True, True]
    middle, _ = map_picks(hits.assign(slabkitZ=known), slabs, tomogram, refine_z=False)
    assert middle["slabkitZ"].tolist()[1:] == [123.0, 77.0]
    for wrong in (-50.0, 1e5, np.inf, "deep"):
        with pytest.raises(InputError, match="slabkitZ"):
            map_picks(hits.assign(slabkitZ=wrong), slabs, tomogram)


def test_a_constant_tomogram_gives_the_middle_of_the_slab_and_says_so(one_ball):
    _, slabs = one_ball
    flat = Tomogram("T1", np.full(SHAPE, 7, dtype=np.int16), 7.3)
    picks, counts = map_picks(hits_of(slabs, [(0, 30, 30, 5.0, 88.0)]), slabs, flat)
    assert picks.slabkitZ.tolist() == [12.5 * 7.3]
    assert picks.slabkitZConfidence.tolist() == [0.0]
    assert picks.slabkitFlags.tolist() == ["z-flat"]
    assert counts.flat == 1


def test_contrast_is_the_slab_tables_unless_overridden(one_ball):
    tomogram, slabs = one_ball
    hits = hits_of(slabs, [(0, 31.4, 40.2, 5.0, 88.0)])
    told_otherwise = Tomogram("T1", tomogram.data, 7.3, "bright")
    right, _ = map_picks(hits, slabs, told_otherwise)
    assert right.slabkitZ[0] / 7.3 == pytest.approx(17.3, abs=0.06)
    wrong, _ = map_picks(hits, slabs, tomogram, contrast="bright")
    assert abs(wrong.slabkitZ[0] / 7.3 - 17.3) > 4
    assert tomogram_table(slabs).slabkitTomogramContrast.tolist() == ["dark"]
    assert tomogram_table(slabs, "bright").slabkitTomogramContrast.tolist() == ["bright"]


def test_order_and_threads_do_not_matter():
    random = np.random.default_rng(5)
    volume = random.normal(size=SHAPE).astype(np.float32)
    tomogram = Tomogram("T1", volume, 7.3)
    slabs = slab_table_of(tomogram, RANGES)
    rows = [
        (int(s), float(x), float(y), float(score), float(d))
        for s, x, y, score, d in zip(
            random.integers(0, 3, 200),
            random.random(200) * 70,
            random.random(200) * 62,
            random.integers(0, 9, 200),
            random.uniform(30, 130, 200),
            strict=True,
        )
    ]
    hits = hits_of(slabs, rows)
    picks, counts = map_picks(hits, slabs, tomogram)
    assert 0 < counts.merged < 200
    assert counts.hits - counts.outside + counts.stacked - counts.merged == counts.picks
    order = random.permutation(200)
    permuted, _ = map_picks(hits.iloc[order], slabs, tomogram, jobs=3)
    pd.testing.assert_frame_equal(permuted, picks, check_exact=True)
    score = picks.slabkitScore.to_numpy()
    assert (np.diff(score) <= 0).all()


def test_no_picks_give_an_empty_table_with_all_columns(one_ball):
    tomogram, slabs = one_ball
    picks, counts = map_picks(empty_table(PICKS2D), slabs, tomogram)
    assert len(picks) == counts.picks == counts.hits == 0
    assert picks.columns[: len(PICKS.names)].tolist() == PICKS.names
    one, _ = map_picks(hits_of(slabs, [(0, 31, 40, 5.0, 88.0)]), slabs, tomogram)
    assert picks.columns.tolist() == one.columns.tolist()
    assert picks[PICKS.names].dtypes.equals(one[PICKS.names].dtypes)


def test_scores_may_be_missing(one_ball):
    tomogram, slabs = one_ball
    hits = hits_of(slabs, [(0, 31, 40, float("nan"), 88.0), (0, 31, 41, 1.0, 88.0)])
    picks, _ = map_picks(hits, slabs, tomogram)
    assert picks.slabkitScore.tolist() == [1.0]


def test_diameters_may_come_from_the_caller(one_ball):
    tomogram, slabs = one_ball
    hits = hits_of(slabs, [(0, 31.4, 40.2, 1.0, float("nan"))])
    with pytest.raises(InputError, match=r"have no diameter in row 1; give .*--diameter"):
        map_picks(hits, slabs, tomogram)
    with pytest.raises(InputError, match="diameter must be positive"):
        map_picks(hits, slabs, tomogram, diameter=-5)
    picks, _ = map_picks(hits, slabs, tomogram, diameter=88.0)
    assert picks.slabkitZ[0] / 7.3 == pytest.approx(17.3, abs=0.06)
    assert picks.slabkitDiameter.tolist() == [88.0]
    # Where nothing needs it, it may be missing.
    map_picks(hits, slabs, tomogram, refine_z=False, min_distance=10.0)
    with pytest.raises(InputError, match="have a diameter of 0 Å in row 1"):
        map_picks(hits.assign(slabkitDiameter=0.0), slabs, tomogram)
    with pytest.raises(InputError, match=r"diameter of 10000 Å, but the tomogram measures 518.3 Å"):
        map_picks(hits.assign(slabkitDiameter=1e4), slabs, tomogram)


# Coordinates that cannot be right


def grid_hits(slabs, extra=()):
    rows = [(0, x, y, 1.0, 88.0) for x in range(2, 70, 7) for y in range(2, 62, 6)]
    return hits_of(slabs, [*rows, *extra])


@pytest.mark.parametrize(("x", "y"), [(-3.0, 5.0), (5.0, 63.0), (-1e9, 1e9), (1e300, 5.0)])
def test_a_pick_off_its_image_is_left_out_and_counted(one_ball, x, y):
    tomogram, slabs = one_ball
    inside, _ = map_picks(grid_hits(slabs), slabs, tomogram)
    with pytest.warns(SlabkitWarning, match=r"1 of 101 picks lie outside .* 71 × 63 pixels"):
        picks, counts = map_picks(grid_hits(slabs, [(0, x, y, 9.0, 88.0)]), slabs, tomogram)
    assert counts.outside == 1
    pd.testing.assert_frame_equal(picks, inside)


def test_picks_in_the_outermost_half_pixel_are_inside(one_ball):
    tomogram, slabs = one_ball
    rows = [(0, x, y, 1.0, 88.0) for x in (-0.5, 70.5) for y in (-0.5, 62.5)]
    assert map_picks(hits_of(slabs, rows), slabs, tomogram)[1].outside == 0


def test_a_list_in_another_unit_is_refused_with_both_readings(one_ball):
    tomogram, slabs = one_ball
    hits = grid_hits(slabs)
    hits[["rlnCoordinateX", "rlnCoordinateY"]] *= 7.3
    with pytest.raises(
        InputError, match=r"as pixels 4 % are inside, read as Å 100 % would be.*pixels of the slab"
    ):
        map_picks(hits, slabs, tomogram)
    hits[["rlnCoordinateX", "rlnCoordinateY"]] *= 4 / 7.3
    with pytest.raises(InputError, match="with binning 4 undone 100 %"):
        map_picks(hits, slabs, tomogram)


def test_a_list_in_one_corner_is_warned_of(one_ball):
    tomogram, slabs = one_ball
    hits = grid_hits(slabs)
    hits[["rlnCoordinateX", "rlnCoordinateY"]] /= 7.3
    with pytest.warns(SlabkitWarning, match="all 100 picks lie in the first half of both axes"):
        map_picks(hits, slabs, tomogram)


def test_a_coordinate_that_is_not_finite_stops(one_ball):
    tomogram, slabs = one_ball
    with pytest.raises(InputError, match="rlnCoordinateX is nan in row 101"):
        map_picks(
            grid_hits(slabs).reindex(range(101)).assign(
                rlnMicrographName="slabs/T1_slab000.mrc", slabkitScoreKind="", slabkitSpecies="",
                rlnClassNumber=0,
            ), slabs, tomogram,
        )  # fmt: skip


# Names and tables that do not fit


def test_names_are_matched_exactly_or_by_a_base_name_that_is_unique(one_ball):
    _, slabs = one_ball
    hits = hits_of(slabs, [(1, 1, 1, 1.0, 88.0), (2, 1, 1, 1.0, 88.0)])
    moved = hits.assign(rlnMicrographName=["elsewhere/T1_slab001.mrc", "T1_slab002.mrc"])
    assert match_micrographs(moved, slabs).tolist() == [1, 2]
    with pytest.raises(
        InputError, match=r"T1_slab01\.mrc is not in the slab table; the closest .*T1_slab001"
    ):
        match_micrographs(moved.assign(rlnMicrographName="T1_slab01.mrc"), slabs)
    double = pd.concat([slabs, slabs.assign(
        rlnMicrographName=slabs.rlnMicrographName.str.replace("slabs", "other"))])  # fmt: skip
    assert match_micrographs(hits, double).tolist() == [1, 2]
    with pytest.raises(InputError, match=r"could be slabs/T1_slab001\.mrc or other/T1_"):
        match_micrographs(moved, double)
    with pytest.raises(InputError, match="none, it is empty"):
        match_micrographs(moved, slabs.iloc[:0])


def test_position_1_is_not_position_10(one_ball):
    _, slabs = one_ball
    slabs = slabs.assign(rlnMicrographName=["Position_10.mrc", "Position_2.mrc", "P.mrc"])
    hits = hits_of(slabs, [(0, 1, 1, 1.0, 88.0)]).assign(rlnMicrographName="Position_1.mrc")
    with pytest.raises(InputError, match=r"Position_1\.mrc is not in the slab table"):
        match_micrographs(hits, slabs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"slabkitTomogramSizeX": 70}, r"has 71 voxels along x, but its slabs .*of 70 \(rows 1, 2"),
        ({"slabkitVoxelSize": 7.84}, r"voxel size is 7.3 Å.*with 7.84 Å.*--voxel-size 7.84"),
        ({"slabkitZStart": 40}, "rows 1, 2, 3 of its slabs reach out of its 52 planes"),
        ({"rlnTomoName": "T2"}, "slab table names T2, the tomogram is T1"),
        (
            {"slabkitTomogramContrast": ["dark", "bright", "dark"]},
            r"slabs disagree on its contrast \(bright, dark\)",
        ),
    ],
)
def test_slabs_of_another_volume_are_refused(one_ball, change, message):
    tomogram, slabs = one_ball
    hits = hits_of(slabs, [(0, 31, 40, 1.0, 88.0)])
    with pytest.raises(InputError, match=message):
        map_picks(hits, slabs.assign(**change), tomogram)


def test_a_voxel_size_of_header_precision_is_the_same(one_ball):
    tomogram, slabs = one_ball
    hits = hits_of(slabs, [(0, 31, 40, 1.0, 88.0)])
    map_picks(hits, slabs.assign(slabkitVoxelSize=float(np.float32(7.3))), tomogram)


def test_negative_lengths_are_refused(one_ball):
    tomogram, slabs = one_ball
    hits = hits_of(slabs, [(0, 31, 40, 1.0, 88.0)])
    with pytest.raises(InputError, match="minimum distance must not be negative"):
        map_picks(hits, slabs, tomogram, min_distance=-1)
    with pytest.raises(InputError, match="margin must not be negative"):
        map_picks(hits, slabs, tomogram, margin=float("nan"))


def test_voxels_that_are_not_finite_stop_unless_filled(one_ball):
    tomogram, slabs = one_ball
    volume = np.array(tomogram.data)
    volume[17, 5, 5] = np.nan
    hits = hits_of(slabs, [(0, 31.4, 40.2, 1.0, 88.0)])
    with pytest.raises(InputError, match=r"1 voxels are NaN or infinite .* z=17, y=5, x=5"):
        map_picks(hits, slabs, Tomogram("T1", volume, 7.3))
    with pytest.warns(SlabkitWarning, match="replaced by 5"):
        picks, _ = map_picks(hits, slabs, Tomogram("T1", volume, 7.3, fill_value=5.0))
    assert picks.slabkitZ[0] / 7.3 == pytest.approx(17.3, abs=0.06)


# Real volumes


def test_depths_on_realistic_tomograms(data_folder):
    """Median |z error| at most 10 Å, for shells and ribosomes 15 Å, with 10 Å of noise in x, y."""
    import mrcfile

    # As a blob picker sees them: thyroglobulin is 260 Å long, but less than 200 Å across.
    diameters = {
        "ribosome": 300.0, "virus-like-particle": 270.0, "thyroglobulin": 190.0,
        "beta-galactosidase": 180.0, "apo-ferritin": 120.0,
    }  # fmt: skip
    truth = pd.read_csv(data_folder / "tomograms" / "truth.csv", dtype={"tomogram": str})
    errors: dict[str, list[float]] = {name: [] for name in diameters}
    random = np.random.default_rng(0)
    for name in ("TS_911", "TS_912", "TS_913", "TS_914"):
        own = truth[(truth.tomogram == name) & truth.species.isin(list(diameters))]
        with mrcfile.mmap(data_folder / "tomograms" / f"{name}.mrc") as file:
            tomogram = Tomogram(name, file.data, 10.0)
            slabs = slab_table_of(tomogram, [(z, 30) for z in (0, 13, 26, 39, 52, 66)])
            rows, species = [], []
            for particle in own.itertuples():
                for i, start in enumerate(slabs.slabkitZStart):
                    if start - 0.5 <= particle.z / 10 < start + 29.5:
                        place = [particle.x, particle.y] + random.normal(0, 10, 2)  # noqa: RUF005
                        x, y = np.clip(place, 0, 2550) / 10
                        diameter = diameters[particle.species] * random.uniform(0.85, 1.15)
                        rows.append((i, x, y, random.random(), diameter))
                        species.append(particle.species)
            hits = hits_of(slabs, rows, slabkitSpecies=species)
            picks, _ = map_picks(hits, slabs, tomogram, jobs=2)
        assert len(own) - 1 <= len(picks) <= 1.15 * len(own)
        for particle in own.itertuples():
            same = picks[picks.slabkitSpecies == particle.species]
            beside = np.hypot(same.slabkitX - particle.x, same.slabkitY - particle.y) < 40
            errors[particle.species].append((same.slabkitZ[beside] - particle.z).abs().min())
    for name, found in errors.items():
        compact = name in ("beta-galactosidase", "thyroglobulin")
        assert np.median(found) <= (10 if compact else 15), f"{name}: {sorted(found)}"
    assert np.quantile(errors["ribosome"], 0.9) < 40
