"""From a request to what is done about it. No database, no backend, no clock here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from portkin.blocking.active import ActiveBlocks
from portkin.blocking.block import Block, BlockKey, Evidence, Mode
from portkin.blocking.database import Entry
from portkin.blocking.limits import ORDERS, Cap, Limits, TokenBucket, capped, duration, held_out, in_grace, proven
from portkin.blocking.protected import ProtectedAddresses, Protection, protection
from portkin.blocking.stats import BlockingStats
from portkin.zeek.block_messages import BlockRequest, BlockResponse, UnblockRequest

Request = BlockRequest | UnblockRequest
Veto = Protection | Cap | Literal["duration", "grace", "unproven", "rate-cap", "holdout"]
"""Why a key is not blocked; few and fixed, for it labels a metric."""

MAX_RANK = 65_535


@dataclass
class Plan:
    """What some requests amount to. The active blocks have it already, database and backend do not."""

    adds: dict[BlockKey, Entry] = field(default_factory=dict)
    extends: dict[BlockKey, tuple[Block, float]] = field(default_factory=dict)
    """With the end as it was before."""
    replaced: dict[BlockKey, Block] = field(default_factory=dict)
    """What the block of the same key in ``adds`` replaces."""
    released: set[BlockKey] = field(default_factory=set)
    """What was unblocked, whether or not it was known to be blocked."""
    grace_ends: dict[BlockKey, float] = field(default_factory=dict)
    """Keys that may be blocked again, and until when they could not."""
    responses: list[BlockResponse] = field(default_factory=list)

    def changes(self) -> bool:
        """Whether there is anything to record or carry out."""
        return bool(self.adds or self.extends or self.released or self.grace_ends)


class Policy:
    """Decides, request by request, within the limits. ``draw`` returns uniform numbers in [0, 1)."""

    def __init__(
        self, mode: Mode, limits: Limits, active: ActiveBlocks, stats: BlockingStats, draw: Callable[[], float]
    ) -> None:
        self._mode = mode
        self._active = active
        self._stats = stats
        self._draw = draw
        self._bucket = TokenBucket()
        self.limits = limits
        self.addresses = ProtectedAddresses()

    def protection(self, key: BlockKey) -> Protection | None:
        """Why this key is never blocked; None where it may be."""
        return protection(key, self.limits, self.addresses)

    def needs_new_plan(self, key: BlockKey, request: Request, plan: Plan) -> bool:
        """Whether the plan must be carried out before this request, about ``key``, can be decided.

        So it is where a block would begin and end within one plan, or a key be unblocked and blocked again.
        """
        if key in plan.replaced or key in plan.released:
            return True
        entry = plan.adds.get(key)
        return entry is not None and (isinstance(request, UnblockRequest) or entry.block.mode == "holdout")

    def decide(self, key: BlockKey, request: Request, now: float, monotonic: float, plan: Plan) -> None:
        """Add to the plan what follows from a request about ``key``. ``now`` is the wall-clock time, ``monotonic`` a
        clock nobody sets."""
        if isinstance(request, UnblockRequest):
            self._unblock(key, request, now, plan)
        else:
            self._block(key, request, now, monotonic, plan)

    def unblock(self, key: BlockKey, now: float) -> Block | None:
        """End the block of the key, and have the backend release the key; returns the block that was active.

        The grace of the key begins.

        The backend may hold keys that we do not know. But only what may be blocked can be in its sets at all.
        """
        block = self._active.by_key.get(key)
        if block is not None:
            self._active.end([block], "removed", now, release=True)
        if block is not None or self.protection(key) is None:
            self._active.unreleased.add(key)
        if self.limits.grace > 0:
            self._active.begin_grace(key, now + self.limits.grace)
        return block

    def _block(self, key: BlockKey, request: BlockRequest, now: float, monotonic: float, plan: Plan) -> None:
        active, rank = self._active, min(request.rank, MAX_RANK)
        evidence = Evidence.parse(request.evidence)
        if evidence.kind not in ORDERS and (evidence.probe or rank == 0):
            probed = BlockKey(key.src, request.probed)
            self._stats.probed(probed, active.by_key.get(probed))
        seconds = duration(request.duration.total_seconds(), self.limits)
        protected = self.protection(key)
        if protected is not None or seconds is None:
            plan.responses.append(response_to(request, "vetoed", protected or "duration"))
            return
        block = active.by_key.get(key)
        if block is not None and (block.mode == self._mode or (block.mode == "holdout" and rank > 0)):
            self._extend(request, block, now + seconds, plan)
            return
        veto = self._veto(key, evidence, block, now, monotonic)
        if veto is not None:
            plan.responses.append(response_to(request, "vetoed", veto))
            return
        if block is not None:
            # It was held out, and the source came: from now on it is a block like any other. Or it was added with the
            # settings of another backend, and ours does not hold it.
            active.end([block], "replaced", now, release=False)
            plan.replaced[key] = block
            plan.extends.pop(key, None)
        grace = active.end_grace(key)
        if grace is not None:
            plan.grace_ends[key] = grace
        held = held_out(evidence, rank, self.limits, self._draw())
        added = Block(key, "holdout" if held else self._mode, rank, now, now + seconds, reported=False)
        active.add(added)
        self._stats.added(added)
        plan.adds[key] = Entry(added, str(request.probed), request.table_id, request.evidence)
        plan.responses.append(response_to(request, *(("vetoed", "holdout") if held else ("added", ""))))

    def _veto(
        self, key: BlockKey, evidence: Evidence, block: Block | None, now: float, monotonic: float
    ) -> Veto | None:
        """Why there may be no new block of a key that is not protected."""
        if evidence.kind == "OPERATOR":
            return capped(key, self._active.counts, self.limits) if block is None else None
        if in_grace(key, self._active.grace, now):
            return "grace"
        if not proven(evidence, self.limits):
            return "unproven"
        if block is None:
            cap = capped(key, self._active.counts, self.limits)
            if cap is not None:
                return cap
            if not self._bucket.take(self.limits.max_per_second, monotonic):
                return "rate-cap"
        return None

    def _extend(self, request: BlockRequest, block: Block, until: float, plan: Plan) -> None:
        key = block.key
        # Not every packet of a scanner need move every end.
        enough = min(60.0, max(0.05, 0.01 * (block.until - block.since)))
        outcome = "exists" if until - block.until < enough else "extended"
        if outcome == "extended":
            if key not in plan.adds:
                plan.extends.setdefault(key, (block, block.until))
            self._active.set_end(block, until)
        if block.mode == "holdout":
            plan.responses.append(response_to(request, "vetoed", "holdout"))
        else:
            plan.responses.append(response_to(request, outcome, ""))

    def _unblock(self, key: BlockKey, request: UnblockRequest, now: float, plan: Plan) -> None:
        block = self.unblock(key, now)
        plan.released.add(key)
        if block is not None:
            plan.extends.pop(key, None)
        detail = detail_of_removal(block, self._mode) if block else "it was not blocked"
        plan.responses.append(response_to(request, "removed", detail))


def detail_of_removal(block: Block, mode: Mode) -> str:
    """What to report on the removal of a block that another backend than ``mode`` holds; else nothing."""
    if block.mode in (mode, "holdout"):
        return ""
    return f"from the database; {block.mode} releases it once its sidecar runs, or with the settings of that sidecar"


def response_to(request: Request, outcome: str, detail: str) -> BlockResponse:
    """The response to a request."""
    return BlockResponse(request.reqid, request.src, request.p, outcome, detail)


def notices_of(ended: Iterable[tuple[Block, str, str]]) -> list[BlockResponse]:
    """Responses about blocks that no request asked for, each with its outcome and detail; none of the held out."""
    return [
        BlockResponse("", block.key.address, block.key.port, outcome, detail)
        for block, outcome, detail in ended
        if block.mode != "holdout"
    ]
