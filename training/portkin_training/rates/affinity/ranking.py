"""Port ranking: the ports akin enough to a target to help forecast it (Zakroum et al. 2022, V-D2).

In all functions `row` (p,) holds the affinities of one target port to all ports and `target` its own index,
which takes no part in the mean and deviation and is always a feature: its own history comes first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def mean_affinity(row: Floats, target: int) -> float:
    """Equation 13: the mean affinity of the target to the other ports; `row` (p,) holds its affinities."""
    return float(np.delete(row, target).mean())


def std_affinity(row: Floats, target: int) -> float:
    """Equation 14: the standard deviation of the target's affinities `row` (p,) to the other ports."""
    return float(np.delete(row, target).std())


def thresholds(row: Floats, target: int) -> Floats:
    """The values (m,) that tau takes for a target's affinities `row` (p,) (V-D2).

    Mean, mean + 1 deviation, mean + 2 deviations, ..., maximum.

    At the maximum no other port is left (equation 12 asks for more than tau): the target alone.
    """
    mean, std, top = (
        mean_affinity(row, target),
        std_affinity(row, target),
        float(np.delete(row, target).max()),
    )
    steps = int((top - mean) / std) + 1 if std > 0 else 1
    return np.unique(np.append(np.minimum(mean + std * np.arange(steps), top), top))


def features(row: Floats, target: int, tau: float, most: int | None = None) -> NDArray[np.int64]:
    """Equation 12: the target, then the ports with affinity above tau, most akin first; `most` in all.

    `row` (p,) -> indices (at most p,).
    """
    others = np.setdiff1d(np.flatnonzero(row > tau), [target])
    others = others[np.argsort(-row[others], kind="stable")]
    return np.concatenate([[target], others])[:most].astype(np.int64)


@dataclass(frozen=True, eq=False)
class Ranked:
    """The features of a target: the chosen tau, the indices, and every tau tried with its score."""

    tau: float
    features: NDArray[np.int64]
    tried: tuple[tuple[float, int, float], ...]


def choose(row: Floats, target: int, score: Callable[[NDArray[np.int64]], float], most: int | None = None) -> Ranked:
    """The threshold whose features score best, by cross-validated R2 in the paper (V-D2); `row` (p,).

    `score` is asked once per distinct set of features. Of equal scores the higher threshold, with fewer
    features, is taken.
    """
    known: dict[tuple[int, ...], float] = {}
    tried = []
    best: Ranked | None = None
    best_score = -np.inf
    for tau in thresholds(row, target):
        chosen = features(row, target, float(tau), most)
        key = tuple(chosen.tolist())
        if key not in known:
            known[key] = score(chosen)
        tried.append((float(tau), len(chosen), known[key]))
        if best is None or known[key] >= best_score:
            best, best_score = Ranked(float(tau), chosen, ()), known[key]
    assert best is not None  # noqa: S101  thresholds are never empty
    return Ranked(best.tau, best.features, tuple(tried))
