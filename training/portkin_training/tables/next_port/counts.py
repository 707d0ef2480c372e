"""What is counted of a history: which ports sources probe, and to which new ports they go on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portkin.net.ports import PORTS
from portkin_training.core.history import History
from portkin_training.core.port_codes import CODES
from portkin_training.tables.next_port.walk import STEP_SPAN, walked
from portkin_training.tables.sums import Sum

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

HORIZON = 20_000.0
"""Seconds within which the next new port must come: the block time paper 1 finds best (VI-B)."""
ZONE = 64
"""Ports in a zone: what is near p is in its zone or a neighboring one."""


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
        ordered = np.sort(keys)
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(ordered)])
        return cls(ordered[starts], np.diff(starts, append=len(ordered)) / max(out_of, 1.0))


@dataclass(frozen=True, eq=False)
class PortCounts:
    """What adds up over histories of different groups. Whole numbers, unless weighted."""

    visits: Floats  # (CODES,) sources that probed the port
    onward: Floats  # (CODES,) sources that went on from it to a new port
    draws: Floats  # (CODES,) how often it was come to as a new port
    pairs: KeyedCounts  # sources that went from p to the new q, by p * CODES + q
    paces: KeyedCounts  # sources that took the step q - p, by protocol (0, 1) * `STEP_SPAN` + q - p + CODES
    sources: Floats  # (2,) sources of each protocol


class PortCountsSum:
    """Adds port counts up, each times its weight, in the order they come."""

    def __init__(self) -> None:
        self._visits, self._onward, self._draws, self._sources = (np.zeros(size) for size in (CODES, CODES, CODES, 2))
        self._pairs, self._paces = Sum(), Sum()

    def add(self, one: PortCounts, weight: float = 1.0) -> None:
        """Add some."""
        self._visits += one.visits * weight
        self._onward += one.onward * weight
        self._draws += one.draws * weight
        self._sources += one.sources * weight
        self._pairs.add(one.pairs.keys, one.pairs.values * weight)
        self._paces.add(one.paces.keys, one.paces.values * weight)

    def total(self) -> PortCounts:
        """The sum."""
        pairs, paces = KeyedCounts(*self._pairs.total()), KeyedCounts(*self._paces.total())
        return PortCounts(self._visits, self._onward, self._draws, pairs, paces, self._sources)


def count_ports(history: History, horizon: float = HORIZON) -> PortCounts:
    """Count a history of probes by sources."""
    walk = walked(history, horizon)
    return PortCounts(
        walk.visits, walk.onward, walk.draws, KeyedCounts.of(walk.pairs), KeyedCounts.of(walk.paces), walk.sources
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
    """What came after ports in a history of probes by sources."""
    walk = walked(history, horizon)
    sum_ = Sum()
    sum_.add(walk.pairs, walk.weights)
    return Outcomes(walk.trials, KeyedCounts(*sum_.total()))


def summed_outcomes(parts: Iterable[Outcomes]) -> Outcomes:
    """The outcomes of many histories together."""
    trials, successes = np.zeros(CODES), Sum()
    for part in parts:
        trials += part.trials
        successes.add(part.successes.keys, part.successes.values)
    return Outcomes(trials, KeyedCounts(*successes.total()))


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
