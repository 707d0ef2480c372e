"""What is counted of a history: which ports sources probe, and to which new ports they go on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portkin.net.ports import PORTS
from portkin_training.core.history import History
from portkin_training.core.port_codes import CODES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

HORIZON = 20_000.0
"""Seconds within which the next new port must come: the block time paper 1 finds best (VI-B)."""
ZONE = 64
"""Ports in a zone: what is near p is in its zone or a neighboring one."""
STEP_SPAN = 4 * CODES
"""More than any difference of codes: packs (zone, step) into one number."""


@dataclass(frozen=True, eq=False)
class KeyedCounts:
    """Sorted keys and what each counts: int64 (m,), float64 (m,)."""

    keys: Ints
    values: Floats

    def __call__(self, asked: Ints) -> Floats:
        """The counts of the keys asked for, 0 where unknown."""
        if not len(self.keys):
            return np.zeros(asked.shape)
        at = np.minimum(np.searchsorted(self.keys, asked), len(self.keys) - 1)
        return np.where(self.keys[at] == asked, self.values[at], 0.0)

    def top(self, k: int) -> Ints:
        """The k keys that count most, int64 (at most k,); ties to the lower key."""
        return self.keys[np.argsort(-self.values, kind="stable")[:k]]

    @classmethod
    def of(cls, keys: Ints, *, out_of: float = 1.0) -> KeyedCounts:
        """How often each of the keys int64 (n,) occurs, divided by `out_of`."""
        found, count = np.unique(keys, return_counts=True)
        return cls(found, count / max(out_of, 1.0))


@dataclass(frozen=True, eq=False)
class PortCounts:
    """What adds up over histories of different groups. Whole numbers, unless weighted."""

    visits: Floats  # (CODES,) sources that probed the port
    onward: Floats  # (CODES,) sources that went on from it to a new port
    draws: Floats  # (CODES,) how often it was come to as a new port
    pairs: KeyedCounts  # sources that went from p to the new q, by p * CODES + q
    paces: KeyedCounts  # sources that took the step q - p, by protocol (0, 1) * `STEP_SPAN` + q - p + CODES
    sources: Floats  # (2,) sources of each protocol


def count_ports(history: History, horizon: float = HORIZON) -> PortCounts:
    """Count a history grouped by source."""
    group, code = history.visits()
    steps = history.steps(new=True)
    soon = steps.gap < horizon * 1e6
    source, before, after = steps.group[soon], steps.before[soon], steps.after[soon]
    walked = np.unique((source * 2 + before // PORTS) * STEP_SPAN + (after - before) + CODES)
    return PortCounts(
        visits=np.bincount(code, minlength=CODES).astype(float),
        onward=np.bincount(np.unique(source * CODES + before) % CODES, minlength=CODES).astype(float),
        draws=np.bincount(after, minlength=CODES).astype(float),
        pairs=KeyedCounts.of(before * CODES + after),
        paces=KeyedCounts.of(walked % (2 * STEP_SPAN)),
        sources=np.array([len(np.unique(group[code // PORTS == proto])) for proto in (0, 1)], float),
    )


def statistics_of(counts: PortCounts) -> PortStatistics:
    """What the counts say."""
    pairs = counts.pairs
    p = pairs.keys // CODES
    stride = pairs.keys % CODES - p
    strides, paces, draws = [], [], []
    for proto in (0, 1):
        known = slice(proto * PORTS, (proto + 1) * PORTS)
        sources = max(float(counts.sources[proto]), 1.0)
        probed = float(np.count_nonzero(counts.visits[known]))
        strides.append(KeyedCounts.of(stride[p // PORTS == proto], out_of=probed))
        its = counts.paces.keys // STEP_SPAN == proto
        paces.append(KeyedCounts(counts.paces.keys[its] % STEP_SPAN - CODES, counts.paces.values[its] / sources))
        drawn = np.flatnonzero(counts.draws[known]) + known.start
        draws.append(KeyedCounts(drawn, counts.draws[drawn] / sources))
    return PortStatistics(
        visits=counts.visits,
        onward=counts.onward,
        pairs=pairs,
        zones=KeyedCounts.of(p // ZONE * STEP_SPAN + stride + CODES),
        strides=(strides[0], strides[1]),
        paces=(paces[0], paces[1]),
        draws=(draws[0], draws[1]),
    )


def learn(history: History, horizon: float = HORIZON) -> PortStatistics:
    """What a history grouped by source says."""
    return statistics_of(count_ports(history, horizon))


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What came after ports: `trials` float64 (CODES,), visits, and `successes`, those that reached q next, by
    p * CODES + q; both weighted, so that a source counts as the square root of its visits. They add up too."""

    trials: Floats
    successes: KeyedCounts


def outcomes(history: History, horizon: float = HORIZON) -> Outcomes:
    """What came after ports in a history grouped by source."""
    group, code = history.visits()
    steps = history.steps(new=True)
    soon = steps.gap < horizon * 1e6
    busy = np.bincount(group, minlength=1)
    key, at = np.unique(steps.before[soon] * CODES + steps.after[soon], return_inverse=True)
    reached = np.bincount(at, busy[steps.group[soon]] ** -0.5, minlength=len(key))
    return Outcomes(
        trials=np.bincount(code, busy[group] ** -0.5, minlength=CODES).astype(np.float64, copy=False),
        successes=KeyedCounts(key, reached.astype(np.float64, copy=False)),
    )


@dataclass(frozen=True, eq=False)
class PortStatistics:
    """What was counted. Keys of `pairs` are p * CODES + q; `per_*` hold one `KeyedCounts` per protocol."""

    visits: Floats  # (CODES,) sources that probed the port
    onward: Floats  # (CODES,) sources that went on from it to a new port
    pairs: KeyedCounts  # sources that went from p to the new q
    zones: KeyedCounts  # pairs by (zone of p, q - p)
    strides: tuple[KeyedCounts, KeyedCounts]  # q - p: of the ports known, the share that leads to this step
    paces: tuple[KeyedCounts, KeyedCounts]  # q - p: of the sources, the share that took it
    draws: tuple[KeyedCounts, KeyedCounts]  # q: of the sources, the share that came to it as a new port
