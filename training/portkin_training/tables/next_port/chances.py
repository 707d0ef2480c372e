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

`ranking` ranks by these odds; `calibration` says what they come to.
"""

from __future__ import annotations

import numpy as np

from portkin.net.ports import PORTS
from portkin_training.core.port_codes import CODES
from portkin_training.tables.next_port.counts import (
    ZONE,
    Floats,
    Ints,
    KeyedCounts,
    Outcomes,
    PortStatistics,
)
from portkin_training.tables.next_port.likelihood import Problem, most_likely
from portkin_training.tables.next_port.walk import STEP_SPAN

EARLIER = 0.75
"""The share of the probes that is counted while the weights are learnt from the rest."""
SUCCESSORS, STRIDES, POPULAR = 40, 40, 40
"""How many of each kind of candidate a port is given."""
MOST_PAIRS = 200_000
"""Pairs that the weights are fitted to, about, beside those that were reached."""
FLOOR = 1e-4
DIGITS = 5
"""Decimals of weights and log odds: fewer than machines agree on, so that all of them make the same table."""


def candidates(known: PortStatistics, ports: Ints) -> Ints:
    """The pairs (m,) worth ranking for these ports (n,), codes both, sorted: successors seen most, usual steps, popular
    ports."""
    ports = np.unique(ports)
    first = np.searchsorted(known.pairs.keys, ports * CODES)
    last = np.searchsorted(known.pairs.keys, (ports + 1) * CODES)
    found = [_most_counted(known.pairs, first, last)]
    for proto in (0, 1):
        its = ports[ports // PORTS == proto]
        popular = known.draws[proto].top(POPULAR)
        found.append((its[:, None] * CODES + popular)[its[:, None] != popular])
        steps = np.concatenate([known.strides[proto].top(STRIDES), known.paces[proto].top(STRIDES), [1, -1, 2]])
        reached = its[:, None] + np.unique(steps)
        found.append((its[:, None] * CODES + reached)[reached // PORTS == proto])
    pairs = np.sort(np.concatenate(found))  # numpy's unique hashes first, and takes five times as long
    return pairs[np.concatenate([[True], pairs[1:] != pairs[:-1]])] if len(pairs) else pairs


def _most_counted(pairs: KeyedCounts, first: Ints, last: Ints) -> Ints:
    rows = np.repeat(first - np.concatenate([[0], np.cumsum(last - first)[:-1]]), last - first)
    rows = rows + np.arange(len(rows))
    p = pairs.keys[rows] // CODES
    order = np.lexsort((-pairs.values[rows], p))
    kept: Ints = pairs.keys[rows][order][_place(p[order]) < SUCCESSORS]
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
        np.log(np.where(udp, part[1](at), part[0](at)) + FLOOR)
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


def fit(phi: Floats, reached: Floats, out_of: Floats, *, strength: float = 1.0) -> Floats:
    """The weights w, (f,), that make `reached` (m,) successes out of `out_of` (m,) trials most likely.

    The maximum of the binomial log-likelihood of logit P = phi . w, with a Gaussian prior around `PRIOR` of `strength`
    on the standardised features. Counts may be fractional.
    """
    scale = np.maximum(phi.std(axis=0), 0.5)  # rare features are held as tightly as common ones
    scale[0] = 1.0
    centre = phi.mean(axis=0)
    centre[0] = 0.0
    z = (phi - centre) / scale
    prior = PRIOR * scale
    prior[0] = PRIOR @ np.where(np.arange(FEATURES) == 0, 1.0, centre)
    weights = most_likely(Problem(z, reached, out_of, prior, strength))
    raw: Floats = weights / scale
    raw[0] = weights[0] - (raw[1:] * centre[1:]).sum()
    return np.round(raw, DIGITS)


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
