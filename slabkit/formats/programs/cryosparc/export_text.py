"""What to type into CryoSPARC's jobs for one export, as text for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from slabkit.arrays.tiling import GalleryLayout

_HEAD = (
    "What to give CryoSPARC's jobs for this folder. docs/cryosparc.md says why. What is not named\n"
    "here keeps its default. Names of parameters differ a little from version to version.\n"
)


def gallery_steps(
    folder: Path,
    layout: GalleryLayout,
    pixel_size: float,
    *,
    bright: bool,
    stacks: bool,
    exposures: str | None,
) -> str:
    """Say what to type for minislabs; ``bright``: protein is bright in the galleries."""
    at = folder.absolute().as_posix()
    box = layout.tile_px
    parts = [_HEAD]
    if stacks:
        parts.append(
            "STACKS (each minislab is an image; the exact and shorter way)\n"
            f"1. Import Particle Stack\n"
            f"     Particle meta path:  {at}/particles.star\n"
            f"     Particle data path:  {at}/stacks\n"
            f"     Ignore pose data:    on\n"
            f"   or Import Result Group: {at}/particles.csg\n"
            "2. 2D Classification: Remove duplicate particles off. The transfer function is\n"
            "   constant 1: nothing is corrected.\n"
            "3. Select 2D, and back: slabkit label .../JN_particles_selected.csg\n"
        )
    if exposures is None:
        micrographs = (
            f"1. Import Result Group: {at}/micrographs.csg\n"
            "   and another one:     " + f"{at}/tiles.csg\n"
            "   or, if your version refuses them:\n"
            + _import_micrographs(at, "", pixel_size)
            + "\n"
            "   Import Particle Stack, with those micrographs as source exposures\n"
        )
    else:
        micrographs = (
            f"1. The micrographs are those of {exposures}.\n"
            f"   Import Result Group: {at}/tiles.csg\n"
            "   or Import Particle Stack, with those micrographs as source exposures\n"
        )
    parts.append(
        f"GALLERIES (each tile is a place on a micrograph)\n{micrographs}"
        f"     Particle meta path:  {at}/tiles.star\n"
        "     Ignore raw data:     on\n"
        "     Ignore pose data:    on\n"
        "     Remove leading UID in input micrograph path: on\n"
        "2. Extract from Micrographs\n"
        f"     Extraction box size (pix):       {box}\n"
        "     Fourier-crop to box size:        empty\n"
        "     Recenter using aligned shifts:   off\n"
        "     Flip mic. in x/y before extract: off\n"
        "   Its log says how many were too near an edge; "
        + (
            f"the margin is {layout.border_px} pixels.\n"
            if layout.border_px
            else "these galleries have NO MARGIN\n   (slabkit minislab --border makes one).\n"
        )
        + "3. 2D Classification: Remove duplicate particles off.\n"
        "4. Select 2D, and back: slabkit label .../JN_particles_selected.csg\n"
        "   (with JN_particles_excluded.csg, so that what was lost at an edge is not rejected)\n"
    )
    if bright:
        parts.append(_bright("galleries", "slabkit minislab --invert"))
    return "\n".join(parts)


def slab_steps(folder: Path, pixel_sizes: Mapping[str, float], *, bright: bool) -> str:
    """Say what to type for slabs; ``pixel_sizes``: of each folder of micrographs, in Å."""
    at = folder.absolute().as_posix()
    imports = "\n".join(
        _import_micrographs(at, name, size) for name, size in sorted(pixel_sizes.items())
    )
    parts = [
        _HEAD,
        f"SLABS\n1. Import Result Group: {at}/micrographs.csg\n   or\n{imports}\n"
        "2. Blob Picker, Template Picker (Use CTFs to convolve templates: off) or Topaz.\n"
        "3. Inspect Picks: Calibrate picking power with CTF off.\n"
        "   Back: slabkit map .../picks.cs --slabs slabs.star\n",
    ]
    if bright:
        parts.append(_bright("slabs", "slabkit slab --invert"))
    return "\n".join(parts)


def _import_micrographs(at: str, name: str, pixel_size: float) -> str:
    return (
        "   Import Micrographs\n"
        f"     Micrographs data path:     {at}/{name or 'micrographs'}/*.mrc\n"
        f"     Pixel size (A):            {pixel_size:.6g}\n"
        "     Accelerating Voltage (kV): 300\n"
        "     Spherical Aberration (mm): 0\n"
        "     Total exposure dose:       1\n"
        "     Output Constant CTF:       on"
    )


def _bright(what: str, command: str) -> str:
    return (
        f"Protein is BRIGHT in these {what}, and CryoSPARC's pickers expect it dark: write them\n"
        f"with {command}.\n"
    )
