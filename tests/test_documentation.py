"""Command lines of the documentation: slabkit takes each; CI runs it, or its block says why not.

A line is run if the tutorials (`make docs`) or the examples (`make examples`) have the same command
with the same options, whatever their values. Where they do not, a comment above the block says why:
``<!-- not run: ... -->``.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from slabkit.cli.commands import _COMMANDS, _load

ROOT = Path(__file__).resolve().parent.parent
PAGES = ["README.md", *(f"docs/{page.name}" for page in sorted((ROOT / "docs").glob("*.md")))]
GROUPS = {name.rpartition(" ")[0] for name in _COMMANDS} - {""}
LEAVES = sorted(set(_COMMANDS) - GROUPS, key=len, reverse=True)
BLOCK = re.compile(
    r"(?:<!-- not run: ([^>]+) -->\n)?^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE
)


def command_lines(text):
    """The words of each command of slabkit in a script, without the word slabkit."""
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        for part in re.split(r"\s\|\s|\s&&\s|;\s", line):
            if "slabkit " not in part:
                continue
            part = re.sub(r"\s(>|2>).*", "", part).replace("(slabkit", "slabkit")
            try:
                words = shlex.split(part, comments=True)
            except ValueError:  # a quotation of several lines, in an example
                words = part.split()
            if words and words[0] in ("slabkit", "ssh"):
                yield words[words.index("slabkit") + 1 :]


def command_of(words):
    return next((one for one in LEAVES if words[: one.count(" ") + 1] == one.split()), None)


def signature(words):
    """The command and its options."""
    return command_of(words), {one.partition("=")[0] for one in words if re.match(r"--?[a-z]", one)}


def blocks(page):
    return BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


def check(words):
    command = command_of(words)
    assert command, f"no command: slabkit {' '.join(words)}"
    if not {"-h", "--help"} & set(words):
        _load(command).make_context(command, words[command.count(" ") + 1 :]).close()


@pytest.fixture(scope="module")
def run():
    """What CI runs."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "examples").glob("*.sh")]
    texts += [
        text for page in PAGES if "tutorial" in page for why, _, text in blocks(page) if not why
    ]
    return [signature(words) for text in texts for words in command_lines(text)]


@pytest.mark.parametrize("page", PAGES)
def test_each_command_line_is_taken_and_run(page, run):
    for why, language, text in blocks(page):
        for words in command_lines(text) if language != "python" else ():
            check(words)
            command, options = signature(words)
            if not why and not any(command == one and options <= more for one, more in run):
                pytest.fail(f"{page}: nothing runs slabkit {' '.join(words)}")


def test_each_task_has_a_command_that_is_taken():
    page = (ROOT / "docs" / "howto.md").read_text(encoding="utf-8")
    lines = re.findall(r"\| `(slabkit [^`]+)` \|", page)
    assert len(lines) > 20
    for line in lines:
        check(shlex.split(line)[1:])
