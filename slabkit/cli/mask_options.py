"""``--mask``, until the pickers are steps."""

from __future__ import annotations

from slabkit.cli.options.picking import Mask as MaskOption
from slabkit.steps.shared.masks import slab_masks

__all__ = ["MaskOption", "slab_masks"]
