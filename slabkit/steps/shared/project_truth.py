"""The truth of a project: where it is, and what of it the picks found."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slabkit.errors import InputError
from slabkit.steps.shared.project_files import ProjectFiles

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from slabkit.pictures.project import Truth

_CURVE_PICKS, _CURVE_POINTS = 20_000, 15  # of more picks no curve is drawn
_SUFFIXES = (".star", ".csv", ".ndjson", ".tbl", ".json")


def truth_file(
    found: ProjectFiles, given: str | None, radii: Mapping[str, float]
) -> tuple[str | None, Mapping[str, float]]:
    """Find the truth: as given, of a simulation, of a score, or a file of that name; and radii."""
    if given is not None:
        return given, radii
    for file in found.files:
        if file.step == "simulate" and file.kind == "pick list":
            return str(file.path), radii
    for record, result in found.records:
        if record.step == "score" and len(record.inputs) > 1:
            named = Path(str(record.inputs[1]["name"]))
            for path in (named, result.parent / record.working_directory / named):
                if path.is_file():
                    return str(path), {**record.parameters.get("radii", {}), **radii}
    for path in sorted(found.folder.rglob("truth.*")):
        if path.suffix in _SUFFIXES and path.is_file():
            return str(path), radii
    return None, radii


def compare(
    path: str,
    radii: Mapping[str, float],
    picks: pd.DataFrame,
    tomograms: Sequence[str],
    curated: bool,
    scored: Path | None,
) -> Truth:
    """Compare picks with the truth: all of them, and if they are curated those that are accepted.

    ``scored``: the list that gives the same score with ``slabkit score``, if one does.
    """
    from slabkit.pictures.project import Truth
    from slabkit.scoring import score_curve, score_picks
    from slabkit.scoring.matching import known_species_radii, with_known_species
    from slabkit.steps.shared.pick_lists import read_plainly

    truth, note = _of_project(read_plainly(path, keep_duplicates=True).picks, tomograms, path)
    given = _radii(radii, picks, truth)
    known = known_species_radii(given)
    truth = with_known_species(truth, known, "truth").reset_index(drop=True)
    accepted = (picks["slabkitDecision"] == "accepted").to_numpy()
    tables = {"all picks": picks}
    if curated:
        tables["accepted picks"] = picks[accepted].reset_index(drop=True)
    scores = {}
    for name, table in tables.items():
        score = score_picks(table, truth, radii=given)
        scores[name] = score.table[score.table["truth"] > 0], score.total
    found, fate = _fates(picks, truth, known, accepted if curated else None)
    curve, judged = None, picks
    if curated and accepted.any():
        judged = tables["accepted picks"]
    if len(judged) <= _CURVE_PICKS and judged["slabkitScoreKind"].nunique() == 1:
        curve = score_curve(judged, truth, radii=given, points=_CURVE_POINTS)
    line = ["slabkit", "score", str(scored), path]
    line += [part for name, size in radii.items() for part in ("--radius", f"{name}={size:g}")]
    return Truth(shlex.join(line) if scored else "", truth, scores, curve, found, fate, known, note)


def _of_project(
    truth: pd.DataFrame, tomograms: Sequence[str], path: str
) -> tuple[pd.DataFrame, str]:
    """Leave out the particles of tomograms that are not in the project, and say so."""
    here = truth["slabkitTomogram"].isin(tomograms).to_numpy()
    others = truth.loc[~here, "slabkitTomogram"].unique().tolist()
    listed = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
    if not here.any():
        raise InputError(
            f"{path}: has no particle in the tomograms of the project ({', '.join(tomograms[:3])}, "
            f"...), but in {listed}; give the truth of these, by the same names."
        )
    note = (
        f"Left out are {int((~here).sum())} particles in {listed}, which are not in this folder; "
        "slabkit score counts them as missed."
    )
    return truth[here].reset_index(drop=True), note if others else ""


def _fates(
    picks: pd.DataFrame,
    truth: pd.DataFrame,
    radii: Mapping[str, float],
    accepted: npt.NDArray[np.bool_] | None,
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]:
    """Say which particle each pick is, and what became of each particle; see `Truth`."""
    import numpy as np

    from slabkit.scoring import match_picks

    found = np.full(len(picks), "", dtype=object)
    found[~picks["slabkitTomogram"].isin(set(truth["slabkitTomogram"])).to_numpy()] = None
    fate = np.full(len(truth), "never picked", dtype=object)

    def match(rows: npt.NDArray[np.int64], table: pd.DataFrame) -> pd.DataFrame:
        left = np.flatnonzero(fate == "never picked")
        pairs = match_picks(
            table.iloc[rows].reset_index(drop=True),
            truth.iloc[left].reset_index(drop=True),
            radii=radii,
        )
        return pairs.assign(pick=rows[pairs["pick"]], particle=left[pairs["particle"]])

    good = np.ones(len(picks), dtype=bool) if accepted is None else accepted
    for of, word in ((good, "found"), (~good, "dropped")):
        pairs = match(np.flatnonzero(of), picks)
        found[pairs["pick"]] = pairs["species"].to_numpy(dtype=object)
        fate[pairs["particle"]] = word
    others = match(np.flatnonzero(good & (found == "")), picks.assign(slabkitSpecies=""))
    fate[others["particle"]] = "named otherwise"
    return found, fate


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
