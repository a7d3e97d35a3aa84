"""Makes the picture of `slabkit view` in docs/viewing.md; wants Chromium."""

import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import slabkit
from slabkit.formats.volumes.mrc import write_mrc
from slabkit.scoring import match_picks
from slabkit.tables import TOMOGRAMS, make_table

tomogram, truth = slabkit.simulate_tomogram("sim_001", preset="small", seed=11)
images, slabs = slabkit.project_slabs(tomogram, thickness=300, step=150)
picks2d = slabkit.pick_blobs(images, slabs, diameter=(100, 350), threshold=4)
picks, _ = slabkit.map_picks(picks2d, slabs, tomogram)
pairs = match_picks(picks, truth)  # the picture's decisions and species are the truth's
picks["slabkitDecision"] = "rejected"
picks.loc[pairs["pick"], "slabkitDecision"] = "accepted"
picks.loc[pairs["pick"], "slabkitSpecies"] = pairs["species"].to_numpy()
best = picks.loc[pairs["pick"]].nlargest(3, "slabkitScore").iloc[-1]["slabkitPickId"]

with tempfile.TemporaryDirectory() as folder:
    write_mrc(f"{folder}/sim_001.mrc", np.asarray(tomogram.data), tomogram.voxel_size, label="")
    tomograms = make_table(
        TOMOGRAMS, {"slabkitTomogram": ["sim_001"], "slabkitVoxelSize": tomogram.voxel_size}
    )
    slabkit.write_picks(f"{folder}/picks.star", slabkit.PickList(picks, tomograms))
    subprocess.run(
        ["slabkit", "view", "picks.star", "-o", "view.html", "--tomograms", "sim_001.mrc"],
        cwd=folder,
        check=True,
    )
    subprocess.run(
        [
            "chromium",
            *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *("--window-size=1400,1200", f"--screenshot={folder}/view.png"),
            f"file://{folder}/view.html#pick={best}",
        ],
        check=True,
    )
    with Image.open(f"{folder}/view.png") as page:
        small = page.convert("RGB").resize((1050, 900), Image.Resampling.LANCZOS)
small.save(Path(__file__).with_name("view.jpg"), quality=85)
