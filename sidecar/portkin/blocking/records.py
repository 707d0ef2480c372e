"""Keeps the active blocks and the block database in step, whatever happens to file, clock or by other processes.

What is written here is written by one thread, within `BlockRecords.changing`, which keeps other processes away.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path

from portkin.blocking.active import ActiveBlocks, Ended
from portkin.blocking.block import Block, BlockKey, Mode
from portkin.blocking.database import PRUNED, BlockDatabase, Entry, open_database
from portkin.blocking.policy import Plan
from portkin.blocking.stats import ModeStats
from portkin.errors import StorageError
from portkin.logs import Log
from portkin.sqlite import is_damage

_JUMP = 2.0
"""Seconds by which the wall clock may deviate from the monotonic one before that is called a jump."""


class BlockRecords:
    """The active blocks, and the file that has them. Methods that write may raise sqlite3.Error and StorageError."""

    def __init__(
        self,
        path: Path,
        active: ActiveBlocks,
        log: Log,
        wall_clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self.path = path
        self.active = active
        self._log = log
        self._wall_clock = wall_clock
        self._monotonic = monotonic
        self._offset = wall_clock() - monotonic()
        self._opened: BlockDatabase | None = None
        self._unshifted = 0.0
        """Seconds by which the clock was changed, and the times in the file were not yet."""
        self._before: BlockDatabase | None = None
        """What was open last, and was ours."""

    def open(self, *, check: bool = True) -> bool:
        """Open the file and load what is active; False where a damaged file had to be set aside.

        ``check``: all of it is read, in search of damage. Raises StorageError where there can be no file.
        """
        self.close()
        known = self._before is not None and not self._before.gone()
        self._opened, problem = open_database(self.path, self._wall_clock(), known=known, check=check)
        self._before = self._opened
        self.active.unrecorded.clear()  # of rows of another file
        if problem:
            self._log.error("block database set aside, a new one created", reason=problem)
            self._unshifted = 0.0
        self._shift_database(self._wall_clock())
        self._load(self._wall_clock())
        return not problem

    def close(self) -> None:
        """Close the file."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    @property
    def database(self) -> BlockDatabase:
        """The open database. Raises StorageError where there is none."""
        if self._opened is None:
            raise StorageError(f"{self.path}: the block database is not open")
        return self._opened

    @contextmanager
    def changing(self) -> Iterator[float]:
        """Keep other processes from changing anything meanwhile; yields the time."""
        with self.database.lock():
            yield self._now()

    def look(self) -> None:
        """Raise StorageError where the file is not the one any more that other processes find."""
        if self.database.gone():
            raise StorageError(f"{self.path}: the block database, or its lock, was removed or replaced")

    def _now(self) -> float:
        """The wall-clock time. Where the clock was changed, the ends of blocks move with it."""
        now = self._wall_clock()
        jump = now - self._monotonic() - self._offset
        if abs(jump) > _JUMP:
            self._offset += jump
            self._unshifted += jump
            self._log.error("the clock was changed; the ends of blocks move with it", seconds=round(jump, 1))
            self.active.shift(jump)
        self._shift_database(now)
        return now

    def _shift_database(self, now: float) -> None:
        """Bring the times in the file in line with the clock; what fails now is done the next time."""
        if self._unshifted:
            with self.database.transaction():
                self.database.shift(self._unshifted)
                self.database.stamp(now)
            self._unshifted = 0.0

    def check_clock(self, now: float) -> None:
        """Where the clock is behind the database, limit each block and grace to the duration it was meant to have."""
        behind = self.database.clock_behind(now)
        if not behind:
            return
        self._log.error(
            "the clock is behind the block database; no block lasts longer than it was meant to",
            seconds=round(behind),
            database=str(self.path),
        )
        for block in list(self.active.by_key.values()):
            self.active.set_end(block, min(block.until, now + block.until - block.since))
            block.since = min(block.since, now)
        self.active.grace = {key: until - behind for key, until in self.active.grace.items()}
        with self.database.transaction():
            self.database.correct(self.active.by_key.values())
            self.database.shift_grace(-behind)
            self.database.stamp(now)

    def refresh(self, mode: Mode, now: float) -> list[Block] | None:
        """Load what other processes wrote, as ``portkin blocks`` does; None where none did.

        Returns the blocks that are gone, and those of ``mode`` that are of another mode now. The backend has to
        release those whose time is not over.
        """
        if not self.database.changed():
            return None
        before = self.active.by_key
        self._load(now)
        self.database.seen()  # only now: what could not be read is read the next time
        after = self.active.by_key
        for key in after.keys() & before.keys():
            after[key].hit |= before[key].row == after[key].row and before[key].hit
        gone = [block for key, block in before.items() if key not in after or block.mode == mode != after[key].mode]
        self.active.unreleased.update(block.key for block in gone if block.until > now)
        return gone

    def reason(self, block: Block) -> str:
        """Why the block was asked for."""
        return self.database.reason(block.row)

    def record_ended(self) -> None:
        """Record which blocks have ended, and graces; what fails now is recorded later."""
        if self.active.unrecorded or self.active.unrecorded_grace:
            with self.database.transaction():
                self._record_ended()
            self.active.recorded()

    def adopt(self, blocks: Sequence[Block], reason: str) -> None:
        """Record blocks that the backend holds already; from now on they are active."""
        with self.database.transaction():
            self.database.add([Entry(block, reason=reason) for block in blocks])
        for block in blocks:
            self.active.add(block)

    def _record_ended(self) -> None:
        self.database.end(self.active.unrecorded)
        self.database.add_grace(self.active.unrecorded_grace)

    def write(self, plan: Plan) -> None:
        """Record a plan, and what has ended; where that fails, forget the plan. What was unblocked stays unblocked."""
        try:
            database = self.database
            with database.transaction():
                # First, for a key that is to be blocked may still be active there.
                self._record_ended()
                database.add(list(plan.adds.values()))
                database.extend(block for block, _ in plan.extends.values())
                database.remove_grace(plan.grace_ends)
        except (sqlite3.Error, StorageError):
            self.forget(plan)
            raise
        self.active.recorded()

    def forget(self, plan: Plan) -> None:
        """Nothing of a plan was recorded: in memory, too, its blocks did not begin, and are not extended."""
        self.active.undo([entry.block for entry in plan.adds.values()], plan.replaced.values())
        for block, until in plan.extends.values():
            self.active.set_end(block, until)
        self.active.grace |= plan.grace_ends

    def take_back(self, plan: Plan, refused: Set[BlockKey] | None, mode: Mode, now: float) -> set[BlockKey]:
        """The backend has nothing of the plan (None), or not these keys; returns the keys affected.

        Added blocks end as errors, extended ones keep their former end.
        """
        adds = [entry.block for entry in plan.adds.values() if entry.block.mode == mode]
        failed = [block for block in adds if refused is None or block.key in refused]
        extended = [former for key, former in plan.extends.items() if refused is None or key in refused]
        self.active.end(failed, "error", now, release=refused is None)
        for block, until in extended:
            self.active.set_end(block, until)
        with self.database.transaction():
            self._record_ended()
            self.database.correct([block for block, _ in extended])
        self.active.recorded()
        return {block.key for block in failed} | {block.key for block, _ in extended}

    def count(self, blocks: Iterable[Block]) -> None:
        """Record how many packets and bytes each block has dropped."""
        with self.database.transaction():
            self.database.count(blocks)

    def count_day(self, counted: Mapping[Mode, ModeStats], now: float) -> None:
        """Add what was counted to the figures of this day."""
        with self.database.transaction():
            self.database.count_day(counted, now)

    def stamp(self, now: float, mode: Mode, ready: bool, ipv6_fault: str) -> None:
        """Record the time, for `check_clock`, and how the backend is doing."""
        with self.database.transaction():
            self.database.stamp(now)
            self.database.describe_backend(mode, ready, ipv6_fault, now)

    def prune(self, before: float, now: float) -> bool:
        """Delete blocks that ended before then, and graces that are over; whether there may be more of them."""
        self.active.forget_grace(now)
        with self.database.transaction():
            return self.database.prune(before, now) == PRUNED

    def repair(self, error: Exception) -> None:
        """After an error: set a damaged file aside, and create a new one with the active blocks."""
        if not is_damage(error) and self._opened is not None and not self._opened.gone():
            return
        active, grace = list(self.active.by_key.values()), self.active.grace
        self.close()
        try:
            self.open()
            with self.database.transaction():
                now = self._wall_clock()
                self.database.end(Ended(block, "replaced", now) for block in self.database.active())
                self.database.add([Entry(block, reason="from the previous block database") for block in active])
                self.database.add_grace(grace)
        except (sqlite3.Error, StorageError) as again:
            self.close()  # the next error brings us here again
            self._log.error("there is no block database; nothing is blocked", reason=str(again))
        self.active.load(active, grace)

    def _load(self, now: float) -> None:
        database = self.database
        self.active.load(database.active(), database.grace(now))
        if database.unreadable:
            self._log.error("invalid rows of the block database are left out", rows=len(database.unreadable))
            with database.transaction():
                database.end_unreadable(now)
