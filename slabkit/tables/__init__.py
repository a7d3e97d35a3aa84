"""The tables that travel between stages: columns, types, defaults, checks, new ids.

Tables are `pandas.DataFrame`; the columns carry the names they have on disk, without the leading
underscore. Columns a schema does not know are kept, behind the known ones. An empty table has the
same columns as a full one.
"""

from slabkit.tables.identity import new_pick_ids
from slabkit.tables.ledger import (
    LEDGER,
    TIME,
    label_entries,
    ledger_entries,
    ledger_of,
    parse_ledger,
    places_left,
    recorded_labels,
    with_entries,
)
from slabkit.tables.schemas import (
    CONFLICTS,
    CONTRADICTIONS,
    DECISIONS,
    LABELS,
    MINISLABS,
    PICKS,
    PICKS2D,
    PROBABILITY,
    SLABS,
    SPECIES,
    SPLIT,
    TOMOGRAMS,
    Column,
    Schema,
)
from slabkit.tables.validation import (
    block_of,
    check_width,
    empty_table,
    has_repeats,
    make_table,
    names_listed,
    parse_real,
    repeated,
    require_unique,
    require_values,
    rows_named,
    validate_table,
)

__all__ = [
    "CONFLICTS",
    "CONTRADICTIONS",
    "DECISIONS",
    "LABELS",
    "LEDGER",
    "MINISLABS",
    "PICKS",
    "PICKS2D",
    "PROBABILITY",
    "SLABS",
    "SPECIES",
    "SPLIT",
    "TIME",
    "TOMOGRAMS",
    "Column",
    "Schema",
    "block_of",
    "check_width",
    "empty_table",
    "has_repeats",
    "label_entries",
    "ledger_entries",
    "ledger_of",
    "make_table",
    "names_listed",
    "new_pick_ids",
    "parse_ledger",
    "parse_real",
    "places_left",
    "recorded_labels",
    "repeated",
    "require_unique",
    "require_values",
    "rows_named",
    "validate_table",
    "with_entries",
]
