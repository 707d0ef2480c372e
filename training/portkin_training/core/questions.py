"""Questions about sources: at each probe, what Zeek would say that the source did before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from portkin.bundles.source_features import Questions, SourceRows
from portkin.bundles.table import Rows
from portkin.bundles.table_format import RECENT
from portkin.net.ports import PORTS, PROTOS, Proto
from portkin_training.core.history import History
from portkin_training.core.port_codes import CODES

Ints = NDArray[np.int64]
AT_ONCE = 4_000
"""Questions of which the candidates are held in memory at once: some 400,000."""


def source_rows(rows: Mapping[Proto, Rows], drawn: Mapping[Proto, NDArray[np.float32]]) -> dict[Proto, SourceRows]:
    """What features are computed from, by protocol: the rows of a table, and `drawn` float32 (65536,), the log of the
    share of sources that came to each port."""
    return {
        proto: SourceRows.of(part.ports, part.neighbors, part.distances, drawn[proto]) for proto, part in rows.items()
    }


@dataclass(frozen=True, eq=False)
class AskedHistory:
    """A history grouped by source, and what would be asked at each of its probes.

    `recent` int64 (n, RECENT): the source's latest different ports of the protocol of the one just probed, as codes,
    latest first, -1 where there are fewer; they are those of the latest `RECENT` of both. `probed` int64 (n,): ports
    that it has probed so far; `elapsed` float64 (n,): seconds since its first probe; `new` bool (n,): whether it had
    not probed this port before.
    """

    history: History
    recent: Ints
    probed: Ints
    elapsed: NDArray[np.float64]
    new: NDArray[np.bool_]

    @classmethod
    def of(cls, history: History) -> AskedHistory:
        """What would be asked along a history, in any order of sources."""
        grouped = history.by_group()
        n = len(grouped)
        recent, probed = np.full((n, RECENT), -1, np.int64), np.zeros(n, np.int64)
        elapsed, new = np.zeros(n), np.zeros(n, np.bool_)
        _ask(grouped.ts, grouped.group, grouped.code, recent, probed, elapsed, new)
        return cls(grouped, recent, probed, elapsed, new)

    def questions(self, wanted: NDArray[np.bool_]) -> Iterator[tuple[Proto, Ints, Questions]]:
        """The questions of the `wanted` probes, bool (n,), some at once: their protocol, which probes they are, int64
        (m,), and what is asked."""
        for number, proto in enumerate(PROTOS):
            its = np.flatnonzero(wanted & (self.history.code // PORTS == number))
            for start in range(0, len(its), AT_ONCE):
                at = its[start : start + AT_ONCE]
                recent = self.recent[at]
                recent = np.where(recent < 0, -1, recent - number * PORTS)
                yield proto, at, Questions(recent, self.probed[at], self.elapsed[at])


@njit(cache=True, nogil=True)
def _ask(ts, group, code, recent, probed, elapsed, new):  # pragma: no cover - compiled
    """The rows of a group lie together, in order of time."""
    whose = np.full(CODES, -1, np.int64)
    latest = np.full(RECENT, -1, np.int64)
    begin, count = 0, 0
    for i in range(len(ts)):
        if i == 0 or group[i] != group[i - 1]:
            begin, count = i, 0
            latest[:] = -1
        c = code[i]
        if whose[c] != begin:
            whose[c] = begin
            new[i] = True
            count += 1
        # To the front; the others move back, up to where it was.
        at = 0
        while at < RECENT - 1 and latest[at] != c and latest[at] >= 0:
            at += 1
        while at > 0:
            latest[at] = latest[at - 1]
            at -= 1
        latest[0] = c
        probed[i], elapsed[i] = count, (ts[i] - ts[begin]) / 1e6
        found = 0
        for j in range(RECENT):
            if latest[j] >= 0 and latest[j] // PORTS == c // PORTS:
                recent[i, found] = latest[j]
                found += 1
