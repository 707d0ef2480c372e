"""How long to wait between attempts to connect."""

from __future__ import annotations

import random
from collections.abc import Iterator


def backoff(first: float, cap: float, rng: random.Random) -> Iterator[float]:
    """Delays in seconds, for ever: ``first``, doubled up to ``cap``, each times a random factor in [0.5, 1].

    The jitter keeps the peers of a Zeek that restarts from coming back all at once.
    """
    delay = min(first, cap)
    while True:
        yield delay * rng.uniform(0.5, 1.0)
        delay = min(2 * delay, cap)
