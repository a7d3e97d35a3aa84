"""Charts, pages and numbered galleries."""

from __future__ import annotations

import re

import numpy as np
import pytest

from slabkit.pictures.charts import Curve, bar_chart, histogram, line_charts
from slabkit.pictures.images import numbered_gallery
from slabkit.pictures.page import Page


def heights(svg, name):
    return [float(h) for h in re.findall(rf'class="{name}"[^>]*height="([\d.]+)"', svg)]


def test_a_histogram_stacks_its_groups_and_loses_nobody():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, 300), rng.normal(3, 1, 100)
    svg = histogram({"a": first, "b": second}, label="score", threshold=1.0, bins=20)
    total = sum(heights(svg, "series0")) / sum(heights(svg, "series1"))
    assert total == pytest.approx(3.0, rel=0.02)
    assert svg.count('class="mark"') == 1
    assert "a</span>" in svg
    assert "nan" not in svg


def test_charts_without_values_or_spread_are_defined():
    assert histogram({"a": []}, label="x") == "<p>No values.</p>"
    assert "nan" not in histogram({"a": [5.0, 5.0, np.nan]}, label="x")
    assert "nan" not in line_charts([Curve("t", np.arange(3.0), np.zeros(3), {})], label="z")
    assert bar_chart([], label="n") == '<ul class="bars" aria-label="n"></ul>'


def test_a_curve_runs_through_its_points():
    curve = Curve("t", np.array([0.0, 50.0, 100.0]), np.array([0.0, 1.0, 0.0]), {"found": 50.0})
    svg = line_charts([curve], label="z")
    points = [p.split(",") for p in re.search(r'points="([^"]*)"', svg)[1].split()]
    x, y = np.array(points, dtype=float).T
    assert x[1] == pytest.approx((x[0] + x[2]) / 2, abs=0.11)
    assert y[1] < y[0] == y[2]  # up is towards smaller y in SVG
    assert float(re.search(r'class="found" d="M([\d.]+)', svg)[1]) == pytest.approx(x[1], abs=0.11)


def test_what_goes_on_a_page_is_escaped_and_nothing_is_fetched():
    page = Page("<b>title", "lead & more")
    page.section("s<", "p>")
    page.table(["<i>", "n"], [["<script>", float("nan")], ["x", 1.23456]])
    page.code("a < b")
    page.pictures([(b"png", 'cap"tion')])
    page.numbers([("1", "<one>")])
    text = page.html()
    for bad in ("<b>title", "<script", "<i>", "s<<", "<one>", "http"):
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
