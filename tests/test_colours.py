"""Colours of species: told apart by every colour vision, and the same in every picture."""

from __future__ import annotations

import numpy as np
import pytest

from slabkit.pictures.colours import NO_SPECIES, css, species_colours
from slabkit.tables import SPECIES

# Machado, Oliveira and Fernandes 2009: dichromats' vision, on linear red, green, blue.
VISIONS = {
    "normal": np.eye(3),
    "protanopia": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
    "deuteranopia": [
        [0.3673, 0.8606, -0.2280],
        [0.2801, 0.6725, 0.0474],
        [-0.0118, 0.0429, 0.9689],
    ],
    "tritanopia": [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]],
}


def oklab(linear):
    long = [[0.41222, 0.53633, 0.05145], [0.21190, 0.68070, 0.10740], [0.08830, 0.28172, 0.62998]]
    lab = [[0.21045, 0.79362, -0.00407], [1.97800, -2.42859, 0.45059], [0.02590, 0.78277, -0.80868]]
    return np.cbrt(np.clip(linear @ np.transpose(long), 0, 1)) @ np.transpose(lab)


@pytest.mark.parametrize("vision", VISIONS)
def test_the_challenges_species_and_none_are_told_apart(vision):
    colours = np.array([*species_colours([*SPECIES, ""]).values(), (140, 140, 140)]) / 255
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    seen = oklab(np.clip(linear @ np.transpose(VISIONS[vision]), 0, 1))
    apart = np.linalg.norm(seen[:, None] - seen, axis=2)[np.triu_indices(len(seen), 1)]
    assert apart.min() > 0.11  # 0.02 is what one just sees side by side


def test_a_species_has_its_colour_whatever_the_others_and_their_order():
    alone = species_colours(["membrane protein"])["membrane protein"]
    assert len({alone, *species_colours(SPECIES).values()}) in (6, 7)
    for name in SPECIES:
        among = species_colours([name, "zebra", *SPECIES[::-1]])
        assert among[name] == species_colours([name])[name]
    many = [f"species {i}" for i in range(8)]
    colours = species_colours([*many, "", "ribosome"])
    assert list(colours) == ["ribosome", *sorted(many), ""]
    assert list(colours.items()) == list(species_colours(["", *many[::-1], "ribosome"]).items())
    assert len(set(colours.values())) == 10
    assert colours[""] == NO_SPECIES
    assert css(colours["ribosome"]) == "#00ffff"
    assert len(species_colours(map(str, range(40)))) == 40
