"""Models of sources small enough to know by heart."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from pathlib import Path

import numpy as np

from portkin.bundles.source_features import FEATURES
from portkin.bundles.source_model import LearntFromSources
from portkin.bundles.source_trees import Trees
from portkin.bundles.table import Rows, Table, write_table
from portkin.net.ports import PORTS

STRIDE = FEATURES.index("step is the last one")
CHANCE = FEATURES.index("log chance after any of the three")


def learnt_by_hand(points: Sequence[tuple[float, float]] = ()) -> LearntFromSources:
    """Log odds of -2, 1 more where a port follows one of the last three with a chance above 0.3, 2 more above 0.5, and
    3 more where the step is the source's last one. Not calibrated unless `points` are given."""
    trees = Trees(
        -2.0,
        np.array([[CHANCE, CHANCE, STRIDE]]),
        np.array([[log(0.3), log(0.5), 0.5]]),
        np.array([[0.0, 1.0], [0.0, 2.0], [0.0, 3.0]]),
    )
    drawn = np.full(PORTS, -1.0, np.float32)
    return LearntFromSources(trees, np.array(points, float).reshape(-1, 2), {"tcp": drawn, "udp": drawn})


def table_by_source(path: Path, learnt: LearntFromSources | None = None, *, cutoff: float = 0.5) -> Table:
    """A table with K = 3, chances and a model of sources at ``path``, by `learnt_by_hand` unless others are given.

    tcp: 22 -> 23 (0.5), 2222 (0.25), 80 (0.01); 23 -> 2222 (0.4); 2222 -> nothing.  udp: 53 -> 123 (0.2)
    """
    inf = np.inf
    neighbors = np.array([[23, 2222, 80], [2222, 0, 0], [0, 0, 0]], np.uint16)
    with np.errstate(divide="ignore"):
        distances = -np.log(np.array([[0.5, 0.25, 0.01], [0.4, 0, 0], [0, 0, 0]])).astype(np.float32)
    rows = {
        "tcp": Rows(np.array([22, 23, 2222], np.uint16), neighbors, distances),
        "udp": Rows(
            np.array([53], np.uint16), np.array([[123, 0, 0]], np.uint16),
            np.array([[-np.log(0.2), inf, inf]], np.float32),
        ),
    }  # fmt: skip
    about = {"chances": {"horizon": 20_000.0}, "by_source": {"cutoff": {"min_chance": cutoff}}}
    return write_table(path, rows, method="kin", about=about, by_source=learnt or learnt_by_hand())
