"""How long the experiments of `make soak` go on, and what they draw from."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator


def soak_share(part: float) -> Iterator[random.Random]:
    """Give a source of chance until a part of SOAK_SECONDS is over, at least once."""
    end = time.monotonic() + part * float(os.environ.get("SOAK_SECONDS", "600"))
    chance = random.Random(int(os.environ.get("SOAK_SEED", "0")))
    yield chance
    while time.monotonic() < end:
        yield chance
