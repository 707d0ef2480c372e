"""Next-port chances: how likely a source that probed one port goes on to a port new to it, learnt so that it holds
for ports seen often, once, or never.

The paper's shortest paths know only what was walked. Here P(q | p), the chance that a source whose latest probe
was of port p next reaches q, a port new to it, within a horizon, backs off from the pair to what is known of its
parts, as a log-linear model

    log P / (1 - P) = w . phi(p, q)

over logarithms of counts: how many sources went from p to q, how many probed p, how many of them went on to any new
port; how usual the step q - p is among ports, among sources and near p; how many sources q draws. The terms on the
steps and on q take over as p has been seen less often (the weight 1 / (1 + n_p) beside each), as the lower orders
of an n-gram do in the smoothing of Kneser and Ney (1995).

The weights w maximise the likelihood of a later part of the training probes, given counts of the earlier part, so
the model learns how much counts are worth for what comes next, and nothing of the test is used. A source's visits
together weigh as the square root of their number: a sweep over thousands of ports neither drowns the others nor
counts as one.

The distance in the table is -log P.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portkin.net.ports import PORTS
from portkin_training.core.history import History
from portkin_training.core.port_codes import CODES
from portkin_training.tables.next_port.counts import (
    HORIZON,
    STEP_SPAN,
    ZONE,
    Floats,
    Ints,
    KeyedCounts,
    Outcomes,
    PortStatistics,
    learn,
    outcomes,
)

EARLIER = 0.75
"""The share of the probes that is counted while the weights are learnt from the rest."""
_SUCCESSORS, _STRIDES, _POPULAR = 40, 40, 40
"""How many of each kind of candidate a port is given."""
MOST_PAIRS = 2_000_000
"""Pairs that the weights are fitted to, at most: with their features some 1 GB."""
_FLOOR = 1e-4
_DIGITS = 5
"""Decimals of weights and log odds: fewer than machines agree on, so that all of them make the same table."""


def candidates(known: PortStatistics, ports: Ints) -> Ints:
    """The pairs worth ranking for these ports (codes), sorted: successors seen most, usual steps, popular ports."""
    ports = np.unique(ports)
    first = np.searchsorted(known.pairs.keys, ports * CODES)
    last = np.searchsorted(known.pairs.keys, (ports + 1) * CODES)
    found = [_most_counted(known.pairs, first, last)]
    for proto in (0, 1):
        its = ports[ports // PORTS == proto]
        popular = known.draws[proto].top(_POPULAR)
        found.append((its[:, None] * CODES + popular)[its[:, None] != popular])
        steps = np.concatenate([known.strides[proto].top(_STRIDES), known.paces[proto].top(_STRIDES), [1, -1, 2]])
        reached = its[:, None] + np.unique(steps)
        found.append((its[:, None] * CODES + reached)[reached // PORTS == proto])
    pairs = np.sort(np.concatenate(found))  # numpy's unique hashes first, and takes five times as long
    return pairs[np.concatenate([[True], pairs[1:] != pairs[:-1]])] if len(pairs) else pairs


def _most_counted(pairs: KeyedCounts, first: Ints, last: Ints) -> Ints:
    rows = np.repeat(first - np.concatenate([[0], np.cumsum(last - first)[:-1]]), last - first)
    rows = rows + np.arange(len(rows))
    p = pairs.keys[rows] // CODES
    order = np.lexsort((-pairs.values[rows], p))
    kept: Ints = pairs.keys[rows][order][_place(p[order]) < _SUCCESSORS]
    return kept


def _place(sorted_keys: Ints) -> Ints:
    """The place of each element within its run of equal keys: 0, 1, 2 ..."""
    count = np.arange(len(sorted_keys))
    starts = np.concatenate([[True], sorted_keys[1:] != sorted_keys[:-1]])[: len(count)]
    return count - np.maximum.accumulate(np.where(starts, count, 0))


def features(known: PortStatistics, pairs: Ints) -> Floats:
    """phi(p, q) of pairs p * CODES + q, float64 (m, `FEATURES`)."""
    p, q = pairs // CODES, pairs % CODES
    step, udp = q - p, p >= PORTS
    went, seen = known.pairs(pairs), known.visits[p]
    few = 1 / (1 + seen)
    log_went, log_seen = np.log(went + 0.1), np.log(seen + 1)
    stride, pace, drawn = (
        np.log(np.where(udp, part[1](at), part[0](at)) + _FLOOR)
        for part, at in ((known.strides, step), (known.paces, step), (known.draws, q))
    )
    near = sum(known.zones((p // ZONE + shift) * STEP_SPAN + step + CODES) for shift in (-1, 0, 1))
    log_near = np.log(near + 0.1)
    going_on = np.log((known.onward[p] + 0.5) / (seen + 1))
    return np.column_stack(
        [
            np.ones(len(pairs)),
            *(log_went, log_seen, stride, pace, drawn, log_near, going_on, np.log(known.onward[p] + 0.5)),
            *(few, few * log_went, few * stride, few * pace, few * drawn, few * log_near, few * going_on),
            *(stride * log_seen, drawn * log_seen, went == 0, (went == 0) * log_seen, went >= 2),
        ]
    )


PRIOR = np.zeros(21)
PRIOR[[0, 1, 2, 3, 5]] = (1.0, 1.0, -1.0, 0.5, 0.3)
"""The weights before anything is learnt: the ratio of counts, tempered by how usual the step and the port are."""
FEATURES = len(PRIOR)


def fit(phi: Floats, reached: Floats, out_of: Floats, *, strength: float = 1.0, rounds: int = 50) -> Floats:
    """The weights w, (f,), that make `reached` (m,) successes out of `out_of` (m,) trials most likely.

    Newton's method on the binomial log-likelihood of logit P = phi . w, with a Gaussian prior around `PRIOR` of
    `strength` on the standardised features. Counts may be fractional.
    """
    scale = np.maximum(phi.std(axis=0), 0.5)  # rare features are held as tightly as common ones
    scale[0] = 1.0
    centre = phi.mean(axis=0)
    centre[0] = 0.0
    z = (phi - centre) / scale
    prior = PRIOR * scale
    prior[0] = PRIOR @ np.where(np.arange(FEATURES) == 0, 1.0, centre)
    weights = prior.copy()
    ridge = np.eye(FEATURES) * strength

    def worth(w: Floats) -> float:
        """The log posterior, which is concave."""
        odds = z @ w
        return float(reached @ odds - out_of @ np.logaddexp(0, odds) - 0.5 * (w - prior) @ ridge @ (w - prior))

    best = worth(weights)
    for _ in range(rounds):
        chance = 1 / (1 + np.exp(-np.clip(z @ weights, -30, 30)))
        slope = z.T @ (reached - out_of * chance) - ridge @ (weights - prior)
        curve = (z * (out_of * chance * (1 - chance))[:, None]).T @ z + ridge
        change = np.linalg.solve(curve, slope)
        # A full step may overshoot where nearly everything is predicted: halve it until it gains.
        length = 1.0
        while (gained := worth(weights + length * change)) < best and length > 1e-6:
            length /= 2
        if gained < best:  # by less than the sum is exact
            break
        weights, best = weights + length * change, gained
        if np.abs(change).max() < 1e-7:
            break
    raw: Floats = weights / scale
    raw[0] = weights[0] - (raw[1:] * centre[1:]).sum()
    return np.round(raw, _DIGITS)


def fit_weights(known: PortStatistics, later: Outcomes) -> Floats:
    """The weights by which what is known predicts what came later, (`FEATURES`,); `PRIOR` where nothing did."""
    if not len(later.successes.keys):
        return PRIOR.copy()
    pairs = candidates(known, np.flatnonzero(later.trials))
    reached = later.successes(pairs)
    pairs, reached, stands_for = thinned(pairs, reached)
    out_of = np.maximum(later.trials[pairs // CODES], reached) * stands_for
    return fit(features(known, pairs), reached, out_of)


def thinned(pairs: Ints, reached: Floats, most: int = MOST_PAIRS) -> tuple[Ints, Floats, Floats]:
    """About `most` of the pairs (m,), what `reached` says of them, and how many each of them stands for.

    Every pair that was reached stays, as itself; of the others every n-th, which then stands for n. The likelihood is
    the same but for what n neighbors differ in (the weighted case-control sample of Manski and Lerman, 1977).
    """
    every = -(-len(pairs) // most)
    if every <= 1:
        return pairs, reached, np.ones(len(pairs))
    rest = np.flatnonzero(reached == 0)[::every]
    kept = np.sort(np.concatenate([np.flatnonzero(reached > 0), rest]))
    return pairs[kept], reached[kept], np.where(reached[kept] > 0, 1.0, float(every))


def learn_weights(history: History, horizon: float = HORIZON) -> Floats:
    """The weights by which counts of the earlier part predict the later part, (`FEATURES`,).

    `PRIOR` where the later part holds nothing.
    """
    earlier, later = history.divided(EARLIER)
    return fit_weights(learn(earlier, horizon), outcomes(later, horizon)) if len(earlier) else PRIOR.copy()


@dataclass(frozen=True, eq=False)
class Ranking:
    """For the ports asked for, `codes` int64 (n, k), the most likely next new ports, -1 where there is none, and
    `chance` float64 (n, k), P, 0 there. `probed` bool (n,): whether the port was probed at all."""

    ports: Ints
    codes: Ints
    chance: Floats
    probed: NDArray[np.bool_]

    def matrix(self) -> NDArray[np.int32]:
        """By code, for the replay's kernel: int32 (CODES, k), -1 where there is none."""
        dense = np.full((CODES, self.codes.shape[1]), -1, np.int32)
        dense[self.ports] = self.codes
        return dense


def rank(known: PortStatistics, weights: Floats, ports: Ints, k: int, *, at_once: int = 2048) -> Ranking:
    """The k most likely next new ports of each port; ties to the lower port. `ports` int64 (n,), codes;
    `weights` (`FEATURES`,); `at_once` ports are ranked at a time, which bounds the memory."""
    ports = np.unique(np.asarray(ports, np.int64))
    codes, chance = np.full((len(ports), k), -1, np.int64), np.zeros((len(ports), k))
    for start in range(0, len(ports), at_once):
        part = ports[start : start + at_once]
        pairs = candidates(known, part)
        odds = np.clip(features(known, pairs) @ weights, -30, 30).round(_DIGITS)
        p = pairs // CODES
        order = np.lexsort((pairs, -odds, p))
        place = _place(p[order])
        kept = order[place < k]
        row, column = start + np.searchsorted(part, p[kept]), place[place < k]
        codes[row, column] = pairs[kept] % CODES
        chance[row, column] = 1 / (1 + np.exp(-odds[kept]))
    return Ranking(ports, codes, chance, known.visits[ports] > 0)
