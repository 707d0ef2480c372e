"""The failure policy: what is logged, counted and answered when database or backend cannot be used.

Nothing is blocked that cannot be recorded, and nothing stays blocked because it cannot be: whatever ends is released
by the backend though the database fails, and recorded though the backend fails.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence, Set

from portkin.blocking.block import BlockKey, Mode, key_of
from portkin.blocking.metrics import BlockingMetrics
from portkin.blocking.policy import Plan, Policy, Request, response_to
from portkin.blocking.records import BlockRecords
from portkin.errors import BackendError, StorageError
from portkin.logs import Limiter, Log
from portkin.zeek.block_messages import BlockResponse, UnblockRequest


class Failures:
    """Deals with failures of one enforcer's database and backend."""

    def __init__(
        self, mode: Mode, records: BlockRecords, *, metrics: BlockingMetrics, log: Log, limiter: Limiter
    ) -> None:
        self._mode = mode
        self._records = records
        self._metrics = metrics
        self._log = log
        self._limiter = limiter
        self.of_database = 0
        """How often the database failed."""

    def backend(self, error: BackendError) -> None:
        """The backend failed: log and count that."""
        self._metrics.failed("backend")
        suppressed = self._limiter.passes("backend")
        if suppressed is not None:
            self._log.error("blocking does not work now; it is tried again", reason=str(error), not_shown=suppressed)

    def database(self, error: Exception) -> None:
        """The database failed: log and count that, and replace a damaged one."""
        self._report(error)
        self._records.repair(error)

    def record_ended(self) -> None:
        """Record what has ended; where the database cannot be written, that is logged, and tried again later."""
        try:
            self._records.record_ended()
        except (sqlite3.Error, StorageError) as error:
            self._report(error)

    def _report(self, error: Exception) -> None:
        self._metrics.failed("database")
        self.of_database += 1
        if self._limiter.passes("database") is not None:
            path = str(self._records.path)
            self._log.error("the block database cannot be used", reason=str(error), database=path)

    def without_database(
        self, requests: Sequence[Request], error: Exception, policy: Policy, now: float
    ) -> list[BlockResponse]:
        """End what is to be unblocked, and answer all requests with ``error``."""
        reason = f"the block database cannot be written: {error}"
        responses = []
        for request in requests:
            detail = reason
            if isinstance(request, UnblockRequest):
                policy.unblock(key_of(request.src, request.p), now)
                detail = f"{self._mode} releases it, but {reason}"
            responses.append(response_to(request, "error", detail))
        return responses

    def without_backend(self, plan: Plan, reason: str, now: float) -> None:
        """The backend has nothing of a recorded plan: take back what it adds, and say that releases come later."""
        lost = self._records.take_back(plan, None, self._mode, now)
        later = f"from the database; {self._mode} releases it when it is back: {reason}"
        for at, response in enumerate(plan.responses):
            if _affected(response, lost):
                plan.responses[at] = _changed(response, "error", reason)
            elif response.outcome == "removed":
                plan.responses[at] = _changed(response, "removed", later)

    def refused(self, plan: Plan, reasons: Mapping[BlockKey, str], now: float) -> None:
        """The backend has a recorded plan but for these keys, which it cannot block: take them back."""
        lost = self._records.take_back(plan, reasons.keys(), self._mode, now)
        for at, response in enumerate(plan.responses):
            if _affected(response, lost):
                plan.responses[at] = _changed(response, "error", reasons[key_of(response.src, response.p)])


def _affected(response: BlockResponse, lost: Set[BlockKey]) -> bool:
    return response.outcome in ("added", "extended", "exists") and key_of(response.src, response.p) in lost


def _changed(response: BlockResponse, outcome: str, detail: str) -> BlockResponse:
    return BlockResponse(response.reqid, response.src, response.p, outcome, detail)
