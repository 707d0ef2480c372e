"""How well the blocks do while they are made: blocking ratio, usefulness and new-port recall, per mode.

blocking ratio   probes of a port that was blocked when they came / probes (Evrard et al. 2019, VI-A, 1)
usefulness       blocks whose port the source tried again while they held / blocks (VI-A, 2)
new-port recall  of the probes by which a source seen before reaches a port new to it, the share already blocked

Modes are counted apart: what shadow foretells and what really was blocked do not mix, and the holdouts show the
usefulness that blocking itself hides where the sensor stands behind it.
"""

from __future__ import annotations

from dataclasses import dataclass

from portkin.blocking.block import Block, Mode, Pair
from portkin.net.ports import Port


@dataclass(slots=True)
class Counts:
    """What was seen in one mode since the start."""

    probes: int = 0
    blocked: int = 0
    new: int = 0
    new_blocked: int = 0
    blocks: int = 0
    useful: int = 0
    predicted: int = 0
    predicted_useful: int = 0

    @property
    def blocking_ratio(self) -> float:
        """nan before the first probe."""
        return _ratio(self.blocked, self.probes)

    @property
    def usefulness(self) -> float:
        """nan before the first block. Blocks that hold may still become useful."""
        return _ratio(self.useful, self.blocks)

    @property
    def predicted_usefulness(self) -> float:
        """`usefulness` of the predicted ports alone."""
        return _ratio(self.predicted_useful, self.predicted)

    @property
    def new_port_recall(self) -> float:
        """nan before the first such probe."""
        return _ratio(self.new_blocked, self.new)


class Figures:
    """Told of probes, blocks and hits. ``mode`` is the backend's: probes are counted there.

    Remembered are so many sources, the latest, and of each so many ports: as many as Zeek decides about.
    """

    def __init__(self, mode: Mode, *, sources: int = 20_000, ports: int = 4096) -> None:
        self._mode = mode
        self._sources = sources
        self._ports = ports
        self._touched: dict[int, set[Port]] = {}
        self.counts: dict[Mode, Counts] = {mode: Counts(), "holdout": Counts()}

    def probed(self, pair: Pair, block: Block | None) -> None:
        """A scanner probed; ``block`` is what held for that pair when it did."""
        counts = self.counts[self._mode]
        stopped = block is not None and block.mode != "holdout"
        touched = self._touched.pop(pair.src, None)
        counts.probes += 1
        counts.blocked += stopped
        if touched is not None and pair.port not in touched and len(touched) < self._ports:
            counts.new += 1
            counts.new_blocked += stopped
        if touched is None and len(self._touched) >= self._sources:
            del self._touched[next(iter(self._touched))]  # the one that was silent longest
        # Put last, so that the order is that of the latest probe.
        touched = self._touched[pair.src] = touched if touched is not None else set()
        if len(touched) < self._ports:
            touched.add(pair.port)
        if block is not None:
            self.came_back(block)

    def began(self, block: Block) -> None:
        """A block began."""
        counts = self.counts[block.mode]
        counts.blocks += 1
        counts.predicted += block.rank > 0

    def came_back(self, block: Block) -> None:
        """The source tried the port of a block that holds; counts once."""
        if block.hit:
            return
        block.hit = True
        counts = self.counts.get(block.mode)
        if counts is not None:
            counts.useful += 1
            counts.predicted_useful += block.rank > 0


def _ratio(above: int, below: int) -> float:
    return above / below if below else float("nan")
