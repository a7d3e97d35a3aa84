"""What networks say of boxes, and how it is weighed against all else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from slabkit.arrays.backends import Backend, backend_for
from slabkit.arrays.exact import log
from slabkit.arrays.parallel import map_in_order
from slabkit.errors import InputError, MissingDependencyError
from slabkit.learning.boxes import Boxes, Indices, batches
from slabkit.learning.network import Network, mean_logits, rounded
from slabkit.learning.regression import Codes, Floats

_PART_OF_NETWORKS = 0.3
_SURE = 6.0  # log odds of networks, at most


def training_backend(device: str) -> Backend:
    """Give what trains a network: PyTorch, on its own processor or another device."""
    try:
        return backend_for("torch" if device == "cpu" else device)
    except MissingDependencyError as error:
        raise MissingDependencyError(
            "--network needs PyTorch, which is not installed; pip install "
            "'slabkit-cryoet[gpu]', or leave --network out."
        ) from error


def train_folds(
    backend: Backend,
    boxes: Boxes,
    rows: Indices,
    codes: Codes,
    classes: int,
    folds: Indices,
    asked: npt.NDArray[np.bool_],
    used: Indices,
    seed: int,
    jobs: int,
    progress: Callable[[str, int, int], None],
) -> tuple[list[Network], Floats]:
    """Train a network for each fold by the labels of the others, and let it speak of the fold.

    ``asked`` are the labels that it is asked about, and ``used`` the numbers of those that teach:
    what is surely nothing teaches little. Of other minislabs all networks speak, together.
    """
    from slabkit.learning.training import one_thread, train_network

    cut = [rounded(boxes.read(rows[used[part]])) for part in batches(np.arange(len(used)))]
    seen = np.concatenate(cut)
    shown = codes[used] < classes - 1
    numbers = np.unique(folds).tolist()
    if not all(shown[folds[used] != k].any() for k in numbers):
        raise InputError(
            "--network needs particles in two parts of the labels at least, so that each is judged "
            "by a network of the other; label particles in another tomogram, or leave it out."
        )

    def train(fold: int) -> Network:
        taught = folds[used] != fold
        return train_network(backend, seen[taught], codes[used[taught]], classes, seed)

    opinion = np.full((len(rows), classes - 1), -_SURE)
    networks: list[Network] = []
    at_once = min(jobs, len(numbers)) if backend.name == "cpu" else 1
    with one_thread(backend):
        for fold, network in zip(numbers, map_in_order(train, numbers, at_once), strict=True):
            networks.append(network)
            progress("training networks", len(networks), len(numbers))
            left = np.flatnonzero(asked & (folds == fold))
            opinion[left] = opinions([network], boxes, rows[left], jobs)[rows[left]]
    return networks, opinion


def opinions(
    networks: Sequence[Network],
    boxes: Boxes,
    asked: Indices,
    jobs: int,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Floats:
    """Give the log odds of each species and of none, (boxes, classes - 1), that networks see.

    Where they are not ``asked`` they say nothing.
    """

    def ask(part: Indices) -> Floats:
        logits = mean_logits(networks, boxes.read(part))
        return np.asarray((logits[:, :-1] - logits[:, -1:]).clip(-_SURE, _SURE))

    found = np.full((len(boxes), networks[0].last.shape[1] - 1), -_SURE)
    done = 0
    for said in map_in_order(ask, batches(asked), jobs):
        found[asked[done : done + len(said)]] = said
        done += len(said)
        progress("asking networks", done, len(asked))
    return found


def mixed(probability: Floats, opinion: Floats) -> Floats:
    """Weigh what networks say against all else: logits.

    In fixed parts: parts that are fitted trust the networks too much in tomograms of another kind.
    """
    said = np.hstack([opinion, np.zeros((len(opinion), 1))])
    own = log(np.maximum(probability, 1e-5))
    return np.asarray((1 - _PART_OF_NETWORKS) * own + _PART_OF_NETWORKS * said)
