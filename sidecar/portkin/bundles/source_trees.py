"""Symmetric decision trees: each asks every row the same few questions, and looks a value up by the answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_DEPTH = 8
"""Questions of a tree at most: a value is stored for each of 2 ** depth answers."""


@dataclass(frozen=True, eq=False)
class Trees:
    """Symmetric trees over features: `feature` int64 (depth, t), `threshold` float64 (depth, t) and `value` float64
    (t, 2 ** depth).

    Bit d of a row's leaf is set where the feature asked for at level d lies above its threshold. The log odds of a row
    are `base` and the values of its leaves, one of each tree.
    """

    base: float
    feature: Ints
    threshold: Floats
    value: Floats

    def odds(self, features: NDArray[np.float32]) -> Floats:
        """The log odds (r,) of features float32 (f, r)."""
        # All questions of all trees at once: for the hundred rows of an answer, steps cost more than numbers.
        asked, limit, first = self._flat
        above = (features.take(asked, axis=0) > limit).view(np.uint8).reshape(*self.feature.shape, features.shape[1])
        leaf = above[-1].copy()
        for bits in above[-2::-1]:
            leaf <<= 1
            leaf |= bits
        found: Floats = self.value.ravel().take(leaf + first).sum(axis=0) + self.base
        return found

    @cached_property
    def _flat(self) -> tuple[Ints, NDArray[np.float32], NDArray[np.unsignedinteger[Any]]]:
        """The feature (depth * t,) and the threshold (depth * t, 1) of every question, and where the values of each
        tree begin, (t, 1)."""
        trees, leaves = self.value.shape
        limit = self.threshold.astype(np.float32).reshape(-1, 1)
        first = np.arange(0, trees * leaves, leaves)
        small = first.astype(np.min_scalar_type(trees * leaves))  # less to move
        return self.feature.ravel(), limit, small[:, None]

    def to_json(self) -> dict[str, Any]:
        """The trees, for JSON."""
        return {
            "base": self.base,
            "feature": self.feature.tolist(),
            "threshold": self.threshold.tolist(),
            "value": self.value.tolist(),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any], features: int) -> Trees:
        """The trees of `to_json` over so many features; KeyError, TypeError or ValueError for what are none."""
        asked, limit = np.array(fields["feature"]), np.array(fields["threshold"], float)
        value, base = np.array(fields["value"], float), float(fields["base"])
        if asked.ndim != 2 or asked.shape != limit.shape or not 1 <= len(asked) <= MOST_DEPTH:
            raise ValueError(f"features {asked.shape} and thresholds {limit.shape} are not questions of trees")
        if value.shape != (asked.shape[1], 1 << len(asked)):
            raise ValueError(f"values {value.shape} are not one for each answer of {asked.shape[1]} trees")
        if asked.dtype.kind != "i" or (asked.size and (asked.min() < 0 or asked.max() >= features)):
            raise ValueError(f"a tree asks for a feature that is none of {features}")
        if not (np.isfinite(limit).all() and np.isfinite(value).all() and np.isfinite(base)):
            raise ValueError("a threshold or a value is not finite")
        return cls(base, asked.astype(np.int64), limit, value)
