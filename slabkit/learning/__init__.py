"""Species of picks: from labels, and from density maps."""

from slabkit.learning.judging import NONE, Expectation
from slabkit.learning.model import Learned, Model, learn_species, predict_species

__all__ = ["NONE", "Expectation", "Learned", "Model", "learn_species", "predict_species"]
