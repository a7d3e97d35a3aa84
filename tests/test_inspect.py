"""The page of `slabkit inspect`: what is in it, and what its slider does in a real browser."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from slabkit.errors import InputError
from slabkit.formats.tables.native import write_picks2d, write_slabs
from slabkit.formats.volumes.mrc import write_mrc
from slabkit.pictures.colours import css, species_colours
from slabkit.pictures.inspector import inspection_page
from slabkit.tables import PICKS2D, SLABS, make_table

SHAPE = (120, 200)
COUNTS = (40, 25, 0, 60, 10)  # picks a slab; the last two slabs are of another tomogram


def tables():
    names = [f"slabs/t_slab{i:03d}.mrc" for i in range(5)]
    slabs = make_table(
        SLABS,
        {
            "rlnMicrographName": names,
            "rlnTomoName": ["a<b", "a<b", "a<b", "c", "c"],
            "slabkitTomogramFile": "t.mrc",
            "slabkitZStart": [0, 10, 20, 0, 10],
            "slabkitZCount": 10,
            "slabkitVoxelSize": 7.3,
            "slabkitContrast": "dark",
            "slabkitTomogramContrast": "dark",
            "slabkitTomogramSizeX": SHAPE[1],
            "slabkitTomogramSizeY": SHAPE[0],
            "slabkitTomogramSizeZ": 30,
        },
    )
    rng = np.random.default_rng(0)
    total = sum(COUNTS)
    picks = make_table(
        PICKS2D,
        {
            "rlnMicrographName": np.repeat(names, COUNTS).tolist(),
            "rlnCoordinateX": rng.uniform(0, 199, total),
            "rlnCoordinateY": rng.uniform(0, 119, total),
            "rlnAutopickFigureOfMerit": rng.gamma(2, 2, total) + 1,
            "slabkitDiameter": rng.uniform(80, 300, total),
            "slabkitSpecies": rng.choice(["a & <b>", "ribosome"], total).tolist(),
        },
    )
    return picks, slabs


def picture(row):
    image = np.random.default_rng(int(row.slabkitZStart)).normal(0, 1, SHAPE)
    image[30:40, 150:170] = 40  # bright: seen in the picture at its place
    return image.astype(np.float32)


def content(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])


def test_everything_is_in_the_page_and_nothing_is_fetched():
    picks, slabs = tables()
    page = inspection_page(picks, slabs, picture, title="a & b")
    assert "a &amp; b" in page
    outside = r'(?:src|href)="(?!data:)[^"]+"|url\(|@import|https?://(?!www\.w3\.org)'
    assert re.findall(outside, page) == []
    data = content(page)
    assert [len(slab["picks"]) for slab in data["slabs"]] == list(COUNTS)
    assert [len(scores) for scores in data["scores"]] == list(COUNTS)
    assert data["of"] == {"a<b": [0, 1, 2], "c": [3, 4]}
    for slab, scores in zip(data["slabs"], data["scores"], strict=True):
        assert [pick[3] for pick in slab["picks"]] == scores == sorted(scores, reverse=True)
    best = picks.iloc[int(picks["rlnAutopickFigureOfMerit"][:40].argmax())]
    expected = [best["rlnCoordinateX"], best["rlnCoordinateY"], best["slabkitDiameter"] / 14.6]
    assert data["slabs"][0]["picks"][0][:3] == pytest.approx(expected, abs=0.006)
    first = data["slabs"][0]
    image = Image.open(io.BytesIO(base64.b64decode(first["image"].partition(",")[2])))
    assert image.size == (200, 120)
    pixels = np.asarray(image).astype(int)
    assert pixels[32:38, 152:168].min() > 220
    assert pixels[82:88, 152:168].mean() < 180


def test_the_page_is_the_same_every_time_and_large_images_are_shrunk():
    picks, slabs = tables()
    page = inspection_page(picks, slabs, picture, largest_side=100)
    assert page == inspection_page(picks, slabs, picture, largest_side=100)
    first = content(page)["slabs"][0]
    image = Image.open(io.BytesIO(base64.b64decode(first["image"].partition(",")[2])))
    assert image.size == (100, 60)
    assert (first["width"], first["height"]) == (200, 120)  # circles stay in slab pixels


def test_slabs_that_are_left_out_are_counted_and_said():
    picks, slabs = tables()
    page = inspection_page(picks, slabs, picture, max_slabs=2)
    data = content(page)
    assert [slab["name"] for slab in data["slabs"]] == ["t_slab000.mrc", "t_slab004.mrc"]
    assert sum(map(len, data["scores"])) == sum(COUNTS)
    assert "2 of 5 slabs are shown; the other 3 count" in page


def test_what_cannot_be_shown():
    picks, slabs = tables()
    with pytest.raises(InputError, match="no picks to look at"):
        inspection_page(picks[:0], slabs, picture)
    with pytest.raises(InputError, match="135 of 135 picks have no score"):
        inspection_page(picks.assign(rlnAutopickFigureOfMerit=np.nan), slabs, picture)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slabs").mkdir()
    picks, slabs = tables()
    for row in slabs.itertuples(index=False):
        write_mrc(tmp_path / row.rlnMicrographName, picture(row), 7.3, label="test")
    write_slabs("slabs/slabs.star", slabs)
    write_picks2d("p.star", picks)
    return picks


INSPECT = ("inspect", "p.star", "--slabs", "slabs/slabs.star", "-o")


def test_the_command(slabkit, files, tmp_path):
    report = json.loads(slabkit(*INSPECT, "page.html", "--max-slabs", 3, "--json").stdout)
    assert (report["slabs"], report["shown"], report["left_out"]) == (5, 3, 2)
    assert report["picks"] == sum(COUNTS)
    assert "finished already" in slabkit(*INSPECT, "page.html", "--max-slabs", 3).stderr
    assert "page.txt: inspect writes a page" in slabkit(*INSPECT, "page.txt", code=2).stderr
    (tmp_path / "slabs/t_slab000.mrc").unlink()
    assert "t_slab000.mrc" in slabkit(*INSPECT, "other.html", code=2).stderr
    assert not (tmp_path / "other.html").exists()


def in_browser(path, script, folder):
    """Open a page, run a script after its own, and give the page's HTML as it then is."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        pytest.skip("no Chromium to try the page in")
    page = path.read_text(encoding="utf-8")
    if script:  # which the page itself would not let run
        page = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
        page = page.replace("</main>", f"</main><script>{script}</script>")
    copy = path.with_name("moved.html")
    copy.write_text(page, encoding="utf-8")
    profile = f"--user-data-dir={folder / 'profile'}"
    options = ["--headless", "--no-sandbox", "--disable-gpu", profile]
    done = subprocess.run(
        [browser, *options, "--dump-dom", copy.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode or "<html" not in done.stdout:
        pytest.skip(f"{browser} does not run here: {done.stderr[-200:]}")
    return done.stdout


def number(dom, name):
    return int(re.search(rf'id="{name}">(\d+)<', dom)[1])


def test_the_slider_and_the_keys_in_a_browser(slabkit, files, tmp_path):
    slabkit(*INSPECT, "page.html")
    page = tmp_path / "page.html"
    scores = files["rlnAutopickFigureOfMerit"].round(4).to_numpy()
    slab = files["rlnMicrographName"].to_numpy()
    plain = in_browser(page, "", tmp_path)
    assert number(plain, "kept-all") == number(plain, "all-all") == 135
    assert number(plain, "kept-slab") == number(plain, "all-slab") == 40
    assert number(plain, "all-tomogram") == 65
    assert plain.count('<circle class="kept"') + plain.count('class="kept"><title>') >= 40
    assert plain.count("<option ") == 5
    moved = in_browser(
        page,
        """const slider = document.getElementById("threshold");
        slider.value = 4.5; slider.dispatchEvent(new Event("input"));
        document.getElementById("dropped").click();
        document.dispatchEvent(new KeyboardEvent("keydown", {key: "n"}));""",
        tmp_path,
    )
    own = scores[slab == "slabs/t_slab001.mrc"]
    tomogram = np.isin(slab, [f"slabs/t_slab{i:03d}.mrc" for i in range(3)])
    assert number(moved, "kept-all") == (scores >= 4.5).sum()
    assert number(moved, "kept-tomogram") == (scores[tomogram] >= 4.5).sum()
    assert number(moved, "kept-slab") == (own >= 4.5).sum()
    assert number(moved, "all-slab") == 25
    assert "--threshold 4.50" in moved
    circles = re.findall(r"<circle[^>]*>", moved)
    assert len(circles) == 25
    assert sum('class="kept"' in circle for circle in circles) == (own >= 4.5).sum()
    assert sum('class="out"' in circle for circle in circles) == (own < 4.5).sum()
    species = files["slabkitSpecies"].to_numpy()[slab == "slabs/t_slab001.mrc"]
    legend = re.findall(r'class="swatch" style="background: ([^"]*);"></span>([^<]*)<', moved)
    expected = [("ribosome", "ribosome"), ("a & <b>", "a &amp; &lt;b&gt;")]
    for (colour, text), (name, escaped) in zip(legend, expected, strict=True):
        assert text == f"{escaped} ({((own >= 4.5) & (species == name)).sum()})"
        red, green, blue = species_colours(["ribosome", "a & <b>"])[name]
        assert colour == f"rgb({red}, {green}, {blue})"
        drawn = f'stroke="{css((red, green, blue))}"'
        assert sum(drawn in circle for circle in circles) == (species == name).sum()
    bars = re.findall(r'<rect[^>]*data-middle="([^"]*)"[^>]*class="(\w+)"', moved)
    assert {name for middle, name in bars if float(middle) >= 4.5} == {"series0"}
    assert {name for middle, name in bars if float(middle) < 4.5} == {"below"}
