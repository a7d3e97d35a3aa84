"""Values that the shell completes."""

from __future__ import annotations

import re
from collections.abc import Callable

FORMATS = (
    "native csv ndjson copick relion5 relion4 relion5-picker relion3 dynamo stopgap em eman imod "
    "imod-model artiax artiax-tsv tomotwin cryolo-coords cryolo pytom warp warp-px deepfinder "
    "polnet slabpick"
)

WRITTEN = (
    "native csv ndjson copick relion5 relion4 dynamo stopgap em eman imod imod-model artiax "
    "artiax-tsv tomotwin cryolo-coords warp-px"
)

Complete = Callable[[str], list[str]]


def completion(name: str, metavar: str | None) -> Complete | None:
    """Give what completes a value: the words in a metavar, formats, the names of species."""
    words = [
        word
        for word in (metavar or "").partition("[")[0].split("|")
        if re.fullmatch("[a-z0-9][a-z0-9-]*", word)
    ]
    pairs = re.search(r"SPECIES=|LABEL=NAME", metavar or "") is not None
    if metavar != "FORMAT" and name != "species" and not pairs and not words:
        return None

    def complete(incomplete: str) -> list[str]:
        if metavar == "FORMAT":
            return (WRITTEN if name == "to" else FORMATS).split()
        if name != "species" and not pairs:
            return words
        from slabkit.scoring import CZII_RADII

        before = incomplete[: incomplete.rfind("=") + 1] if name == "species" else ""
        end = "=" if pairs and name != "species" else ""
        return [*words, *(f"{before}{species}{end}" for species in CZII_RADII)]

    return complete
