"""Charts, pages and numbered galleries."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from slabkit.pictures.colours import css, species_colours
from slabkit.pictures.drawing import Drawing
from slabkit.pictures.figures import curve_drawing, histograms, lines_chart, stacked_bars
from slabkit.pictures.images import numbered_gallery
from slabkit.pictures.page import Page


def points(svg):
    """The points of every line that is neither an axis nor a mark."""
    found = re.findall(r'class="line (?:series\d|found|truth)"[^>]*points="([^"]*)"', svg)
    return [np.array([p.split(",") for p in line.split()], dtype=float).T for line in found]


def test_histograms_lose_nobody():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, 300), rng.normal(3, 1, 100)
    svg = histograms(
        {"a": first, "b": second}, title="t", label="score", bins=20, marks={"threshold": 1.0}
    ).svg()
    areas = [abs(np.trapezoid(y.max() - y, x)) for x, y in points(svg)]
    assert areas[0] / areas[1] == pytest.approx(3.0, rel=0.02)
    assert svg.count('class="line mark"') == 1
    assert ">a</text>" in svg
    assert ">threshold</text>" in svg
    assert "nan" not in svg


def test_charts_without_values_or_spread_are_defined():
    for values in ([], [5.0, 5.0, np.nan]):
        assert "nan" not in histograms({"a": values}, title="t", label="x").svg()
    flat = {"t": (np.arange(3.0), np.zeros(3))}
    assert "nan" not in lines_chart(flat, title="t", label_x="z", label_y="").svg()
    assert "<rect" not in stacked_bars({}, title="t").svg()


def test_bars_are_as_long_as_their_numbers():
    svg = stacked_bars({"a": {"n": 1000}, "b": {"n": 250}}, title="t").svg()
    widths = [float(w) for w in re.findall(r'class="series0"[^>]* width="([\d.]+)"', svg)]
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.01)
    assert ">1,000</text>" in svg


def test_a_curve_runs_through_its_points():
    curve = {"fit": (np.array([0.0, 50.0, 100.0]), np.array([0.0, 1.0, 0.0]))}
    svg = lines_chart(
        curve, title="t", label_x="z", label_y="", marks={"found": 50.0}, size=(230, 90)
    ).svg()
    mark, line = points(svg)
    x, y = line
    assert x[1] == pytest.approx((x[0] + x[2]) / 2, abs=0.11)
    assert y[1] < y[0] == y[2]  # up is towards smaller y in SVG
    assert mark[0] == pytest.approx(x[1], abs=0.11)


def test_what_goes_on_a_page_is_escaped_and_nothing_is_fetched():
    page = Page("<b>title", "lead & more")
    page.section("s<", "p>")
    page.table(["<i>", "n"], [["<script>", float("nan")], ["x", 1.23456]])
    page.code("a < b")
    page.pictures([(b"png", 'cap"tion')])
    page.numbers([("1", "<one>")])
    text = page.html()
    assert text.count("<script") == 1  # the page's own
    for bad in ("<b>title", "<script>x", "<i>", "s<<", "<one>", "://"):
        assert bad not in text
    for good in ("&lt;b&gt;title", "lead &amp; more", "1.235", "–", "data:image/png;base64,cG5n"):
        assert good in text


def test_a_numbered_gallery_shows_each_tile_in_its_place():
    rng = np.random.default_rng(0)
    gallery = rng.normal(0, 0.01, (3 * 20 + 10, 4 * 20 + 10))
    gallery[5 + 20 : 5 + 40, 5 + 60 : 5 + 80] = 1.0  # row 1, column 3
    picture = numbered_gallery(gallery, 20, border_px=5, tiles=6)
    scale, margin = 4, 26
    assert picture.shape == (2 * 20 * scale + margin, 4 * 20 * scale + margin, 3)  # no empty row
    inside = picture[margin + 100 : margin + 140, margin + 260 : margin + 300]
    beside = picture[margin + 100 : margin + 140, margin + 180 : margin + 220]
    assert inside.mean() > 250
    assert beside.mean() < 150


def test_letters_that_the_font_lacks():
    """Å in a picture is A, and a ring above it."""

    def ink(text):
        drawing = Drawing(60, 40, text)
        drawing.text(30, 20, text, style="title")
        return drawing.picture() < 128

    plain, ringed = ink("nA b"), ink("nÅ b")
    assert (ringed & ~plain).any()
    assert not (plain & ~ringed).any()
    rows, columns = np.nonzero((ringed & ~plain).any(axis=2))
    assert rows.max() <= np.nonzero(ink("nA").any(axis=2))[0].min() + 4
    assert columns.max() < np.nonzero(plain.any(axis=2))[1].max()
    for text, same in (("a–b", "a-b"), ("2×2", "2x2")):
        assert (ink(text) == ink(same)).all()


def test_a_species_has_its_colour_in_charts_too():
    colour = species_colours(["ribosome"])["ribosome"]
    curve = pd.DataFrame({"species": ["ribosome", "all"] * 2, "threshold": [1.0, 1, 2, 2]})
    drawing = curve_drawing(curve.assign(f_beta=0.5), 4.0, "score (x)")
    assert f'class="line own" style="--own:{css(colour)}"' in drawing.svg()
    pixels = drawing.picture().reshape(-1, 3)
    assert (pixels == [round(0.65 * part) for part in colour]).all(axis=1).sum() > 100
