"""What the rates part costs.

Affinity by equation 1 beside a loop over scipy.signal.correlate; clusters by equations 8 to 11, every k up to half the
ports. What forecasts cost is in bench_scoring.py; what they find where the truth is known, in telescope.py.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import scipy.signal

from bench.figures import MICRO, Figure, Size, Work, compare, once, script

AFFINITY = {"smoke": (30, 1_000), "small": (300, 10_000), "full": (1_074, 30_000)}
"""Ports, and bins of an hour; at most what the paper has."""
CLUSTERS = {"smoke": 40, "small": 200, "full": 400}


def affinity(size: Size, ports: int, hours: int, lags: int = 168, sample: int = 60) -> Iterator[Figure]:
    """All pairs at once; the loop on a sample of pairs."""
    from portkin_training.rates.affinity.affinity import standardized, temporal_similarity

    rng = np.random.default_rng(0)
    counts = rng.poisson(20, (hours, ports)).astype(float)
    x, _ = standardized(counts)
    columns = np.ascontiguousarray(x.T)
    scale = hours - np.abs(np.arange(-lags, lags + 1))
    pairs = rng.integers(0, ports, (sample, 2))
    kept: dict[str, Any] = {}

    def ours() -> None:
        kept["ours"] = temporal_similarity(counts, lags)

    def loop() -> None:
        kept["loop"] = [
            np.abs(scipy.signal.correlate(columns[i], columns[j])[hours - 1 - lags : hours + lags] / scale).max()
            for i, j in pairs
        ]

    yield from compare(
        size,
        f"similarity of two ports (eq. 1), {ports} ports x {hours:,} bins x +-{lags} lags",
        Work("portkin", ours, ports * (ports - 1) / 2),
        [Work("scipy.signal.correlate", loop, sample, note=f"in a loop, over {sample} pairs")],
        MICRO,
    )
    worst = max(abs(min(a, 1) - kept["ours"][i, j]) for a, (i, j) in zip(kept["loop"], pairs, strict=True))
    yield Figure("its largest difference from the loop's", worst, "", "less", note="computed in single precision")


def clusters(size: Size, ports: int) -> Iterator[Figure]:
    """Spectral clusters of planted groups, k by silhouette over all 2 <= k <= p / 2."""
    from sklearn.metrics import adjusted_rand_score

    from portkin_training.rates.affinity.clusters import choose

    rng = np.random.default_rng(0)
    truth = np.sort(rng.integers(0, ports // 8, ports))
    noise = rng.uniform(0, 0.3, (ports, ports))
    matrix = np.where(truth[:, None] == truth, 0.6, 0.1) + (noise + noise.T) / 2
    np.fill_diagonal(matrix, 1)
    found = []
    figure = once(f"clusters of {ports} ports", lambda: found.append(choose(matrix, seed=0)))
    rand = adjusted_rand_score(truth, found[0].labels)
    note = f"k = {found[0].k} of {len(np.unique(truth))} planted, adjusted Rand index {rand:.3f}"
    yield replace(figure, note=note)


def measure(size: Size) -> Iterator[Figure]:
    """Equation 1, then the clusters."""
    yield from affinity(size, *AFFINITY[size])
    yield from clusters(size, CLUSTERS[size])


if __name__ == "__main__":
    script(measure, __doc__)
