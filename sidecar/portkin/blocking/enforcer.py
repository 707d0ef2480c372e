"""Orchestration: requests in, responses out; decided, then recorded in the database, then carried out by the backend.

Everything here runs in one thread at a time. The order matters where the process may be killed between any two steps:
what the backend holds was in the database before, so no block is lost, and what has ended in the database and still is
in the backend is found and removed at the next start. Nothing depends on that: each block in the backend has its own
end.

Ending a block depends on neither: a veto or an unblock reaches the backend though the database cannot be written, and
the database though the backend cannot be reached; the other follows as soon as it can (`active`, `failures`).
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from portkin.blocking.active import ActiveBlocks
from portkin.blocking.backends.backend import Backend
from portkin.blocking.block import Block, BlockKey, Mode, key_of
from portkin.blocking.changes import Change, ChangeNotifier
from portkin.blocking.dropped_counts import DroppedCounts
from portkin.blocking.endings import Endings
from portkin.blocking.failures import Failures
from portkin.blocking.intervals import Intervals
from portkin.blocking.limits import Limits
from portkin.blocking.metrics import Backend as BackendMetrics
from portkin.blocking.metrics import BlockingMetrics
from portkin.blocking.policy import Plan, Policy, Request
from portkin.blocking.protected import ProtectedAddresses
from portkin.blocking.reconcile import Reconciler
from portkin.blocking.records import BlockRecords
from portkin.blocking.regular_work import RegularWork
from portkin.blocking.response_counts import ResponseCounts
from portkin.blocking.scanners import ScannerBoard
from portkin.blocking.stats import BlockingStats
from portkin.errors import BackendError, StorageError
from portkin.logs import Limiter, Log
from portkin.zeek.block_messages import BlockRequest, BlockResponse

_LOG_EVERY = 10.0


class Enforcer:
    """Blocks, with one backend and one block database."""

    def __init__(
        self,
        path: Path,
        backend: Backend,
        *,
        limits: Limits,
        intervals: Intervals,
        addresses: Callable[[], ProtectedAddresses] = ProtectedAddresses,
        metrics: BlockingMetrics,
        log: Log,
        wall_clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
        notify: Callable[[Sequence[Change]], None] | None = None,
    ) -> None:
        """``notify`` is given what became of blocks, after it did; it must not wait."""
        self._notifier = ChangeNotifier(notify)
        self._active = ActiveBlocks(metrics.counted, self._notifier.ended)
        self.scanners = ScannerBoard(self.blocks_of)
        self.stats = BlockingStats(backend.mode, came=self.scanners.came)
        self.started = wall_clock()
        """Since when `stats` counts, in seconds since 1970."""
        self._records = BlockRecords(path, self._active, log, wall_clock, monotonic)
        self._policy = Policy(backend.mode, limits, self._active, self.stats, draw)
        limiter = Limiter(_LOG_EVERY, monotonic)
        self._failures = Failures(backend.mode, self._records, metrics=metrics, log=log, limiter=limiter)
        self._reconciler = Reconciler(
            backend,
            self._records,
            self._policy,
            failures=self._failures,
            metrics=metrics,
            log=log,
            wall_clock=wall_clock,
        )
        self._metrics = metrics
        self._log = log
        self._wall_clock = wall_clock
        self._monotonic = monotonic
        self._dropped = DroppedCounts(self._reconciler, self._records, self.stats, log, wall_clock)
        self._endings = Endings(
            self._active,
            self._records,
            self._policy,
            reconciler=self._reconciler,
            failures=self._failures,
            dropped=self._dropped,
            notifier=self._notifier,
            log=log,
        )
        self._regular = RegularWork(
            intervals=intervals, addresses=addresses, policy=self._policy, records=self._records,
            reconciler=self._reconciler, failures=self._failures, endings=self._endings, dropped=self._dropped,
            stats=self.stats, metrics=metrics, log=log, limiter=limiter, monotonic=monotonic,
        )  # fmt: skip
        self._responses = ResponseCounts(backend.mode, metrics, log, limiter)
        metrics.watch(self.active_by_mode, lambda: self._policy.limits.max_blocks, self.stats, self._backend_metrics)

    @property
    def mode(self) -> Mode:
        """The backend's."""
        return self._reconciler.mode

    @property
    def ready(self) -> bool:
        """Whether the backend has taken everything that it was given."""
        return self._reconciler.ready

    @property
    def limits(self) -> Limits:
        """Those in force."""
        return self._policy.limits

    @property
    def unrecorded(self) -> int:
        """How many blocks have ended without the database knowing it, since it could not be written."""
        return len(self._active.unrecorded)

    def blocks_of(self, src: int) -> int:
        """How many blocks of a source are active. May be asked by any thread."""
        return self._active.counts.by_source.get(src, 0)

    def active_block(self, key: BlockKey) -> Block | None:
        """The active block of a key. May be asked by any thread, which must not change it."""
        return self._active.by_key.get(key)

    def start(self) -> list[BlockResponse]:
        """Open the database, and reconcile it with the backend. Raises StorageError where there can be no database.

        A backend that cannot be reached is tried again by `tick`.
        """
        try:
            return self._start()
        except StorageError:
            self._metrics.failed("database")
            raise
        except sqlite3.Error as error:
            self._metrics.failed("database")
            raise StorageError(f"{self._records.path}: the block database cannot be used ({error})") from None

    def _start(self) -> list[BlockResponse]:
        self.open()
        with self._records.changing() as now:
            self._records.check_clock(now)
            responses = self._endings.expire(now)
            self._endings.replace_others(now)
            self._regular.look_at_addresses()
            # Before anything is sent to the backend; what it must release it releases when it can be reached.
            responses += self._endings.veto(now)
            self._active.unreleased.update(self._records.database.ended_early(self.mode, now))
            self._reconciler.try_reconcile(now)
        blocks, database = len(self._active.by_key), str(self._records.path)
        self._log.info("blocking", backend=self.mode, ready=self.ready, blocks=blocks, database=database)
        return responses

    def join(self) -> None:
        """Open the database beside an enforcer that may be running, to make single changes.

        Raises StorageError, and BackendError where the backend cannot be reached.
        """
        self.open(check=False)  # the sidecar has looked at all of it
        with self._records.changing() as now:
            if not self._reconciler.join():
                self._reconciler.reconcile(now)

    def open(self, *, check: bool = True) -> None:
        """Open the database and load what is active. Raises StorageError where there can be no database.

        ``check``: all of it is read, in search of damage.
        """
        if not self._records.open(check=check):
            self._metrics.failed("database")
        self._regular.look_at_addresses()

    def handle(self, requests: Sequence[Request]) -> list[BlockResponse]:
        """Decide about requests, in order, and carry out what follows in as few batches as can be."""
        responses: list[BlockResponse] = []
        done = 0
        try:
            with self._records.changing() as now:
                responses += self._endings.refresh(now)
                responses += self._endings.expire(now)
                plan = Plan()
                for at, request in enumerate(requests):
                    key = key_of(request.src, request.p)
                    if self._policy.needs_new_plan(key, request, plan):
                        responses += self._carry_out(plan, now)
                        plan, done = Plan(), at
                    self._policy.decide(key, request, now, self._monotonic(), plan)
                    if isinstance(request, BlockRequest):
                        decided = plan.responses[-1]
                        self.scanners.decided(key.src, request, decided.outcome, decided.detail, now)
                return responses + self._carry_out(plan, now)
        except (sqlite3.Error, StorageError) as error:
            self._failures.database(error)
            undone = requests[done:]
            responses += self._failures.without_database(undone, error, self._policy, self._wall_clock())
            self._reconciler.release()
            return responses

    def tick(self) -> list[BlockResponse]:
        """Regular work: ends, changes by other processes, a backend that came back. To be called every second."""
        responses: list[BlockResponse] = []
        try:
            self._records.look()
            with self._records.changing() as now:
                self._failures.record_ended()
                responses += self._endings.refresh(now)
                responses += self._endings.expire(now)
                responses += self._regular.do(now)
        except BackendError as error:
            self._reconciler.failed(error)
        except (sqlite3.Error, StorageError) as error:
            self._failures.database(error)
        return responses

    def set_limits(self, limits: Limits) -> list[BlockResponse]:
        """Use other limits from now on; blocks that they forbid end at once."""
        more = limits.max_blocks > self._policy.limits.max_blocks
        self._policy.limits = limits
        try:
            with self._records.changing() as now:
                if more:  # for which the backend may have to make room
                    self._reconciler.try_reconcile(now)
                return self._endings.veto(now)
        except (sqlite3.Error, StorageError) as error:
            self._failures.database(error)
            return self._endings.veto(self._wall_clock())

    def flush(self) -> list[BlockResponse]:
        """End every block, without grace, and have the backend release what is not in the database.

        Raises StorageError, and BackendError where the backend cannot be reached.
        """
        try:
            with self._records.changing() as now:
                responses = self._endings.refresh(now) + self._endings.end(
                    list(self._active.by_key.values()), "removed", "", now
                )
                self._reconciler.release_all(now)
                self._records.record_ended()
        except sqlite3.Error as error:
            raise StorageError(f"{self._records.path}: the block database cannot be written ({error})") from None
        if not self.ready:
            raise BackendError(
                f"all blocks have ended in the database, but {self.mode} cannot be reached now; see its log"
            )
        return responses

    def modes_of_other_backends(self) -> set[Mode]:
        """The modes of other backends that have active blocks in this database."""
        return {block.mode for block in self._active.by_key.values()} - {self.mode, "holdout"}

    def stop(self) -> None:
        """Record the figures of the last seconds, and close."""
        with suppress(sqlite3.Error, StorageError):
            self._regular.record_figures(self._wall_clock())
        self.close()

    def close(self) -> None:
        """Close database and backend; blocks stay until their time is over."""
        self._records.close()
        self._reconciler.close()

    def _carry_out(self, plan: Plan, now: float) -> list[BlockResponse]:
        """First the database, then the backend; returns the responses."""
        if plan.changes():
            self._dropped.read_few(ended.block for ended in self._active.unrecorded if ended.outcome == "removed")
            began = time.perf_counter()
            self._records.write(plan)
            self._metrics.written(time.perf_counter() - began)
            try:
                refused = self._reconciler.carry_out(plan, now)
            except BackendError as error:
                self._reconciler.failed(error)
                self._failures.without_backend(plan, str(error), now)
            else:
                if refused:
                    self._failures.refused(plan, refused, now)
                self._notifier.plan(plan, self._active.by_key, now)
        self._responses.count(plan.responses)
        return plan.responses

    def _backend_metrics(self) -> BackendMetrics:
        ipv6_faulty = bool(self._reconciler.ipv6_fault)
        return BackendMetrics(self.mode, self.ready, ipv6_faulty, self._dropped.total, self._regular.foreign.count)

    def active_by_mode(self) -> dict[str, int]:
        """How many blocks are active, of the backend's mode and held out. May be asked by any thread."""
        return self._active.numbers(self.mode)
