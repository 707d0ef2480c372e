"""Books and memory, kept alike: whatever happens to the file, to the clock or by others' hands, both say the same.

What is written here is written by one thread, within `Ledger.changing`, which keeps other processes away.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from portkin.blocking.active import Memory
from portkin.blocking.block import Block, Mode, Outcome, Pair
from portkin.blocking.database import Books, Entry, open_books
from portkin.blocking.policy import Plan
from portkin.errors import BooksError
from portkin.logs import Log

_JUMP = 2.0
"""Seconds by which the wall clock may stray from the steady one before that is called a jump."""


class Ledger:
    """The blocks that hold, in a file and in memory. Methods that write may raise sqlite3.Error and BooksError."""

    def __init__(self, path: Path, log: Log, wall: Callable[[], float], steady: Callable[[], float]) -> None:
        self.path = path
        self.memory = Memory()
        self._log = log
        self._wall = wall
        self._steady = steady
        self._offset = wall() - steady()
        self._opened: Books | None = None
        self._owed: list[tuple[Sequence[Block], Outcome, float]] = []  # ends that the books were not told yet

    def open(self) -> bool:
        """Open the file and read what holds; False where damaged books had to be set aside.

        Raises BooksError where there can be no books.
        """
        self._opened, problem = open_books(self.path, self._wall())
        self._owed = []  # of other rows
        if problem:
            self._log.error("books of blocks set aside, new ones begun", reason=problem)
        self._load(self._wall())
        return not problem

    def close(self) -> None:
        """Let go of the file."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    @property
    def books(self) -> Books:
        """The open books. Raises BooksError where there are none."""
        if self._opened is None:
            raise BooksError(f"{self.path}: the books of blocks are not open")
        return self._opened

    @contextmanager
    def changing(self) -> Iterator[float]:
        """Nobody else changes anything meanwhile; gives the time."""
        with self.books.lock():
            yield self._now()

    def _now(self) -> float:
        """The wall-clock time. Where that was set anew, the ends of blocks move with it."""
        now = self._wall()
        jump = now - self._steady() - self._offset
        if abs(jump) > _JUMP:
            self._offset += jump
            self._log.error("the clock was set anew; the ends of blocks move with it", seconds=round(jump, 1))
            self.memory.shift(jump)
            self._correct(self.memory.live.values())
        return now

    def mind_clash(self, now: float) -> None:
        """Where the clock is behind the books, no block may last longer than it was meant to."""
        behind = self.books.clash(now)
        if not behind:
            return
        self._log.error(
            "the clock is behind the books of blocks; no block lasts longer than it was meant to",
            seconds=round(behind),
            books=str(self.path),
        )
        for block in list(self.memory.live.values()):
            self.memory.move(block, min(block.until, now + block.until - block.since))
        self._correct(self.memory.live.values())
        self.stamp(now)

    # What others and time have done.

    def refresh(self, mode: Mode, now: float) -> list[Block] | None:
        """Take over what others wrote into the books, as ``portkin blocks`` does; None where nobody did.

        Gives the blocks that are gone, and those of ``mode`` that are of another now.
        """
        if not self.books.changed():
            return None
        before = self.memory.live
        self._load(now)
        live = self.memory.live
        for pair in live.keys() & before.keys():
            live[pair].hit |= before[pair].row == live[pair].row and before[pair].hit
        return [block for pair, block in before.items() if pair not in live or block.mode == mode != live[pair].mode]

    def expire(self, now: float) -> list[Block]:
        """End the blocks whose time is over, as `end` does; gives them."""
        over = self.memory.take_over(now)
        self.end(over, "expired", now)
        return over

    # Writing.

    def end(self, blocks: Sequence[Block], outcome: Outcome, now: float) -> None:
        """Blocks have ended. Memory knows at once, whatever becomes of the file; `settle` tells the books."""
        if not blocks:
            return
        self._owed.append((blocks, outcome, now))
        for block in blocks:
            if self.memory.live.get(block.pair) is block:
                self.memory.drop(block)

    def settle(self) -> None:
        """Tell the books which blocks have ended; where that fails, it is still to be done."""
        if self._owed:
            with self.books.transaction():
                self._tell()
            self._owed = []

    def _tell(self) -> None:
        for blocks, outcome, now in self._owed:
            self.books.end(blocks, outcome, now)

    def enter(self, blocks: Sequence[Block], why: str) -> None:
        """Begin blocks that were found to hold."""
        with self.books.transaction():
            self.books.add([Entry(block, why=why) for block in blocks])
        for block in blocks:
            self.memory.keep(block)

    def write(self, plan: Plan, now: float, grace: float) -> None:
        """Write down a plan that memory has already; where that fails, memory forgets it too."""
        books = self.books
        try:
            with books.transaction():
                # First, for a pair that is to be blocked may still be blocked there.
                self._tell()
                for outcome in ("replaced", "removed"):
                    books.end([block for block, what in plan.ends.values() if what == outcome], outcome, now)
                books.add(list(plan.adds.values()))
                books.extend(block for block, _ in plan.extends.values())
                books.forget_grace(plan.unspared)
                books.spare(plan.spared, now + grace)
            self._owed = []
        except sqlite3.Error:
            self._load(now)
            raise

    def take_back(self, plan: Plan, refused: set[Pair] | None, mode: Mode, now: float) -> set[Pair]:
        """A backend has nothing of the plan (None), or not these pairs; gives the pairs that are lost thereby.

        Adds end as errors, what was extended holds until its old end.
        """
        adds = [entry.block for entry in plan.adds.values() if entry.block.mode == mode]
        failed = [block for block in adds if refused is None or block.pair in refused]
        moved = [held for pair, held in plan.extends.items() if refused is None or pair in refused]
        self.end(failed, "error", now)
        for block, until in moved:
            self.memory.move(block, until)
        with self.books.transaction():
            self._tell()
            self.books.correct([block for block, _ in moved])
        self._owed = []
        return {block.pair for block in failed} | {block.pair for block, _ in moved}

    def count(self, counted: Iterable[tuple[Block, int, int]]) -> None:
        """Write down how many packets and bytes each block has kept away."""
        with self.books.transaction():
            self.books.count(counted)

    def stamp(self, now: float) -> None:
        """Note the time, for `mind_clash`."""
        with self.books.transaction():
            self.books.stamp(now)

    def prune(self, before: float, now: float) -> None:
        """Forget blocks that ended before then."""
        with self.books.transaction():
            self.books.prune(before, now)

    def repair(self, error: Exception) -> None:
        """After an error: damaged books are set aside, and new ones begun with what memory holds."""
        # A row that is there already is no damage of the file.
        sound = (sqlite3.OperationalError, sqlite3.IntegrityError)
        damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sound)
        if not damaged and self._opened is not None:
            return
        live, grace = list(self.memory.live.values()), self.memory.grace
        self.close()
        try:
            self.open()
            with self.books.transaction():
                self.books.end(self.books.live(), "replaced", self._wall())
                self.books.add([Entry(block, why="from the books before these") for block in live])
            self.memory.load(live, grace)
        except (sqlite3.Error, BooksError) as again:
            self._log.error("there are no books of blocks; nothing is blocked", reason=str(again))

    def _correct(self, blocks: Iterable[Block]) -> None:
        with self.books.transaction():
            self.books.correct(blocks)

    def _load(self, now: float) -> None:
        ended = {block.row for blocks, _, _ in self._owed for block in blocks}
        live = [block for block in self.books.live() if block.row not in ended]
        self.memory.load(live, self.books.grace(now))
