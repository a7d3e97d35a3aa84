"""Makes the picture of `slabkit report` in docs/viewing.md; wants Chromium."""

import subprocess
import tempfile
from pathlib import Path

from PIL import Image

with tempfile.TemporaryDirectory() as folder:
    subprocess.run(["slabkit", "demo", "-o", "demo", "--count", "1"], cwd=folder, check=True)
    subprocess.run(
        [
            "chromium",
            *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *("--window-size=1400,1320", f"--screenshot={folder}/report.png"),
            f"file://{folder}/demo/report.html",
        ],
        check=True,
    )
    with Image.open(f"{folder}/report.png") as page:
        small = page.convert("RGB").resize((1050, 990), Image.Resampling.LANCZOS)
small.save(Path(__file__).with_name("report.jpg"), quality=85)
