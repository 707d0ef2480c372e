"""Tables small enough to know by heart."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from portkin.bundles.table import Rows, Table, write_table
from portkin.net.ports import PORTS


class StepModel:
    """Ranks by a source's latest step alone: where it leads again (0.5), and twice (0.25); within TCP.

    It recommends the cut-off 0.3; ``asked`` is what it was asked last.
    """

    asked: tuple[list[int], int, float, int, float]

    def rank(
        self, recent: Sequence[int], probed: int, elapsed: float, n: int, min_chance: float
    ) -> tuple[list[int], list[float]]:
        self.asked = [*recent], probed, elapsed, n, min_chance
        step = recent[0] - recent[1]
        found = [(recent[0] + step, 0.5), (recent[0] + 2 * step, 0.25)]
        cutoff = 0.3 if min_chance < 0 else min_chance
        kept = [(port, chance) for port, chance in found if 0 <= port < PORTS and chance >= cutoff][:n]
        return [port for port, _ in kept], [chance for _, chance in kept]


def with_model(table: Table) -> StepModel:
    """Give a loaded table a model of sources."""
    model = StepModel()
    object.__setattr__(table, "source_model", model)
    return model


def small_table(path: Path, *, shift: int = 0, created: datetime | None = None) -> Table:
    """A table with K = 3 at ``path``: tcp 22 and 80, udp 53; ``shift`` is added to the neighbors of tcp 22.

    22/tcp -> 23 (0.5), 2222 (1.0), 80 (1.5);  80/tcp -> 8080 (0.25), 443 (0.75);  53/udp -> 123 (2.0)
    """
    inf = np.inf
    rows = {
        "tcp": Rows(
            np.array([22, 80], np.uint16),
            np.array([[23 + shift, 2222 + shift, 80 + shift], [8080, 443, 0]], np.uint16),
            np.array([[0.5, 1.0, 1.5], [0.25, 0.75, inf]], np.float32),
        ),
        "udp": Rows(
            np.array([53], np.uint16),
            np.array([[123, 0, 0]], np.uint16),
            np.array([[2.0, inf, inf]], np.float32),
        ),
    }
    return write_table(path, rows, method="by hand", created=created)


def table_with_chances(path: Path, *, cutoff: float | None = None) -> Table:
    """A table with K = 3 and chances at ``path``, which recommends ``cutoff``; distances are -log of the chances.

    22/tcp -> 23 (0.5), 2222 (0.25), 80 (0.01); of 23, 80 and 2222 it knows nothing more
    """
    neighbors, distances = np.zeros((4, 3), np.uint16), np.full((4, 3), np.inf, np.float32)
    neighbors[0], distances[0] = (23, 2222, 80), -np.log([0.5, 0.25, 0.01])
    rows = {"tcp": Rows(np.array([22, 23, 80, 2222], np.uint16), neighbors, distances)}
    about: dict[str, object] = {"chances": {"horizon": 20_000.0}}
    if cutoff is not None:
        about["cutoff"] = {"min_chance": cutoff}
    return write_table(path, rows, method="kin", about=about)
