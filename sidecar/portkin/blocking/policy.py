"""From a request to what is done about it. No books, no backend, no clock here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from portkin.blocking import limits as rules
from portkin.blocking.active import Memory
from portkin.blocking.block import Block, Mode, Outcome, Pair, Why, address_of, pair_of
from portkin.blocking.database import Entry
from portkin.blocking.limits import Limits, Surroundings
from portkin.blocking.stats import Figures
from portkin.zeek.messages import BlockRequest, BlockResponse, UnblockRequest

Request = BlockRequest | UnblockRequest

LARGEST_RANK = 65_535


@dataclass
class Plan:
    """What some requests come to; memory has it already, books and backend have not."""

    adds: dict[Pair, Entry] = field(default_factory=dict)
    extends: dict[Pair, tuple[Block, float]] = field(default_factory=dict)
    """With the end as it was before."""
    ends: dict[Pair, tuple[Block, Outcome]] = field(default_factory=dict)
    lifts: set[Pair] = field(default_factory=set)
    """What the backend must let go of, whether or not a block of it was known here."""
    spared: list[Pair] = field(default_factory=list)
    unspared: list[Pair] = field(default_factory=list)
    responses: list[BlockResponse] = field(default_factory=list)

    def changes(self) -> bool:
        """Whether there is anything for the books."""
        return bool(self.adds or self.extends or self.ends or self.lifts or self.spared or self.unspared)


class Decider:
    """Decides, request by request, within the limits."""

    def __init__(self, mode: Mode, limits: Limits, memory: Memory, figures: Figures, draw: Callable[[], float]) -> None:
        self._mode = mode
        self._memory = memory
        self._figures = figures
        self._draw = draw
        self._rate = rules.Rate()
        self.limits = limits
        self.around = Surroundings()

    def settles_first(self, request: Request, plan: Plan) -> bool:
        """Whether the plan must be carried out before this request can be decided.

        So it is where a block would begin and end within it, or a pair be let go and blocked again.
        """
        pair = pair_of(request.src, request.p)
        if pair in plan.ends or pair in plan.lifts:
            return True
        entry = plan.adds.get(pair)
        return entry is not None and (isinstance(request, UnblockRequest) or entry.block.mode == "holdout")

    def decide(self, request: Request, now: float, steady: float, plan: Plan) -> None:
        """Add to the plan what comes of a request. ``now`` is the time, ``steady`` that of a clock nobody sets."""
        if isinstance(request, UnblockRequest):
            self._unblock(request, now, plan)
        else:
            self._block(request, now, steady, plan)

    def _block(self, request: BlockRequest, now: float, steady: float, plan: Plan) -> None:
        pair, rank = pair_of(request.src, request.p), min(request.rank, LARGEST_RANK)
        why = Why.parse(request.why)
        if why.evidence not in rules.UNQUESTIONED and (why.probe or rank == 0):
            probed = Pair(pair.src, request.probed)
            self._figures.probed(probed, self._memory.live.get(probed))
        seconds = rules.duration(request.duration.total_seconds(), self.limits)
        veto = rules.never(pair, self.limits, self.around)
        if veto is not None or seconds is None:
            plan.responses.append(answer(request, "vetoed", veto or "duration"))
            return
        block = self._memory.live.get(pair)
        if block is not None and (block.mode == self._mode or (block.mode == "holdout" and rank > 0)):
            self._extend(request, block, now + seconds, plan)
            return
        veto = self._veto(pair, why, block, now, steady)
        if veto is not None:
            plan.responses.append(answer(request, "vetoed", veto))
            return
        if block is not None:
            # It was held out, and the source came: from now on it is a block as any other. Or it was begun with
            # another backend's settings, and is nothing to ours.
            self._memory.drop(block)
            plan.ends[pair] = (block, "replaced")
            plan.extends.pop(pair, None)
        if self._memory.grace.pop(pair, None) is not None:
            plan.unspared.append(pair)
        held_out = rules.held_out(why, rank, self.limits, self._draw())
        fresh = Block(pair, "holdout" if held_out else self._mode, rank, now, now + seconds)
        self._memory.keep(fresh)
        self._figures.began(fresh)
        plan.adds[pair] = Entry(fresh, str(request.probed), request.table_id, request.why)
        plan.responses.append(answer(request, *(("vetoed", "holdout") if held_out else ("added", ""))))

    def _veto(self, pair: Pair, why: Why, block: Block | None, now: float, steady: float) -> rules.Veto | None:
        """Why a new block may not be, though the pair may."""
        if why.evidence == "OPERATOR":
            return rules.capped(pair, self._memory.tally, self.limits) if block is None else None
        if rules.in_grace(pair, self._memory.grace, now):
            return "grace"
        if not rules.proven(why, self.limits):
            return "unproven"
        if block is None:
            veto = rules.capped(pair, self._memory.tally, self.limits)
            if veto is not None:
                return veto
            if not self._rate.take(self.limits.max_per_second, steady):
                return "rate-cap"
        return None

    def _extend(self, request: BlockRequest, block: Block, until: float, plan: Plan) -> None:
        pair = block.pair
        # A scanner's every packet need not move every end.
        enough = min(60.0, max(0.05, 0.01 * (block.until - block.since)))
        outcome = "exists" if until - block.until < enough else "extended"
        if outcome == "extended":
            if pair not in plan.adds:
                plan.extends.setdefault(pair, (block, block.until))
            self._memory.move(block, until)
        if block.mode == "holdout":
            plan.responses.append(answer(request, "vetoed", "holdout"))
        else:
            plan.responses.append(answer(request, outcome, ""))

    def _unblock(self, request: UnblockRequest, now: float, plan: Plan) -> None:
        pair = pair_of(request.src, request.p)
        block = self._memory.live.get(pair)
        # What the backend holds may be more than we know of. But letting go passes through its sets, where what may
        # never be blocked has no place.
        if block is not None or rules.never(pair, self.limits, self.around) is None:
            plan.lifts.add(pair)
        if self.limits.grace > 0:
            self._memory.grace[pair] = now + self.limits.grace
            plan.spared.append(pair)
        if block is not None:
            self._memory.drop(block)
            plan.extends.pop(pair, None)
            plan.ends[pair] = (block, "removed")
        plan.responses.append(
            answer(request, "removed", elsewhere(block, self._mode) if block else "it was not blocked")
        )


def elsewhere(block: Block, mode: Mode) -> str:
    """What there is to say of the removal of a block that another backend than ``mode`` holds; else nothing."""
    if block.mode in (mode, "holdout"):
        return ""
    return f"from the books; {block.mode} lets go when its sidecar runs, or with that one's settings"


def answer(request: Request, outcome: str, detail: str) -> BlockResponse:
    """The response to a request."""
    return BlockResponse(request.reqid, request.src, request.p, outcome, detail)


def said(block: Block, outcome: str, detail: str = "") -> BlockResponse:
    """What is said of a block though nobody asked."""
    return BlockResponse("", address_of(block.pair), block.pair.port, outcome, detail)
