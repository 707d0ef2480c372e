"""How blocks end before or at their time: they expire, are removed or vetoed, or another process or backend ended them.

Ending a block depends on neither database nor backend: a veto or an unblock reaches the backend though the database
cannot be written, and the database though the backend cannot be reached; the other follows as soon as it can.
"""

from __future__ import annotations

from collections.abc import Sequence

from portkin.blocking.active import ActiveBlocks
from portkin.blocking.block import Block, Outcome
from portkin.blocking.changes import ChangeNotifier
from portkin.blocking.dropped_counts import DroppedCounts
from portkin.blocking.failures import Failures
from portkin.blocking.policy import Policy, detail_of_removal, notices_of
from portkin.blocking.protected import Protection
from portkin.blocking.reconcile import Reconciler
from portkin.blocking.records import BlockRecords
from portkin.logs import Log
from portkin.zeek.block_messages import BlockResponse


class Endings:
    """Ends active blocks, in memory, database and backend; returns what to tell Zeek."""

    def __init__(
        self,
        active: ActiveBlocks,
        records: BlockRecords,
        policy: Policy,
        *,
        reconciler: Reconciler,
        failures: Failures,
        dropped: DroppedCounts,
        notifier: ChangeNotifier,
        log: Log,
    ) -> None:
        self._mode = reconciler.mode
        self._active = active
        self._records = records
        self._policy = policy
        self._reconciler = reconciler
        self._failures = failures
        self._dropped = dropped
        self._notifier = notifier
        self._log = log

    def end(self, blocks: Sequence[Block], outcome: Outcome, detail: str, now: float) -> list[BlockResponse]:
        """End blocks before their time, in backend and database, even if one of them cannot be reached."""
        if not blocks:
            return []
        self._active.end(blocks, outcome, now, release=True)
        self._dropped.read_few(blocks)
        self._reconciler.release()
        self._failures.record_ended()
        return notices_of((block, outcome, detail or detail_of_removal(block, self._mode)) for block in blocks)

    def expire(self, now: float) -> list[BlockResponse]:
        """End the blocks whose time is over."""
        over = self._active.expire(now)
        self._failures.record_ended()
        return notices_of((block, "expired", "") for block in over)

    def refresh(self, now: float) -> list[BlockResponse]:
        """Take over what other processes recorded.

        They may have the settings of another backend and other limits: ours releases what is gone, and what is
        protected.
        """
        before = self._active.by_key
        gone = self._records.refresh(self._mode, now)
        if gone is None:
            return []
        self._notifier.refreshed(before, self._active.by_key, self._records.reason, now)
        self._reconciler.release()
        responses = notices_of((block, "expired" if block.until <= now else "removed", "") for block in gone)
        return responses + self.veto(now)

    def replace_others(self, now: float) -> None:
        """End what another backend held: its blocks run out there by themselves."""
        others = [block for block in self._active.by_key.values() if block.mode not in (self._mode, "holdout")]
        self._active.end(others, "replaced", now, release=False)
        self._failures.record_ended()

    def veto(self, now: float) -> list[BlockResponse]:
        """End the blocks that are protected now."""
        vetoed: dict[Protection, list[Block]] = {}
        for block in self._active.by_key.values():
            protection = self._policy.protection(block.key)
            if protection is not None:
                vetoed.setdefault(protection, []).append(block)
        responses = []
        for veto, blocks in vetoed.items():
            self._log.warning("blocks ended that are no longer allowed", reason=veto, blocks=len(blocks))
            responses += self.end(blocks, "vetoed", veto, now)
        return responses
