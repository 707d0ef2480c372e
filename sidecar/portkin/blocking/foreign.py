"""What the backend holds though this sidecar never asked for it, as an element that somebody added by hand.

It is reported and left alone: who added it may have a reason. Only what must never be blocked is released. At the next
start it is recorded as a block, as after a loss of the database, and ends within ``max_duration``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portkin.blocking.active import ActiveBlocks
from portkin.blocking.backends.backend import HeldBlock
from portkin.blocking.block import BlockKey
from portkin.blocking.policy import Policy
from portkin.blocking.reconcile import Reconciler
from portkin.logs import Log


class ForeignElements:
    """Compares what the backend holds with the active blocks. In the enforcer's thread, but for ``count``."""

    def __init__(self, active: ActiveBlocks, policy: Policy, reconciler: Reconciler, log: Log) -> None:
        self._active = active
        self._policy = policy
        self._reconciler = reconciler
        self._log = log
        self._seen: set[BlockKey] = set()
        self._reported: set[BlockKey] = set()

    @property
    def count(self) -> int:
        """How many there were at the latest look. May be asked by any thread."""
        return len(self._reported)

    def look(self, held: Mapping[BlockKey, HeldBlock]) -> None:
        """Report what was there at two looks, one after the other: what ends or begins just now is not foreign."""
        foreign = held.keys() - self._active.by_key.keys() - self._active.unreleased
        lasting, self._seen = foreign & self._seen, foreign
        forbidden = {key for key in lasting if self._policy.protection(key) is not None}
        if forbidden:
            self._warn("the backend blocked what must never be blocked, added by somebody else; released", forbidden)
            self._active.unreleased.update(forbidden)
            self._reconciler.release()
        lasting -= forbidden
        if lasting - self._reported:
            self._warn(
                "the backend also holds what this sidecar never asked for; it is left alone",
                lasting,
                remedy="`portkin blocks remove SOURCE PORT` releases one",
            )
        self._reported = lasting

    def _warn(self, event: str, keys: set[BlockKey], **more: Any) -> None:
        self._log.warning(event, elements=len(keys), first=str(min(keys)), **more)
