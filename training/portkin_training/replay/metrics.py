"""ReplayFigures of a replay: ratios of its counts, and how sure they are.

blocking ratio   probes already blocked when they came / probes (Evrard et al. 2019, VI-A, 1)
usefulness       blocks that the group probed while they held / blocks (VI-A, 2); a block that a further probe
                 extends is one block, and a port counts whether it was predicted or the probed one itself
new-port recall  of the probes by which a group seen before reaches a port new to it, the share already blocked
ceiling          of the same probes, the share that came while the group's latest probe was younger than T: what
                 blocking every port after each probe would reach
hit@K, MRR       of the steps to the next distinct port, the share predicted by the K nearest of the port before;
                 the mean of 1/rank
FPR              benign packets (connections) blocked / benign packets (connections) (VI-D)
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from portkin_training.replay.blocking import BY_LEVEL, BY_WINDOW, PLAIN, ReplayCounts

RATIOS: dict[str, tuple[str, str]] = {
    "blocking_ratio": ("blocked", "probes"),
    "usefulness": ("useful", "blocks"),
    "new_port_recall": ("new_blocked", "new"),
    "ceiling": ("reached", "new"),
    "hit_at_k": ("hits", "steps"),
    "mrr": ("reciprocal", "steps"),
    "packet_fpr": ("benign_blocked", "benign"),
    "connection_fpr": ("connections_blocked", "connections"),
}
"""Each figure: its numerator and denominator."""


@dataclass(frozen=True)
class Estimate:
    """A ratio with its bootstrap interval; nan where it is undefined."""

    value: float
    low: float
    high: float


def json_number(x: float) -> float | None:
    """A number as JSON can tell it: nothing where it is not a number."""
    return None if np.isnan(x) else float(x)


@dataclass(frozen=True)
class ReplayFigures:
    """All figures at one K and one T (seconds)."""

    k: int
    window: float
    probes: int
    new: int
    blocks: int
    ordered: int
    benign: int
    blocking_ratio: Estimate
    usefulness: Estimate
    new_port_recall: Estimate
    ceiling: Estimate
    hit_at_k: Estimate
    mrr: Estimate
    packet_fpr: Estimate
    connection_fpr: Estimate

    def as_dict(self) -> dict[str, object]:
        """For JSON; an undefined ratio is null."""
        return {
            name: ({part: json_number(x) for part, x in value.items()} if isinstance(value, dict) else value)
            for name, value in asdict(self).items()
        }


def columns(counts: ReplayCounts, k: int, window: float) -> dict[str, np.ndarray]:
    """The counters per unit, float64 (u,), at one K and one T."""
    level, at = counts.sweep.ks.index(k), counts.sweep.windows.index(window)
    named = {name: counts.by_window[:, i, level, at] for i, name in enumerate(BY_WINDOW)}
    named |= {name: counts.plain[:, i] for i, name in enumerate(PLAIN)}
    named |= {name: counts.by_level[:, i, level] for i, name in enumerate(BY_LEVEL)}
    named["reached"] = counts.reached[:, at]
    return {name: np.asarray(column, np.float64) for name, column in named.items()}


def draws(units: int, rounds: int, seed: int) -> np.ndarray:
    """How often each unit is drawn in each round of the bootstrap, float64 (rounds, units)."""
    if not units:
        return np.zeros((rounds, 0))
    return np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), rounds).astype(np.float64)


def ratio(numerator: np.ndarray, denominator: np.ndarray, drawn: np.ndarray) -> Estimate:
    """Sum over sum of per-unit counts (u,), with the central 95 % of the drawn rounds (rounds, u).

    One unit alone has no interval.
    """
    total = denominator.sum()
    if total == 0:
        return Estimate(np.nan, np.nan, np.nan)
    if len(denominator) < 2:
        return Estimate(float(numerator.sum() / total), np.nan, np.nan)
    above, below = drawn @ numerator, drawn @ denominator
    some = below > 0
    low, high = np.percentile(above[some] / below[some], [2.5, 97.5])
    return Estimate(float(numerator.sum() / total), float(low), float(high))


def figures(counts: ReplayCounts, k: int, window: float, *, rounds: int = 1000, seed: int = 0) -> ReplayFigures:
    """The figures at one K and one T (seconds), with bootstrap intervals over the units."""
    named = columns(counts, k, window)
    drawn = draws(len(counts.units), rounds, seed)
    whole: dict[str, Any] = {name: int(named[name].sum()) for name in ("probes", "new", "blocks", "ordered", "benign")}
    ratios: dict[str, Any] = {name: ratio(named[above], named[below], drawn) for name, (above, below) in RATIOS.items()}
    return ReplayFigures(
        k=k,
        window=window,
        **whole,
        **ratios,
    )


def difference(
    one: ReplayCounts, other: ReplayCounts, k: int, window: float, name: str, *, rounds: int = 1000, seed: int = 0
) -> Estimate:
    """One's figure minus the other's at one K and T, paired: both replayed the same rows, so each round draws the
    same units. Raises ValueError where they did not."""
    if not np.array_equal(one.units, other.units):
        raise ValueError("a paired difference needs two replays of the same rows")
    above, below = RATIOS[name]
    drawn = draws(len(one.units), rounds, seed)
    values, rounds_of = [], []
    for counts in (one, other):
        named = columns(counts, k, window)
        with np.errstate(invalid="ignore"):
            values.append(named[above].sum() / named[below].sum())
            rounds_of.append((drawn @ named[above]) / (drawn @ named[below]))
    lead = rounds_of[0] - rounds_of[1]
    if len(one.units) < 2 or np.isnan(lead).all():
        return Estimate(float(values[0] - values[1]), np.nan, np.nan)
    low, high = np.nanpercentile(lead, [2.5, 97.5])
    return Estimate(float(values[0] - values[1]), float(low), float(high))
