"""Pick with templates on a device of PyTorch and with NumPy; write both answers."""

import sys

import numpy as np
from analytic import slab_table_of, tomogram_of

from slabkit.arrays import correlation
from slabkit.errors import InputError
from slabkit.picking.template import find_templates, image_templates, pick_templates

source, target, device = sys.argv[1:]
if device.startswith("cuda"):
    import torch

    if not torch.cuda.is_available():
        sys.exit("no CUDA card")
given = np.load(source)
images, pixel_size = given["images"], float(given["pixel_size"])
sets = [
    image_templates(one[None], pixel_size, lowpass=40.0, species=name)
    for one, name in zip(given["averages"], ("one", "other"), strict=True)
]
slabs = slab_table_of(
    tomogram_of(np.zeros((60, *images.shape[1:])), pixel_size), [(0, 30), (30, 30)]
)
try:
    find_templates(images[0], pixel_size, templates=sets, device="nonsense")
except InputError as error:
    answers = {"message": np.array(str(error))}
# Tiles, and batches on a device, as large as they are; then many of them.
for size, tile, memory in (("large", 256, 4.0), ("small", 64, 6e-4)):
    correlation._LARGEST_TILE = tile
    for name in ("cpu", device):
        picks = pick_templates(
            images,
            slabs,
            templates=sets,
            threshold=2.0,
            angular_step=15.0,
            device=name,
            device_memory=memory,
            jobs=2,
        )
        kind = "expected" if name == "cpu" else "found"
        for column in picks:
            values_of = picks[column].to_numpy()
            plain = values_of if values_of.dtype.kind in "if" else values_of.astype(str)
            answers[f"{size}_{kind}_{column}"] = plain
        one = find_templates(images[0], pixel_size, templates=sets, device=name)
        answers[f"{size}_{kind}_correlation"] = one.correlation
        answers[f"{size}_{kind}_angle"] = one.psi
np.savez(target, **answers)
