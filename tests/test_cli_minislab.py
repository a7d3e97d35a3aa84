"""`slabkit minislab` as a user runs it."""

from __future__ import annotations

import gzip
import json

import mrcfile
import numpy as np
import pandas as pd
import pytest
from volume_files import gallery_file

from slabkit.formats.tables.native import PickList, read_minislabs, read_native_picks, write_picks
from slabkit.formats.volumes.mrc import write_mrc
from slabkit.minislabs import normalise_minislabs, stack_minislabs
from slabkit.minislabs.galleries import layout_of
from slabkit.tables import PICKS, TOMOGRAMS, make_table
from slabkit.tomogram import Tomogram

SHAPE = (24, 40, 50)
SIZES = [f"slabkitTomogramSize{axis}" for axis in "XYZ"]


def make_volume(folder, name, seed, voxel_size=10.0, shape=SHAPE):
    volume = np.random.default_rng(seed).normal(0, 20, shape).astype(np.float32)
    write_mrc(folder / f"{name}.mrc", volume, voxel_size, label="test")
    return volume


def make_picks(folder, counts, voxel_sizes=None, seed=0, contrasts=None, shape=SHAPE):
    """A pick list of ``counts[name]`` picks in each tomogram, mixed up."""
    rng = np.random.default_rng(seed)
    names = [name for name, count in counts.items() for _ in range(count)]
    rng.shuffle(names)
    sizes = voxel_sizes or dict.fromkeys(counts, 10.0)
    edges = np.array([sizes[name] for name in names])
    where = rng.uniform(0.3, 0.7, (len(names), 3)) * np.array(shape) * edges[:, None]
    picks = make_table(
        PICKS,
        {
            "slabkitPickId": [f"{name}-{i:03d}" for i, name in enumerate(names)],
            "slabkitTomogram": names,
            "slabkitX": where[:, 2],
            "slabkitY": where[:, 1],
            "slabkitZ": where[:, 0],
        },
    )
    tomograms = make_table(
        TOMOGRAMS,
        {
            "slabkitTomogram": list(counts),
            "slabkitTomogramFile": [f"{name}.mrc" for name in counts],
            **{
                size: [n] * len(counts)
                for size, n in zip(SIZES, reversed(shape), strict=True)
            },
            "slabkitVoxelSize": [sizes[name] for name in counts],
            "slabkitTomogramContrast": [(contrasts or {}).get(name, "dark") for name in counts],
        },
    )  # fmt: skip
    write_picks(folder / "picks.star", PickList(picks, tomograms))
    return picks


def read_mrc(path):
    with mrcfile.open(path) as file:
        return file.data.copy(), float(file.voxel_size.x), int(file.header.ispg)


def read_stack(path):
    images, pixel_size, space_group = read_mrc(path)
    assert space_group == 0
    assert pixel_size == 10
    return images.reshape(-1, *images.shape[-2:])  # mrcfile takes a stack of one for an image


COMMON = ("--box", 120, "--depth", 80, "--tiles", "2x3")


@pytest.fixture
def two(tmp_path):
    """Two tomograms with seven picks in all, mixed."""
    volumes = {name: make_volume(tmp_path, name, i) for i, name in enumerate(("00255", "a.b"))}
    return volumes, make_picks(tmp_path, {"00255": 4, "a.b": 3})


def expected_tiles(volumes, picks, **options):
    images = []
    for row in range(len(picks)):
        one = picks.iloc[[row]]
        name = one["slabkitTomogram"].item()
        tomogram = Tomogram(name, volumes[name], 10.0)
        images.append(stack_minislabs(tomogram, one, **{"box": 120, "depth": 80, **options}).images)
    return normalise_minislabs(np.concatenate(images))


class TestResults:
    def test_every_tile_is_the_minislab_of_its_pick(self, tmp_path, slabkit, two):
        volumes, picks = two
        slabkit("minislab", "picks.star", "-o", "out", *COMMON, "--stack", "--border", 34)
        table, geometry = read_minislabs(tmp_path / "out" / "minislabs.star")
        assert table["slabkitPickId"].tolist() == picks["slabkitPickId"].tolist()
        assert table["slabkitTomogram"].tolist() == picks["slabkitTomogram"].tolist()
        assert table["slabkitGallerySet"].nunique() == 1
        layout = layout_of(geometry)
        assert (layout.rows, layout.columns, layout.tile_px, layout.border_px) == (2, 3, 12, 3)
        tiles = expected_tiles(volumes, picks)
        for number, row in enumerate(table.itertuples()):
            gallery, pixel_size, _ = read_mrc(tmp_path / row.rlnMicrographName)
            assert pixel_size == 10
            left, top = int(row.rlnCoordinateX) - 6, int(row.rlnCoordinateY) - 6
            np.testing.assert_array_equal(gallery[top : top + 12, left : left + 12], tiles[number])
            index, path = row.rlnImageName.split("@")
            stack = read_stack(tmp_path / path)
            # Protein is dark, so the stack is inverted: light on dark
            np.testing.assert_array_equal(stack[int(index) - 1], -tiles[number])
        last, _, _ = read_mrc(gallery_file(tmp_path / "out", 1))
        assert last.shape == (30, 42)
        assert not layout.disassemble(last)[1:].any()
        assert geometry["slabkitLastGalleryTiles"].item() == "1"
        assert len(list((tmp_path / "out").glob("minislabs_*.mrc"))) == 2

    @pytest.mark.parametrize("contrast", ["dark", "bright"])
    @pytest.mark.parametrize("invert", [False, True])
    def test_contrast_of_galleries_and_stacks(self, tmp_path, slabkit, two, contrast, invert):
        volumes, picks = two
        slabkit(
            "minislab", "picks.star", "-o", "out", *COMMON, "--stack", "--contrast", contrast,
            *["--invert"] * invert,
        )  # fmt: skip
        tiles = expected_tiles(volumes, picks)
        _, geometry = read_minislabs(tmp_path / "out" / "minislabs.star")
        gallery, _, _ = read_mrc(gallery_file(tmp_path / "out", 0))
        stack = read_stack(gallery_file(tmp_path / "out", 0, ".mrcs"))
        sign = -1 if invert else 1
        np.testing.assert_array_equal(layout_of(geometry).disassemble(gallery), sign * tiles[:6])
        np.testing.assert_array_equal(stack, tiles[:6] * (-1 if contrast == "dark" else 1))
        other = "bright" if contrast == "dark" else "dark"
        assert geometry["slabkitContrast"].item() == (other if invert else contrast)

    @pytest.mark.parametrize("count", [1, 5, 6, 7, 11, 12, 13])
    def test_any_number_of_picks(self, tmp_path, slabkit, count):
        make_volume(tmp_path, "t", 0)
        make_picks(tmp_path, {"t": count})
        slabkit("minislab", "picks.star", "-o", "out", *COMMON, "--stack")
        table, geometry = read_minislabs(tmp_path / "out" / "minislabs.star")
        galleries = -(-count // 6)
        assert len(table) == count
        assert len(list((tmp_path / "out").glob("minislabs_*.mrc"))) == galleries
        assert geometry["slabkitGalleryCount"].item() == str(galleries)
        last = count - 6 * (galleries - 1)
        assert geometry["slabkitLastGalleryTiles"].item() == str(last)
        stack = read_stack(gallery_file(tmp_path / "out", galleries - 1, ".mrcs"))
        assert stack.shape == (last, 12, 12)

    def test_tilted_views_are_rows_of_their_own(self, tmp_path, slabkit, two):
        volumes, picks = two
        slabkit("minislab", "picks.star", "-o", "out", *COMMON, "--tilts", "-20,0,20")
        table, geometry = read_minislabs(tmp_path / "out" / "minislabs.star")
        assert table["slabkitPickId"].tolist() == picks["slabkitPickId"].repeat(3).tolist()
        assert table["slabkitTilt"].tolist() == [-20, 0, 20] * 7
        gallery, _, _ = read_mrc(gallery_file(tmp_path / "out", 0))
        tiles = expected_tiles(volumes, picks.iloc[:2], tilts=(-20, 0, 20))
        np.testing.assert_array_equal(layout_of(geometry).disassemble(gallery), tiles)

    def test_pipe_equals_file_and_runs_are_equal(self, tmp_path, slabkit, two):
        text = (tmp_path / "picks.star").read_text()
        slabkit("minislab", "picks.star", "-o", "x/out", *COMMON, "--stack", "--png", "--jobs", 1)
        slabkit(
            "minislab", "-", "-o", "y/out", *COMMON, "--stack", "--png", "--jobs", 2, stdin=text
        )
        one, other = (tmp_path / side / "out" for side in "xy")
        names = sorted(p.name for p in one.iterdir() if p.suffix != ".json")
        assert names == sorted(p.name for p in other.iterdir() if p.suffix != ".json")
        assert len(names) == 7
        for name in names:
            if name != "minislabs.star":
                assert (one / name).read_bytes() == (other / name).read_bytes()
        stars = [(p / "minislabs.star").read_text() for p in (one, other)]
        assert stars[0].replace("x/out", "y/out") == stars[1]

    def test_mixed_voxel_sizes_resampled(self, tmp_path, slabkit):
        make_volume(tmp_path, "a", 0, 10.0)
        make_volume(tmp_path, "b", 1, 7.3)
        make_picks(tmp_path, {"a": 2, "b": 2}, {"a": 10.0, "b": 7.3})
        slabkit("minislab", "picks.star", "-o", "out", *COMMON, "--pixel-size", 8)
        _, pixel_size, _ = read_mrc(gallery_file(tmp_path / "out", 0))
        table, geometry = read_minislabs(tmp_path / "out" / "minislabs.star")
        assert pixel_size == 8
        assert geometry["slabkitTileSize"].item() == "16"  # 120 Å / 8 Å = 15, a tie goes up
        assert len(table) == 4

    def test_sizes_that_differ_by_rounding_are_one(self, tmp_path, slabkit):
        make_volume(tmp_path, "a", 0, 10.012)
        make_volume(tmp_path, "b", 1, 10.015)
        make_picks(tmp_path, {"a": 2, "b": 2}, {"a": 10.012, "b": 10.015})
        slabkit("minislab", "picks.star", "-o", "out", *COMMON)

    def test_tomograms_of_another_binning(self, tmp_path, slabkit):
        make_volume(tmp_path, "t", 0)
        (tmp_path / "fine").mkdir()
        make_volume(tmp_path / "fine", "t", 1, 5.0, (48, 81, 100))
        make_picks(tmp_path, {"t": 3})
        slabkit("minislab", "picks.star", "-o", "out", *COMMON, "--tomograms", "fine")
        _, geometry = read_minislabs(tmp_path / "out" / "minislabs.star")
        assert geometry["slabkitPixelSize"].item() == "5.0"
        assert geometry["slabkitTileSize"].item() == "24"

    def test_picks_of_another_format(self, tmp_path, slabkit, two):
        _, picks = two
        csv = pd.DataFrame(
            {
                "pick_id": picks["slabkitPickId"],
                "tomogram": picks["slabkitTomogram"],
                **{axis: picks[f"slabkit{axis.upper()}"] for axis in "xyz"},
            }
        )
        (tmp_path / "volumes").mkdir()
        for name in ("00255", "a.b"):
            (tmp_path / f"{name}.mrc").rename(tmp_path / "volumes" / f"{name}.mrc")
        csv.to_csv(tmp_path / "picks.csv", index=False)
        slabkit("minislab", "picks.csv", "-o", "out", *COMMON, "--tomograms", "volumes")
        table, _ = read_minislabs(tmp_path / "out" / "minislabs.star")
        assert table["slabkitPickId"].tolist() == picks["slabkitPickId"].tolist()

    def test_json_and_skipping_and_overwriting(self, tmp_path, slabkit, two):
        first = slabkit("minislab", "picks.star", "-o", "out", *COMMON, "--json")
        report = json.loads(first.stdout)
        assert report["status"] == "done"
        assert (report["minislabs"], report["galleries"], report["tile_px"]) == (7, 2, 12)
        again = slabkit("minislab", "picks.star", "-o", "out", *COMMON, "--json")
        assert json.loads(again.stdout)["status"] == "skipped"
        before = gallery_file(tmp_path / "out", 0).read_bytes()
        changed = ("minislab", "picks.star", "-o", "out", *COMMON[:-1], "4x4")
        done = slabkit(*changed, code=2)
        assert "--overwrite" in done.stderr
        assert gallery_file(tmp_path / "out", 0).read_bytes() == before
        slabkit(*changed, "--overwrite")
        # The galleries of the earlier set are gone.
        assert len(list((tmp_path / "out").glob("minislabs_*"))) == 1

    def test_a_foreign_gallery_is_not_replaced(self, tmp_path, slabkit, two):
        slabkit("minislab", "picks.star", "-o", "other", *COMMON)
        name = gallery_file(tmp_path / "other", 1).name
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / name).write_text("mine")
        done = slabkit("minislab", "picks.star", "-o", "out", *COMMON, code=2)
        assert f"{name}: exists already" in done.stderr
        assert [p.name for p in (tmp_path / "out").iterdir()] == [name]


class TestOutside:
    def test_no_picks_give_an_empty_table_and_a_warning(self, tmp_path, slabkit):
        make_volume(tmp_path, "t", 0)
        make_picks(tmp_path, {"t": 0})
        done = slabkit("minislab", "picks.star", "-o", "out", *COMMON, "--stack")
        assert "holds no picks" in done.stderr
        table, geometry = read_minislabs(tmp_path / "out" / "minislabs.star")
        assert len(table) == 0
        assert geometry["slabkitGalleryCount"].item() == "0"
        assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
            "minislabs.star",
            "minislabs.star.json",
        ]

    def test_far_picks_are_flat_tiles_and_warned_of(self, tmp_path, slabkit):
        make_volume(tmp_path, "t", 0)
        picks = make_picks(tmp_path, {"t": 3})
        text = (tmp_path / "picks.star").read_text()
        text = text.replace(repr(float(picks["slabkitX"][1])), "-99999.0")
        (tmp_path / "picks.star").write_text(text)
        done = slabkit("minislab", "picks.star", "-o", "out", *COMMON, "--stack")
        assert "1 of 3 minislabs lie outside their tomogram altogether" in done.stderr
        table, _ = read_minislabs(tmp_path / "out" / "minislabs.star")
        assert table["slabkitInsideFraction"].tolist() == [1, 0, 1]
        stack = read_stack(gallery_file(tmp_path / "out", 0, ".mrcs"))
        assert not stack[1].any()
        assert np.isfinite(stack).all()


class TestFailures:
    def test_a_missing_tomogram_leaves_the_others(self, tmp_path, slabkit, two):
        volumes, picks = two
        (tmp_path / "a.b.mrc").unlink()
        done = slabkit("minislab", "picks.star", "-o", "out", *COMMON, code=1)
        assert "failed: a.b: " in done.stderr
        assert "No such file" in done.stderr
        table, geometry = read_minislabs(tmp_path / "out" / "minislabs.star")
        kept = picks[picks["slabkitTomogram"] == "00255"]
        assert table["slabkitPickId"].tolist() == kept["slabkitPickId"].tolist()
        gallery, _, _ = read_mrc(gallery_file(tmp_path / "out", 0))
        np.testing.assert_array_equal(
            layout_of(geometry).disassemble(gallery)[:4], expected_tiles(volumes, kept)
        )

    def test_damage_found_after_tiles_were_written(self, tmp_path, slabkit, monkeypatch):
        """The result is the same as if the tomogram had not been in the list."""
        monkeypatch.setattr("slabkit.minislabs.filling._WINDOW_BYTES", 2 * 12 * 12 * 4)
        volumes = {n: make_volume(tmp_path, n, i, 10.0, (24, 40, 200)) for i, n in enumerate("ab")}
        volumes["b"][12, 20, 160] = np.inf  # at the last pick
        write_mrc(tmp_path / "b.mrc", volumes["b"], 10.0, label="test")
        picks = make_picks(tmp_path, {"a": 9, "b": 9}, shape=(24, 40, 200))
        x = np.where(picks["slabkitTomogram"] == "b", 400.0, 700.0)
        x[np.flatnonzero(picks["slabkitTomogram"] == "b")[-1]] = 1600.0
        tomograms = read_native_picks(tmp_path / "picks.star").tomograms
        picks = picks.assign(slabkitX=x, slabkitY=200.0, slabkitZ=120.0)
        write_picks(tmp_path / "picks.star", PickList(picks, tomograms))
        done = slabkit("minislab", "picks.star", "-o", "out", *COMMON, "--stack", code=1)
        assert "failed: b: b.mrc: 1 voxels are NaN or infinite" in done.stderr
        table, geometry = read_minislabs(tmp_path / "out" / "minislabs.star")
        kept = picks[picks["slabkitTomogram"] == "a"]
        assert table["slabkitPickId"].tolist() == kept["slabkitPickId"].tolist()
        assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
            "minislabs.star",
            "minislabs.star.json",
            *(
                gallery_file(tmp_path / "out", i, f".{s}").name
                for i in (0, 1)
                for s in ("mrc", "mrcs")
            ),
        ]
        gallery, _, _ = read_mrc(gallery_file(tmp_path / "out", 1))
        np.testing.assert_array_equal(
            layout_of(geometry).disassemble(gallery)[:3], expected_tiles(volumes, kept)[6:]
        )

    def test_nothing_can_be_done(self, tmp_path, slabkit, two):
        for name in ("00255", "a.b"):
            (tmp_path / f"{name}.mrc").unlink()
        done = slabkit("minislab", "picks.star", "-o", "out", *COMMON, code=2)
        assert "none of 2 could be done" in done.stderr
        assert not (tmp_path / "out").exists()

    def test_non_finite_voxels(self, tmp_path, slabkit):
        volume = make_volume(tmp_path, "t", 0)
        volume[12, 20, 25] = np.nan
        write_mrc(tmp_path / "t.mrc", volume, 10.0, label="test")
        make_picks(tmp_path, {"t": 8})
        done = slabkit("minislab", "picks.star", "-o", "out", *COMMON, code=2)
        assert "NaN or infinite" in done.stderr
        assert "--fill-nonfinite median" in done.stderr
        assert not list((tmp_path / "out").glob("*"))
        done = slabkit("minislab", "picks.star", "-o", "out", *COMMON, "--fill-nonfinite", "median")
        assert "were replaced by" in done.stderr

    def test_truncated_compressed_tomogram_is_found_late(self, tmp_path, slabkit, two):
        """A damaged end is found only when it is read, yet leaves nothing half-written."""
        _, picks = two
        data = gzip.compress((tmp_path / "a.b.mrc").read_bytes())
        (tmp_path / "a.b.mrc").write_bytes(data[: len(data) // 2])
        done = slabkit("minislab", "picks.star", "-o", "out", *COMMON, code=1)
        assert "failed: a.b: a.b.mrc" in done.stderr
        table, _ = read_minislabs(tmp_path / "out" / "minislabs.star")
        kept = picks[picks["slabkitTomogram"] == "00255"]
        assert table["slabkitPickId"].tolist() == kept["slabkitPickId"].tolist()
        names = sorted(p.name for p in (tmp_path / "out").iterdir())
        assert names == [
            "minislabs.star",
            "minislabs.star.json",
            gallery_file(tmp_path / "out", 0).name,
        ]

    def test_a_volume_of_another_size(self, tmp_path, slabkit):
        make_volume(tmp_path, "t", 0, 10.0, (24, 40, 80))
        make_picks(tmp_path, {"t": 2})
        done = slabkit("minislab", "picks.star", "-o", "out", *COMMON, code=2)
        assert "is 800 × 400 × 240 Å large (x, y, z), the pick list says 500 × 400" in done.stderr
        assert not (tmp_path / "out").exists()

    def test_an_unknown_name_lists_the_closest(self, tmp_path, slabkit, two):
        (tmp_path / "other").mkdir()
        make_volume(tmp_path / "other", "00256", 0)
        done = slabkit(
            "minislab", "picks.star", "-o", "out", *COMMON, "--tomograms", "other", code=2
        )
        assert "--tomograms has no tomogram of that name; the closest: 00256" in done.stderr

    def test_mixed_voxel_sizes_are_refused(self, tmp_path, slabkit):
        make_volume(tmp_path, "a", 0, 10.0)
        make_volume(tmp_path, "b", 1, 7.3)
        make_picks(tmp_path, {"a": 2, "b": 2}, {"a": 10.0, "b": 7.3})
        done = slabkit("minislab", "picks.star", "-o", "out", *COMMON, code=2)
        assert "10 Å in " in done.stderr or "7.3 Å in " in done.stderr
        for text in ("10 Å", "7.3 Å", "--pixel-size", "split the pick list"):
            assert text in done.stderr
        assert not (tmp_path / "out").exists()

    def test_mixed_contrast_is_refused(self, tmp_path, slabkit):
        for i, name in enumerate("ab"):
            make_volume(tmp_path, name, i)
        make_picks(tmp_path, {"a": 1, "b": 1}, contrasts={"b": "bright"})
        done = slabkit("minislab", "picks.star", "-o", "out", *COMMON, code=2)
        assert "protein is dark in a and bright in b" in done.stderr
        slabkit("minislab", "picks.star", "-o", "out", *COMMON, "--contrast", "dark")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--box", 0), "--box must be a positive number of Å, not 0"),
            (("--depth", "nan"), "--depth must be a positive number of Å, not nan"),
            (("--border", -1), "--border must be a positive number of Å, not -1"),
            (("--tiles", "16"), "--tiles takes ROWSxCOLUMNS, 16x15 for instance, not '16'"),
            (("--tiles", "0x3"), "--tiles takes ROWSxCOLUMNS"),
            (("--tilts", "0;20"), "--tilts takes numbers with commas between, not '0;20'"),
            (("--tilts", "0,90"), "a tilt must be from -75 to 75 degrees, not 90"),
            (("--contrast", "grey"), "--contrast must be dark or bright, not 'grey'"),
            (("--diameter", 1000), "leaves nothing outside it in a box of 12 pixels"),
            (("--pixel-size", -3), "--pixel-size must be a positive number of Å, not -3"),
        ],
    )
    def test_bad_options_write_nothing(self, tmp_path, slabkit, two, options, message):
        done = slabkit("minislab", "picks.star", "-o", "out", *COMMON, *options, code=2)
        assert message in done.stderr
        assert not list(tmp_path.glob("out/minislabs*"))

    def test_standard_output_is_no_folder(self, slabkit, two):
        done = slabkit("minislab", "picks.star", "-o", "-", *COMMON, code=2)
        assert "-o takes a folder" in done.stderr
