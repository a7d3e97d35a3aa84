"""`slabkit slab` against `cat` and against slabpick's make_slabs, as whole processes.

Four tomograms of 1260 × 1260 × 368 float32 voxels (2.3 GB each), read from a warm cache. Needs
10 GB of disk and as much free memory. `--small` takes an eighth of it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import mrcfile
import numpy as np
from common import SLABKIT, compare, option_parser, peer_python, report, scratch_folder


def make_volumes(folder: Path, shape: tuple[int, int, int], count: int) -> list[Path]:
    """Write volumes of noise that differs from plane to plane."""
    noise = np.random.default_rng(0).standard_normal((16, *shape[1:])).astype(np.float32)
    paths = [folder / "tomograms" / f"big{index}.mrc" for index in range(count)]
    (folder / "tomograms").mkdir()
    for index, path in enumerate(paths):
        with mrcfile.new_mmap(path, shape, mrc_mode=2) as volume:
            for z in range(0, shape[0], 16):
                volume.data[z : z + 16] = noise[: shape[0] - z] + z * 0.01 + index
            volume.voxel_size = 5.0
    return paths


def main() -> None:
    small = option_parser(__doc__).parse_args().small
    shape = (184, 630, 630) if small else (368, 1260, 1260)
    with scratch_folder() as folder:
        paths = make_volumes(folder, shape, 4)
        out = folder / "out"

        def clean() -> None:
            shutil.rmtree(out, ignore_errors=True)

        commands: dict[str, list[object]] = {
            "cat, four": ["sh", "-c", f"cat {folder}/tomograms/*.mrc > /dev/null"],
            "slab, four": [SLABKIT, "slab", *paths, "-o", out],
            "slab --step 75, four": [SLABKIT, "slab", *paths, "-o", out, "--step", 75],
            "slab, one": [SLABKIT, "slab", paths[0], "-o", out],
        }
        peer = peer_python("slabpick==1.0.2")
        if peer is not None:
            one = folder / "one"
            one.mkdir()
            (one / "big0_Vol.mrc").symlink_to(paths[0])
            commands["slabpick make_slabs, one"] = [
                *(peer.with_name("make_slabs"), "--in_dir", one, "--out_dir", out),
                *("--zthick", 300),
            ]
        result = compare(commands, before=dict.fromkeys(commands, clean))

    def ratio(first: str, second: str) -> float:
        return result[first].seconds / result[second].seconds

    lines = [f"{name}: peak anonymous memory {m.anonymous_mb:.0f} MB" for name, m in result.items()]
    lines += [
        f"slab / cat: {ratio('slab, four', 'cat, four'):.2f} (goal: at most 1.3)",
        f"--step 75 / no overlap: {ratio('slab --step 75, four', 'slab, four'):.2f} "
        "(goal: at most 1.3)",
    ]
    if peer is not None:
        faster = ratio("slabpick make_slabs, one", "slab, one")
        lines.append(f"slabpick / slabkit, one tomogram: {faster:.1f} (goal: at least 5)")
    report("slab", lines, {name: vars(m) for name, m in result.items()})


if __name__ == "__main__":
    main()
