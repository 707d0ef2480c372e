"""Weights of a log-linear model: the most likely ones, by Newton's method."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EVERY = 8
"""Of one row in so many the first weights are fitted, from which the fit to all rows begins."""
FEW = 5_000
"""So few rows are fitted at once."""
ROUNDS = 50
"""Steps of Newton's method, at most."""
EXACT = 1e-7
"""No weight changes by more in the last step."""


@dataclass(frozen=True, eq=False)
class Problem:
    """`reached` (m,) successes out of `out_of` (m,) trials, fractional too, for features `z` (m, f), with a Gaussian
    prior around `prior` (f,) of precision `strength`. All float64."""

    z: Floats
    reached: Floats
    out_of: Floats
    prior: Floats
    strength: float

    def at(self, weights: Floats) -> tuple[float, Floats, Floats]:
        """The log posterior of logit P = z . w, which is concave, its slope (f,) and its negated curvature (f, f)."""
        f = len(weights)
        slope, curve = np.zeros(f), np.zeros((f, f))
        worth = _log_likelihood(self.z, self.reached, self.out_of, weights, slope, curve)
        away = weights - self.prior
        curve = np.tril(curve) + np.tril(curve, -1).T + self.strength * np.eye(f)
        return worth - 0.5 * self.strength * float(away @ away), slope - self.strength * away, curve

    def thinned(self) -> Problem:
        """Of one row in `EVERY`, with a prior that weighs as much less."""
        rows = slice(None, None, EVERY)
        z = np.ascontiguousarray(self.z[rows])
        return Problem(z, self.reached[rows], self.out_of[rows], self.prior, self.strength / EVERY)


def most_likely(problem: Problem) -> Floats:
    """The weights (f,) at which the log posterior is greatest.

    It has one maximum, so where the steps begin changes their number alone. They begin at the maximum for some of the
    rows, and there at the prior.
    """
    start = problem.prior if len(problem.z) <= FEW else most_likely(problem.thinned())
    return _climbed(problem, start)


def _climbed(problem: Problem, weights: Floats) -> Floats:
    best, slope, curve = problem.at(weights)
    for _ in range(ROUNDS):
        change = np.linalg.solve(curve, slope)
        length = 1.0
        found = problem.at(weights + change)
        # A full step may overshoot where nearly everything is predicted: halve it until it gains.
        while found[0] < best and length > 1e-6:
            length /= 2
            found = problem.at(weights + length * change)
        if found[0] < best:  # by less than the sum is exact
            break
        weights = weights + length * change
        best, slope, curve = found
        if np.abs(change).max() < EXACT:
            break
    return weights


@njit(cache=True, nogil=True, fastmath=True)
def _log_likelihood(z, reached, out_of, weights, slope, curve):  # pragma: no cover - compiled
    """Returns the log-likelihood; fills `slope`, and of `curve` the lower triangle. A pass over the rows, no copies."""
    f = len(weights)
    worth = 0.0
    for row in range(len(z)):
        odds = 0.0
        for i in range(f):
            odds += z[row, i] * weights[i]
        worth += reached[row] * odds - out_of[row] * (max(odds, 0.0) + np.log1p(np.exp(-abs(odds))))
        chance = 1 / (1 + np.exp(-min(max(odds, -30.0), 30.0)))
        left = reached[row] - out_of[row] * chance
        bend = out_of[row] * chance * (1 - chance)
        for i in range(f):
            slope[i] += left * z[row, i]
            bent = bend * z[row, i]
            for j in range(i + 1):
                curve[i, j] += bent * z[row, j]
    return worth
