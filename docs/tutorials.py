"""Runs the tutorials, each in a new folder, block by block; with --pictures draws their pictures.

A picture of a page is a file of its results, named in a comment above it, made smaller.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parent
BLOCK = re.compile(r"(<!-- not run: [^>]+ -->\n)?^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PICTURE = re.compile(r"<!-- picture: (\S+) -->\n!\[[^\]]*\]\(images/([^)]+)\)")
WIDTH = 1000

for page in sorted(DOCS.glob("tutorial-*.md")):
    text = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        for skipped, language, block in BLOCK.findall(text):
            if skipped or language == "text":
                continue
            subprocess.run(["bash", "-euxo", "pipefail", "-c", block], cwd=folder, check=True)
        if "--pictures" not in sys.argv:
            continue
        from PIL import Image

        for source, target in PICTURE.findall(text):
            with Image.open(Path(folder, source)) as opened:
                picture = opened.convert("RGB")
            height = round(picture.height * WIDTH / picture.width)
            if picture.width > WIDTH:
                picture = picture.resize((WIDTH, height), Image.Resampling.LANCZOS)
            picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=160).save(
                DOCS / "images" / target, optimize=True
            )
    print(f"{page.name} runs")
