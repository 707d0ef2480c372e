"""Tables as the replay's kernel wants them."""

from __future__ import annotations

import numpy as np

from portkin.bundles.table import Table
from portkin.net.ports import PORTS, PROTOS
from portkin_training.replay.events import CODES


def matrix_of(table: Table) -> np.ndarray:
    """The table by code: int32 (CODES, K), nearest first, -1 where there is none."""
    matrix = np.full((CODES, table.k), -1, np.int32)
    for shift, proto in zip((0, PORTS), PROTOS, strict=True):
        nearest = table.matrix(proto)
        matrix[shift : shift + PORTS] = np.where(nearest >= 0, nearest + shift, -1)
    return matrix


def nothing(k: int) -> np.ndarray:
    """Predicts no port, int32 (CODES, k), all -1: blocking the probed port alone, MySelf of paper 1 (VI-B)."""
    return np.full((CODES, k), -1, np.int32)
