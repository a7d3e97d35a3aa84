"""Classes that come again when a classification is repeated, and the quality of others."""

from __future__ import annotations

import numpy as np
import pytest

from slabkit import Classification, with_repeats


def classification(numbers, quality=None):
    """A classification of which only classes and qualities matter."""
    numbers = np.asarray(numbers)
    size = np.bincount(numbers, minlength=numbers.max() + 1)[1:]
    nothing = np.zeros(len(numbers))
    count = len(size)
    return Classification(
        class_number=numbers,
        angle=nothing,
        origin_y=nothing,
        origin_x=nothing,
        probability=nothing,
        log_likelihood=nothing,
        averages=np.arange(count, dtype=np.float32).reshape(-1, 1, 1),
        size=size,
        resolution=np.arange(count, dtype=float),
        quality=np.full(count, 0.8) if quality is None else np.asarray(quality),
        agreement=np.arange(count, dtype=float),
        history=[],
    )


def test_a_class_that_is_split_or_joined_comes_again():
    first = classification([1] * 8 + [2] * 4 + [0])
    split = classification([1] * 4 + [3] * 4 + [2] * 4 + [0])
    joined = classification([1] * 12 + [0])
    found = with_repeats(first, [split, joined, classification([2] * 8 + [1] * 4 + [0])])
    assert found.stability.tolist() == [1.0, 1.0]
    assert found.repeat_share.tolist() == [1.0] * 12 + [0.0]
    assert found.quality.tolist() == [0.8, 0.8]
    assert found.class_number.tolist() == first.class_number.tolist()


@pytest.mark.parametrize(
    ("again", "quality"), [(4, 0.8), (3, 0.8), (2, 0.8), (1, 0.8 * 0.25 / 0.3), (0, 0.0)]
)
def test_quality_falls_with_the_share_of_repeats(again, quality):
    """Ten images of a class of 40 stay together or are shared out among ten classes of others."""
    numbers = np.repeat([1, 2, 3, 4], 10)
    first = classification(numbers, [0.8, 0.7, 0.3, 0.2])
    scattered = np.concatenate([np.arange(1, 11)] * 4)
    repeats = [classification(numbers if n < again else scattered) for n in range(4)]
    found = with_repeats(first, repeats)
    assert found.stability.tolist() == [again / 4] * 4
    assert found.repeat_share.tolist() == [again / 4] * 40
    np.testing.assert_allclose(found.quality, np.array([0.8, 0.7, 0.3, 0.2]) * quality / 0.8)


def test_classes_are_numbered_anew_by_their_quality():
    four = classification([1] * 4 + [2] * 4 + [3] * 4 + [4] * 4, [0.9, 0.8, 0.7, 0.6])
    found = with_repeats(four, [classification([1, 2, 3, 4] * 3 + [5] * 4)])
    assert found.quality.tolist() == [0.6, 0.0, 0.0, 0.0]
    assert found.class_number.tolist() == [2] * 4 + [3] * 4 + [4] * 4 + [1] * 4
    assert found.averages.ravel().tolist() == found.agreement.tolist() == [3, 0, 1, 2]


def test_a_class_scattered_into_single_images_does_not_come_again():
    first = classification([1] * 6 + [2] * 6)
    found = with_repeats(first, [classification([1, 2, 3, 4, 5, 6] + [7] * 6)])
    assert found.stability.tolist() == [1.0, 0.0]
    assert found.class_number.tolist() == [2] * 6 + [1] * 6
