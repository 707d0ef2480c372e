"""Tables as the replay's kernel wants them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from portkin.bundles.table import Rows
from portkin.net.ports import PORTS, PROTOS, Proto
from portkin_training.core.port_codes import CODES


def matrix_of_rows(rows: Mapping[Proto, Rows], k: int) -> NDArray[np.int32]:
    """Rows by code, as the replay's kernel wants them: int32 (CODES, k), -1 where there is none."""
    matrix = np.full((CODES, k), -1, np.int32)
    for shift, proto in zip((0, PORTS), PROTOS, strict=True):
        if proto in rows:
            part = rows[proto]
            nearest = np.where(np.isinf(part.distances), -1, part.neighbors.astype(np.int32) + shift)
            matrix[part.ports.astype(np.int64) + shift, : part.k] = nearest[:, :k]
    return matrix


def chances_of_rows(rows: Mapping[Proto, Rows], k: int) -> NDArray[np.float64]:
    """exp(-distance) of the entries of `matrix_of_rows`: float64 (CODES, k), 0 where there is none."""
    chances = np.zeros((CODES, k))
    for shift, proto in zip((0, PORTS), PROTOS, strict=True):
        if proto in rows:
            part = rows[proto]
            chances[part.ports.astype(np.int64) + shift, : part.k] = np.exp(-part.distances.astype(np.float64))[:, :k]
    return chances
