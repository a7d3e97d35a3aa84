"""The page of `slabkit view`: what is in it, what it says, and what a click does in a browser."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from test_inspect import content, in_browser

from slabkit.formats.picks.writing import write_picks
from slabkit.formats.tables.native import PickList
from slabkit.formats.volumes.mrc import write_mrc
from slabkit.pictures.colours import css, species_colours
from slabkit.tables import PICKS, TOMOGRAMS, make_table

SHAPE, VOXEL = (30, 60, 80), 10.0  # z, y, x
PLACES = {"c": (24, 40, 60), "r": (12, 20, 30), "u": (6, 50, 10), "e": (29, 5, 79)}  # z, y, x
DECISIONS = ("accepted", "rejected", "undecided", "accepted")
SPECIES = ("ribosome", "a<b", "ribosome", "")
SCORES = (9.0, 4.0, 6.5, np.nan)
NAME = "t<1"


def volume():
    values = np.random.default_rng(0).normal(0, 1, SHAPE)
    for z, y, x in PLACES.values():
        values[z - 2 : z + 3, y - 2 : y + 3, x - 2 : x + 3] = 30
    return values.astype(np.float32)


def picks(tomograms=(NAME,), file="{}.mrc"):
    count = len(tomograms)
    z, y, x = np.tile(np.array(list(PLACES.values())).T * VOXEL, count)
    table = make_table(
        PICKS,
        {
            "slabkitPickId": [f"{one}-{key}" for one in tomograms for key in PLACES],
            "slabkitTomogram": np.repeat(tomograms, len(PLACES)).tolist(),
            "slabkitX": x,
            "slabkitY": y,
            "slabkitZ": z,
            "slabkitScore": SCORES * count,
            "slabkitScoreKind": "blob",
            "slabkitSpecies": SPECIES * count,
            "slabkitDiameter": (100.0, 100.0, 100.0, np.nan) * count,
            "slabkitDecision": DECISIONS * count,
        },
    )
    described = make_table(
        TOMOGRAMS,
        {
            "slabkitTomogram": list(tomograms),
            "slabkitTomogramFile": [file.format(one) for one in tomograms],
            "slabkitTomogramSizeX": SHAPE[2],
            "slabkitTomogramSizeY": SHAPE[1],
            "slabkitTomogramSizeZ": SHAPE[0],
            "slabkitVoxelSize": VOXEL,
        },
    )
    return PickList(table, described)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (NAME, "2"):
        write_mrc(f"{name}.mrc", volume(), VOXEL, label="test")
    write_picks("p.star", picks([NAME, "2"]))
    return tmp_path


def pixels(url):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))).astype(int)


def test_what_the_page_holds(slabkit, files):
    done = json.loads(slabkit("view", "p.star", "-o", "a.html", "--json").stdout)
    assert {key: done[key] for key in ("tomograms", "left_out", "picks", "closeups")} == {
        "tomograms": 2,
        "left_out": 0,
        "picks": 8,
        "closeups": 8,
    }
    page = (files / "a.html").read_text(encoding="utf-8")
    outside = r'(?:src|href)="(?!data:)[^"]+"|url\(|@import|https?://(?!www\.w3\.org)'
    assert re.findall(outside, page) == []
    assert "<b" not in page.replace("<body", "").replace("<button", "")  # names are escaped
    assert "default-src 'none'" in page
    data = content(page)
    assert [one[0] for one in data["species"]] == ["ribosome", "a<b", "no species"]
    one = data["tomograms"][0]
    assert (one["name"], one["size"], one["voxel"], one["pixel"]) == (NAME, [80, 60, 30], 10, 10)
    order = ["c", "u", "r", "e"]  # by score, those without one last
    assert [pick[0] for pick in one["picks"]] == [f"{NAME}-{key}" for key in order]
    for pick, key in zip(one["picks"], order, strict=True):
        place, index = PLACES[key], list(PLACES).index(key)
        assert pick[1:4] == [VOXEL * value for value in place[::-1]]
        assert pick[4] == (None if np.isnan(SCORES[index]) else SCORES[index])
        assert data["species"][pick[5]][0] == (SPECIES[index] or "no species")
        assert data["decisions"][pick[6]] == DECISIONS[index]
        assert pick[7] == (24.0 if key == "e" else 100.0)  # of none: 3 % of the longest side
        # Sections at full resolution, 40 voxels wide: the pick is bright, and where it is said.
        url, side, thick, *where = pick[8]
        image = pixels(url)
        assert (side, thick, image.shape) == (40, 2 if key != "e" else 1, (40, 120))
        for tile, (down, across) in enumerate([(1, 2), (0, 2), (0, 1)]):
            row, column = where[down], where[across]
            assert image[round(row), 40 * tile + round(column)] > 200
    # Sections follow each other without gaps, and the brightest pixel is that of a particle.
    for axis, (stack, size) in enumerate(zip(one["sections"], (80, 60, 30), strict=True)):
        edges = stack["edges"]
        assert (edges[0], edges[-1], len(edges) - 1) == (0, size, len(stack["images"]))
        z, y, x = PLACES["c"]
        index = int(np.searchsorted(edges, (x, y, z)[axis], side="right")) - 1
        image = pixels(stack["images"][index])
        assert list(image.shape[::-1]) == stack["pixels"]
        row, column = [(y, z), (z, x), (y, x)][axis]
        assert image[row, column] > 200
    again = slabkit("view", "p.star", "-o", "b.html")
    assert (files / "b.html").read_text(encoding="utf-8") == page, again


def test_what_is_left_out_is_said_and_large_volumes_are_binned(slabkit, files):
    more = ("--max-tomograms", 1, "--closeups", 3, "--side", 64, "--sections", 5)
    slabkit("view", "p.star", "-o", "a.html", *more)
    page = (files / "a.html").read_text(encoding="utf-8")
    assert "1 of 2 tomograms with picks are in this page" in page
    assert "3 of 4 picks are in this page at full resolution" in page
    data = content(page)
    one = data["tomograms"][0]
    assert (one["pixel"], [len(stack["images"]) for stack in one["sections"]]) == (20, [10, 10, 5])
    assert one["sections"][2]["pixels"] == [40, 30]
    assert "shown in pixels of 20 Å (2 voxels a side)" in one["text"]
    assert "1 picks have no diameter" in one["text"]
    assert sum(pick[8] is not None for pick in one["picks"]) == 3


def test_only_the_tomograms_that_are_given_are_shown(slabkit, files):
    slabkit("view", "p.star", "--tomograms", "2.mrc", "-o", "a.html")
    page = (files / "a.html").read_text(encoding="utf-8")
    assert [one["name"] for one in content(page)["tomograms"]] == ["2"]
    assert "1 of 2 tomograms with picks are in this page" in page
    (files / "3.mrc").write_bytes((files / "2.mrc").read_bytes())
    said = slabkit("view", "p.star", "--tomograms", "3.mrc", "-o", "b.html", code=2).stderr
    assert "--tomograms has no tomogram of that name" in said


def test_lists_are_put_together_and_the_truth_is_shown(slabkit, files):
    every = picks()
    for name, decision in (("good", "accepted"), ("bad", "rejected")):
        own = every.picks[every.picks["slabkitDecision"] == decision].reset_index(drop=True)
        write_picks(f"{name}.star", PickList(own, every.tomograms))
    z, y, x = PLACES["c"]
    (files / "truth.csv").write_text(
        "tomogram,species,x,y,z\n"
        f"{NAME},ribosome,{x * 10 + 60},{y * 10},{z * 10}\n"  # within half a radius
        f"{NAME},apo-ferritin,300,200,120\n"  # the rejected pick is there
    )
    slabkit("view", "good.star", "bad.star", "--truth", "truth.csv", "-o", "a.html")
    data = content((files / "a.html").read_text(encoding="utf-8"))
    assert [pick[0][-1] for pick in data["tomograms"][0]["picks"]] == ["c", "r", "e"]
    names = [one[0] for one in data["species"]]
    assert data["tomograms"][0]["truth"] == [
        [660, 400, 240, names.index("ribosome"), 300, True],
        [300, 200, 120, names.index("apo-ferritin"), 120, False],
    ]


def test_of_several_lists_a_decision_counts_more_than_none(slabkit, files):
    every = picks()
    undecided = every.picks.assign(slabkitDecision="undecided")
    write_picks("all.star", PickList(undecided, every.tomograms))
    write_picks("said.star", every)
    slabkit("view", "all.star", "said.star", "-o", "a.html")
    data = content((files / "a.html").read_text(encoding="utf-8"))
    shown = {pick[0][-1]: data["decisions"][pick[6]] for pick in data["tomograms"][0]["picks"]}
    assert shown == dict(zip(PLACES, DECISIONS, strict=True))
    accepted = every.picks.assign(slabkitDecision="accepted")
    write_picks("good.star", PickList(accepted, every.tomograms))
    done = slabkit("view", "good.star", "said.star", "-o", "b.html")
    assert "picks that one list accepts and another rejects: 1" in done.stderr


def test_what_cannot_be_shown_is_said_in_a_sentence(slabkit, files):
    view = ("view", "p.star", "-o")
    assert "a.txt: view writes a page; name it .html" in slabkit(*view, "a.txt", code=2).stderr
    (files / "2.mrc").unlink()
    done = slabkit(*view, "a.html", code=1)
    assert "2.mrc" in done.stderr
    page = (files / "a.html").read_text(encoding="utf-8")
    assert [one["name"] for one in content(page)["tomograms"]] == [NAME]
    (files / f"{NAME}.mrc").unlink()
    refused = slabkit(*view, "b.html", code=2)
    assert f"{NAME}.mrc" in refused.stderr
    assert not (files / "b.html").exists()
    write_picks("none.star", PickList(picks().picks[:0], picks().tomograms))
    said = slabkit("view", "none.star", "-o", "c.html", code=2).stderr
    assert "none.star: there are no picks to look at" in said
    write_picks("nameless.star", picks(file=""))
    said = slabkit("view", "nameless.star", "-o", "c.html", code=2).stderr
    assert "give it with --tomograms" in said


def shown(dom, plane):
    """Give the marks of a plane: class, stroke, centre, radius."""
    picture = re.search(rf'<svg id="{plane}".*?</svg>', dom, re.S)[0]
    return {
        tuple(float(v) for v in (x, y, r)): (kind, stroke)
        for kind, stroke, x, y, r in re.findall(
            r'<g class="(hit[^"]*)"[^>]*stroke="([^"]*)"[^>]*><circle cx="([^"]*)" cy="([^"]*)" '
            r'r="([^"]*)"',
            picture,
        )
    }


def cells(dom, row):
    return re.findall(rf"{row}</label></td><td>([^<]*)</td><td>([^<]*)</td>", dom)[0]


def test_the_page_in_a_browser(slabkit, files, tmp_path):
    slabkit("view", "p.star", "-o", "page.html")
    page = files / "page.html"
    dom = in_browser(page, "", tmp_path)  # as it is, under its own policy
    assert cells(dom, "ribosome") == ("2 of 2", "4 of 4")
    assert cells(dom, "a&lt;b") == ("1 of 1", "2 of 2")
    assert cells(dom, "rejected") == ("1 of 1", "2 of 2")
    assert dom.count("<option ") == 2
    colours = species_colours(["ribosome", "a<b", ""])
    clicked = in_browser(
        page,
        """const box = document.getElementById("slider-z");
        box.value = 2; box.dispatchEvent(new Event("input"));
        const circle = document.querySelector("#xy .rejected-hit circle");
        circle.dispatchEvent(new MouseEvent("click", {bubbles: true}));""",
        tmp_path,
    )
    facts = dict(re.findall(r"<tr><td>([^<]*)</td><td>([^<]*)</td></tr>", clicked))
    assert facts == {
        "pick": "t&lt;1-r",
        "tomogram": "t&lt;1",
        "x, y, z": "300.0, 200.0, 120.0 Å",
        "score": "4 (blob)",
        "species": "a&lt;b",
        "decision": "rejected",
        "diameter": "100 Å",
    }
    mark = ("hit rejected-hit chosen", css(colours["a<b"]))
    places = {"xy": (300, 200, 50), "xz": (300, 120, 50), "yz": (120, 200, 50)}
    assert all(shown(clicked, plane)[place] == mark for plane, place in places.items())
    # The next by score of what the filters keep: the best, as the rejected one is not among them.
    filtered = in_browser(
        page,
        """document.querySelectorAll("input[name=decision]")[1].click();
        document.dispatchEvent(new KeyboardEvent("keydown", {key: "n"}));
        const box = document.getElementById("lowest");
        box.value = 7; box.dispatchEvent(new Event("input"));
        document.getElementById("after").click();
        document.getElementById("better").click();""",
        tmp_path,
    )
    assert cells(filtered, "rejected") == ("0 of 1", "0 of 2")
    assert cells(filtered, "ribosome") == ("1 of 2", "2 of 4")
    assert cells(filtered, "no species") == ("1 of 1", "2 of 2")  # has no score to be below
    assert "<td>2-e</td>" in filtered
    moved = in_browser(
        page,
        """const box = document.getElementById("xy").getBoundingClientRect();
        document.getElementById("xy").dispatchEvent(new MouseEvent("click", {
          clientX: box.left + box.width * 305 / 800, clientY: box.top + box.height * 105 / 600,
        }));
        document.title = location.hash;""",
        tmp_path,
    )
    place = re.search(r"<title>#tomogram=t%3C1&amp;x=(.*?)&amp;y=(.*?)&amp;z=", moved).groups()
    assert [float(one) for one in place] == pytest.approx(
        [300, 100], abs=2
    )  # a click's whole pixel
    slabkit("view", "p.star", "-o", "none.html", "--closeups", 0)
    bare = in_browser(
        files / "none.html", """document.getElementById("worse").click();""", tmp_path
    )
    assert "No sections at full resolution of this pick" in bare
    assert re.search(r'<svg id="close"[^>]* hidden', bare)
    followed = in_browser(
        page,
        """location.hash = "#tomogram=2&pick=2-u";
        window.dispatchEvent(new Event("hashchange"));""",
        tmp_path,
    )
    assert "<td>2-u</td>" in followed
