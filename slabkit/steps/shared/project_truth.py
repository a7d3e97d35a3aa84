"""The truth of a project: where it is, and what of it the picks found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slabkit.errors import InputError, SlabkitError
from slabkit.steps.shared.project_files import ProjectFiles

if TYPE_CHECKING:
    import pandas as pd

    from slabkit.pictures.project import Truth

_CURVE_PICKS = 20_000  # of more picks no curve is drawn
_SUFFIXES = (".star", ".csv", ".ndjson", ".tbl", ".json")


def truth_file(
    found: ProjectFiles, given: str | None, radii: Mapping[str, float]
) -> tuple[list[str], Mapping[str, float]]:
    """Find the truth: as given, of a simulation, of a score, or a file of that name."""
    if given is not None:
        return [given], radii
    for file in found.files:
        if file.step == "simulate" and file.kind == "pick list":
            return [str(file.path)], radii
    for record, result in found.records:
        if record.step == "score" and len(record.inputs) > 1:
            named = Path(str(record.inputs[1]["name"]))
            for path in (named, result.parent / record.working_directory / named):
                if path.is_file():
                    return [str(path)], {**record.parameters.get("radii", {}), **radii}
    for path in sorted(found.folder.rglob("truth.*")):
        if path.suffix in _SUFFIXES and path.is_file():
            return [str(path)], radii
    return [], radii


def read_truth(paths: Sequence[str], notes: list[str], must: bool) -> pd.DataFrame | None:
    """Read the truth; an error is noted, unless it must be read."""
    from slabkit.steps.shared.pick_lists import read_plainly

    if not paths:
        return None
    try:
        return read_plainly(paths[0], keep_duplicates=True).picks
    except SlabkitError as error:
        if must:
            raise
        notes.append(f"The truth cannot be used: {error}")
        return None


def of_project(
    truth: pd.DataFrame, tomograms: Sequence[str], path: str, notes: list[str]
) -> pd.DataFrame:
    """Leave out the particles of tomograms that are not in the project."""
    here = truth["slabkitTomogram"].isin(tomograms).to_numpy()
    others = truth.loc[~here, "slabkitTomogram"].unique().tolist()
    if not here.any():
        raise InputError(
            f"{path}: has no particle in the tomograms of the project ({', '.join(tomograms[:3])}, "
            f"...), but in {', '.join(others[:3])}; give the truth of these, by the same names."
        )
    if others:
        notes.append(
            f"{path} has {int((~here).sum())} particles in {', '.join(others[:3])}"
            f"{', ...' if len(others) > 3 else ''} too, of which nothing is in this folder; they "
            "are left out."
        )
    return truth[here].reset_index(drop=True)


def compared(
    truth: pd.DataFrame,
    picks: pd.DataFrame,
    radii: Mapping[str, float],
) -> Truth:
    """Compare the picks with the truth, all of them and those that are accepted."""
    import numpy as np

    from slabkit.pictures.project import Truth
    from slabkit.scoring import match_picks, score_curve, score_picks
    from slabkit.scoring.matching import known_species_radii, with_known_species

    given = _radii(radii, picks, truth)
    known = known_species_radii(given)
    truth = with_known_species(truth, known, "truth").reset_index(drop=True)
    accepted = (picks["slabkitDecision"] == "accepted").to_numpy()
    tables = {"all picks": picks}
    if accepted.any():
        tables["accepted picks"] = picks[accepted].reset_index(drop=True)
    scores = {}
    for name, table in tables.items():
        score = score_picks(table, truth, radii=given)
        scores[name] = score.table[score.table["truth"] > 0], score.total
    found = np.full(len(picks), "", dtype=object)
    found[~picks["slabkitTomogram"].isin(set(truth["slabkitTomogram"])).to_numpy()] = None
    fate = np.full(len(truth), "never picked", dtype=object)
    for of, word in ((accepted, "found"), (~accepted, "dropped")):
        rows, left = np.flatnonzero(of), np.flatnonzero(fate == "never picked")
        pairs = match_picks(
            picks.iloc[rows].reset_index(drop=True),
            truth.iloc[left].reset_index(drop=True),
            radii=given,
        )
        found[rows[pairs["pick"]]] = pairs["species"].to_numpy(dtype=object)
        fate[left[pairs["particle"]]] = word if accepted.any() else "found"
    curve = None
    if len(picks) <= _CURVE_PICKS and picks["slabkitScoreKind"].nunique() == 1:
        curve = score_curve(picks, truth, radii=given, points=30)
    return Truth("", truth, scores, curve, found, fate, known)


def _radii(
    given: Mapping[str, float], picks: pd.DataFrame, truth: pd.DataFrame
) -> dict[str, float]:
    """Take the radius of a species that has none from the diameters that tables say."""
    from slabkit.scoring.matching import canonical_species, known_species_radii

    radii = dict(given)
    known = known_species_radii(given)
    for table in (truth, picks):
        for name, diameter in table.groupby("slabkitSpecies")["slabkitDiameter"].median().items():
            usual = canonical_species(str(name), known)
            if usual and usual not in known and diameter > 0:
                radii[usual] = known[usual] = diameter / 2
    return radii
