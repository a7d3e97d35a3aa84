"""Makes the pictures of docs/review.md: each view of the page, in Chromium, on the demo's set.

``make test-review`` installs what drives the browser.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / ".venv-review"))

from playwright.sync_api import sync_playwright  # noqa: E402

SLABKIT = [sys.executable, "-m", "slabkit.cli.main"]
REVIEW = ["review", "minislabs/minislabs.star", "--picks", "picks.star"]
REVIEW += ["--classified", "classes/classified.star", "--order", "score"]
REVIEW += ["--species", "ribosome,apo-ferritin,virus-like-particle"]
REVIEW += ["--reviewer", "ann", "--reviewer", "ben", "--overlap", "0.4", "--batch", "60"]


def shot(page, name):
    """Keep a small picture of the page."""
    time.sleep(1)
    path = Path(__file__).with_name(f"review_{name}.png")
    page.screenshot(path=path)
    with Image.open(path) as picture:
        small = picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=220)
    small.save(path, optimize=True)


def open_page(chromium, link, **looks):
    """Open the page of one reviewer."""
    page = chromium.new_page(viewport={"width": 1100, "height": 690}, **looks)
    page.goto(link)
    page.wait_for_selector("body[data-ready]")
    time.sleep(2)
    return page


def draw(chromium, links):
    """Go through the views."""
    ben = open_page(chromium, links["ben"], color_scheme="dark")
    for key in "aaraaurraaaraaaaraaa" * 3:
        ben.keyboard.press(key)
    page = open_page(chromium, links["ann"])
    for key in "1131a3r1ur1a1":
        page.keyboard.press(key)
    for key in ("Shift+ArrowRight", "Shift+ArrowRight"):
        page.keyboard.press(key)
    shot(page, "tiles")
    page.keyboard.press("Escape")
    for _ in range(45):
        page.keyboard.press("a")
    page.keyboard.press("c")
    page.wait_for_selector(".card")
    for key in "1313rr":
        page.keyboard.press(key)
    shot(page, "classes")
    page.keyboard.press("t")
    page.keyboard.press("Home")
    page.keyboard.press("p")
    shot(page, "pick")
    page.keyboard.press("v")
    shot(page, "tomogram")
    ben.keyboard.press("g")
    shot(ben, "team")


with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
    subprocess.run([*SLABKIT, "demo", "-o", f"{folder}/demo", "--quiet"], check=True)
    server = subprocess.Popen(
        [*SLABKIT, *REVIEW], cwd=f"{folder}/demo", stderr=subprocess.PIPE, text=True
    )
    found = {}
    while len(found) < 2:
        if match := re.match(r"\s+(\w+): (http\S+)", server.stderr.readline()):
            found[match[1]] = match[2]
    browser = playwright.chromium.launch(
        executable_path=shutil.which("chromium"), args=["--no-sandbox"]
    )
    draw(browser, found)
    browser.close()
    server.terminate()
    server.wait()
