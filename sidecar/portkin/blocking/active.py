"""What holds right now, as the deciding needs it: by pair, by source, and by what ends first."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from portkin.blocking.block import Block, Mode, Pair
from portkin.blocking.limits import Tally


class Memory:
    """The blocks that hold, and the pairs that are left alone. Times are seconds since 1970."""

    def __init__(self) -> None:
        self.live: dict[Pair, Block] = {}
        self.grace: dict[Pair, float] = {}
        self.tally = Tally()
        self._ends: list[tuple[float, Pair]] = []  # a heap; a block that was extended is in it twice

    def load(self, blocks: Iterable[Block], grace: dict[Pair, float]) -> None:
        """Forget everything, and hold these."""
        self.live, self.grace, self.tally, self._ends = {}, grace, Tally(), []
        for block in blocks:
            self.keep(block)

    def keep(self, block: Block) -> None:
        """A block begins."""
        self.live[block.pair] = block
        self.tally.add(block.pair.src)
        heapq.heappush(self._ends, (block.until, block.pair))

    def drop(self, block: Block) -> None:
        """A block has ended."""
        del self.live[block.pair]
        self.tally.drop(block.pair.src)

    def move(self, block: Block, until: float) -> None:
        """A block ends at another time."""
        block.until = until
        heapq.heappush(self._ends, (until, block.pair))

    def take_over(self, now: float) -> list[Block]:
        """Drop the blocks whose time is over; gives them."""
        over = []
        while self._ends and self._ends[0][0] <= now:
            _, pair = heapq.heappop(self._ends)
            block = self.live.get(pair)
            if block is not None and block.until <= now:
                self.drop(block)
                over.append(block)
        return over

    def shift(self, seconds: float) -> None:
        """The clock was set anew: all times move with it."""
        for block in self.live.values():
            block.since += seconds
            block.until += seconds
        self._ends = [(block.until, block.pair) for block in self.live.values()]
        heapq.heapify(self._ends)
        self.grace = {pair: until + seconds for pair, until in self.grace.items()}

    def held_by(self, mode: Mode) -> dict[Pair, Block]:
        """The blocks of one mode."""
        return {pair: block for pair, block in self.live.items() if block.mode == mode}
