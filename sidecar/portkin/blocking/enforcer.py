"""The core: requests in, responses out; decided, then written into the books, then carried out by the backend.

Everything here runs in one thread at a time. The order matters where we may be killed between any two steps:
what the backend holds was in the books before, so no block is lost, and what has ended in the books and still is
in the backend is found and taken away when we start again. Nothing depends on that: each block in the backend
has its own end.

Letting go depends on neither: a veto or an unblock reaches the backend though the books cannot be written, and
the books though the backend is away; the other is told as soon as it can be.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from portkin.blocking.backends.backend import Backend, Batch, Dropped, Timed
from portkin.blocking.block import Block, Mode, Outcome, Pair, pair_of
from portkin.blocking.ledger import Ledger
from portkin.blocking.limits import Limits, Surroundings, never
from portkin.blocking.metrics import EnforceMetrics
from portkin.blocking.policy import Decider, Plan, Request, answer, elsewhere, said
from portkin.blocking.reconcile import differences, parts
from portkin.blocking.stats import Figures
from portkin.errors import BackendError, BooksError
from portkin.logs import Limiter, Log
from portkin.zeek.messages import BlockResponse, UnblockRequest

_LOG_EVERY = 10.0
NO_MEANS = "the backend has no means to block this port; for Suricata, build rules for it"


@dataclass(frozen=True)
class Pace:
    """How often things are looked at, in seconds."""

    check: float = 5.0
    """Whether the backend forgot, and whether the machine's addresses changed."""
    count: float = 60.0
    """What each block has kept away."""
    prune: float = 3600.0
    """Whether the books hold what is too old."""
    retention: float = 30 * 86_400.0
    """How long the books hold blocks that have ended."""


class Enforcer:
    """Blocks, with one backend and one file of books."""

    def __init__(
        self,
        path: Path,
        backend: Backend,
        *,
        limits: Limits,
        pace: Pace = Pace(),
        surroundings: Callable[[], Surroundings] = Surroundings,
        metrics: EnforceMetrics,
        log: Log,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._ledger = Ledger(path, log, wall, steady)
        self._backend = backend
        self._pace = pace
        self._look_around = surroundings
        self._metrics = metrics
        self._log = log
        self._wall = wall
        self._steady = steady
        self._limiter = Limiter(_LOG_EVERY, steady)
        self.figures = Figures(backend.mode)
        self._decider = Decider(backend.mode, limits, self._ledger.memory, self.figures, draw)
        self._next_check = self._next_count = self._next_prune = steady()
        self._dropped = Dropped(0, 0)
        self._pending: set[Pair] = set()  # what the backend may hold and must not; empty when it is ready
        self.ready = False
        """Whether the backend has taken everything that it was given."""
        metrics.watch(self._active, self.figures, lambda: self._dropped)

    @property
    def mode(self) -> Mode:
        """The backend's."""
        return self._backend.mode

    def start(self) -> list[BlockResponse]:
        """Open the books, and bring books and backend in line. Raises BooksError where there can be no books.

        A backend that is not there is tried again by `tick`.
        """
        self.open()
        with self._ledger.changing() as now:
            self._ledger.mind_clash(now)
            responses = self._expire(now)
            self._end_foreign(now)
            self._look()
            # Before anything is sent to the backend; what it must let go of it is told when it is there.
            responses += self._veto_live(now)
            self._pending.update(self._ledger.books.cut_short(self.mode, now))
            self._try_align(now)
        books = str(self._ledger.path)
        self._log.info("blocking", backend=self.mode, ready=self.ready, blocks=len(self._live), books=books)
        return responses

    def join(self) -> None:
        """Open the books beside an enforcer that may be running, to make single changes.

        Raises BooksError, and BackendError where the backend cannot be reached.
        """
        self.open()
        if not self._backend.forgot():
            self.ready = True
            return
        with self._ledger.changing() as now:
            self._align(now)

    def open(self) -> None:
        """Open the books and read what holds."""
        if not self._ledger.open():
            self._metrics.failed("books")
        self._look()

    def handle(self, requests: Sequence[Request]) -> list[BlockResponse]:
        """Decide about requests, in order, and carry out what comes of them in as few batches as can be."""
        try:
            with self._ledger.changing() as now:
                responses = self._refresh(now) + self._expire(now)
                plan = Plan()
                for request in requests:
                    if self._decider.settles_first(request, plan):
                        responses += self._carry_out(plan, now)
                        plan = Plan()
                    self._decider.decide(request, now, self._steady(), plan)
                return responses + self._carry_out(plan, now)
        except (sqlite3.Error, BooksError) as error:
            self._books_failed(error)
            return self._without_books(requests, error)

    def tick(self) -> list[BlockResponse]:
        """What is due by now: ends, changes made by others, a backend that came back. To be called every second."""
        responses: list[BlockResponse] = []
        try:
            with self._ledger.changing() as now:
                self._settle()
                responses += self._refresh(now)
                responses += self._expire(now)
                steady = self._steady()
                if steady >= self._next_check:
                    self._next_check = steady + self._pace.check
                    responses += self._check(now)
                    self._ledger.stamp(now)
                if steady >= self._next_count:
                    self._next_count = steady + self._pace.count
                    self._count()
                if steady >= self._next_prune:
                    self._next_prune = steady + self._pace.prune
                    self._ledger.prune(now - self._pace.retention, now)
        except BackendError as error:
            self._backend_failed(error)
        except (sqlite3.Error, BooksError) as error:
            self._books_failed(error)
        return responses

    def replace(self, limits: Limits) -> list[BlockResponse]:
        """Go by other limits from now on; blocks that may no longer be are ended at once."""
        self._decider.limits = limits
        try:
            with self._ledger.changing() as now:
                return self._veto_live(now)
        except (sqlite3.Error, BooksError) as error:
            self._books_failed(error)
            return self._veto_live(self._wall())

    def flush(self) -> list[BlockResponse]:
        """End every block, without grace, and have the backend let go of what the books know nothing of.

        Raises BooksError, and BackendError where the backend cannot be reached.
        """
        try:
            with self._ledger.changing() as now:
                responses = self._refresh(now) + self._end(list(self._live.values()), "removed", "", now)
                held = self._backend.held()
                self._lift(self._ledger.books.cut_short(self.mode, now) if held is None else held)
                self._ledger.settle()
        except sqlite3.Error as error:
            raise BooksError(f"{self._ledger.path}: the books cannot be written ({error})") from None
        if not self.ready:
            raise BackendError(f"all blocks have ended in the books, but {self.mode} cannot be told now; see its log")
        return responses

    def held_elsewhere(self) -> set[Mode]:
        """The modes of other backends whose blocks hold by these books."""
        return {block.mode for block in self._live.values()} - {self.mode, "holdout"}

    def close(self) -> None:
        """Let go of books and backend; blocks stay until their time is over."""
        self._ledger.close()
        self._backend.close()

    # Carrying out.

    def _carry_out(self, plan: Plan, now: float) -> list[BlockResponse]:
        """First the books, then the backend; gives what to say."""
        if plan.changes():
            self._write(plan, now)
            try:
                refused = self._act(plan, now)
            except BackendError as error:
                self._backend_failed(error)
                self._give_up(plan, None, str(error), now)
            else:
                if refused:
                    self._give_up(plan, refused, NO_MEANS, now)
        self._account(plan.responses)
        return plan.responses

    def _write(self, plan: Plan, now: float) -> None:
        began = time.perf_counter()
        self._ledger.write(plan, now, self._decider.limits.grace)
        self._metrics.written(time.perf_counter() - began)

    def _act(self, plan: Plan, now: float) -> set[Pair]:
        """Have the backend carry out a plan; gives the pairs that it cannot block."""
        wall = self._wall()

        def timed(blocks: Sequence[Block]) -> list[Timed]:
            return [Timed(block.pair, block.until - wall) for block in blocks if block.mode == self.mode]

        adds = [entry.block for entry in plan.adds.values()]
        batch = Batch(
            timed([block for block in adds if block.pair not in plan.ends]),
            # In the place of another block, of which the backend may hold something.
            timed(
                [*(block for block in adds if block.pair in plan.ends), *(block for block, _ in plan.extends.values())]
            ),
            list(plan.lifts),
        )
        if not batch:
            return set()
        if not self.ready:
            self._pending.update(batch.remove)
            raise BackendError(f"{self.mode} is not ready")
        try:
            return set(self._apply(batch))
        except BackendError as error:
            # Perhaps somebody took the table away: all of it anew, with what is in this batch. Part of it may be there.
            self._pending.update(batch.remove, plan.adds)
            self._log.warning("the backend refused a batch; setting it up again", reason=str(error))
            return self._align(now)

    def _apply(self, batch: Batch) -> Collection[Pair]:
        began = time.perf_counter()
        refused = self._backend.apply(batch)
        self._metrics.applied(time.perf_counter() - began)
        return refused

    def _give_up(self, plan: Plan, refused: set[Pair] | None, reason: str, now: float) -> None:
        """The backend has nothing of the plan (None), or not these pairs."""
        lost = self._ledger.take_back(plan, refused, self.mode, now)
        plan.responses[:] = [
            BlockResponse(each.reqid, each.src, each.p, "error", reason)
            if each.outcome in ("added", "extended", "exists") and pair_of(each.src, each.p) in lost
            else each
            for each in plan.responses
        ]
        if refused is None:
            later = f"from the books; {self.mode} lets go when it is back: {reason}"
            plan.responses[:] = [
                BlockResponse(each.reqid, each.src, each.p, each.outcome, later) if each.outcome == "removed" else each
                for each in plan.responses
            ]

    def _without_books(self, requests: Sequence[Request], error: Exception) -> list[BlockResponse]:
        """Nothing is blocked that cannot be written down, but what is to be let go is."""
        now = self._wall()
        pairs = {pair_of(each.src, each.p) for each in requests if isinstance(each, UnblockRequest)}
        blocks = [self._live[pair] for pair in pairs if pair in self._live]
        self._ledger.end(blocks, "removed", now)
        self._ended(blocks, "removed")
        self._lift({block.pair for block in blocks} | {pair for pair in pairs if self._never(pair) is None})
        reason = f"the books cannot be written: {error}"
        let_go = f"{self.mode} was told to let go, but {reason}"
        return [answer(each, "error", let_go if isinstance(each, UnblockRequest) else reason) for each in requests]

    def _account(self, responses: Sequence[BlockResponse]) -> None:
        """Count the responses, and say where a cap bites."""
        outcomes = Counter(each.detail if each.outcome == "vetoed" else (each.outcome,) for each in responses)
        for what, count in outcomes.items():
            if isinstance(what, tuple):
                self._metrics.ended(self.mode, what[0], count)
                continue
            self._metrics.vetoed(what, count)
            held = self._limiter.passes(what) if what.endswith("-cap") else None
            if held is not None:
                first = next(each for each in responses if each.detail == what)
                self._log.warning(
                    "a cap on blocks is reached",
                    cap=what,
                    src=str(first.src),
                    port=str(first.p),
                    refused=count,
                    batches_not_shown=held,
                )

    def _end(self, blocks: Sequence[Block], outcome: Outcome, detail: str, now: float) -> list[BlockResponse]:
        """End blocks that hold, in backend and books, even if one of them is not there."""
        if not blocks:
            return []
        self._lift(block.pair for block in blocks if block.mode != "holdout")
        self._ledger.end(blocks, outcome, now)
        self._settle()
        self._ended(blocks, outcome)
        told = [block for block in blocks if block.mode != "holdout"]
        return [said(block, outcome, detail or elsewhere(block, self.mode)) for block in told]

    def _lift(self, pairs: Iterable[Pair]) -> None:
        """Have the backend let go of pairs; where it is not there, `_align` does when it is back."""
        self._pending.update(pairs)
        if not self.ready:
            return
        try:
            for part in parts(list(self._pending)):
                self._apply(Batch(remove=part))
            self._pending.clear()
        except BackendError as error:
            self._backend_failed(error)

    def _settle(self) -> None:
        """Have the books know what has ended; where they cannot be written, the next `tick` tries again."""
        try:
            self._ledger.settle()
        except (sqlite3.Error, BooksError) as error:
            self._say_books_failed(error)

    # What time and others do.

    def _expire(self, now: float) -> list[BlockResponse]:
        """Note what has run out; the backend has let go of it by itself."""
        over = self._ledger.expire(now)
        self._settle()
        self._ended(over, "expired")
        return [said(block, "expired") for block in over if block.mode != "holdout"]

    def _refresh(self, now: float) -> list[BlockResponse]:
        """Take over what others wrote into the books.

        They may go by the settings of another backend and other limits: ours lets go of what is gone, and of what may
        never be.
        """
        gone = self._ledger.refresh(self.mode, now)
        if gone is None:
            return []
        self._lift(block.pair for block in gone if block.until > now)
        gone = [block for block in gone if block.mode != "holdout"]
        responses = [said(block, "expired" if block.until <= now else "removed") for block in gone]
        return responses + self._veto_live(now)

    def _ended(self, blocks: Sequence[Block], outcome: Outcome) -> None:
        for mode, count in Counter(block.mode for block in blocks).items():
            self._metrics.ended(mode, outcome, count)

    def _end_foreign(self, now: float) -> None:
        """End what another backend held: its blocks run out there by themselves."""
        foreign = [block for block in self._live.values() if block.mode not in (self.mode, "holdout")]
        self._ledger.end(foreign, "replaced", now)
        self._settle()

    def _check(self, now: float) -> list[BlockResponse]:
        """Look at the machine's addresses and at the backend."""
        responses = self._veto_live(now) if self._look() else []
        if not self.ready or self._backend.forgot():
            self._try_align(now)
        return responses

    def _look(self) -> bool:
        """Look at the machine's addresses; True where they are others than before."""
        try:
            around = self._look_around()
        except OSError as error:
            if self._limiter.passes("around") is not None:
                self._log.error("the machine's own addresses cannot be read; those known stay", reason=str(error))
            return False
        changed, self._decider.around = around != self._decider.around, around
        return changed

    def _veto_live(self, now: float) -> list[BlockResponse]:
        """End the blocks that may never be."""
        vetoed: dict[str, list[Block]] = {}
        for block in self._live.values():
            veto = self._never(block.pair)
            if veto is not None:
                vetoed.setdefault(veto, []).append(block)
        responses = []
        for veto, blocks in vetoed.items():
            self._log.warning("blocks ended that may never be", reason=veto, blocks=len(blocks))
            responses += self._end(blocks, "vetoed", veto, now)
        return responses

    def _never(self, pair: Pair) -> str | None:
        return never(pair, self._decider.limits, self._decider.around)

    def _count(self) -> None:
        """Read what the blocks have kept away, and which ports were tried again though no probe was seen."""
        dropped = self._backend.dropped() if self.ready else None
        if dropped is None:
            return
        self._dropped = dropped
        counted = []
        for pair, held in (self._backend.held() or {}).items():
            block = self._live.get(pair)
            if block is not None and held.packets:
                self.figures.came_back(block)
                counted.append((block, held.packets, held.bytes))
        self._ledger.count(counted)

    # Books and backend in line.

    def _try_align(self, now: float) -> None:
        try:
            self._align(now)
        except BackendError as error:
            self._backend_failed(error)

    def _align(self, now: float) -> set[Pair]:
        """Make the backend hold what the books hold, and no more; gives the pairs that it cannot block.

        Raises BackendError.
        """
        self.ready = False
        self._backend.setup()
        found = differences(
            self._ledger.memory,
            self.mode,
            self._backend.held(),
            gone=self._pending,
            now=self._wall(),
            longest=self._decider.limits.max_duration,
            unwanted=lambda pair: self._never(pair) is not None or self._ledger.books.known(pair),
        )
        if found.strangers:
            self._ledger.enter(found.strangers, "found in the backend")
            self._log.warning("blocks found in the backend are entered in the books", blocks=len(found.strangers))
        refused = {pair for batch in found.batches() for pair in self._apply(batch)}
        self._pending.clear()
        self._ledger.end([self._live[pair] for pair in refused], "error", now)
        self._settle()
        self._metrics.ended(self.mode, "adopted", len(found.strangers))
        self._metrics.ended(self.mode, "restored", len(found.adds))
        self.ready = True
        return refused

    # Failures.

    def _backend_failed(self, error: BackendError) -> None:
        self._metrics.failed("backend")
        self.ready = False
        held = self._limiter.passes("backend")
        if held is not None:
            self._log.error("blocking does not work now; it is tried again", reason=str(error), not_shown=held)

    def _books_failed(self, error: Exception) -> None:
        """Nothing is blocked that cannot be written down; damaged books are set aside and begun anew."""
        self._say_books_failed(error)
        self._ledger.repair(error)

    def _say_books_failed(self, error: Exception) -> None:
        self._metrics.failed("books")
        if self._limiter.passes("books") is not None:
            self._log.error("the books of blocks cannot be used", reason=str(error), books=str(self._ledger.path))

    @property
    def _live(self) -> dict[Pair, Block]:
        return self._ledger.memory.live

    def _active(self) -> dict[str, int]:
        held_out = sum(block.mode == "holdout" for block in list(self._live.values()))
        return {self.mode: len(self._live) - held_out, "holdout": held_out}
