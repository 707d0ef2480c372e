"""How useful the blocks are, counted while they are active: blocking ratio, usefulness and new-port recall, per mode.

blocking ratio   probes of a port that was blocked when they came / probes (Evrard et al. 2019, VI-A, 1)
usefulness       blocks whose port the source tried while they were active / blocks (VI-A, 2)
new-port recall  of the probes by which a source seen before reaches a port new to it, the share already blocked

Each mode is counted on its own: what shadow predicts and what really was blocked do not mix, and the holdouts show the
usefulness that blocking itself hides where the sensor is behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass

from portkin.blocking.block import Block, BlockKey, Mode
from portkin.net.ports import Port


@dataclass(slots=True)
class ModeStats:
    """Counts of one mode since the start."""

    probes: int = 0
    blocked: int = 0
    new: int = 0
    new_blocked: int = 0
    blocks: int = 0
    useful: int = 0
    predicted: int = 0
    predicted_useful: int = 0

    def __add__(self, other: ModeStats) -> ModeStats:
        return ModeStats(*(one + another for one, another in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: ModeStats) -> ModeStats:
        """What was counted since ``other``."""
        return ModeStats(*(now - before for now, before in zip(astuple(self), astuple(other), strict=True)))

    @property
    def blocking_ratio(self) -> float:
        """nan before the first probe."""
        return _ratio(self.blocked, self.probes)

    @property
    def usefulness(self) -> float:
        """nan before the first block. Active blocks may still become useful."""
        return _ratio(self.useful, self.blocks)

    @property
    def predicted_usefulness(self) -> float:
        """`usefulness` of the predicted ports alone."""
        return _ratio(self.predicted_useful, self.predicted)

    @property
    def new_port_recall(self) -> float:
        """nan before the first such probe."""
        return _ratio(self.new_blocked, self.new)


class BlockingStats:
    """Counts probes, blocks and hits. ``mode`` is the backend's: probes are counted there.

    It remembers the ``sources`` latest sources and of each at most ``ports`` ports: as many as Zeek decides about; of
    all together ``total`` ports, some 60 MB. ``came`` is called with each block whose port was tried, once.
    """

    def __init__(
        self,
        mode: Mode,
        *,
        sources: int = 20_000,
        ports: int = 4096,
        total: int = 500_000,
        came: Callable[[Block], None] = lambda block: None,
    ) -> None:
        self._mode = mode
        self._sources = sources
        self._ports = ports
        self._total = total
        self._remembered = 0
        self._came = came
        self._touched: dict[int, set[Port]] = {}
        self.by_mode: dict[Mode, ModeStats] = {mode: ModeStats(), "holdout": ModeStats()}
        self._taken: dict[Mode, ModeStats] = {name: ModeStats() for name in self.by_mode}

    def probed(self, key: BlockKey, block: Block | None) -> None:
        """A scanner probed; ``block`` is the one that was active for that key."""
        counts = self.by_mode[self._mode]
        stopped = block is not None and block.mode != "holdout"
        touched = self._touched.pop(key.src, None)
        counts.probes += 1
        counts.blocked += stopped
        if touched is not None and key.port not in touched and len(touched) < self._ports:
            counts.new += 1
            counts.new_blocked += stopped
        if touched is None and len(self._touched) >= self._sources:
            self._forget_one()
        # Put last, so that the order is that of the latest probe.
        touched = self._touched[key.src] = touched if touched is not None else set()
        if len(touched) < self._ports and key.port not in touched:
            touched.add(key.port)
            self._remembered += 1
            while self._remembered > self._total and len(self._touched) > 1:
                self._forget_one()
        if block is not None:
            self.hit(block)

    def _forget_one(self) -> None:
        """Forget the source that was silent longest."""
        self._remembered -= len(self._touched.pop(next(iter(self._touched))))

    def added(self, block: Block) -> None:
        """A block was added."""
        counts = self.by_mode[block.mode]
        counts.blocks += 1
        counts.predicted += block.rank > 0

    def hit(self, block: Block) -> None:
        """The source tried the port of an active block; counts once."""
        if block.hit:
            return
        block.hit = True
        self._came(block)
        counts = self.by_mode.get(block.mode)
        if counts is not None:
            counts.useful += 1
            counts.predicted_useful += block.rank > 0

    def untaken(self) -> dict[Mode, ModeStats]:
        """What was counted since `take`, of the modes in which anything was."""
        found = {name: counts - self._taken[name] for name, counts in self.by_mode.items()}
        return {name: counts for name, counts in found.items() if counts != ModeStats()}

    def take(self, counted: dict[Mode, ModeStats]) -> None:
        """These counts of `untaken` are recorded now."""
        for name, counts in counted.items():
            self._taken[name] += counts


def _ratio(above: int, below: int) -> float:
    return above / below if below else float("nan")
