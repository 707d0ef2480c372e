"""Gradient boosting of small symmetric trees for chances: the model of sources is fitted by it.

A symmetric tree asks the same question of every row at each of its levels (Dorogush, Ershov and Gulin, 2018,
"CatBoost"): it is a table of 2 ** `DEPTH` values, needs no evidence for each branch by itself, and many trees are
looked up at once.
Each tree goes against the slope of the log loss (Friedman, 2001), by Newton's step in its leaves. Features are divided
into `BINS` parts that hold as much weight each. Nothing is drawn at random.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from portkin.bundles.source_trees import Trees

Floats = NDArray[np.float64]

DEPTH = 3
"""Questions of a tree."""
BINS = 48
"""Parts that a feature is divided into, at most."""


@dataclass(frozen=True)
class BoostingOptions:
    """How many `trees`; how much of each Newton step is taken; how much a leaf is pulled towards 0, in weight; and the
    weight that each side of a question must have in all."""

    trees: int = 80
    rate: float = 0.15
    pull: float = 20.0
    least: float = 20.0


def boosted(features: NDArray[np.float32], came: NDArray[np.bool_], weight: Floats, options: BoostingOptions) -> Trees:
    """The trees that say best which rows `came` (r,) true, by `features` float32 (f, r), each with a `weight` (r,)."""
    edges = [_edges(row, weight) for row in features]
    binned = np.stack([np.searchsorted(edge, row, side="left") for edge, row in zip(edges, features, strict=True)])
    binned = np.ascontiguousarray(binned.T.astype(np.uint8))
    share = min(max(float(np.average(came, weights=weight)), 1e-6), 1 - 1e-6)
    base = float(np.log(share / (1 - share)))
    feature = np.zeros((DEPTH, options.trees), np.int64)
    part = np.zeros((DEPTH, options.trees), np.int64)
    value = np.zeros((options.trees, 1 << DEPTH))
    parts = np.array([len(edge) for edge in edges])
    _boost(
        binned, came.astype(np.float64), weight, base, parts, options.rate, options.pull, options.least,
        feature, part, value,
    )  # fmt: skip
    threshold = np.array(
        [[edges[f][b] for f, b in zip(*row, strict=True)] for row in zip(feature, part, strict=True)], float
    )
    return Trees(base, feature, threshold.reshape(DEPTH, -1), value)


def _edges(row: NDArray[np.float32], weight: Floats) -> NDArray[np.float32]:
    """Thresholds, ascending, between parts of about equal weight; at least one."""
    values, at = np.unique(row, return_inverse=True)
    if len(values) == 1:
        return values
    upto = np.cumsum(np.bincount(at, weight))
    if len(values) > BINS:
        cuts = np.unique(np.searchsorted(upto, upto[-1] * np.arange(1, BINS) / BINS))
        cuts = cuts[cuts < len(values) - 1]
    else:
        cuts = np.arange(len(values) - 1)
    if not len(cuts):
        return values[:1]
    return ((values[cuts] + values[cuts + 1]) / 2).astype(np.float32)


@njit(cache=True, nogil=True)
def _boost(binned, came, weight, base, parts, rate, pull, least, feature, part, value):  # pragma: no cover - compiled
    """Fill `feature`, `part` (DEPTH, t) and `value` (t, 2 ** DEPTH)."""
    rows, features = binned.shape
    odds = np.full(rows, base)
    leaf = np.zeros(rows, np.int64)
    slope, bend = np.empty(rows), np.empty(rows)
    most = parts.max() + 1
    for tree in range(value.shape[0]):
        for i in range(rows):
            chance = 1 / (1 + np.exp(-odds[i]))
            slope[i] = weight[i] * (came[i] - chance)
            bend[i] = weight[i] * chance * (1 - chance)
            leaf[i] = 0
        for level in range(DEPTH):
            leaves = 1 << level
            sums = np.zeros((features, leaves, most, 3))
            for i in range(rows):
                at = leaf[i]
                for f in range(features):
                    cell = sums[f, at, binned[i, f]]
                    cell[0] += slope[i]
                    cell[1] += bend[i]
                    cell[2] += weight[i]
            best, best_feature, best_part = -1.0, 0, 0
            total = sums[0].sum(axis=1)  # of each leaf
            for f in range(features):
                below = np.zeros((leaves, 3))
                for b in range(parts[f]):
                    gain, low, high = 0.0, 0.0, 0.0
                    for at in range(leaves):
                        for j in range(3):
                            below[at, j] += sums[f, at, b, j]
                        left, right = below[at], total[at] - below[at]
                        gain += left[0] ** 2 / (left[1] + pull) + right[0] ** 2 / (right[1] + pull)
                        low += left[2]
                        high += right[2]
                    if gain > best and low >= least and high >= least:
                        best, best_feature, best_part = gain, f, b
            feature[level, tree], part[level, tree] = best_feature, best_part
            for i in range(rows):
                leaf[i] |= np.int64(binned[i, best_feature] > best_part) << level
        up, down = np.zeros(1 << DEPTH), np.zeros(1 << DEPTH)
        for i in range(rows):
            up[leaf[i]] += slope[i]
            down[leaf[i]] += bend[i]
        for at in range(1 << DEPTH):
            value[tree, at] = rate * up[at] / (down[at] + pull)
        for i in range(rows):
            odds[i] += value[tree, leaf[i]]
