"""Shifts of a 2D classification: from RELION's file through labels into the picks."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from slabkit.curation import curate_picks
from slabkit.errors import InputError, SlabkitWarning
from slabkit.formats.programs.relion.results import read_relion_results
from slabkit.formats.source import Source
from slabkit.formats.tables.native import (
    PickList,
    read_labels,
    read_native_picks,
    write_minislabs,
    write_picks,
)
from slabkit.labels import label_minislabs
from slabkit.minislabs import project_minislabs
from slabkit.minislabs.galleries import GalleryLayout, geometry_table, minislab_table
from slabkit.tables import PICKS, TOMOGRAMS, make_table
from slabkit.tomogram import Tomogram

POSITION = ["slabkitX", "slabkitY", "slabkitZ"]
CENTRE = ["slabkitCentreX", "slabkitCentreY", "slabkitCentreZ"]
IDS = ["a-1", "a-2", "a-3"]
PLACES = np.array([[100.0, 200.0, 300.0], [50.5, 60.25, 70.0], [7.3, 14.6, 21.9]])
LAYOUT = GalleryLayout(8, 2, 2)


def pick_table(places=PLACES):
    columns = dict(zip(POSITION, np.asarray(places).T, strict=True))
    return make_table(PICKS, {"slabkitPickId": IDS, "slabkitTomogram": "a", **columns})


def minislab_rows(tilts=(0.0,), centres=PLACES):
    rows = len(IDS) * len(tilts)
    return minislab_table(
        LAYOUT,
        galleries=["m_000.mrc", "m_001.mrc", "m_002.mrc"],
        pick_ids=np.repeat(IDS, len(tilts)).tolist(),
        tomograms=["a"] * rows,
        tilts=np.tile(tilts, len(IDS)),
        inside_fraction=np.ones(rows),
        set_id="set-1",
        centres=np.repeat(centres, len(tilts), axis=0) if np.ndim(centres) else centres,
    )


def results(minislabs, shifts, **more):
    columns = minislabs[["slabkitPickId", "slabkitTilt"]].copy()
    columns["slabkitShiftX"], columns["slabkitShiftY"] = np.asarray(shifts, dtype=float).T
    return columns.assign(**more)


def labelled(minislabs, shifts, views="majority", **more):
    return label_minislabs(results(minislabs, shifts, **more), minislabs, LAYOUT, views=views)


def star(rows, *labels):
    head = "".join(f"_{label} #{n}\n" for n, label in enumerate(labels, 1))
    return "data_particles\n\nloop_\n" + head + "".join(" ".join(row) + "\n" for row in rows)


def test_relions_origin_points_the_other_way():
    text = star(
        [("a-1", "12.5", "-3"), ("a-2", "0", "0")],
        *("slabkitPickId", "rlnOriginXAngst", "rlnOriginYAngst"),
    )
    found = read_relion_results(Source("x.star", text.encode()))
    assert found.slabkitShiftX.tolist() == [-12.5, 0.0]
    assert found.slabkitShiftY.tolist() == [3.0, 0.0]
    assert not np.signbit(found.slabkitShiftX.iloc[1])


def test_shifts_in_pixels_are_left_out_and_said():
    text = star([("a-1", "2", "0")], "slabkitPickId", "rlnOriginX", "rlnOriginY")
    with pytest.warns(SlabkitWarning, match="shifts in pixels"):
        found = read_relion_results(Source("x.star", text.encode()))
    assert "slabkitShiftX" not in found
    none = read_relion_results(Source("x.star", text.replace(" 2 ", " 0 ").encode()))
    assert "slabkitShiftX" not in none


def test_the_kind_of_a_score_is_kept():
    text = star([("a-1", "0.9")], "slabkitPickId", "rlnMaxValueProbDistribution")
    found = read_relion_results(Source("x.star", text.encode()))
    assert found.slabkitScore.tolist() == [0.9]
    assert found.slabkitScoreKind.tolist() == ["rlnMaxValueProbDistribution"]


@pytest.mark.filterwarnings("ignore:EVERYTHING:slabkit.errors.SlabkitWarning")
def test_labels_say_where_the_particle_is():
    labels, report = labelled(minislab_rows(), [(10, -4), (0, 0), (np.nan, np.nan)])
    assert report.placed == 2
    expected = np.add(PLACES, [[10, -4, 0], [0, 0, 0], [np.nan] * 3])
    np.testing.assert_allclose(labels[CENTRE], expected)
    unplaced, report = labelled(minislab_rows(centres=np.nan), [(10, -4)] * 3)
    assert report.placed == 0
    assert unplaced[CENTRE].isna().all(axis=None)


@pytest.mark.filterwarnings("ignore:EVERYTHING:slabkit.errors.SlabkitWarning")
def test_a_shift_in_a_tilted_view_is_one_in_its_plane():
    """A point off the pick is projected by slabkit; its place in the view leads back to it."""
    tilt, size = 30.0, 48
    volume = np.zeros((40, 44, size), dtype=np.float32)
    offset = np.array([5 * np.cos(np.deg2rad(tilt)), -3, 5 * np.sin(np.deg2rad(tilt))])
    x, y, z = np.array([24, 22, 20]) + offset
    grid = np.indices(volume.shape)
    volume += np.exp(-((grid[0] - z) ** 2 + (grid[1] - y) ** 2 + (grid[2] - x) ** 2) / 8).astype(
        np.float32
    )
    pick = np.array([[24, 22, 20]]) * 7.3
    picks = make_table(
        PICKS,
        {"slabkitPickId": ["a-1"], "slabkitTomogram": "a"}
        | dict(zip(POSITION, pick.T, strict=True)),
    )
    (view,) = project_minislabs(
        Tomogram("a", volume, 7.3, "bright"), picks, box=24 * 7.3, depth=20 * 7.3, tilts=[tilt]
    )
    image = view.images[0] - view.images[0].min()
    rows, columns = np.indices(image.shape) - 12
    shift = [(image * axis).sum() / image.sum() * 7.3 for axis in (columns, rows)]
    minislabs = minislab_rows([tilt], np.repeat(pick, 3, axis=0))
    labels, _ = labelled(minislabs, [shift] * 3)
    found = labels[CENTRE].to_numpy()[0]
    np.testing.assert_allclose(found, pick[0] + offset * 7.3, atol=1.5)


@pytest.mark.filterwarnings("ignore:EVERYTHING:slabkit.errors.SlabkitWarning")
def test_the_deciding_view_gives_the_place():
    minislabs = minislab_rows([-20.0, 0.0, 20.0])
    decisions = ["accepted", "accepted", "rejected"] * 3
    shifts = np.tile([(9.0, 1.0), (5.0, 2.0), (1.0, 3.0)], (3, 1))
    scores = [1.0, 3.0, 9.0] * 3
    labels, _ = labelled(
        minislabs, shifts, views="any", slabkitDecision=decisions, slabkitScore=scores
    )
    np.testing.assert_allclose(labels[CENTRE].to_numpy(), np.add(PLACES, [5, 2, 0]))


def label_rows(centres, decisions=("accepted",) * 3, **more):
    from slabkit.tables import LABELS

    columns = dict(zip(CENTRE, np.asarray(centres, dtype=float).T, strict=True))
    return make_table(
        LABELS, {"slabkitPickId": IDS, "slabkitDecision": list(decisions), **columns, **more}
    )


def test_curating_moves_what_stays_and_nothing_else():
    where = np.add(PLACES, [3, 4, 0])
    where[1] = np.nan
    labels = label_rows(where, ("accepted", "accepted", "rejected"))
    before = pick_table()
    result = curate_picks(before, [labels], recentre=True)
    pd.testing.assert_frame_equal(before, pick_table())
    assert result.kept.slabkitPickId.tolist() == ["a-1", "a-2"]
    np.testing.assert_allclose(result.kept[POSITION], [where[0], PLACES[1]])
    np.testing.assert_allclose(result.dropped[POSITION], PLACES[2:])
    assert (result.recentred, result.mean_move, result.largest_move) == (1, 5.0, 5.0)
    assert result.kept.slabkitMoved.tolist()[0] == 5.0
    plain = curate_picks(before, [labels])
    np.testing.assert_allclose(plain.kept[POSITION], PLACES[:2])
    assert plain.recentred == 0
    assert "slabkitMoved" not in plain.kept


def test_the_latest_agreeing_label_with_a_place_counts():
    first, second = label_rows(PLACES + 1), label_rows(PLACES + 2)
    third = label_rows(np.full((3, 3), np.nan))
    against = label_rows(PLACES + 9, ("rejected",) * 3)
    with pytest.warns(SlabkitWarning, match="contradict"):
        result = curate_picks(
            pick_table(), [against, first, second, third], policy="latest", recentre=True
        )
    np.testing.assert_allclose(result.kept[POSITION], PLACES + 2)


def test_permuted_picks_and_labels_give_the_same():
    labels = label_rows(np.add(PLACES, np.diag([1, 2, 3])))
    one = curate_picks(pick_table(), [labels], recentre=True).kept
    order = [2, 0, 1]
    two = curate_picks(
        pick_table().iloc[order], [labels.iloc[[1, 2, 0]].reset_index(drop=True)], recentre=True
    ).kept
    two = two.set_index("slabkitPickId").loc[IDS]
    np.testing.assert_array_equal(one[POSITION], two[POSITION])


def test_labels_without_places_are_refused():
    with pytest.raises(InputError, match="no label says where its particle is"):
        curate_picks(pick_table(), [label_rows(np.full((3, 3), np.nan))], recentre=True)


def test_from_relion_to_moved_picks(tmp_path, slabkit):
    tomograms = make_table(TOMOGRAMS, {"slabkitTomogram": ["a"], "slabkitVoxelSize": 7.3})
    write_picks(tmp_path / "picks.star", PickList(pick_table(), tomograms))
    minislabs = minislab_rows()
    geometry = geometry_table(
        LAYOUT, tiles=3, pixel_size=7.3, box=60, depth=60, contrast="dark", set_id="set-1"
    )
    write_minislabs(tmp_path / "minislabs.star", minislabs, geometry)
    rows = [("a-3", "2", "-7.3", "0"), ("a-1", "1", "14.6", "3.5")]
    labels = ("slabkitPickId", "rlnClassNumber", "rlnOriginXAngst", "rlnOriginYAngst")
    (tmp_path / "data.star").write_text(star(rows, *labels))
    slabkit("label", "data.star", "--minislabs", "minislabs.star", "--classes", "1-2", "-o",
            "labels.star")  # fmt: skip
    found = read_labels(tmp_path / "labels.star").set_index("slabkitPickId")
    np.testing.assert_allclose(found.loc["a-1", CENTRE].to_numpy(float), [85.4, 196.5, 300])
    done = slabkit("curate", "picks.star", "labels.star", "-o", "out.star", "--recentre", "--json")
    report = json.loads(done.stdout)
    assert report["recentred"] == 2
    assert report["largest_move"] == pytest.approx(np.hypot(14.6, 3.5))
    kept = read_native_picks(tmp_path / "out.star").picks.set_index("slabkitPickId")
    np.testing.assert_allclose(kept.loc["a-3", POSITION].to_numpy(float), [14.6, 14.6, 21.9])
    # The result can be curated again, its own columns among those of the list.
    slabkit("curate", "out.star", "labels.star", "-o", "again.star", "--recentre")
    again = read_native_picks(tmp_path / "again.star").picks.set_index("slabkitPickId")
    np.testing.assert_allclose(again[POSITION], kept[POSITION])
    slabkit("curate", "out.star", "labels.star", "-o", "plain.star")
