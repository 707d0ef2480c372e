"""What the blocks have dropped, as the backend counts it: of all of them now and then, of a few before they end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from portkin.blocking.backends.backend import Dropped, HeldBlock
from portkin.blocking.block import Block, BlockKey
from portkin.blocking.reconcile import TOLERANCE, Reconciler
from portkin.blocking.records import BlockRecords
from portkin.blocking.stats import BlockingStats
from portkin.logs import Log

_LAST_LOOK = 1.2
"""Seconds before its end that a block is read a last time: a little more than between two turns of regular work."""
_LAST_LOOKS = 200
"""Blocks that are read one by one, at some 40 microseconds each, without holding up others."""


class DroppedCounts:
    """What all blocks have dropped (``total``), and each of them, in its block and in the database."""

    def __init__(
        self,
        reconciler: Reconciler,
        records: BlockRecords,
        stats: BlockingStats,
        log: Log,
        wall_clock: Callable[[], float],
    ) -> None:
        self.total = Dropped(0, 0)
        self._reconciler = reconciler
        self._records = records
        self._active = records.active
        self._stats = stats
        self._log = log
        self._wall_clock = wall_clock

    def read(self) -> Mapping[BlockKey, HeldBlock] | None:
        """Read what the blocks have dropped, and which ports were tried though no probe was seen.

        Returns what the backend holds; None where it cannot say. Raises BackendError, StorageError and sqlite3.Error.
        """
        dropped = self._reconciler.dropped()
        if dropped is None:
            return None
        self.total = dropped
        held = self._reconciler.held()
        counted = []
        for key, found in held.items():
            block = self._active.by_key.get(key)
            if block is not None and self._take_count(block, found):
                counted.append(block)
        self._records.count(counted)
        # By the clock after the reading: of many blocks it takes seconds, in which others end.
        now = self._wall_clock()
        active = self._active.of_mode(self._reconciler.mode)
        missing = [key for key in active.keys() - held.keys() if active[key].until > now + TOLERANCE]
        if missing:
            self._log.error("the backend lacks blocks that it was given; they are sent again", blocks=len(missing))
            self._reconciler.try_reconcile(now)
        return held

    def read_ending(self, now: float) -> None:
        """Read what the blocks have dropped whose time is nearly over."""
        self.read_few(self._active.ending(now + _LAST_LOOK))

    def read_few(self, blocks: Iterable[Block]) -> None:
        """Read what a few blocks have dropped before they end, for nobody can read it afterwards."""
        ending = {block.key: block for block in islice(blocks, _LAST_LOOKS) if block.mode == self._reconciler.mode}
        if ending:
            for key, found in self._reconciler.counted(ending).items():
                self._take_count(ending[key], found)

    def _take_count(self, block: Block, found: HeldBlock) -> bool:
        """Take over a reading; False where it says nothing new."""
        if found.packets <= block.packets:
            return False
        self._stats.hit(block)
        block.packets, block.bytes = found.packets, found.bytes
        return True
