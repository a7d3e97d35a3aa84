"""Somebody at the page: what they press, and what the page has to show for it."""

from __future__ import annotations

import time


class Person:
    """Somebody at the page: what they press, and what the page has to show for it."""

    def __init__(self, browser, link, **looks):
        looks.setdefault("viewport", {"width": 1280, "height": 800})
        self.context = browser.new_context(**looks)
        self.page = self.context.new_page()
        self.said, self.hosts = [], set()
        self.page.on("console", self.console)
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))
        self.own = link.split("/")[2]
        self.page.goto(link)
        self.ready()

    def ready(self):
        """Wait until the page can be used."""
        try:
            self.page.wait_for_selector("body[data-ready]", timeout=60_000)
        except Exception as error:
            raise AssertionError(f"the page did not begin: {self.said}") from error

    def console(self, message):
        if "willReadFrequently" not in message.text:  # it is the tests that read
            self.said.append(f"{message.type}: {message.text}")

    def js(self, script, *values):
        return self.page.evaluate(script, *values)

    def wait(self, script):
        """Wait until something is so; the page itself may not evaluate text."""
        end = time.monotonic() + 30
        while not self.js(script):
            assert time.monotonic() < end, f"it never came to {script}"
            time.sleep(0.02)

    def view(self, count=40):
        """The first rows of the wall."""
        return self.js("(n) => Array.from(review.listing.view.slice(0, n))", count)

    def ordered(self):
        """Wait for the order of `suggest`, which comes while the page is open already."""
        self.wait("review.listing.suggested !== null")

    def focus(self):
        return self.js("review.grid.focus")

    def selected(self):
        return sorted(self.js("Array.from(review.grid.selected)"))

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def show(self, name):
        self.page.click(f"nav button[data-view={name}]")

    def saved(self):
        self.wait("document.getElementById('saved').textContent === 'all saved'")

    def centre(self, place):
        """Where a tile is on the screen."""
        return self.js(
            """(place) => {
                const { grid } = review, { left, top } = grid.canvas.getBoundingClientRect();
                const column = place % grid.across, row = Math.floor(place / grid.across);
                return [left + 4 + (column + 0.5) * grid.cell,
                        top + 4 + (row + 0.5) * grid.cell - grid.top];
            }""",
            place,
        )

    def click(self, place, *modifiers):
        for key in modifiers:
            self.page.keyboard.down(key)
        self.page.mouse.click(*self.centre(place))
        for key in modifiers:
            self.page.keyboard.up(key)

    def drag(self, start, end):
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move(*[(a + b) / 2 for a, b in zip(start, end, strict=True)])
        self.page.mouse.move(*end)
        self.page.mouse.up()

    def check(self):
        """Nothing went wrong, and nothing was asked of another host."""
        assert self.said == []
        assert self.hosts <= {self.own}
        self.context.close()
