"""Room in which probes are gathered for a row group of Parquet."""

from __future__ import annotations

from portkin_training.core.probes import Probes


class ProbesBlock:
    """Room for a number of probes, filled from the front and used again after `clear`.

    Attributes:
        rows: how many probes it holds.
    """

    def __init__(self, room: int) -> None:
        """Room for so many probes; memory is taken as it is filled."""
        self.rows = 0
        self._room = Probes.empty(room)

    @property
    def full(self) -> bool:
        return self.rows == len(self._room)

    def add(self, probes: Probes) -> int:
        """Put in the first of the probes, as many as there is room for; returns how many."""
        begin, end = self.rows, min(self.rows + len(probes), len(self._room))
        for room, values in zip(self._room.columns(), probes.columns(), strict=True):
            room[begin:end] = values[: end - begin]
        self.rows = end
        return end - begin

    def probes(self) -> Probes:
        """What it holds, in the block's own memory: valid until it is cleared."""
        return self._room[: self.rows]

    def clear(self) -> None:
        """Hold nothing."""
        self.rows = 0
