"""One walk through the probes of each source: all that next-port chances count.

Weights are rounded to a grain, so that their sums are exact: the same in whichever order sources come.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from portkin.net.ports import PORTS
from portkin_training.core.history import History
from portkin_training.core.port_codes import CODES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STEP_SPAN = 4 * CODES
"""More than any difference of codes: packs (zone, step) into one number."""
GRAIN = 2.0**-32
"""What weights are multiples of; sums of up to two million are exact."""


class Walk(NamedTuple):
    """What a walk counts; a source goes on where its next new port of the same protocol comes within the horizon."""

    visits: Floats  # (CODES,) sources that probed the port
    onward: Floats  # (CODES,) sources that went on from it to a new port
    draws: Floats  # (CODES,) how often it was come to as a new port
    sources: Floats  # (2,) sources of each protocol
    trials: Floats  # (CODES,) the visits, each weighing as a source's share of 1 / sqrt(its visits)
    pairs: Ints  # (m,) each step to a new port, p * CODES + q
    weights: Floats  # (m,) how much each of them weighs, as `trials`
    paces: Ints  # (l,) each different step q - p of a source, by protocol * `STEP_SPAN` + q - p + CODES


def walked(history: History, horizon: float) -> Walk:
    """Walk through a history of probes by sources; `horizon` in seconds."""
    grouped = history.by_group()
    n = len(grouped)
    visits, onward, draws, trials = np.zeros((4, CODES))
    sources, pairs, weights, paces = np.zeros(2), np.empty(n, np.int64), np.empty(n), np.empty(n, np.int64)
    steps, different = _walk(
        grouped.ts, grouped.group, grouped.code, horizon * 1e6,
        visits, onward, draws, sources, trials, pairs, weights, paces,
    )  # fmt: skip
    return Walk(visits, onward, draws, sources, trials, pairs[:steps], weights[:steps], paces[:different])


@njit(cache=True, nogil=True)
def _walk(
    ts, group, code, horizon, visits, onward, draws, sources, trials, pairs, weights, paces
):  # pragma: no cover - compiled
    """The rows of a group lie together, in order of time. Returns how many pairs and paces there are."""
    # By whom a port was seen, come to, left, and a step taken, last: the first row of that source.
    counted, seen, left = np.full(CODES, -1, np.int64), np.full(CODES, -1, np.int64), np.full(CODES, -1, np.int64)
    taken = np.full(4 * PORTS, -1, np.int64)
    begin, steps, different = 0, 0, 0
    while begin < len(ts):
        end, busy = begin, 0
        while end < len(ts) and group[end] == group[begin]:
            if counted[code[end]] != begin:
                counted[code[end]] = begin
                busy += 1
            end += 1
        weight = np.round(busy**-0.5 / GRAIN) * GRAIN
        tcp, udp = 0, 0
        for i in range(begin, end):
            q = code[i]
            if seen[q] == begin:
                continue
            seen[q] = begin
            visits[q] += 1
            trials[q] += weight
            if q < PORTS:
                tcp = 1
            else:
                udp = 1
            if i == begin or code[i - 1] // PORTS != q // PORTS or ts[i] - ts[i - 1] >= horizon:
                continue
            p = code[i - 1]
            draws[q] += 1
            if left[p] != begin:
                left[p] = begin
                onward[p] += 1
            pairs[steps], weights[steps] = p * CODES + q, weight
            steps += 1
            proto = q // PORTS
            if taken[proto * 2 * PORTS + q - p + PORTS] != begin:
                taken[proto * 2 * PORTS + q - p + PORTS] = begin
                paces[different] = proto * STEP_SPAN + q - p + CODES
                different += 1
        sources[0] += tcp
        sources[1] += udp
        begin = end
    return steps, different
