"""What any predictor has to beat: simple ones, with the same budget of K ports.

Each takes the training probes, grouped by source, and K, and returns int32 (CODES, K): the codes nearest to each code,
nearest first, -1 where there is none; ties go to the lower port unless said otherwise. None crosses from one protocol
to the other.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from portkin.net.ports import PORTS
from portkin_training.core.history import History
from portkin_training.core.port_codes import CODES
from portkin_training.core.time_bins import DAY_US

Matrix = NDArray[np.int32]
Ints = NDArray[np.int64]

MOST_IN_A_DAY = 1000
"""A source that probed more ports than this in a day says nothing of which belong together."""
PORTS_AT_ONCE = 2048
"""Ports whose followers are ordered at once: one after the other would take long, all together much memory."""


def myself(history: History, k: int) -> Matrix:
    """The probed port alone: *MySelf* of paper 1 (VI-B). int32 (CODES, k), as all of these."""
    return np.full((CODES, k), -1, np.int32)


def euclidean(history: History, k: int) -> Matrix:
    """The K nearest numbers; of two equally near, the higher (paper 1, VI-B)."""
    away = np.repeat(np.arange(1, 2 * k + 1), 2) * np.tile([1, -1], 2 * k)  # enough even at either end
    near = np.arange(PORTS)[:, None] + away
    inside = (near >= 0) & (near < PORTS)
    place = np.cumsum(inside, axis=1) - 1
    matrix = np.full((PORTS, k), -1, np.int32)
    row, column = np.nonzero(inside & (place < k))
    matrix[row, place[row, column]] = near[row, column]
    return np.concatenate([matrix, np.where(matrix >= 0, matrix + PORTS, -1)]).astype(np.int32)


def most_popular(history: History, k: int) -> Matrix:
    """The ports that most sources probed, the same after every port but that port itself: (CODES, k)."""
    _, code = history.visits()
    matrix = np.full((CODES, k), -1, np.int32)
    for first in (0, PORTS):
        here = np.bincount(code[code // PORTS == first // PORTS] - first, minlength=PORTS)
        top = np.argsort(-here, kind="stable")[: k + 1]
        top = top[here[top] > 0]
        others = top[None, :] != np.arange(PORTS)[:, None]
        place = np.cumsum(others, axis=1) - 1
        row, column = np.nonzero(others & (place < k))
        matrix[first + row, place[row, column]] = first + top[column]
    return matrix


def successors_by_count(history: History, k: int) -> Matrix:
    """The ports that followed most often, directly: (CODES, k)."""
    steps = history.steps()
    return most_counted(steps.before * CODES + steps.after, k)


def successors_by_sources(history: History, k: int) -> Matrix:
    """The ports that followed directly for most sources: (CODES, k)."""
    steps = history.steps()
    once = np.unique(np.column_stack([steps.group, steps.before * CODES + steps.after]), axis=0)
    return most_counted(once[:, 1], k)


def together_in_a_day(history: History, k: int) -> Matrix:
    """The ports that the same source probed on the same day (UTC), for most sources and days: (CODES, k)."""
    days = history.ts // DAY_US
    seen = np.unique(np.column_stack([history.group, days, history.code // PORTS, history.code]), axis=0)
    edge = np.flatnonzero((seen[1:, :3] != seen[:-1, :3]).any(axis=1)) + 1
    start, code = np.concatenate([[0], edge, [len(seen)]]), seen[:, 3]
    size = np.diff(start)
    size[size > MOST_IN_A_DAY] = 0
    pairs, found = np.empty(int((size * (size - 1)).sum()), np.int64), 0
    for ports in np.unique(size[size > 1]):
        sets = code[start[:-1][size == ports][:, None] + np.arange(ports)]
        for set_ in np.array_split(sets, max(1, len(sets) * ports * ports // 4_000_000)):
            some = (set_[:, :, None] * CODES + set_[:, None, :])[set_[:, :, None] != set_[:, None, :]]
            pairs[found : found + len(some)] = some
            found += len(some)
    return most_counted(pairs, k)


def most_counted(pairs: Ints, k: int) -> Matrix:
    """Of pairs before * CODES + after, int64 (m,), the k that occur most often for each before. The pairs are sorted
    where they lie: there may be many millions."""
    pairs.sort()
    first = np.flatnonzero(np.concatenate([[True], pairs[1:] != pairs[:-1]])[: len(pairs)])
    pair, count = pairs[first], np.diff(first, append=len(pairs))
    matrix = np.full((CODES, k), -1, np.int32)
    edges = np.searchsorted(pair, np.arange(0, CODES + 1, PORTS_AT_ONCE) * CODES)
    for start, end in pairwise(edges.tolist()):
        before, after = pair[start:end] // CODES, pair[start:end] % CODES
        # They are sorted by (before, after), so that of equal counts the lower port stays first.
        order = np.argsort(before * (len(pairs) + 1) - count[start:end], kind="stable")
        before, after = before[order], after[order]
        place = np.arange(len(before)) - np.searchsorted(before, before)
        matrix[before[place < k], place[place < k]] = after[place < k]
    return matrix


BASELINES: dict[str, Callable[[History, int], Matrix]] = {
    "MySelf": myself,
    "Euclidean": euclidean,
    "most popular": most_popular,
    "next by count": successors_by_count,
    "next by sources": successors_by_sources,
    "same day": together_in_a_day,
}
"""Every baseline by its name in the reports."""
