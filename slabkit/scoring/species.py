"""Species by name: the challenge's radii and weights, and the names that people give them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from slabkit.errors import InputError
from slabkit.tables import PICKS, validate_table

if TYPE_CHECKING:
    import pandas as pd

CZII_RADII = {
    "ribosome": 150.0,
    "virus-like-particle": 135.0,
    "thyroglobulin": 130.0,
    "beta-galactosidase": 90.0,
    "apo-ferritin": 60.0,
    "beta-amylase": 65.0,
}
"""Particle radius of each species in Å, as the challenge has it."""

CZII_WEIGHTS = {
    "ribosome": 1.0,
    "virus-like-particle": 1.0,
    "thyroglobulin": 2.0,
    "beta-galactosidase": 2.0,
    "apo-ferritin": 1.0,
    "beta-amylase": 0.0,
}
"""Weight of each species in the challenge's score; a species that is not here weighs 1."""

_ALIASES = {
    "ribosome": ("80s", "80s-ribosome", "cytosolic-ribosome", "ribo", "ribosome-80s", "ribosomes"),
    "virus-like-particle": ("vlp", "pp7", "pp7-vlp", "virus-like-particles"),
    "thyroglobulin": ("thg", "tg"),
    "beta-galactosidase": ("beta-gal", "betagal", "bgal", "b-gal", "b-galactosidase"),
    "apo-ferritin": ("apoferritin", "apof", "ferritin", "ferritin-complex"),
    "beta-amylase": ("amylase", "b-amylase", "beta-amy", "bamylase"),
}
_CANONICAL = {alias: name for name, aliases in _ALIASES.items() for alias in (name, *aliases)}


def canonical_species(name: str, known: Collection[str] = ()) -> str:
    """Give a species its usual name: ``THG`` and ``Thyro_globulin`` spellings become one.

    Parameters
    ----------
    name : str
    known : collection of str, optional
        Names that are right as they are.

    Returns
    -------
    str
        The challenge's identifier where the name is one of its aliases, else the name itself.
    """
    if not name or name in known:
        return name
    plain = name.strip().lower().replace("_", "-").replace(" ", "-").replace("β", "beta")
    if plain in known:
        return plain
    return _CANONICAL.get(plain) or _CANONICAL.get(plain.removesuffix("s")) or name


def known_species_radii(radii: Mapping[str, float] | None = None) -> dict[str, float]:
    """Put given radii on top of the challenge's.

    Parameters
    ----------
    radii : mapping of str to float, optional
        In Å; aliases of the challenge's species are understood.

    Returns
    -------
    dict of str to float

    Raises
    ------
    InputError
        A radius is not a positive finite number.
    """
    known = dict(CZII_RADII)
    for name, radius in (radii or {}).items():
        if not (math.isfinite(radius) and radius > 0):
            raise InputError(f"the radius of {name} must be a positive number of Å, not {radius}.")
        known[canonical_species(name)] = float(radius)
    return known


def with_known_species(table: pd.DataFrame, radii: Mapping[str, float], where: str) -> pd.DataFrame:
    """Check a pick table and give its species their usual names.

    Parameters
    ----------
    table : DataFrame
        Columns of `slabkit.tables.PICKS`.
    radii : mapping of str to float
        Radius in Å of each species that is known.
    where : str
        ``truth`` (where each row needs a species) or ``picks``.

    Returns
    -------
    DataFrame

    Raises
    ------
    InputError
        A species is not known; names those that are.
    """
    table = validate_table(table, PICKS, where)
    names = {name: canonical_species(name, radii) for name in table["slabkitSpecies"].unique()}
    unknown = sorted(
        name or "(none)"
        for name, usual in names.items()
        if usual not in radii and (usual or where == "truth")
    )
    if unknown:
        raise InputError(
            f"{where}: no radius is known for the species {', '.join(unknown)}; known are "
            f"{', '.join(radii)}; give --radius {unknown[0]}=Å."
            if unknown != ["(none)"]
            else f"{where}: there are particles without a species, so no radius is known for them."
        )
    table["slabkitSpecies"] = table["slabkitSpecies"].map(names).astype("str")
    return table
