"""How long to wait between attempts to connect."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

STEADY = 10.0
"""Seconds after which a connection was a success: one that ends sooner is an attempt like those that failed."""


def backoff(first: float, cap: float, rng: random.Random) -> Iterator[float]:
    """Delays in seconds, without end: ``first``, doubled up to ``cap``, each times a random factor in [0.5, 1].

    The jitter keeps the peers of a Zeek that restarts from coming back all at once.
    """
    delay = min(first, cap)
    while True:
        yield delay * rng.uniform(0.5, 1.0)
        delay = min(2 * delay, cap)


class Delays:
    """The delays of one connection that is retried without end; they start over after a success.

    A peer that accepts a connection and ends it at once is not tried more often than one that is away.
    """

    def __init__(self, series: Callable[[], Iterator[float]], clock: Callable[[], float]) -> None:
        """``series`` returns delays in seconds, the shortest first; ``clock`` is monotonic, in seconds."""
        self._series = series
        self._clock = clock
        self._delays = series()
        self._since = clock()

    def connected(self) -> None:
        """A connection begins."""
        self._since = self._clock()

    def lost(self) -> float:
        """The connection has ended: seconds to wait."""
        if self._clock() - self._since >= STEADY:
            self._delays = self._series()
        return self.failed()

    def failed(self) -> float:
        """There was no connection: seconds to wait."""
        return next(self._delays)
