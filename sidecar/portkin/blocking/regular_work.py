"""What the enforcer does every few seconds without being asked: checks, readings, figures, pruning."""

from __future__ import annotations

from collections.abc import Callable

from portkin.blocking.dropped_counts import DroppedCounts
from portkin.blocking.endings import Endings
from portkin.blocking.failures import Failures
from portkin.blocking.foreign import ForeignElements
from portkin.blocking.intervals import Intervals
from portkin.blocking.metrics import BlockingMetrics
from portkin.blocking.policy import Policy
from portkin.blocking.protected import ProtectedAddresses
from portkin.blocking.reconcile import Reconciler
from portkin.blocking.records import BlockRecords
from portkin.blocking.stats import BlockingStats
from portkin.logs import Limiter, Log
from portkin.zeek.block_messages import BlockResponse

HEALED = 60.0
"""Seconds without a failure of the database after which it counts as writable again, where nobody asks for blocks."""


class RegularWork:
    """Work by the clock; each kind is due at its own interval, first at once."""

    def __init__(
        self,
        *,
        intervals: Intervals,
        addresses: Callable[[], ProtectedAddresses],
        policy: Policy,
        records: BlockRecords,
        reconciler: Reconciler,
        failures: Failures,
        endings: Endings,
        dropped: DroppedCounts,
        stats: BlockingStats,
        metrics: BlockingMetrics,
        log: Log,
        limiter: Limiter,
        monotonic: Callable[[], float],
    ) -> None:
        self._intervals = intervals
        self._read_addresses = addresses
        self._policy = policy
        self._records = records
        self._reconciler = reconciler
        self._failures = failures
        self._endings = endings
        self._dropped = dropped
        self.foreign = ForeignElements(records.active, policy, reconciler, log)
        self._stats = stats
        self._metrics = metrics
        self._log = log
        self._limiter = limiter
        self._monotonic = monotonic
        self._failures_seen = 0, 0.0
        """Failures of the database at the latest check that found another number, and when that was."""
        self._next_check = self._next_count = self._next_prune = monotonic()

    def do(self, now: float) -> list[BlockResponse]:
        """Do what is due, within `BlockRecords.changing`; returns responses about blocks that end.

        Raises BackendError, StorageError and sqlite3.Error.
        """
        responses: list[BlockResponse] = []
        monotonic = self._monotonic()
        if monotonic >= self._next_check:
            self._next_check = monotonic + self._intervals.check
            responses += self._check(now)
            self._records.stamp(now, self._reconciler.mode, self._reconciler.ready, self._reconciler.ipv6_fault)
            self._look_whether_healed(monotonic)
            self.record_figures(now)
        if monotonic >= self._next_count:
            self._next_count = monotonic + self._intervals.count
            held = self._dropped.read()
            if held is not None:
                self.foreign.look(held)
        else:
            self._dropped.read_ending(now)
        if monotonic >= self._next_prune:
            more = self._records.prune(now - self._intervals.retention, now)
            self._next_prune = monotonic + (0.0 if more else self._intervals.prune)
        return responses

    def _check(self, now: float) -> list[BlockResponse]:
        """Look at the machine's addresses and at the backend."""
        responses = self._endings.veto(now) if self.look_at_addresses() else []
        if not self._reconciler.ready or self._reconciler.lost_blocks():
            self._reconciler.try_reconcile(now)
        return responses

    def _look_whether_healed(self, monotonic: float) -> None:
        """To be called after a small write: on a full disk one may succeed where larger ones fail, so it takes time."""
        failures = self._failures.of_database
        if failures != self._failures_seen[0]:
            self._failures_seen = failures, monotonic
        elif monotonic - self._failures_seen[1] >= HEALED:
            self._metrics.recorded()

    def look_at_addresses(self) -> bool:
        """Read the machine's addresses; True where they have changed."""
        try:
            addresses = self._read_addresses()
        except OSError as error:
            if self._limiter.passes("addresses") is not None:
                self._log.error("the machine's addresses cannot be read; those known stay", reason=str(error))
            return False
        changed, self._policy.addresses = addresses != self._policy.addresses, addresses
        return changed

    def record_figures(self, now: float) -> None:
        """Record what was counted since the last time. Raises StorageError and sqlite3.Error."""
        counted = self._stats.untaken()
        if counted:
            self._records.count_day(counted, now)
            self._stats.take(counted)
