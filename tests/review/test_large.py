"""How the page is with a million minislabs, and the page without a server with five thousand."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from person import Person
from review_server import Server

from slabkit.formats.tables.native import read_labels, write_minislabs
from slabkit.formats.volumes.mrc import write_mrc
from slabkit.minislabs.galleries import GalleryLayout, geometry_table, minislab_table

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")


def write_set(folder, count, side):
    """Write minislabs of which all galleries are one file."""
    (folder / "minislabs").mkdir()
    layout = GalleryLayout(side)
    images = np.random.default_rng(0).normal(size=layout.shape).astype(np.float32)
    write_mrc(folder / "minislabs/one.mrc", images, 10.0, label="noise")
    names = [f"minislabs/minislabs_0123ab_{i:04d}.mrc" for i in range(layout.galleries(count))]
    for name in names:
        (folder / name).symlink_to("one.mrc")
    settings = {"pixel_size": 10.0, "set_id": "set-0123ab0123456789"}
    centres = np.random.default_rng(1).uniform(0, 4000, (count, 3)).round(1)
    table = minislab_table(
        layout,
        galleries=names,
        pick_ids=[f"t{i // 2500:04d}-{i * 2654435761 % 2**48:012x}" for i in range(count)],
        tomograms=[f"t{i // 2500:04d}" for i in range(count)],
        tilts=np.zeros(count),
        inside_fraction=np.ones(count),
        set_id=settings["set_id"],
        centres=centres,
    )
    box = {"box": 10.0 * side, "depth": 300.0, "contrast": "dark"}
    write_minislabs(
        folder / "minislabs/minislabs.star",
        table,
        geometry_table(layout, tiles=count, **settings, **box),
    )


def latencies(person, keys):
    """Press keys, each after the one before has been shown; gives milliseconds to the tile."""
    for key in keys:
        shown = person.js("(review.latencies ?? []).length")
        person.press(key)
        person.wait(f"(review.latencies ?? []).length > {shown}")
    return np.array(person.js("review.latencies"))


@pytest.mark.parametrize("count", [20_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
def test_a_long_list(browser, tmp_path, count):
    write_set(tmp_path, count, 64)
    began = time.monotonic()
    server = Server(tmp_path, "--reviewer", "ann", picks=None)
    started = time.monotonic() - began
    address, token = server.links["ann"]
    began = time.monotonic()
    person = Person(browser, f"{address}?token={token}")
    opened = time.monotonic() - began
    waits = latencies(person, "ar" * 50)
    assert person.focus() == 100
    person.press("End")
    assert person.focus() == count - 1
    person.wait(f"review.store.get({count - 1}) !== undefined")
    person.saved()
    status = Path(f"/proc/{server.process.pid}/status")
    held = next((x for x in status.read_text().splitlines() if "VmHWM" in x), "")
    print(
        f"\n{count} minislabs: {started:.1f} s to start, {held.split()[1:]} held, page in "
        f"{opened:.1f} s, key to tile {np.median(waits):.0f} ms (95 %: "
        f"{np.quantile(waits, 0.95):.0f} ms)"
    )
    person.check()
    assert server.stop() == 0


@pytest.mark.parametrize("count", [500, pytest.param(5000, marks=pytest.mark.soak)])
def test_a_large_page_without_a_server(browser, tmp_path, slabkit, count):
    write_set(tmp_path, count, 64)
    slabkit("review", "minislabs/minislabs.star", "--page", "page.html")
    began = time.monotonic()
    person = Person(browser, f"file://{tmp_path}/page.html")
    person.wait("review.store.kept.size > 0")
    opened = time.monotonic() - began
    size = (tmp_path / "page.html").stat().st_size / 1e6
    print(f"\n{count} minislabs without a server: {size:.0f} MB, opened in {opened:.1f} s")
    person.press(*"ar" * 60, "End", "u")
    person.press("Home", "Control+a")
    before = person.js("review.decisions.done.length")
    person.press("a")
    if count > 2000:
        person.page.click("dialog [data-answer=yes]")
    person.wait(f"review.decisions.done.length > {before}")
    person.press("z")
    person.saved()
    person.page.reload()  # it is all in the browser
    person.ready()
    (tmp_path / "clicks.csv").write_text(person.js("review.source.csv()"))
    slabkit("label", "clicks.csv", "--minislabs", "minislabs/minislabs.star", "-o", "ann.star")
    decisions = read_labels(tmp_path / "ann.star")["slabkitDecision"].tolist()
    assert decisions[:120] == ["accepted", "rejected"] * 60
    assert decisions[120:] == ["undecided"]
    person.context.close()
