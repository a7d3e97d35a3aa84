"""Learn from the boxes of an .npz with a network, twice; write models and what they say."""

import sys

import numpy as np

from slabkit.errors import InputError
from slabkit.formats.models import write_model
from slabkit.learning import learn_species, predict_species, training
from slabkit.learning.network import STEPS_A_UNIT, rounded
from slabkit.learning.opinions import training_backend
from slabkit.learning.packing import pack_model

training._LEAST_BATCHES = training._MOST_BATCHES = 25
training._BATCH = 24


class Held:
    """Boxes in an array."""

    def __init__(self, boxes: np.ndarray) -> None:
        self.boxes = boxes

    def __len__(self) -> int:
        return len(self.boxes)

    def read(self, numbers: np.ndarray) -> np.ndarray:
        """Read boxes by number."""
        return self.boxes[numbers]


source, target = sys.argv[1:]
given = np.load(source)
held, species = Held(given["boxes"]), given["species"].tolist()
tomograms = given["tomograms"].tolist()
answers = {}
try:
    learn_species(held, species, tomograms, kind={}, network=True, device="nonsense")
except InputError as error:
    answers["message"] = np.array(str(error))
for name, jobs in (("one", 1), ("two", 2)):
    learned = learn_species(held, species, tomograms, kind={}, network=True, jobs=jobs)
    write_model(name, *pack_model(learned.model))
    answers["held_out"] = learned.probability
answers["said"], _ = predict_species(learned.model, held)
flat = learn_species(Held(given["boxes"][:, 1:2]), species, tomograms, kind={}, network=True)
answers["flat"] = flat.probability

# Whole numbers say what the trained ones say.
kept = {}
real = training._rounded


def keep(backend, parts, sample):
    kept.update(parts)
    return real(backend, parts, sample)


training._rounded = keep
backend = training_backend("cpu")
torch = backend.torch
codes = np.unique(given["species"], return_inverse=True)[1].astype(np.int64)
network = training.train_network(backend, rounded(held.boxes), codes, 3, 0)
whole = torch.from_numpy(rounded(held.boxes).astype(np.float32)) / STEPS_A_UNIT
with torch.no_grad():
    views = [torch.rot90(whole, turns, (2, 3)) for turns in range(4)]
    seen = sum(training._features(torch, kept, view, training=False) for view in views) / 4
    answers["real"] = (seen @ kept["last"] + kept["level"]).numpy()
answers["whole"] = network.logits(held.boxes)
np.savez(target, **answers)
