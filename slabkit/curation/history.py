"""The history of one pick, from voxel to verdict, as its row tells it."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import numpy as np

from slabkit.errors import FormatError, InputError
from slabkit.tables import MINISLABS, PICKS, TOMOGRAMS, ledger_of, parse_ledger, validate_table

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("step", "round", "author", "source", "decision", "what")

_SHOWN = {"step", "round", "author", "source", "decision"}


def pick_history(
    picks: pd.DataFrame,
    pick_id: str,
    *,
    tomograms: pd.DataFrame | None = None,
    minislabs: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Tell what happened to a pick.

    Parameters
    ----------
    picks : DataFrame
        Columns of `slabkit.tables.PICKS`, with what `slabkit map` and the ledger add.
    pick_id : str
        The pick's, or that of a pick that was merged into another; its beginning is enough where
        no other id begins so.
    tomograms : DataFrame, optional
        Columns of `slabkit.tables.TOMOGRAMS`, for the voxel.
    minislabs : DataFrame, optional
        Columns of `slabkit.tables.MINISLABS`, for tiles that nobody labelled.

    Returns
    -------
    DataFrame
        Columns ``step``, ``round``, ``author``, ``source``, ``decision``, ``what``, all texts, in
        the order in which it happened: ``voxel``, ``slab``, ``pick``, ``tile``, then the ledger's
        ``label``, ``curate``, ``merge``, ``move``, and ``now``.

    Raises
    ------
    InputError
        There is no such pick; names the closest ids.
    FormatError
        Its ledger cannot be read.
    """
    import pandas as pd

    picks = validate_table(picks, PICKS, "picks")
    pick_id, row = find_pick(picks, pick_id)
    pick: dict[str, Any] = picks.iloc[row].to_dict()
    name = str(pick["slabkitPickId"])
    entries = parse_ledger(ledger_of(picks.iloc[[row]])[0], f"pick {name}")
    events = [*_origin(pick, entries, tomograms), *_tiles(name, minislabs)]
    events += [_event(entry) for entry in entries]
    fields = {
        "confidence": _number(pick["slabkitConfidence"]),
        "species": pick["slabkitSpecies"],
        "x": _number(pick["slabkitX"]),
        "y": _number(pick["slabkitY"]),
        "z": _number(pick["slabkitZ"]),
    }
    now = {"step": "now", "decision": str(pick["slabkitDecision"]), "what": _what(fields)}
    if name != pick_id:
        now["what"] = f"merged into {name}; {now['what']}"
    events.append(now)
    return pd.DataFrame(
        [[event.get(column, "") for column in COLUMNS] for event in events], columns=list(COLUMNS)
    )


def find_pick(picks: pd.DataFrame, beginning: str) -> tuple[str, int]:
    """Give the id that begins so (a whole id before all others) and its row.

    The name of the tomogram in front may be left out. The id may be of a pick that was merged into
    the one of that row. `InputError` names the ids that begin so where there are several, and the
    closest where there is none.
    """
    ids: list[str] = picks["slabkitPickId"].tolist()
    if beginning in ids:
        return beginning, ids.index(beginning)
    tomograms = picks["slabkitTomogram"].tolist()
    found = {
        name: row
        for row, (name, tomogram) in enumerate(zip(ids, tomograms, strict=True))
        if name.startswith(beginning) or name.removeprefix(f"{tomogram}-").startswith(beginning)
    }
    for row, ledger in enumerate(ledger_of(picks)):
        if "merge:" in ledger:
            for entry in parse_ledger(ledger):
                name = entry.get("id", "")
                if entry["step"] == "merge" and name == beginning:
                    return name, row
                if entry["step"] == "merge" and name.startswith(beginning):
                    found.setdefault(name, row)
    if len(found) == 1:
        return next(iter(found.items()))
    if found and beginning:
        some = ", ".join(list(found)[:5]) + " and others" * (len(found) > 5)
        raise InputError(f"{len(found)} picks have an id that begins with {beginning}: {some}.")
    close = difflib.get_close_matches(beginning, ids[:100_000], 3, 0)
    raise InputError(
        f"there is no pick {beginning} in the list, nor one merged into another; the closest: "
        f"{', '.join(close) or 'none, the list is empty'}."
    )


def _origin(
    pick: dict[str, Any], entries: list[dict[str, str]], tomograms: pd.DataFrame | None
) -> list[dict[str, str]]:
    """Tell where the pick was found, before anything moved it."""
    place = [float(pick[f"slabkit{axis}"]) for axis in "XYZ"]
    moves = [entry for entry in entries if entry["step"] == "move" and "of" not in entry]
    if moves:
        place = [_read_number(moves[0].get(axis, ""), pick["slabkitPickId"]) for axis in "xyz"]
    voxel = f"tomogram={pick['slabkitTomogram']}"
    if tomograms is not None:
        table = validate_table(tomograms, TOMOGRAMS)
        size = table.loc[table["slabkitTomogram"] == pick["slabkitTomogram"], "slabkitVoxelSize"]
        if len(size) and np.isfinite(size.iloc[0]):
            index = [_number(round(value / float(size.iloc[0]), 2)) for value in place]
            voxel += f" index={','.join(index)} voxel_size={_number(float(size.iloc[0]))}"
    events = [{"step": "voxel", "what": voxel}]
    slab = str(pick.get("rlnMicrographName", ""))
    if slab not in ("", "none", "nan"):
        where = {
            f"{a.lower()}_px": _number(round(float(pick.get(f"rlnCoordinate{a}", np.nan)), 2))
            for a in "XY"
        }
        count = {"slabs": str(pick["slabkitSlabCount"])} if pick["slabkitSlabCount"] else {}
        events.append({"step": "slab", "source": slab, "what": _what({**where, **count})})
    found = {
        "x": _number(place[0]),
        "y": _number(place[1]),
        "z": _number(place[2]),
        "score": _number(pick["slabkitScore"]),
        "kind": str(pick["slabkitScoreKind"]),
        "diameter": _number(pick["slabkitDiameter"]),
        "flags": str(pick["slabkitFlags"]),
    }
    events.append({"step": "pick", "source": str(pick["slabkitSource"]), "what": _what(found)})
    return events


def _tiles(name: str, minislabs: pd.DataFrame | None) -> list[dict[str, str]]:
    if minislabs is None:
        return []
    table = validate_table(minislabs, MINISLABS)
    return [
        {
            "step": "tile",
            "source": str(row["rlnMicrographName"]),
            "what": _what(
                {
                    "row": str(row["slabkitTileRow"]),
                    "column": str(row["slabkitTileColumn"]),
                    "tilt": _number(row["slabkitTilt"]) if row["slabkitTilt"] else "",
                    "stack": str(row["rlnImageName"]),
                }
            ),
        }
        for row in table[table["slabkitPickId"] == name].to_dict("records")
    ]


def _event(entry: dict[str, str]) -> dict[str, str]:
    return {
        **{name: entry.get(name, "") for name in _SHOWN},
        "what": _what({name: value for name, value in entry.items() if name not in _SHOWN}),
    }


def _what(fields: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in fields.items() if value not in ("", "nan"))


def _read_number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise FormatError(
            f"pick {name}: its ledger says it was moved, and {text!r} is not a coordinate."
        ) from None


def _number(value: Any) -> str:
    if value is None or value != value:
        return ""
    return f"{float(value):.10g}"
