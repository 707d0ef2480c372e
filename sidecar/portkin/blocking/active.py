"""The state of all blocks in memory: what is active, and what has ended but still has to be recorded or released.

A block ends in one place, `ActiveBlocks.end`, whatever the cause. It is gone from here at once, and depends on nothing
for that: the database learns of it when it can be written (`unrecorded`), the backend when it can be reached
(`unreleased`).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from portkin.blocking.block import Block, BlockKey, Mode, Outcome
from portkin.blocking.limits import BlockCounts


class Ended(NamedTuple):
    """A block that ended, how and when (seconds since 1970)."""

    block: Block
    outcome: Outcome
    at: float


class ActiveBlocks:
    """Active blocks by key, and the grace of keys that were unblocked. Times are seconds since 1970.

    ``count_ended`` is called with mode, outcome and number of the blocks that ended, ``notify_ended`` with the blocks,
    the outcome and the time.
    """

    def __init__(
        self,
        count_ended: Callable[[Mode, Outcome, int], None] = lambda mode, outcome, count: None,
        notify_ended: Callable[[Sequence[Block], Outcome, float], None] = lambda blocks, outcome, now: None,
    ) -> None:
        self._count_ended = count_ended
        self._notify_ended = notify_ended
        self.by_key: dict[BlockKey, Block] = {}
        self.grace: dict[BlockKey, float] = {}
        """Until when keys that were unblocked are not blocked again."""
        self.counts = BlockCounts()
        self.unrecorded: list[Ended] = []
        """What has ended, and the database still has as active."""
        self.unrecorded_grace: dict[BlockKey, float] = {}
        """What of `grace` the database does not have."""
        self.unreleased: set[BlockKey] = set()
        """What the backend may still block, and must not. May hold keys that are active again: see `to_release`."""
        self._ends: list[tuple[float, BlockKey]] = []
        """A heap. A block that was extended is in it again, until most of it is out of date."""

    def load(self, blocks: Iterable[Block], grace: dict[BlockKey, float]) -> None:
        """Replace the active blocks and graces by these, without those that have ended meanwhile."""
        ended = {ended.block.row for ended in self.unrecorded}
        self.by_key, self.grace, self.counts, self._ends = {}, grace | self.unrecorded_grace, BlockCounts(), []
        for block in blocks:
            if block.row not in ended:
                self.add(block)

    def add(self, block: Block) -> None:
        """A block begins."""
        self.by_key[block.key] = block
        self.counts.add(block.key.src)
        self._schedule(block)

    def end(self, blocks: Sequence[Block], outcome: Outcome, now: float, *, release: bool) -> None:
        """Blocks end, at once, whatever becomes of database and backend.

        ``release`` says whether the backend may still hold them; it does not where their time is over.
        """
        for block in blocks:
            if self.by_key.get(block.key) is block:
                del self.by_key[block.key]
                self.counts.remove(block.key.src)
            self.unrecorded.append(Ended(block, outcome, now))
            if release and block.mode != "holdout":
                self.unreleased.add(block.key)
        if len(self._ends) > 2 * len(self.by_key):
            self._reschedule()
        for mode, count in Counter(block.mode for block in blocks).items():
            self._count_ended(mode, outcome, count)
        self._notify_ended(blocks, outcome, now)

    def expire(self, now: float) -> list[Block]:
        """End the blocks whose time is over, and return them; the backend has released them by itself."""
        over: dict[BlockKey, Block] = {}
        while self._ends and self._ends[0][0] <= now:
            _, key = heapq.heappop(self._ends)
            block = self.by_key.get(key)
            if block is not None and block.until <= now:
                over[key] = block
        ended = list(over.values())
        self.end(ended, "expired", now, release=False)
        return ended

    def ending(self, before: float) -> list[Block]:
        """The blocks whose time is over by then; they stay."""
        found: dict[BlockKey, Block] = {}
        places = [0]
        while places:
            place = places.pop()
            if place < len(self._ends) and self._ends[place][0] <= before:
                key = self._ends[place][1]
                block = self.by_key.get(key)
                if block is not None and block.until <= before:
                    found[key] = block
                places += (2 * place + 1, 2 * place + 2)  # in a heap, these end no earlier
        return list(found.values())

    def undo(self, added: Iterable[Block], ended: Iterable[Block]) -> None:
        """Blocks did not begin after all, and others did not end."""
        for block in added:
            if self.by_key.get(block.key) is block:
                del self.by_key[block.key]
                self.counts.remove(block.key.src)
        rows = set()
        for block in ended:
            rows.add(block.row)
            self.add(block)
        self.unrecorded = [each for each in self.unrecorded if each.block.row not in rows]

    def begin_grace(self, key: BlockKey, until: float) -> None:
        """The key is not blocked again until then."""
        self.grace[key] = self.unrecorded_grace[key] = until

    def end_grace(self, key: BlockKey) -> float | None:
        """The key may be blocked again; returns until when it could not, where that was so."""
        self.unrecorded_grace.pop(key, None)
        return self.grace.pop(key, None)

    def forget_grace(self, now: float) -> None:
        """Graces that are over take no room any more."""
        for graces in (self.grace, self.unrecorded_grace):
            for key in [key for key, until in graces.items() if until <= now]:
                del graces[key]

    def recorded(self) -> None:
        """The database has what ended, and the graces."""
        self.unrecorded.clear()
        self.unrecorded_grace.clear()

    def to_release(self, mode: Mode) -> list[BlockKey]:
        """The keys that the backend of this mode must release."""
        return [key for key in self.unreleased if key not in self.by_key or self.by_key[key].mode != mode]

    def set_end(self, block: Block, until: float) -> None:
        """A block ends at another time than before."""
        block.until = until
        self._schedule(block)

    def shift(self, seconds: float) -> None:
        """The wall clock was changed by so many seconds: all times move with it."""
        for block in self.by_key.values():
            block.since += seconds
            block.until += seconds
        self._reschedule()
        self.grace = {key: until + seconds for key, until in self.grace.items()}
        self.unrecorded_grace = {key: self.grace[key] for key in self.unrecorded_grace if key in self.grace}

    def _schedule(self, block: Block) -> None:
        heapq.heappush(self._ends, (block.until, block.key))
        if len(self._ends) > 2 * len(self.by_key):
            self._reschedule()

    def _reschedule(self) -> None:
        self._ends = [(block.until, block.key) for block in self.by_key.values()]
        heapq.heapify(self._ends)

    def numbers(self, mode: Mode) -> dict[str, int]:
        """How many blocks are active: of this mode, and held out."""
        held_out = sum(block.mode == "holdout" for block in list(self.by_key.values()))
        return {mode: len(self.by_key) - held_out, "holdout": held_out}

    def of_mode(self, mode: Mode) -> dict[BlockKey, Block]:
        """The active blocks of one mode."""
        return {key: block for key, block in self.by_key.items() if block.mode == mode}
