"""Keys, mouse, touch and views of the review page, to the labels that come of it."""

from __future__ import annotations

import re
import shutil
import time

import numpy as np
import pytest
from review_server import unpack

from slabkit.formats.tables.blocks import write_blocks
from slabkit.formats.tables.classification import read_class_table
from slabkit.formats.tables.native import read_labels, read_minislabs, read_native_picks

ALL = ("--classified", "classes/classified.star", "--species", "ribosome,apo-ferritin")


@pytest.fixture
def labels(review_folder, slabkit):
    """What `slabkit label` makes of the log: by row of the page, decision, species and source."""

    def read(*more):
        table, _ = read_minislabs(review_folder / "minislabs/minislabs.star")
        row = {name: number for number, name in enumerate(table["slabkitPickId"])}
        words = ("--minislabs", "minislabs/minislabs.star", "-o", "clicks.star", "--overwrite")
        slabkit("label", "reviews.sqlite", *words, *more)
        found = read_labels(review_folder / "clicks.star")
        names = ("slabkitPickId", "slabkitDecision", "slabkitSpecies", "slabkitSource")
        return {
            row[pick]: (decision, species, source)
            for pick, decision, species, source in zip(*(found[n] for n in names), strict=True)
        }

    return read


def by_hand(decision, species=""):
    return decision, species, "review"


def test_keys_decide_and_the_labels_are_what_was_pressed(serve, visit, labels):
    person = visit(serve(*ALL, "--order", "score"))
    view = person.view()
    person.press("a", "r", "u", "1", "2")
    assert person.focus() == 5  # it goes on by itself
    person.press("Backspace", "ArrowLeft", "Space", "ArrowRight")
    assert person.focus() == 5
    across = person.js("review.grid.across")
    person.press("ArrowDown", "ArrowUp", "PageDown", "PageUp", "End", "Home", "ArrowDown")
    assert person.focus() == across
    expected = {
        view[0]: by_hand("accepted"),
        view[1]: by_hand("rejected"),
        view[2]: by_hand("undecided"),
        view[3]: by_hand("accepted", "ribosome"),
        view[4]: by_hand("accepted", "apo-ferritin"),
    }
    person.press("a", "z", "z", "z", "z", "y", "y", "y")
    person.saved()
    assert person.focus() == 4
    person.press("y")
    person.saved()
    assert labels() == expected | {view[across]: by_hand("accepted")}
    person.press("Control+z", "Control+Shift+Z", "Control+y")
    person.saved()
    assert labels() == expected | {view[across]: by_hand("accepted")}
    person.press(*["z"] * 9)
    person.saved()
    assert labels() == {}
    assert "Nothing to undo" in person.page.inner_text("#actions")
    person.press(*["y"] * 6)
    person.saved()
    assert labels() == expected | {view[across]: by_hand("accepted")}


def test_keys_select(serve, visit, labels):
    person = visit(serve(*ALL, "--order", "list"))
    across = person.js("review.grid.across")
    person.press("x", "ArrowRight", "ArrowRight", "x")
    assert person.selected() == [0, 2]
    person.press("Escape", "Home")
    person.press("Shift+ArrowRight", "Shift+ArrowRight", "Shift+ArrowLeft")
    assert person.selected() == [0, 1]
    person.press("Shift+ArrowDown")
    assert person.selected() == list(range(across + 2))
    person.press("Shift+ArrowUp", "r")
    assert person.selected() == []
    person.saved()
    assert labels() == {0: by_hand("rejected"), 1: by_hand("rejected")}
    count = person.js("review.data.count")
    person.press("Control+a", "a")
    person.saved()
    assert labels() == {row: by_hand("accepted") for row in range(count)}
    person.press("z")
    person.saved()
    assert len(labels()) == 2


def test_what_was_done_is_there_again_and_can_be_taken_back(serve, visit, labels):
    server = serve(*ALL, "--order", "list")
    person = visit(server)
    person.press("a", "r", "2", "z")
    person.saved()
    again = visit(server)
    assert again.focus() == 2  # the first that is left
    assert again.page.inner_text("#counts").startswith("1 accepted, 1 rejected, 0 undecided")
    again.press("y", "z", "z", "z", "y")
    again.saved()
    assert labels() == {0: by_hand("accepted")}


def test_keys_can_be_changed(serve, visit, labels):
    person = visit(serve(*ALL, "--order", "list"))
    person.press("?")
    person.page.click("[data-bind=accept]")
    person.press("q")
    assert person.page.inner_text("[data-bind=accept]").strip() == "q"
    person.press("Escape")
    person.press("a", "q")
    assert "q" in person.page.inner_text("#actions .accept")
    person.page.reload()
    person.page.wait_for_selector("body[data-ready]")
    person.press("q")  # at the first that is left
    person.saved()
    assert labels() == {0: by_hand("accepted"), 1: by_hand("accepted")}
    person.press("?")
    person.page.click("[data-do=reset]")
    person.page.click("[data-do=close]")
    person.press("q", "a")
    person.saved()
    assert len(labels()) == 3


def test_keys_of_the_display(serve, visit):
    person = visit(serve(*ALL, "--order", "list"))
    person.wait("review.store.kept.size > 0")
    size = person.js("review.grid.size")
    person.press("+")
    assert person.js("review.grid.size") > size
    person.press("-", "-")
    assert person.js("review.grid.size") < size
    grey = """() => new Promise((resolve) => requestAnimationFrame(() => {
        requestAnimationFrame(() => {
            const { grid } = review, s = Math.round(20 * grid.dense);
            const { data } = grid.context.getImageData(s, s, 24, 24);
            resolve(Array.from(data.filter((_, i) => i % 4 === 0)));
        });
    }))"""
    before = np.array(person.js(grey), dtype=float)
    person.press("i")
    after = np.array(person.js(grey), dtype=float)
    assert np.corrcoef(before, after)[0, 1] < -0.95
    person.press("i")
    for name, value in (("contrast", "3"), ("brightness", "0.4"), ("lowpass", "120")):
        was = np.array(person.js(grey), dtype=float)
        person.page.fill(f"#{name}", value)
        now = np.array(person.js(grey), dtype=float)
        assert not np.array_equal(was, now), name
    assert now.std() < was.std()  # low-pass
    person.press("l")
    assert not person.page.is_visible("#panel")
    person.press("l")
    assert person.page.is_visible("#panel")


def test_mouse(serve, visit, labels):
    person = visit(serve(*ALL, "--order", "list"))
    across = person.js("review.grid.across")
    person.click(3)
    assert person.focus() == 3
    person.page.click("#actions .accept")
    assert person.focus() == 4
    person.click(1, "Control")
    person.click(3, "Control")
    assert person.selected() == [1, 3]
    person.page.click("#actions button:has-text('ribosome')")
    person.click(0)
    person.click(2, "Shift")
    assert person.selected() == [0, 1, 2]
    left, top = person.centre(1)
    right, bottom = person.centre(across + 2)
    person.drag((left, top), (right, bottom))
    assert person.selected() == [1, 2, across + 1, across + 2]
    person.page.click("#actions .reject")
    person.page.click("header [data-action=undo]")
    person.page.click("header [data-action=redo]")
    person.saved()
    expected = dict.fromkeys([1, 2, across + 1, across + 2], by_hand("rejected"))
    assert labels() == {3: by_hand("accepted", "ribosome")} | expected
    person.page.mouse.dblclick(*person.centre(3))
    assert person.page.is_visible(".pick")


def test_touch(serve, visit, labels):
    phone = {"viewport": {"width": 390, "height": 780}, "has_touch": True, "is_mobile": True}
    person = visit(serve(*ALL, "--order", "list"), **phone)
    person.page.touchscreen.tap(*person.centre(2))
    assert person.focus() == 2
    person.page.tap("#actions .reject")
    touch = """([x, y, wait]) => new Promise((resolve) => {
        const event = (kind) => review.grid.scroll.dispatchEvent(new PointerEvent(kind, {
            clientX: x, clientY: y, pointerType: "touch", bubbles: true, button: 0 }));
        event("pointerdown");
        setTimeout(() => { event("pointerup"); resolve(); }, wait);
    })"""
    for place in (0, 1):
        person.js(touch, [*person.centre(place), 600])
    assert person.selected() == [0, 1]
    person.page.tap("#actions button:has-text('apo-ferritin')")
    person.saved()
    species = by_hand("accepted", "apo-ferritin")
    assert labels() == {2: by_hand("rejected"), 0: species, 1: species}
    person.page.tap("header [data-action=panel]")
    assert person.page.is_visible("#panel")
    person.page.tap("#panel .close")
    assert not person.page.is_visible("#panel")


def fingers(person, *path, hold=0.0):
    """Real touches, each a list of points: down at the first, through the others, and up."""
    person.touch = getattr(person, "touch", None) or person.context.new_cdp_session(person.page)

    def send(kind, points):
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        person.touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    send("touchStart", path[0])
    time.sleep(hold)
    for points in path[1:]:
        send("touchMove", points)
    send("touchEnd", [])


def test_fingers_do_what_the_mouse_does(serve, visit, labels):
    phone = {"viewport": {"width": 390, "height": 780}, "has_touch": True, "is_mobile": True}
    person = visit(serve(*ALL, "--order", "list"), **phone)
    across = person.js("review.grid.across")
    fingers(person, [person.centre(0)], [person.centre(1)], [person.centre(across + 1)], hold=0.6)
    assert person.selected() == [0, 1, across, across + 1]
    person.page.tap("#actions [data-action=none]")
    person.page.touchscreen.tap(*person.centre(1))
    person.page.tap("#actions [data-action=range]")
    person.page.touchscreen.tap(*person.centre(across + 2))
    assert person.selected() == list(range(1, across + 3))
    person.page.tap("#actions [data-action=range]")
    person.page.tap("#actions .reject")
    person.page.tap("#actions [data-action=all]")
    assert len(person.selected()) == person.js("review.data.count")
    person.page.tap("#actions [data-action=none]")
    person.show("classes")
    person.page.wait_for_selector(".card")
    person.page.tap(".card >> nth=1")
    person.page.tap("#actions [data-action=open]")
    person.wait("review.current === review.grid && review.listing.filters.class !== ''")
    person.show("tomogram")
    person.wait("review.tomogram.section && review.tomogram.chosen >= 0 && review.tomogram.dense")
    left, top, wide, high = person.js("""() => {
        const { left, top, width, height } = review.tomogram.canvas.getBoundingClientRect();
        return [left, top, width, height];
    }""")
    middle, level = left + wide / 2, top + high / 2
    zoom = f"[review.tomogram.zoom, ...review.tomogram.toPlace({wide / 2}, {high / 2})]"
    before = person.js(zoom)
    pinch = [[(middle - d, level), (middle + d, level)] for d in (30, 40, 50, 60)]
    fingers(person, *pinch)
    after = person.js(zoom)
    assert after[0] == pytest.approx(2 * before[0], rel=0.02)
    assert after[1:] == pytest.approx(before[1:], abs=5)
    person.page.tap("#whole")
    place = """() => {
        const { tomogram } = review, { left, top } = tomogram.canvas.getBoundingClientRect();
        const pick = tomogram.picks.find((one) => one.row === tomogram.chosen);
        const [u, v] = tomogram.toScreen(pick.x, pick.y);
        return [left + u, top + v];
    }"""
    x, y = person.js(place)
    fingers(person, [(x, y)], [(x - 8, y)], [(x - 16, y)])
    person.wait("review.decisions.done.at(-1).kind === 'move'")
    person.page.tap("#adding")
    person.page.touchscreen.tap(middle, level)
    person.wait("review.decisions.done.at(-1).kind === 'add'")
    person.saved()
    assert labels() == {row: by_hand("rejected") for row in range(1, across + 3)}


def test_keys_move_and_add_picks_in_tomograms(serve, visit, labels, review_folder):
    person = visit(serve(*ALL, "--order", "list"))
    person.press("v")
    person.wait("review.tomogram.section && review.tomogram.chosen >= 0 && review.tomogram.dense")
    person.press("Shift+ArrowDown", "z")  # taken back before it was sent
    person.press("Shift+ArrowRight", "Shift+ArrowRight", "Shift+ArrowUp")
    person.wait("review.decisions.done.at(-1)?.kind === 'move'")
    pixel = person.js("review.tomogram.section.pixel")
    zoom = person.js("review.tomogram.zoom")
    middle = person.js("""() => {
        const { tomogram } = review, { clientWidth, clientHeight } = tomogram.canvas;
        return tomogram.toPlace(clientWidth / 2, clientHeight / 2);
    }""")
    person.press("m", "ArrowRight", "ArrowDown", "Enter")
    person.wait("review.decisions.done.at(-1).kind === 'add'")
    person.press("m")
    person.saved()
    assert labels("--additions", "more.star") == {}
    more = read_native_picks(review_folder / "more.star").picks
    before = read_native_picks(review_folder / "picks.star").picks.set_index("slabkitPickId")
    own = before.loc[more["slabkitPickId"].iloc[0]]
    step = [more[f"slabkit{axis}"].iloc[0] - own[f"slabkit{axis}"] for axis in "XY"]
    assert step == pytest.approx([2 * pixel, -pixel], abs=0.01)
    there = [value + 8 * pixel / zoom for value in middle]
    assert more[["slabkitX", "slabkitY"]].iloc[1].tolist() == pytest.approx(there, abs=0.01)


def test_what_cannot_be_read_is_said(serve, visit, review_folder):
    for name in ("tomograms", "minislabs"):  # of the minislabs, all but the table and one gallery
        own = (review_folder / name).resolve()
        (review_folder / name).unlink()
        (review_folder / name).mkdir()
        for one in own.iterdir():
            (review_folder / name / one.name).symlink_to(one)
    server = serve(*ALL, "--order", "list")
    for one in (review_folder / "tomograms").iterdir():
        one.unlink()
    for one in (review_folder / "minislabs").glob("*.mrc"):
        one.unlink()
    person = visit(server)
    told = "document.querySelector('#actions .told').textContent"
    person.wait(f"{told}.includes('.mrc')")
    person.press("v")
    person.wait(f"{told}.includes('tomograms/') && !{told}.includes('Tiles')")
    person.said.clear()  # the browser says that answers were refused


def test_keys_on_other_keyboards(serve, visit, labels):
    person = visit(serve(*ALL, "--order", "list"))
    for key, code, caps in [
        ("\u0444", "KeyA", False),  # Russian
        ("&", "Digit1", False),  # French
        ("R", "KeyR", True),
        ("q", "KeyA", False),  # French; it means nothing
    ]:
        person.js(
            """([key, code, modifierCapsLock]) => document.activeElement.dispatchEvent(
                new KeyboardEvent("keydown", { key, code, modifierCapsLock, bubbles: true }))""",
            [key, code, caps],
        )
    person.saved()
    assert labels() == {
        0: by_hand("accepted"),
        1: by_hand("accepted", "ribosome"),
        2: by_hand("rejected"),
    }


def test_what_has_the_keys_keeps_them(serve, visit):
    words = ("--reviewer", "ann", "--reviewer", "ben", "--batch", "24")
    person = visit(serve(*ALL, *words, "--order", "list"))
    person.wait("review.listing.scope !== null")
    person.page.focus("#filter-class")
    person.press("ArrowDown", "ArrowDown")
    assert person.js("document.activeElement.id") == "filter-class"
    values = "Array.from(document.querySelector('#filter-class').options, (one) => one.value)"
    assert person.page.input_value("#filter-class") == person.js(values)[2]
    person.page.click("text=Show all")
    person.page.focus("text=Apply again")
    person.press("Enter")
    person.wait("document.activeElement.textContent === 'Apply again'")
    person.show("classes")
    person.page.wait_for_selector(".card")
    person.js("document.querySelector('.card').dataset.same = 'yes'")
    person.page.focus("#contrast")
    person.press("ArrowRight")
    assert person.js("document.activeElement.id") == "contrast"
    person.page.focus(".card")
    person.press("a")
    assert person.js("document.querySelector('.card').dataset.same") == "yes"  # no flicker
    person.show("team")
    person.page.wait_for_selector("table")
    person.page.focus(".team button")
    person.js("review.team.draw({ ...JSON.parse(review.team.shown), seen: 99 })")
    assert person.js("document.activeElement.textContent") == "Next batch"


def test_a_class_of_a_team_is_shown_whole(serve, visit):
    words = ("--reviewer", "ann", "--reviewer", "ben", "--batch", "6", "--order", "list")
    person = visit(serve(*ALL, *words))
    person.wait("review.listing.scope !== null")
    batch = person.view()
    person.press("c")
    person.page.wait_for_selector(".card")
    members = person.js("review.classes.rowsOf(review.classes.codes[0]).length")
    person.press("Enter")
    assert len(person.view(10_000)) == members
    person.press("Escape", "t")
    assert person.view() == batch


def test_two_people_at_one_browser(serve, visit, labels, review_folder):
    server = serve(*ALL, "--order", "list", "--reviewer", "ann", "--reviewer", "ben")
    ann = visit(server, "ann")
    ann.wait("review.listing.scope !== null")
    links = {name: f"{address}?token={token}" for name, (address, token) in server.links.items()}
    other = ann.context.new_page()
    other.goto(links["ben"])
    other.wait_for_selector("body[data-ready]")
    ann.press("a")
    ann.wait("document.getElementById('saved').textContent.includes('ben')")
    other.goto(links["ann"])
    ann.saved()
    ann.said.clear()  # the browser says that an answer was refused
    labels()
    assert set(read_labels(review_folder / "clicks.star")["slabkitAuthor"]) == {"ann"}


def test_order_filters_and_threshold(serve, visit, labels):
    person = visit(serve(*ALL))
    person.ordered()
    names = ["score", "class", "tomogram", "probability"]
    read = "(name) => Array.from(review.listing.columns[name])"
    columns = {name: person.js(read, name) for name in names}
    count = len(columns["score"])
    quality = person.js("review.data.classes.map((one) => one.quality)")
    assert person.page.input_value("#sort") == "suggest"
    for name in ("score", "probability", "class", "list"):
        person.page.select_option("#sort", name)
        view = person.view(count)
        assert sorted(view) == list(range(count))
        if name == "class":
            known = [quality[columns["class"][row]] for row in view if columns["class"][row]]
            assert known == sorted(known, reverse=True)
        elif name != "list":
            shown = np.array(columns[name])[view]
            assert np.all(np.diff(shown) <= 0)
    person.page.select_option("#sort", "score")
    person.page.check("#reverse")
    assert np.all(np.diff(np.array(columns["score"])[person.view(count)]) >= 0)
    person.page.uncheck("#reverse")
    person.press("a", "r", "1")
    first = person.view(3)
    for name, value, wanted in [
        ("tomogram", "1", [row for row in range(count) if columns["tomogram"][row] == 1]),
        ("class", "2", [row for row in range(count) if columns["class"][row] == 2]),
        ("species", "1", [first[2]]),
        ("decision", "2", [first[1]]),
        ("decision", "decided", first),
        ("decision", "0", sorted(set(range(count)) - set(first))),
        ("how", "2", []),
    ]:
        person.page.select_option(f"#filter-{name}", value=value)
        assert sorted(person.view(count)) == sorted(wanted), name
        person.page.click("text=Show all")
    middle = float(np.median(columns["score"]))
    person.page.fill("#threshold", str(middle))
    above = sum(score >= float(person.page.input_value("#threshold")) for score in columns["score"])
    assert f"{above} of {count} shown; {count - above} below" in person.page.inner_text(
        "#threshold-count"
    )
    before = person.js("review.decisions.done.length")
    person.page.click("text=Accept those")
    person.page.click("dialog [data-answer=yes]")
    person.wait(f"review.decisions.done.length > {before}")
    person.saved()
    found = labels()
    assert sum(source == "review-threshold" for _, _, source in found.values()) == above - 3
    assert {found[row] for row in first} == {
        by_hand("accepted"),
        by_hand("rejected"),
        by_hand("accepted", "ribosome"),
    }
    person.press("z")
    person.page.click("text=Reject the others")
    person.page.click("dialog [data-answer='']")
    person.saved()
    assert len(labels()) == 3


def test_classes_and_their_exceptions(serve, visit, labels):
    person = visit(serve(*ALL, "--order", "list"))
    person.press("c")
    person.page.wait_for_selector(".card")
    names = [card.get_attribute("data-class") for card in person.page.query_selector_all(".card")]
    quality = person.js(
        "Object.fromEntries(review.data.classes.map((one) => [one.name, one.quality]))"
    )
    good = [quality[name] for name in names if name]
    assert good == sorted(good, reverse=True)
    text = person.page.inner_text(f".card[data-class='{names[0]}']")
    assert re.search(rf"Class {names[0]}\s+\d+ picks, quality {good[0]:.2f}", text)
    person.press("Enter")
    members = person.view(10_000)
    person.press("r")  # the first member is an exception
    person.press("c")
    person.press("a", "r", "u", "z", "1")
    person.page.dblclick(f".card[data-class='{names[3]}']")
    person.wait("review.current === review.grid")
    person.press("Escape")
    person.wait("review.current === review.classes")
    person.page.wait_for_selector(".card")
    person.saved()
    found = labels()
    assert found[members[0]] == by_hand("rejected")
    assert {found[row] for row in members[1:]} == {("accepted", "", "review-class")}
    third = person.js("review.classes.codes[2]")
    code = person.js("Array.from(review.listing.columns.class)")
    assert {found[row] for row in range(len(code)) if code[row] == third} == {
        ("accepted", "ribosome", "review-class")
    }
    assert person.page.inner_text(f".card[data-class='{names[0]}']").endswith("1 by hand")
    person.show("tiles")
    person.page.click("text=Show all")
    person.page.select_option("#filter-how", "2")
    assert set(person.view(10_000)) == {
        row for row, said in found.items() if said[2] == "review-class"
    }


def test_one_pick(serve, visit, labels, review_folder):
    person = visit(serve(*ALL, "--order", "list"))
    person.press("Enter")
    person.page.wait_for_selector("figure[data-plane=xy] canvas")
    person.wait("review.pick.cube !== null && review.pick.slab !== null")
    ink = """(name) => {
        const canvas = document.querySelector(`[data-plane=${name}] canvas`);
        const { width, height } = canvas;
        const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
        return Array.from(data.filter((_, i) => i % 4 === 0));
    }"""
    for plane in ("xy", "xz", "yz", "tile", "slab"):
        assert np.std(person.js(ink, plane)) > 8, plane
    image = "document.querySelector('[data-plane=xy] canvas').toDataURL()"
    before = person.js(image)
    person.press(".", ".", ".")
    assert person.js(image) != before
    person.press(",", ",", ",")
    assert person.js(image) == before
    table, _ = read_minislabs(review_folder / "minislabs/minislabs.star")
    picks = read_native_picks(review_folder / "picks.star").picks.set_index("slabkitPickId")
    name = table["slabkitPickId"].iloc[0]
    text = person.page.inner_text(".facts")
    assert name in text
    assert f"{picks.loc[name, 'slabkitScore']:.2f}" in text
    assert f"{picks.loc[name, 'slabkitX']:.0f}, " in text
    person.press("r")
    person.wait("review.pick.current === review.listing.view[1]")
    person.press("2")
    person.saved()
    person.press("ArrowLeft", "ArrowLeft")
    person.wait("document.querySelector('.facts ol').textContent.includes('rejected')")
    assert labels() == {0: by_hand("rejected"), 1: by_hand("accepted", "apo-ferritin")}
    person.press("Escape")
    assert person.js("review.current === review.grid")


def test_tomogram_decide_move_and_add(serve, visit, labels, review_folder, slabkit):
    person = visit(serve(*ALL, "--order", "list"))
    person.press("v")
    person.wait("review.tomogram.section && review.tomogram.chosen >= 0 && review.tomogram.dense")
    place = """(row) => {
        const { tomogram } = review, frame = tomogram.canvas.getBoundingClientRect();
        const pick = tomogram.picks.find((one) => one.row === row);
        const [u, v] = tomogram.toScreen(pick.x, pick.y);
        return [frame.left + u, frame.top + v];
    }"""
    chosen = person.js("review.tomogram.chosen")
    person.page.mouse.click(*person.js(place, chosen))
    person.press("1")
    person.saved()
    assert labels() == {chosen: by_hand("accepted", "ribosome")}
    second = person.js("review.tomogram.chosen")
    assert second != chosen  # it goes on to the next in depth
    person.press("ArrowLeft")
    person.wait(f"review.tomogram.chosen === {chosen} && !review.tomogram.loading")
    x, y = person.js(place, chosen)
    person.drag((x, y), (x + 24, y + 12))
    person.wait("review.decisions.done.at(-1).kind === 'move'")
    per_pixel = person.js("review.tomogram.section.pixel / review.tomogram.zoom")
    person.press("m")
    free = person.js("""() => {
        const { tomogram } = review, frame = tomogram.canvas.getBoundingClientRect();
        return [frame.left + frame.width / 2, frame.top + frame.height / 2];
    }""")
    person.page.mouse.click(*free)
    person.wait("review.decisions.done.at(-1).kind === 'add'")
    person.press("m")
    person.saved()
    table, _ = read_minislabs(review_folder / "minislabs/minislabs.star")
    before = read_native_picks(review_folder / "picks.star").picks.set_index("slabkitPickId")
    assert set(labels("--additions", "more.star")) == {chosen}
    more = read_native_picks(review_folder / "more.star").picks
    assert (more["slabkitSource"] == "review").tolist() == [False, True]
    name = table["slabkitPickId"].iloc[chosen]
    moved = more.set_index("slabkitPickId").loc[name]
    step = [moved[f"slabkit{axis}"] - before.loc[name, f"slabkit{axis}"] for axis in "XYZ"]
    assert step == pytest.approx([24 * per_pixel, 12 * per_pixel, 0], abs=per_pixel)
    person.wait("review.tomogram.picks.some((one) => one.added)")
    person.press("z")
    person.wait("!review.tomogram.picks.some((one) => one.added)")
    person.saved()
    labels("--additions", "more.star")
    assert len(read_native_picks(review_folder / "more.star").picks) == 1
    person.page.mouse.wheel(0, -400)
    person.wait("review.tomogram.zoomed")
    person.page.click("text=Whole section")
    person.page.select_option("#thickness", index=0)
    person.page.focus(".tomogram canvas")
    person.press(".", "ArrowDown", "ArrowRight", "Enter")
    person.wait("review.current === review.pick")


def test_a_team(serve, visit, labels):
    words = ["--overlap", "0.5", "--batch", "12", "--order", "score"]
    server = serve(
        *ALL, *(w for name in ("ann", "ben", "kim") for w in ("--reviewer", name)), *words
    )
    ann = visit(server, "ann")
    ann.wait("review.listing.scope !== null")
    first = ann.view()
    assert len(first) == 12
    ann.press(*["a"] * 12)
    ann.wait(f"!review.listing.scope.includes({first[0]})")  # the next batch came
    ben = visit(server, "ben")
    ben.wait("review.listing.scope !== null")
    second = ben.view()
    shared = sorted(set(first) & set(second))
    assert 2 <= len(shared) < 12
    assert ben.js("review.decisions.totals[1]") == 0  # nothing of what ann said
    assert "12 of 12 left" in ben.page.inner_text("#panel")
    for row in second:
        ben.press("r" if row == shared[0] else "a")
    ben.wait(f"!review.listing.scope.includes({second[0]})")
    ben.press("g")
    ben.page.wait_for_selector("table[aria-label=Agreement]")
    agreement = ben.page.inner_text("table[aria-label=Agreement]")
    assert f"ann\tben\t{len(shared)}\t{100 * (1 - 1 / len(shared)):.1f} %" in agreement
    kim = visit(server, "kim")
    kim.wait("review.listing.scope !== null")
    kim.page.click("#panel button:has-text('Disagreements')")
    kim.wait("review.listing.scope.length === 1")
    assert kim.view() == [shared[0]]
    kim.press("r")
    kim.saved()
    for one in (ann, ben):
        one.saved()
    assert labels()[shared[0]] == by_hand("rejected")


@pytest.mark.parametrize("order", ["class", "probability"])
def test_batches_come_in_the_order_asked_for(serve, order):
    server = serve(
        *ALL, "--reviewer", "ann", "--reviewer", "ben", "--batch", "12", "--order", order
    )
    header, arrays = unpack(server.ask("api/list"))
    rows = unpack(server.ask("api/batch", {}))[1]["rows"]
    worth = unpack(server.ask("api/order"))[1]["probability"]
    if order == "class":
        quality = np.array([one["quality"] or 0 for one in header["classes"]])
        worth = quality[arrays["class"]]
    assert worth[rows].tolist() == sorted(worth, reverse=True)[:12]


def test_the_page_survives_a_server_that_stops(serve, visit, labels):
    server = serve(*ALL, "--order", "list", "--reviewer", "ann", "--port", "0")
    person = visit(server)
    person.press("a")
    person.saved()
    server.stop()
    person.press("r")
    person.wait("document.getElementById('saved').className === 'late'")
    assert person.page.inner_text("#saved").startswith("1 not saved")
    port = server.links["ann"][0].rstrip("/").rpartition(":")[2]
    serve(*ALL, "--order", "list", "--reviewer", "ann", "--port", port)
    person.saved()
    assert labels() == {0: by_hand("accepted"), 1: by_hand("rejected")}
    person.said.clear()  # the browser says that the server did not answer


def test_named_classes_are_accepted_by_their_names(serve, visit, labels, review_folder):
    shared = review_folder / "classes"
    own = shared.resolve()
    shared.unlink()
    shutil.copytree(own, shared)
    table = read_class_table(shared / "classes.star")
    best = table["slabkitQuality"].astype(float).idxmax()
    names = ["ribosome" if row == best else "none" for row in table.index]
    write_blocks(shared / "classes.star", {"classes": table.assign(slabkitSpecies=names)})
    person = visit(serve("--classified", "classes/classified.star", "--order", "list"))
    person.press("c")
    person.page.wait_for_selector(".card")
    assert person.page.inner_text(".card b").endswith(": ribosome")
    assert person.js("review.data.species") == ["ribosome"]
    person.press("a")
    person.saved()
    assert set(labels().values()) == {("accepted", "ribosome", "review-class")}
