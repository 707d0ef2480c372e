"""The most likely next ports of every port: the hot loop of a table by kin.

The compiled counterpart of `chances.candidates` and `chances.features`: the same pairs, the same odds, without the
pairs of all ports in memory at once. Ports are taken zone by zone, so that what is near them is looked up in an array.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from portkin.net.ports import PORTS
from portkin_training.core.port_codes import CODES
from portkin_training.tables.next_port.chances import DIGITS, FEATURES, FLOOR, POPULAR, STRIDES, SUCCESSORS
from portkin_training.tables.next_port.counts import ZONE, Floats, Ints, KeyedCounts, PortStatistics
from portkin_training.tables.next_port.walk import STEP_SPAN


@dataclass(frozen=True, eq=False)
class Ranking:
    """For the ports asked for, `codes` int64 (n, k), the most likely next new ports, -1 where there is none, and
    `odds` float64 (n, k), the log odds of each, -inf there. `probed` bool (n,): whether the port was probed at all."""

    ports: Ints
    codes: Ints
    odds: Floats
    probed: NDArray[np.bool_]


def rank(known: PortStatistics, weights: Floats, ports: Ints, k: int) -> Ranking:
    """The k most likely next new ports of each port; ties to the lower port. `ports` int64 (n,), codes;
    `weights` (`FEATURES`,)."""
    ports = np.unique(np.asarray(ports, np.int64))
    codes, odds = np.full((len(ports), k), -1, np.int64), np.full((len(ports), k), -np.inf)
    pairs = known.pairs
    start = np.searchsorted(pairs.keys, np.arange(CODES + 1) * CODES)
    zone_start = np.searchsorted(known.zones.keys, np.arange(CODES // ZONE + 1) * STEP_SPAN)
    for proto in (0, 1):
        its = np.flatnonzero(ports // PORTS == proto)
        if not len(its):
            continue
        strides, paces, draws = known.strides[proto], known.paces[proto], known.draws[proto]
        steps = np.unique(np.concatenate([strides.top(STRIDES), paces.top(STRIDES), [1, -1, 2]]))
        found, found_odds = codes[its], odds[its]
        _rank(
            ports[its], known.visits, known.onward,
            start, pairs.keys % CODES, pairs.values,
            zone_start, known.zones.keys % STEP_SPAN - CODES + PORTS, known.zones.values,
            _log_dense(strides), _log_dense(paces), np.log(_dense(draws, CODES) + FLOOR), draws.top(POPULAR), steps,
            weights, 10.0**DIGITS, found, found_odds,
        )  # fmt: skip
        codes[its], odds[its] = found, found_odds
    return Ranking(ports, codes, odds, known.visits[ports] > 0)


def _dense(counts: KeyedCounts, size: int, shift: int = 0) -> Floats:
    dense = np.zeros(size)
    dense[counts.keys + shift] = counts.values
    return dense


def _log_dense(steps: KeyedCounts) -> Floats:
    """The logarithms that `chances.features` takes of counts by step, at step + PORTS."""
    logs: Floats = np.log(_dense(steps, 2 * PORTS, PORTS) + FLOOR)
    return logs


@njit(cache=True, nogil=True)
def _rank(
    ports, visits, onward,
    start, successor, went,  # the pairs, those of a code together, by successor
    zone_start, zone_step, zone_count,  # the pairs by zone and step, + PORTS
    stride, pace, drawn, popular, steps,  # logarithms by step + PORTS, and by code; candidates of every port
    weights, exact, codes, odds,
):  # fmt: skip  # pragma: no cover - compiled
    """Fill `codes` and `odds` (n, k) of the ports (n,), which ascend and are of one protocol."""
    k = codes.shape[1]
    mark, count = np.full(CODES, -1, np.int64), np.zeros(CODES)
    near = np.zeros(2 * PORTS)
    candidate = np.empty(SUCCESSORS + len(popular) + len(steps), np.int64)
    phi = np.empty(FEATURES)
    log_tenth = np.log(0.1)
    zone, begin, end = np.int64(-1), 0, 0  # the ports' zone, and the zones near it
    for row in range(len(ports)):
        p = ports[row]
        if p // ZONE != zone:
            for z in range(begin, end):
                for i in range(zone_start[z], zone_start[z + 1]):
                    near[zone_step[i]] = 0
            zone = p // ZONE
            begin = zone - 1 if zone > 0 else 0
            end = zone + 2 if zone + 2 < len(zone_start) else len(zone_start) - 1
            for z in range(begin, end):
                for i in range(zone_start[z], zone_start[z + 1]):
                    near[zone_step[i]] += zone_count[i]
        first, last = start[p], start[p + 1]
        for i in range(first, last):
            count[successor[i]] = went[i]
        n = 0
        mark[p] = p
        if last - first <= SUCCESSORS:
            for i in range(first, last):
                candidate[n] = successor[i]
                mark[candidate[n]] = p
                n += 1
        else:
            order = np.argsort(-went[first:last], kind="mergesort")  # stable: ties to the lower port
            for i in range(SUCCESSORS):
                candidate[n] = successor[first + order[i]]
                mark[candidate[n]] = p
                n += 1
        low = p // PORTS * PORTS
        for i in range(len(popular) + len(steps)):
            q = popular[i] if i < len(popular) else p + steps[i - len(popular)]
            if low <= q < low + PORTS and mark[q] != p:
                mark[q] = p
                candidate[n] = q
                n += 1
        seen = visits[p]
        few, log_seen = 1 / (1 + seen), np.log(seen + 1)
        going_on, log_onward = np.log((onward[p] + 0.5) / (seen + 1)), np.log(onward[p] + 0.5)
        taken = 0
        for i in range(n):
            q = candidate[i]
            step, times = q - p + PORTS, count[q]
            log_went = log_tenth if times == 0 else np.log(times + 0.1)
            log_near = log_tenth if near[step] == 0 else np.log(near[step] + 0.1)
            phi[0], phi[1], phi[2], phi[3], phi[4] = 1, log_went, log_seen, stride[step], pace[step]
            phi[5], phi[6], phi[7], phi[8] = drawn[q], log_near, going_on, log_onward
            phi[9], phi[10], phi[11], phi[12] = few, few * log_went, few * stride[step], few * pace[step]
            phi[13], phi[14], phi[15] = few * drawn[q], few * log_near, few * going_on
            phi[16], phi[17] = stride[step] * log_seen, drawn[q] * log_seen
            phi[18] = times == 0
            phi[19], phi[20] = phi[18] * log_seen, times >= 2
            sum_ = 0.0
            for f in range(FEATURES):
                sum_ += phi[f] * weights[f]
            value = np.round(min(max(sum_, -30.0), 30.0) * exact) / exact
            at = taken
            while at > 0 and (odds[row, at - 1] < value or (odds[row, at - 1] == value and codes[row, at - 1] > q)):
                at -= 1
            if at == k:
                continue
            taken = min(taken + 1, k)
            for j in range(taken - 1, at, -1):
                odds[row, j], codes[row, j] = odds[row, j - 1], codes[row, j - 1]
            odds[row, at], codes[row, at] = value, q
        for i in range(first, last):
            count[successor[i]] = 0
