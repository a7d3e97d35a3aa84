"""Makes the pictures of the README and the documentation, from simulated tomograms."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

import slabkit
from slabkit.pictures.images import contrast_stretched, draw_picks
from slabkit.pictures.lettering import font, write

tomogram, truth = slabkit.simulate_tomogram("readme", preset="small", seed=11)
images, slabs = slabkit.project_slabs(tomogram, thickness=300, step=75)
picks2d = slabkit.pick_blobs(images, slabs, diameter=(100, 350))
picks, _ = slabkit.map_picks(picks2d, slabs, tomogram)

middle = len(slabs) // 2
low = slabs["slabkitZStart"][middle] * tomogram.voxel_size
good = picks.nlargest(64, "slabkitScore")
inside = good[good["slabkitZ"].between(low, low + 300)]
x, y, radius = (
    inside[name] / tomogram.voxel_size for name in ("slabkitX", "slabkitY", "slabkitDiameter")
)
slab = draw_picks(images[middle], x, y, radius / 2, smallest_side=768)

best = good.reset_index(drop=True)
tiles = slabkit.stack_minislabs(tomogram, best, box=400, depth=300).images
grey = np.stack([contrast_stretched(tile, low=0.5, high=99.5) for tile in tiles])
rows = [np.concatenate(list(grey[start : start + 8]), axis=1) for start in range(0, 64, 8)]
gallery = Image.fromarray(np.concatenate(rows)).resize((768, 768), Image.Resampling.NEAREST)

picture = Image.new("RGB", (768 * 2 + 16, 768), (255, 255, 255))
picture.paste(Image.fromarray(slab).resize((768, 768)), (0, 0))
picture.paste(gallery.convert("RGB"), (784, 0))
small = picture.resize((1164, 576), Image.Resampling.LANCZOS)
small.convert("P", palette=Image.Palette.ADAPTIVE, colors=160).save(
    Path(__file__).with_name("slab_and_minislabs.png"), optimize=True
)

with tempfile.TemporaryDirectory() as folder:
    demo = [sys.executable, "-m", "slabkit.cli.main", "demo", "-o", f"{folder}/demo", "--quiet"]
    subprocess.run(demo, check=True)
    with Image.open(f"{folder}/demo/classes/classes.png") as sheet:
        width = 1000
        size = (width, round(sheet.height * width / sheet.width))
        small = sheet.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    small.convert("P", palette=Image.Palette.ADAPTIVE, colors=256).save(
        Path(__file__).with_name("classes.png"), optimize=True
    )

# The chain, for the first screen of the README.
SIDE, GAP, LINE = 256, 40, 28
section = np.asarray(tomogram.data)[tomogram.shape[0] // 2]
with Image.open(Path(__file__).with_name("classes.png")) as opened:
    sheet = opened.convert("RGB")
panels = [
    ("tomogram: one plane", contrast_stretched(section, low=0.5, high=99.5)),
    ("slab: 300 Å in one image", contrast_stretched(images[middle], low=0.5, high=99.5)),
    ("picks, with their depth", slab),
    ("minislabs: one image a pick", np.concatenate([row[:, :152] for row in rows[:4]])),
    (
        "classes, to accept or reject",
        np.asarray(sheet.crop((0, 0, sheet.width // 2, sheet.height))),
    ),
]
chain = Image.new("RGB", (len(panels) * (SIDE + GAP) - GAP, SIDE + LINE), (255, 255, 255))
draw = ImageDraw.Draw(chain)
for number, (caption, pixels) in enumerate(panels):
    left = number * (SIDE + GAP)
    panel = Image.fromarray(pixels).convert("RGB")
    panel = ImageOps.pad(panel, (SIDE, SIDE), Image.Resampling.LANCZOS, "white")
    chain.paste(panel, (left, 0))
    write(draw, (left + SIDE / 2, SIDE + 6), caption, (20, 20, 20), font(16), "ma")
    if number:
        middle_y, tip = SIDE / 2, left - 6
        draw.line((left - GAP + 6, middle_y, tip - 8, middle_y), (60, 60, 60), 4)
        draw.polygon(
            [(tip, middle_y), (tip - 12, middle_y - 8), (tip - 12, middle_y + 8)], (60, 60, 60)
        )
chain.convert("P", palette=Image.Palette.ADAPTIVE, colors=128).save(
    Path(__file__).with_name("chain.png"), optimize=True
)
