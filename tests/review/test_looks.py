"""The page in light and dark, on every size of screen, with keys only, and without a server."""

from __future__ import annotations

from pathlib import Path

import pytest
from person import Person

from slabkit.formats.tables.native import read_labels, read_minislabs

AXE = Path(__file__).resolve().parents[2] / ".venv-review" / "axe.min.js"
ALL = ("--classified", "classes/classified.star", "--species", "ribosome,apo-ferritin")
VIEWS = ("tiles", "classes", "pick", "tomogram", "team")
SCREENS = {
    "laptop": {"viewport": {"width": 1280, "height": 800}},
    "screen": {"viewport": {"width": 2560, "height": 1440}, "color_scheme": "dark"},
    "phone": {
        "viewport": {"width": 390, "height": 780},
        "device_scale_factor": 2,
        "has_touch": True,
        "is_mobile": True,
    },
    "dark phone": {"viewport": {"width": 390, "height": 780}, "color_scheme": "dark"},
}


@pytest.mark.parametrize("screen", SCREENS)
def test_every_view_is_accessible_and_fits(serve, visit, screen):
    if not AXE.exists():
        pytest.skip("axe-core is not here; make test-review fetches it")
    person = visit(serve(*ALL, "--reviewer", "ann", "--reviewer", "ben"), **SCREENS[screen])
    person.wait("review.listing.scope !== null && review.store.kept.size > 0")
    person.press("a", "r", "u", "1")
    person.js(AXE.read_text())
    for name in VIEWS:
        person.show(name)
        person.wait(f"review.current === review.views.{name}")
        if name == "pick":
            person.wait("review.pick.cube !== null && review.pick.facts !== null")
        if name == "tomogram":
            person.wait("review.tomogram.section !== null")
        if name == "classes":
            person.page.wait_for_selector(".card")
        if name == "team":
            person.page.wait_for_selector("table")
        check_axe(person, name)
        assert person.js("document.documentElement.scrollWidth <= innerWidth"), name
    person.press("?")
    check_axe(person, "keys")


def check_axe(person, what):
    found = person.js("axe.run(document, { resultTypes: ['violations'] })")
    serious = [
        f"{what}: {one['help']}: {[node['html'][:120] for node in one['nodes'][:3]]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_keys_alone_reach_everything(serve, visit):
    person = visit(serve(*ALL, "--order", "list"))
    person.page.focus("body")
    person.js("document.activeElement.blur()")
    reached = []
    for _ in range(60):
        person.press("Tab")
        at = "document.activeElement"
        reached.append(
            person.js(f"{at}.id || {at}.dataset.view || {at}.dataset.action || {at}.role")
        )
        seen = f"{at} === document.body || {at}.getBoundingClientRect().width > 0"
        assert person.js(seen), reached
    wanted = {*VIEWS, "undo", "redo", "keys", "accept", "reject", "undecided", "application"}
    assert wanted | {"sort", "size", "contrast", "lowpass", "invert", "threshold"} <= set(reached)
    person.page.focus("nav [data-view=classes]")
    person.press("Enter")
    person.page.wait_for_selector(".card")
    person.press("ArrowRight", "a", "Enter")
    person.wait("review.current === review.grid && review.grid.view.length > 0")
    person.press("ArrowRight", "Enter")
    person.wait("review.current === review.pick")
    person.press("Escape", "?")
    assert person.page.is_visible("#sheet")
    person.press("Escape")
    assert not person.page.is_visible("#sheet")


def test_the_page_without_a_server(browser, review_folder, slabkit):
    words = ("review", "minislabs/minislabs.star", "--picks", "picks.star", *ALL)
    slabkit(*words, "--page", "page.html")
    link = f"file://{review_folder}/page.html"
    person = Person(browser, link, accept_downloads=True)
    person.press("a", "r", "u", "2", "1", "z")
    view = person.view()
    person.show("classes")
    person.page.wait_for_selector(".card")
    person.press("a")
    person.saved()
    person.page.reload()
    person.page.wait_for_selector("body[data-ready]")
    counts = person.page.inner_text("#counts")
    with person.page.expect_download() as download:
        person.page.click("#download")
    download.value.save_as(review_folder / "clicks.csv")
    words = ("--minislabs", "minislabs/minislabs.star", "--author", "ann", "-o", "ann.star")
    slabkit("label", "clicks.csv", *words)
    ids = read_minislabs(review_folder / "minislabs/minislabs.star")[0]["slabkitPickId"]
    labels = read_labels(review_folder / "ann.star").set_index("slabkitPickId")
    decisions = labels.loc[ids[view[:4]], "slabkitDecision"].tolist()
    assert decisions == ["accepted", "rejected", "undecided", "accepted"]
    assert labels.loc[ids[view[3]], "slabkitSpecies"] == "apo-ferritin"
    tally = labels["slabkitDecision"].value_counts()
    assert counts.startswith(f"{tally['accepted']} accepted, {tally['rejected']} rejected")
    assert person.hosts <= {""}
    assert person.said == []
    person.context.close()
