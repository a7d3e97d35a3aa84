"""``slabkit map`` and ``slabkit merge`` as a user runs them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from analytic import balls, hits_of, slab_table_of, tomogram_of

from slabkit.formats.tables.native import (
    read_native_picks,
    write_picks2d,
    write_slabs,
)
from slabkit.formats.volumes.mrc import write_mrc

SHAPE = (40, 48, 56)
CENTRES = [(20.3, 20.6, 11.2), (40.1, 30.5, 27.7)]


@pytest.fixture
def project(tmp_path):
    """Two tomograms, their slab table, and one hit a particle and slab that holds it."""
    import pandas as pd

    tables, hits = [], []
    for name in ("T1", "T2"):
        tomogram = tomogram_of(balls(SHAPE, CENTRES, 5.0), 7.3, name=name)
        write_mrc(tmp_path / f"{name}.mrc", np.asarray(tomogram.data), 7.3, label="test")
        slabs = slab_table_of(tomogram, [(0, 20), (10, 20), (20, 20)])
        rows = [
            (i, x, y, 10.0 - i, 73.0)
            for i, start in enumerate((0, 10, 20))
            for x, y, z in CENTRES
            if start <= z < start + 20
        ]
        tables.append(slabs)
        hits.append(hits_of(slabs, rows))
    write_slabs(tmp_path / "slabs.star", pd.concat(tables))
    write_picks2d(tmp_path / "picks2d.star", pd.concat(hits))
    return tmp_path


MAP = ("map", "picks2d.star", "--slabs", "slabs.star", "-o")


def test_map_finds_the_particles(project, slabkit):
    done = slabkit(*MAP, "picks.star", "--json")
    report = json.loads(done.stdout)
    assert (report["hits"], report["merged"], report["picks"]) == (8, 4, 4)
    found = read_native_picks(project / "picks.star")
    for name in ("T1", "T2"):
        own = found.picks[found.picks.slabkitTomogram == name]
        position = own[["slabkitX", "slabkitY", "slabkitZ"]].to_numpy() / 7.3
        order = np.argsort(position[:, 0])
        np.testing.assert_allclose(position[order], CENTRES, atol=0.1)
    assert found.tomograms.slabkitTomogramSizeX.tolist() == [56, 56]
    assert found.tomograms.slabkitVoxelSize.tolist() == [7.3, 7.3]
    assert (project / "picks.star.json").exists() or list(project.glob("picks*.json"))
    before = (project / "picks.star").read_bytes()
    assert "skipped" in slabkit(*MAP, "picks.star").stderr
    slabkit(*MAP, "picks.star", "--overwrite", "--jobs", "1")
    assert (project / "picks.star").read_bytes() == before
    slabkit(*MAP, "picks.star", "--single", code=2)


def test_map_in_a_pipe(project, slabkit):
    text = (project / "picks2d.star").read_text()
    done = slabkit("map", "-", "--slabs", "slabs.star", "-o", "-", "--quiet", stdin=text)
    slabkit(*MAP, "picks.star")
    assert done.stdout == (project / "picks.star").read_text()
    done = slabkit(*MAP, "-", "--json", code=2)
    assert "--json and -o -" in done.stderr


def test_map_without_refinement_and_with_rows_counted_upwards(project, slabkit):
    slabkit(*MAP, "flat.star", "--no-refine-z", "--min-distance", "0", "--y-axis", "up")
    picks = read_native_picks(project / "flat.star").picks
    assert len(picks) == 8
    assert set(np.round(picks.slabkitZ / 7.3, 6)) == {9.5, 19.5, 29.5}
    rows = [47 - 20.6, 47 - 30.5]
    assert sorted(set(np.round(picks.slabkitY / 7.3, 6))) == pytest.approx(sorted(rows))


def test_a_tomogram_that_is_missing_fails_alone(project, slabkit):
    (project / "T1.mrc").unlink()
    done = slabkit(*MAP, "picks.star", "--json", code=1)
    assert "T1.mrc: the tomogram that the slab table names is not there" in done.stderr
    found = read_native_picks(project / "picks.star")
    assert set(found.picks.slabkitTomogram) == {"T2"}
    assert found.tomograms.slabkitTomogram.tolist() == ["T2"]
    (project / "T2.mrc").unlink()
    slabkit(*MAP, "none.star", code=2)
    assert not (project / "none.star").exists()


def test_an_empty_list_flows_through(project, slabkit):
    from slabkit.tables import PICKS2D, empty_table

    write_picks2d(project / "picks2d.star", empty_table(PICKS2D))
    done = slabkit(*MAP, "picks.star")
    assert "warning: there are no picks" in done.stderr
    assert len(read_native_picks(project / "picks.star").picks) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("map", "picks2d.star", "./picks2d.star", "--slabs", "slabs.star"), "given twice"),
        ((*MAP[:4], "--y-axis", "left"), "--y-axis must be up or down"),
        ((*MAP[:4], "--contrast", "grey"), "--contrast must be dark or bright"),
        ((*MAP[:4], "--min-distance", "-3"), "minimum distance must not be negative"),
        (("map", "other.star", "--slabs", "slabs.star"), "T1_slab00.mrc is not in the slab table"),
        (("map", "picks2d.star", "--slabs", "picks2d.star"), "not a slabs table"),
        (("map", "no.star", "--slabs", "slabs.star"), "no.star: cannot be read"),
        ((*MAP[:4], "--voxel-size", "7.84"), "slabs were made with 7.3 Å"),
    ],
)
def test_refusals(project, slabkit, arguments, message):
    text = (project / "picks2d.star").read_text()
    (project / "other.star").write_text(text.replace("T1_slab000", "T1_slab00"))
    done = slabkit(*arguments, "-o", "picks.star", code=2)
    assert message in done.stderr
    assert not (project / "picks.star").exists()


def test_a_tomogram_of_another_size_is_refused(project, slabkit):
    for name in ("T1", "T2"):
        write_mrc(
            project / f"{name}.mrc", np.zeros((40, 48, 55), dtype=np.float32), 7.3, label="test"
        )
    done = slabkit(*MAP, "picks.star", code=2)
    assert "has 55 voxels along x, but its slabs were made of 56" in done.stderr


def test_merge_pools_lists(project, slabkit):
    slabkit(*MAP, "picks.star")
    slabkit(*MAP, "all.star", "--min-distance", "0")
    done = slabkit(
        "merge", "picks.star", "all.star", "-o", "merged.star", "--distance", "40", "--json"
    )
    report = json.loads(done.stdout)
    assert (report["given"], report["picks"]) == (12, 4)
    merged = read_native_picks(project / "merged.star").picks
    first = read_native_picks(project / "picks.star").picks
    assert set(merged.slabkitPickId) == set(first.slabkitPickId)
    done = slabkit("merge", "-", "all.star", "-o", "-", "--distance", "40", "--quiet",
                   stdin=(project / "picks.star").read_text())  # fmt: skip
    assert done.stdout == (project / "merged.star").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("picks.star", "picks.star", "--distance", "40"), "given twice"),
        (("picks.star", "--distance", "forty"), "--distance takes Å or SPECIES=Å"),
        (("picks.star", "--distance", "4", "--distance", "5"), "takes one number"),
        (("picks.star", "--distance", "ribosome=100"), "no distance is given for picks without"),
        (("picks.star", "--distance", "-4"), "must be finite and not negative"),
    ],
)
def test_merge_refusals(project, slabkit, arguments, message):
    slabkit(*MAP, "picks.star")
    done = slabkit("merge", *arguments, "-o", "merged.star", code=2)
    assert message in done.stderr
    assert not (project / "merged.star").exists()
