"""Sums by key."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_PENDING = 8_000_000
"""Keys that wait to be added."""


class Sum:
    """Adds values up by key; in the order they come, so that the sum is the same to the last bit every time."""

    def __init__(self) -> None:
        self._parts: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []

    def add(self, keys: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Add the value of each key, (m,) both."""
        self._parts.append((keys, values))
        if sum(len(part) for part, _ in self._parts) > _PENDING:
            self._parts = [self.total()]

    def total(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The keys in order, int64 (m,), and the sum of each, float64 (m,)."""
        if not self._parts:
            return np.empty(0, np.int64), np.empty(0)
        keys, at = np.unique(np.concatenate([keys for keys, _ in self._parts]), return_inverse=True)
        values = np.concatenate([values for _, values in self._parts])
        return keys, np.bincount(at, values, minlength=len(keys)).astype(np.float64, copy=False)
