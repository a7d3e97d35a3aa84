"""Pick and label tables that the tests of the curation share."""

from __future__ import annotations

import numpy as np

from slabkit.tables import LABELS, PICKS, empty_table, make_table

YES, NO, OPEN = "accepted", "rejected", "undecided"


def pick_table(decisions, **columns):
    """Picks p0, p1, ... 10 Å apart along x."""
    n = len(decisions)
    if not n:
        return empty_table(PICKS)
    return make_table(
        PICKS,
        {
            "slabkitPickId": [f"p{i}" for i in range(n)],
            "slabkitTomogram": "a",
            "slabkitX": np.arange(n) * 10.0,
            "slabkitY": 0.0,
            "slabkitZ": 0.0,
            "slabkitScore": np.arange(n) / 4 + 1,
            "slabkitDecision": list(decisions),
            **columns,
        },
    )


def label_table(*rows, round_name="", author="", source="", **columns):
    """Rows of (pick number or id, decision)."""
    if not rows:
        return empty_table(LABELS)
    ids, decisions = zip(*rows, strict=True)
    table = {
        "slabkitPickId": [f"p{i}" if isinstance(i, int) else i for i in ids],
        "slabkitDecision": list(decisions),
        "slabkitRound": round_name,
        "slabkitAuthor": author,
        "slabkitSource": source,
    }
    return make_table(LABELS, {**table, **columns})


def ids(table):
    return table["slabkitPickId"].tolist()
