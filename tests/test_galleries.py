"""Galleries: from a pick to its tile and back, exactly."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slabkit import read_particle_images
from slabkit.errors import InputError
from slabkit.formats.tables.native import read_minislabs, write_minislabs
from slabkit.formats.volumes.mrc import write_mrc
from slabkit.minislabs.galleries import (
    GalleryLayout,
    gallery_set_id,
    geometry_table,
    layout_of,
    minislab_table,
)

layouts = st.builds(
    GalleryLayout,
    tile_px=st.integers(1, 30),
    rows=st.integers(1, 20),
    columns=st.integers(1, 20),
    border_px=st.integers(0, 40),
)


class TestPlaces:
    def test_the_default_is_16_rows_of_15(self):
        layout = GalleryLayout(40)
        assert (layout.rows, layout.columns, layout.tiles) == (16, 15, 240)
        assert layout.shape == (640, 600)

    @given(layout=layouts, number=st.integers(0, 10**7))
    @settings(max_examples=200, deadline=None)
    def test_number_place_centre_and_back(self, layout, number):
        gallery, row, column = layout.place(number)
        assert layout.number(gallery, row, column) == number
        x, y = layout.tile_centre(row, column)
        row_again, column_again, distance = layout.tile_of(x, y)
        assert (row_again, column_again, distance) == (row, column, 0)
        height, width = layout.shape
        assert 0 <= x < width
        assert 0 <= y < height

    @given(layout=layouts)
    @settings(max_examples=50, deadline=None)
    def test_every_pixel_of_a_tile_is_of_that_tile(self, layout):
        height, width = layout.shape
        y, x = np.mgrid[:height, :width]
        row, column, distance = layout.tile_of(x, y)
        numbers = layout.number(0, row, column)
        expected = layout.assemble(
            np.arange(1, layout.tiles + 1)[:, None, None]
            * np.ones((1, layout.tile_px, layout.tile_px))
        )
        np.testing.assert_array_equal(numbers + 1, expected)
        np.testing.assert_array_equal(np.isinf(distance), numbers < 0)
        assert (row[numbers < 0] == -1).all()
        assert (column[numbers < 0] == -1).all()

    def test_tile_edges_are_half_a_pixel_before_the_first_pixel(self):
        layout = GalleryLayout(tile_px=10, rows=2, columns=3, border_px=4)
        x = [3.49, 3.5, 13.49, 13.5, 33.49, 33.5, -1e300, np.nan, np.inf]
        _, column, distance = layout.tile_of(x, 9)
        assert column.tolist() == [-1, 0, 0, 1, 2, -1, -1, -1, -1]
        assert distance[1] == pytest.approx(5.5)
        assert distance[3] == pytest.approx(5.5)
        assert np.isinf(distance[[0, 5, 6, 7, 8]]).all()

    def test_distance_is_from_the_pick(self):
        layout = GalleryLayout(tile_px=10)
        row, column, distance = layout.tile_of(10 * 7 + 5 + 3, 10 * 2 + 5 - 4)
        assert (row, column) == (2, 7)
        assert distance == pytest.approx(5)

    def test_places_that_do_not_exist_have_no_number(self):
        layout = GalleryLayout(10, rows=2, columns=3)
        numbers = layout.number([0, 0, 0, 0, -1, 1], [0, 2, -1, 0, 0, 1], [3, 0, 0, 2, 0, 2])
        assert numbers.tolist() == [-1, -1, -1, 2, -1, 11]

    @pytest.mark.parametrize(
        ("tiles", "galleries"), [(0, 0), (1, 1), (239, 1), (240, 1), (241, 2), (480, 2), (481, 3)]
    )
    def test_counting_galleries(self, tiles, galleries):
        assert GalleryLayout(10).galleries(tiles) == galleries

    @pytest.mark.parametrize(
        "sizes", [{"tile_px": 0}, {"rows": 0}, {"columns": -1}, {"border_px": -1}]
    )
    def test_impossible_layouts_are_refused(self, sizes):
        with pytest.raises(InputError, match="a gallery needs at least one row"):
            GalleryLayout(**{"tile_px": 10, **sizes})


class TestImages:
    @given(layout=layouts, data=st.data())
    @settings(max_examples=60, deadline=None)
    def test_assemble_and_disassemble(self, layout, data):
        count = data.draw(st.integers(0, layout.tiles))
        side = layout.tile_px
        images = np.random.default_rng(count).normal(size=(count, side, side)).astype(np.float32)
        gallery = layout.assemble(images)
        assert gallery.shape == layout.shape
        assert gallery.dtype == np.float32
        tiles = layout.disassemble(gallery)
        np.testing.assert_array_equal(tiles[:count], images)
        assert not tiles[count:].any()
        border = layout.border_px
        inner = gallery[border : len(gallery) - border, border : gallery.shape[1] - border]
        assert np.abs(gallery).sum() == pytest.approx(np.abs(inner).sum(), rel=1e-5)

    def test_a_box_about_the_centre_is_the_tile(self):
        """What RELION's extraction does: pixel x of the micrograph becomes pixel box // 2."""
        layout = GalleryLayout(tile_px=8, rows=3, columns=4, border_px=5)
        images = np.random.default_rng(0).normal(size=(12, 8, 8)).astype(np.float32)
        gallery = layout.assemble(images)
        _, rows, columns = layout.place(np.arange(12))
        for image, x, y in zip(images, *layout.tile_centre(rows, columns), strict=True):
            left, top = int(x) - 4, int(y) - 4
            np.testing.assert_array_equal(gallery[top : top + 8, left : left + 8], image)

    def test_wrong_images_are_refused(self):
        layout = GalleryLayout(tile_px=8, rows=3, columns=4)
        for shape in ((13, 8, 8), (2, 8, 9), (8, 8)):
            with pytest.raises(InputError, match="at most 12 images of 8 × 8 pixels"):
                layout.assemble(np.zeros(shape))
        with pytest.raises(InputError, match=r"has \(24, 32\) pixels \(y, x\), not \(24, 31\)"):
            layout.disassemble(np.zeros((24, 31)))


class TestTables:
    layout = GalleryLayout(tile_px=10, rows=2, columns=3, border_px=7)

    def tables(self, count, stacks=None):
        ids = [f"TS_{i}" for i in range(count)]
        names = [f"m/minislabs_{i:03d}.mrc" for i in range(self.layout.galleries(count))]
        tilts = np.zeros(count)
        set_id = gallery_set_id(self.layout, 10.0, ids, tilts)
        table = minislab_table(
            self.layout,
            galleries=names,
            stacks=[f"{name}s" for name in names] if stacks else None,
            pick_ids=ids,
            tomograms=["00255"] * count,
            tilts=tilts,
            inside_fraction=np.ones(count),
            set_id=set_id,
        )
        geometry = geometry_table(
            self.layout,
            tiles=count,
            pixel_size=10.0,
            box=100,
            depth=300,
            contrast="dark",
            set_id=set_id,
        )
        return table, geometry

    @pytest.mark.parametrize("count", [0, 1, 5, 6, 7, 11, 12, 13])
    @pytest.mark.parametrize("stacks", [False, True])
    def test_every_row_finds_its_pick_again(self, tmp_path, count, stacks):
        table, geometry = self.tables(count, stacks)
        write_minislabs(tmp_path / "m.star", table, geometry)
        again, geometry_again = read_minislabs(tmp_path / "m.star")
        assert again["slabkitPickId"].tolist() == [f"TS_{i}" for i in range(count)]
        assert again["rlnParticleName"].tolist() == again["slabkitPickId"].tolist()
        assert again["slabkitTomogram"].tolist() == ["00255"] * count
        layout = layout_of(geometry_again)
        assert layout == self.layout
        row, column, distance = layout.tile_of(again["rlnCoordinateX"], again["rlnCoordinateY"])
        gallery = again["rlnMicrographName"].str.extract(r"_(\d{3})\.mrc$")[0].astype(int)
        assert layout.number(gallery, row, column).tolist() == list(range(count))
        assert not distance.any()
        assert row.tolist() == again["slabkitTileRow"].tolist()
        assert column.tolist() == again["slabkitTileColumn"].tolist()
        expected = [f"{i % 6 + 1:06d}@m/minislabs_{i // 6:03d}.mrcs" for i in range(count)]
        assert again["rlnImageName"].tolist() == (expected if stacks else [""] * count)

    @pytest.mark.parametrize(
        ("count", "galleries", "last"),
        [(0, 0, 0), (1, 1, 1), (5, 1, 5), (6, 1, 6), (7, 2, 1), (12, 2, 6), (13, 3, 1)],
    )
    def test_empty_tiles_are_known(self, count, galleries, last):
        _, geometry = self.tables(count)
        row = geometry.iloc[0]
        assert row["slabkitTileCount"] == count
        assert row["slabkitGalleryCount"] == galleries
        assert row["slabkitLastGalleryTiles"] == last
        assert row["slabkitContrast"] == "dark"

    def test_the_set_id_follows_what_decides_who_is_where(self):
        ids, tilts = ["a", "bc"], [0.0, 0.0]
        same = gallery_set_id(self.layout, 10.0, ids, tilts)
        assert same == gallery_set_id(self.layout, 10, list(ids), np.array(tilts))
        others = {
            gallery_set_id(GalleryLayout(10, 3, 2, 7), 10.0, ids, tilts),
            gallery_set_id(GalleryLayout(12, 2, 3, 7), 10.0, ids, tilts),
            gallery_set_id(GalleryLayout(10, 2, 3, 0), 10.0, ids, tilts),
            gallery_set_id(self.layout, 5.0, ids, tilts),
            gallery_set_id(self.layout, 10.0, ids[::-1], tilts),
            gallery_set_id(self.layout, 10.0, ["ab", "c"], tilts),
            gallery_set_id(self.layout, 10.0, ids, [0.0, 20.0]),
            same,
        }
        assert len(others) == 8
        assert same.startswith("set-")
        assert len(same) == 20

    def test_a_table_without_a_layout_is_refused(self):
        _, geometry = self.tables(3)
        with pytest.raises(InputError, match=r"m\.star: .* no slabkitGalleryRows"):
            layout_of(geometry.drop(columns="slabkitGalleryRows"), "m.star")
        with pytest.raises(InputError, match="slabkitTileSize is 'wide', not a whole number"):
            layout_of(geometry.assign(slabkitTileSize="wide"))
        with pytest.raises(InputError, match="galleries block"):
            layout_of(pd.concat([geometry, geometry]))


def test_images_of_stacks_in_any_order(tmp_path):
    stacks = np.random.default_rng(0).normal(size=(2, 300, 4, 4)).astype(np.float32)
    for name, stack in zip("ab", stacks, strict=True):
        write_mrc(tmp_path / f"{name}.mrcs", stack, 1.0, label="test", stack=True)
    rows = [f"{number}@{name}.mrcs" for name in "ba" for number in range(1, 301)]
    table = ["data_optics\n", "loop_", "_rlnOpticsGroup", "_rlnImagePixelSize", "1 1.0\n"]
    table += ["data_particles\n", "loop_", "_rlnImageName", "_rlnOpticsGroup"]
    (tmp_path / "all.star").write_text("\n".join([*table, *(f"{row} 1" for row in rows)]) + "\n")
    images = read_particle_images(tmp_path / "all.star")
    every = stacks[::-1].reshape(-1, 4, 4)
    mixed = np.random.default_rng(1).integers(0, 600, 50)
    for numbers in (np.arange(600), np.arange(600)[::-1], mixed, mixed[:1], mixed[:0]):
        np.testing.assert_array_equal(images.read(numbers), every[numbers])
