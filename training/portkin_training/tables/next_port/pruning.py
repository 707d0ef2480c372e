"""Which rows and entries of a ranking a table leaves out.

A table of the most likely next ports alone would block much for nothing after ports that lead nowhere (hosts swept on
one port). `method.choose` picks the pruning on a later part of the training probes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from portkin_training.tables.next_port.chances import Ranking


@dataclass(frozen=True)
class Pruning:
    """What a table leaves out: entries whose chance is below `floor`, but in rows whose first three are all above it;
    and every row keeps its first `least`.

    A row with three likely ports belongs to a port that scanners pass through: the rest of it is worth its blocks to a
    site that asks for more than three. Rows of ports that were never probed are kept whole, since nothing shows that
    they lead nowhere. On the recording that the table is learnt from they cost next to nothing, and on traffic that has
    changed they are most of what is predicted.
    """

    floor: float = 0.0
    least: int = 0

    def __call__(self, ranking: Ranking) -> Ranking:
        kept = ranking.chance >= self.floor
        kept[kept[:, :3].all(axis=1)] = True
        kept[:, : self.least] = True
        kept[~ranking.probed] = True
        codes, chance = np.where(kept, ranking.codes, -1), np.where(kept, ranking.chance, 0.0)
        return Ranking(ranking.ports, codes, chance, ranking.probed)


FLOORS = (0.0, *np.geomspace(0.0005, 0.02, 75).round(6).tolist())
LEAST = (0, 1)


def prunings() -> Iterable[Pruning]:
    """The prunings to choose from."""
    return (Pruning(floor, least) for floor in FLOORS for least in LEAST)
