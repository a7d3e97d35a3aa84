"""Classify the images of an .npz on a device of PyTorch and with NumPy; write both answers."""

import sys

import numpy as np

from slabkit.arrays.backends import backend_for
from slabkit.classification import ClassificationSettings, classify_images
from slabkit.errors import InputError

source, target = sys.argv[1:]
images = np.load(source)["images"]
settings = ClassificationSettings(classes=4, iterations=6, angular_step=12.0)
try:
    backend_for("nonsense")
except InputError as error:
    answers = {"message": np.array(str(error))}
for device in ("cpu", "torch"):
    found = classify_images(images, 10.0, settings, device=device, device_memory=1e-3)
    answers |= {f"{device}_{name}": np.asarray(value) for name, value in vars(found).items()}
np.savez(target, **answers)
