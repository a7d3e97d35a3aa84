"""Images that classes were not learned on: the class and pose most probable for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from slabkit.arrays.exact import squared_size
from slabkit.arrays.parallel import map_in_order
from slabkit.classification.expectation import Comparison, Expectation, References
from slabkit.classification.harmonics import Floats, Indices
from slabkit.classification.images import ImageSource, PreparedImages, expand

_BATCH = 500
_AT_ONCE = 4000  # images that are held


@dataclass(frozen=True)
class Members:
    """Images of classes, in one order; see `Expectation`."""

    number: Indices  # in the source
    best_class: Indices
    best_shift: Indices
    best_rotation: Indices
    probability: Floats
    log_likelihood: Floats
    agreement: Floats  # correlation with the average of the others

    @classmethod
    def of(cls, found: Expectation, number: Indices, agreement: Floats) -> Members:
        """Take what was found of images."""
        best = found.best_class, found.best_shift, found.best_rotation
        probability = found.probability.astype(np.float64)
        return cls(number, *best, probability, found.log_likelihood, agreement)


def joined(parts: Sequence[Members], rows: Indices | slice = slice(None)) -> Members:
    """Put members behind each other, and take some rows of that."""
    columns = ([getattr(part, one.name) for part in parts] for one in fields(Members))
    return Members(*(np.concatenate(column)[rows] for column in columns))


def assign(
    source: ImageSource,
    prepared: PreparedImages,
    comparison: Comparison,
    references: References,
    *,
    jobs: int = 1,
    advance: Callable[[int, int], None] = lambda step, steps: None,
) -> list[Members]:
    """Compare the images beside the sample with the final references, a few thousand at a time.

    They are read as they lie in their files, and given in the order of their content.
    """
    basis = comparison.basis
    square = squared_size(references.coefficients)
    norm = np.einsum("kc,c->k", square, basis.weight.astype(np.float64))
    rows = np.sort(prepared.rest)
    starts = range(0, len(rows), _AT_ONCE)
    parts = []
    for step, start in enumerate(starts, 1):
        some = rows[start : start + _AT_ONCE]
        batches = [some[a : a + _BATCH] for a in range(0, len(some), _BATCH)]
        made = list(map_in_order(lambda b: expand(source, b, basis, prepared.noise), batches, jobs))
        number = some[np.concatenate([varies for varies, _ in made])]
        images = np.concatenate([white for _, white in made])
        if len(number):
            found = comparison.run(images.__getitem__, len(images), references, average=False)
            length = np.sqrt(np.maximum(norm[found.best_class], 1e-30))
            parts.append(Members.of(found, number, found.agreement / length))
        advance(step, len(starts))
    if not parts:
        return []
    place = np.empty(len(source), dtype=np.intp)
    place[prepared.rest] = np.arange(len(prepared.rest))
    order = np.argsort(place[np.concatenate([part.number for part in parts])])
    return [joined(parts, order)]
