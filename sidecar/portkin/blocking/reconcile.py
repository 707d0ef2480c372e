"""Reconciliation: what to change in a backend so that it holds the active blocks, and no more; and making it so."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from portkin.blocking.active import ActiveBlocks
from portkin.blocking.backends.backend import Backend, Batch, Dropped, HeldBlock, TimedKey
from portkin.blocking.block import Block, BlockKey, Mode
from portkin.blocking.failures import Failures
from portkin.blocking.metrics import BlockingMetrics
from portkin.blocking.policy import Plan, Policy
from portkin.blocking.records import BlockRecords
from portkin.errors import BackendError
from portkin.logs import Log

T = TypeVar("T")

TOLERANCE = 2.0
"""Seconds by which database and backend may differ about an end without anything being done."""
BATCH_SIZE = 20_000
"""Changes in one batch where there are many."""


@dataclass
class Differences:
    """Between the active blocks and a backend."""

    adds: list[TimedKey] = field(default_factory=list)
    extends: list[TimedKey] = field(default_factory=list)
    removes: list[BlockKey] = field(default_factory=list)
    unknown: list[Block] = field(default_factory=list)
    """What the database does not know, to be recorded there."""

    def batches(self, passed: Callable[[], float]) -> Iterator[Batch]:
        """The changes, in portions.

        ``passed`` returns how many seconds have passed since they were found: of many, the last are carried out
        seconds after the first, and must not end later for that.
        """
        yield from (Batch(remove=part) for part in portions(self.removes))
        yield from (Batch(extend=_left(part, passed())) for part in portions(self.extends))
        yield from (Batch(add=_left(part, passed())) for part in portions(self.adds))


def differences(
    active: ActiveBlocks,
    mode: Mode,
    held: Mapping[BlockKey, HeldBlock] | None,
    *,
    now: float,
    max_duration: float,
    unwanted: Callable[[BlockKey], bool],
) -> Differences:
    """What to change in a backend that holds ``held`` (None: it cannot say, so everything is sent to it again).

    A key of the backend that is not active is removed where it is to be released or ``unwanted``, as when the database
    knows that it has ended; else the database was lost, and the block is adopted for what is left of it,
    ``max_duration`` seconds at most.
    """
    ours = {key: _timed(block, now) for key, block in active.of_mode(mode).items()}
    found = Differences()
    if held is None:
        found.extends = [timed for timed in ours.values() if timed.seconds > 0]
        found.removes = [key for key in active.unreleased if key not in ours]
        return found
    for key, timed in ours.items():
        there = held.get(key)
        if timed.seconds <= 0:
            if there is not None:
                found.removes.append(key)
        elif there is None:
            found.adds.append(timed)
        elif abs(there.seconds - timed.seconds) > TOLERANCE:
            found.extends.append(timed)
    for key, there in held.items():
        if key in ours:
            continue
        if key in active.by_key or key in active.unreleased or unwanted(key):
            found.removes.append(key)
            continue
        left = min(there.seconds, max_duration)
        if left < there.seconds:
            found.extends.append(TimedKey(key, left, there.packets, there.bytes))
        found.unknown.append(Block(key, mode, 0, now, now + left, packets=there.packets, bytes=there.bytes))
    return found


def portions(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """The items in portions of `BATCH_SIZE`."""
    return (items[at : at + BATCH_SIZE] for at in range(0, len(items), BATCH_SIZE))


class Reconciler:
    """The backend, and what it has been given. What fails is caught up on when the backend is back."""

    def __init__(
        self,
        backend: Backend,
        records: BlockRecords,
        policy: Policy,
        *,
        failures: Failures,
        metrics: BlockingMetrics,
        log: Log,
        wall_clock: Callable[[], float],
    ) -> None:
        self._backend = backend
        self._records = records
        self._active = records.active
        self._policy = policy
        self._failures = failures
        self._metrics = metrics
        self._log = log
        self._wall_clock = wall_clock
        self.ready = False
        """Whether the backend has taken everything that it was given."""
        self.ipv6_fault = ""
        """Why the backend blocks no IPv6 source; empty where it does."""

    @property
    def mode(self) -> Mode:
        """The backend's."""
        return self._backend.mode

    def lost_blocks(self) -> bool:
        """Whether the backend may have lost what it was given. Raises BackendError."""
        return self._backend.lost_blocks()

    def carry_out(self, plan: Plan, now: float) -> Mapping[BlockKey, str]:
        """Have the backend carry out a plan, and release what is to be released.

        Returns the keys that it cannot block, each with the reason.

        Raises BackendError, with nothing of the plan to be relied on.
        """
        # A clock that was set back this moment must not lengthen anything.
        wall = max(now, self._wall_clock())

        def timed(blocks: Sequence[Block]) -> list[TimedKey]:
            return [_timed(block, wall) for block in blocks if block.mode == self.mode]

        adds = [entry.block for entry in plan.adds.values()]
        batch = Batch(
            timed([block for block in adds if block.key not in plan.replaced]),
            # In the place of another block, of which the backend may hold something.
            timed(
                [
                    *(block for block in adds if block.key in plan.replaced),
                    *(block for block, _ in plan.extends.values()),
                ]
            ),
            self._active.to_release(self.mode),
        )
        if not batch or not (self.ready or batch.add or batch.extend or plan.released & self._active.unreleased):
            return {}
        if not self.ready:
            raise BackendError(f"{self.mode} is not ready")
        try:
            refused = self._apply(batch)
        except BackendError as error:
            # Perhaps somebody deleted the table: set it up and send everything again, with what is in this batch.
            self._log.warning("the backend refused a batch; setting it up again", reason=str(error))
            return self.reconcile(now)
        self._active.unreleased.clear()
        return refused

    def release(self) -> None:
        """Have the backend release what it must; where it cannot be reached, `reconcile` does when it is back."""
        if not self.ready:
            return
        try:
            for keys in portions(self._active.to_release(self.mode)):
                self._apply(Batch(remove=keys))
        except BackendError as error:
            self.failed(error)
        else:
            self._active.unreleased.clear()

    def release_all(self, now: float) -> None:
        """Have the backend release everything. Raises BackendError where it cannot be read."""
        held = self._listed()
        self._active.unreleased.update(self._records.database.ended_early(self.mode, now) if held is None else held)
        self.release()

    def join(self) -> bool:
        """Connect beside a sidecar that may be running; False where only `reconcile` helps. Raises BackendError."""
        self.ready = self._backend.join()
        return self.ready

    def reconcile(self, now: float) -> Mapping[BlockKey, str]:
        """Make the backend hold the active blocks, and no more; returns the keys that it cannot block, with the reason.

        Raises BackendError.
        """
        self.ready = False
        self._backend.setup(self._policy.limits.max_blocks)
        self._look_at_ipv6()
        held, began = self._listed(), self._wall_clock()
        found = differences(
            self._active,
            self.mode,
            held,
            now=began,
            max_duration=self._policy.limits.max_duration,
            unwanted=lambda key: self._policy.protection(key) is not None or self._records.database.known(key),
        )
        if found.unknown:
            self._records.adopt(found.unknown, "found in the backend")
            self._log.warning("blocks found in the backend are added to the database", blocks=len(found.unknown))
        refused: dict[BlockKey, str] = {}
        for batch in found.batches(lambda: self._wall_clock() - began):
            refused |= self._apply(batch)
        self._active.unreleased.clear()
        self._active.end([self._active.by_key[key] for key in refused], "error", now, release=False)
        for reason, count in Counter(refused.values()).items():
            self._log.error("blocks ended that the backend cannot hold", reason=reason, blocks=count)
        self._failures.record_ended()
        self._metrics.counted(self.mode, "adopted", len(found.unknown))
        self._metrics.counted(self.mode, "restored", len(found.adds))
        self.ready = True
        return refused

    def try_reconcile(self, now: float) -> None:
        """`reconcile`; where the backend cannot be reached, that is logged, and tried again later."""
        try:
            self.reconcile(now)
        except BackendError as error:
            self.failed(error)

    def failed(self, error: BackendError) -> None:
        """The backend cannot be relied on until it is reconciled."""
        self.ready = False
        self._failures.backend(error)

    def dropped(self) -> Dropped | None:
        """What all blocks have dropped; None where the backend is not ready or does not count. Raises BackendError."""
        return self._backend.dropped() if self.ready else None

    def counted(self, keys: Iterable[BlockKey]) -> Mapping[BlockKey, HeldBlock]:
        """A few blocks, as far as the backend is ready, and has and counts them."""
        try:
            return self._backend.counted(keys) if self.ready else {}
        except BackendError:
            return {}  # what is done next with the backend says so

    def held(self) -> Mapping[BlockKey, HeldBlock]:
        """What the backend holds, as far as it can say. Raises BackendError."""
        return self._listed() or {}

    def close(self) -> None:
        """Close the backend; blocks stay until their time is over."""
        self._backend.close()

    def _listed(self) -> Mapping[BlockKey, HeldBlock] | None:
        """What the backend holds; None where it cannot say. Raises BackendError."""
        return self._backend.held(self._active.of_mode(self.mode))

    def _apply(self, batch: Batch) -> Mapping[BlockKey, str]:
        began = time.perf_counter()
        refused = self._backend.apply(batch)
        self._metrics.applied(time.perf_counter() - began)
        self._look_at_ipv6()
        return refused

    def _look_at_ipv6(self) -> None:
        """Say it where the backend turns out to block no IPv6 source, or to do so after all."""
        fault = self._backend.ipv6_fault()
        if fault != self.ipv6_fault:
            self.ipv6_fault = fault
            if fault:
                self._log.error("no IPv6 source is blocked", reason=fault)
            else:
                self._log.info("IPv6 sources are blocked again", backend=self.mode)


def _left(items: Iterable[TimedKey], passed: float) -> list[TimedKey]:
    """What is left of their times after so many seconds; no longer ones where a clock was set back meanwhile."""
    late = (item._replace(seconds=item.seconds - max(0.0, passed)) for item in items)
    return [item for item in late if item.seconds > 0]


def _timed(block: Block, now: float) -> TimedKey:
    return TimedKey(block.key, block.until - now, block.packets, block.bytes)
