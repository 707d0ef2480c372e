"""Changes of blocks as they are reported to others: what began, was extended, or ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from portkin.blocking.block import Block, BlockKey, Outcome
from portkin.blocking.policy import Plan

Event = Literal["added", "extended", "expired", "removed", "vetoed", "error", "replaced"]
"""``added``, ``extended``, or how a block ended."""


@dataclass(frozen=True)
class Change:
    """A block began, was extended, or ended, at ``at`` (seconds since 1970)."""

    event: Event
    at: float
    src: str
    port: str
    since: float
    until: float
    rank: int
    mode: str
    reason: str = ""

    @classmethod
    def of(cls, event: Event, block: Block, at: float, reason: str = "") -> Change:
        """The change of a block as the block is now."""
        return cls(
            event,
            at,
            str(block.key.address),
            str(block.key.port),
            block.since,
            block.until,
            block.rank,
            block.mode,
            reason,
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values; times as RFC 3339 in UTC."""
        return {**vars(self), **{name: moment(getattr(self, name)) for name in ("at", "since", "until")}}


def moment(seconds: float) -> str:
    """RFC 3339 in UTC, with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class ChangeNotifier:
    """Reports what happened to blocks, after it did. Held-out blocks are not reported: they block nothing."""

    def __init__(self, notify: Callable[[Sequence[Change]], None] | None) -> None:
        """``notify`` must not wait; None: nothing is reported, and nothing is done."""
        self._notify = notify

    def plan(self, plan: Plan, active: Mapping[BlockKey, Block], now: float) -> None:
        """A plan was carried out; ``active`` are the blocks that came of it."""
        if self._notify is None:
            return
        changes = []
        for key, entry in plan.adds.items():
            if active.get(key) is entry.block:
                entry.block.reported = True
                changes.append(Change.of("added", entry.block, now, entry.reason))
        for key, (block, former) in plan.extends.items():
            if active.get(key) is block and block.until > former:
                changes.append(Change.of("extended", block, now))
        self._send(changes)

    def ended(self, blocks: Iterable[Block], outcome: Outcome, now: float) -> None:
        """Blocks ended; those that never took hold are not reported."""
        if self._notify is not None and outcome != "replaced":
            self._send([Change.of(outcome, block, now) for block in blocks if block.reported])

    def refreshed(
        self,
        before: Mapping[BlockKey, Block],
        after: Mapping[BlockKey, Block],
        reason_of: Callable[[Block], str],
        now: float,
    ) -> None:
        """Another process changed the blocks, as `portkin blocks` does."""
        if self._notify is None:
            return
        changes = []
        for key, block in before.items():
            if key not in after:
                changes.append(Change.of("expired" if block.until <= now else "removed", block, now))
        for key, block in after.items():
            former = before.get(key)
            if former is None or former.row != block.row:
                changes.append(Change.of("added", block, now, reason_of(block)))
            elif block.until != former.until:
                changes.append(Change.of("extended", block, now))
        self._send(changes)

    def _send(self, changes: Sequence[Change]) -> None:
        reported = [change for change in changes if change.mode != "holdout"]
        if reported and self._notify is not None:
            self._notify(reported)
