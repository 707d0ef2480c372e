"""The part of ``zeek-scripts/api.zeek`` that is about blocks; see `portkin.zeek.messages`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from portkin.net.addresses import Address
from portkin.net.ports import Port
from portkin.zeek.event import Count, Message, refuse_different_lengths, zeek_event


@dataclass(frozen=True, slots=True)
class BlockRequest:
    """One block of `BlockRequests`: keep ``src`` from ``p``, on every host, for so long from now.

    ``rank`` is 0 for a port that was probed, else its place among those nearest to ``probed``; ``evidence`` is
    what `portkin.blocking.block.Evidence` reads.
    """

    reqid: str
    src: Address
    p: Port
    duration: timedelta
    table_id: str
    probed: Port
    rank: Count
    evidence: str


@zeek_event("Portkin::block_requests")
@dataclass(frozen=True, slots=True)
class BlockRequests(Message):
    """Zeek to sidecar: keep ``src`` from these ports, all of one decision; see `BlockRequest`.

    ``reqids``, ``ports``, ``durations``, ``ranks`` and ``evidence`` are as long as each other; ValueError where not.
    """

    src: Address
    table_id: str
    probed: Port
    reqids: tuple[str, ...]
    ports: tuple[Port, ...]
    durations: tuple[timedelta, ...]
    ranks: tuple[Count, ...]
    evidence: tuple[str, ...]

    def __post_init__(self) -> None:
        refuse_different_lengths(self.reqids, self.ports, self.durations, self.ranks, self.evidence)

    def each(self) -> list[BlockRequest]:
        """The blocks, in order."""
        rows = zip(self.reqids, self.ports, self.durations, self.ranks, self.evidence, strict=True)
        return [
            BlockRequest(reqid, self.src, p, duration, self.table_id, self.probed, rank, evidence)
            for reqid, p, duration, rank, evidence in rows
        ]


@zeek_event("Portkin::unblock_request")
@dataclass(frozen=True, slots=True)
class UnblockRequest(Message):
    """Zeek to sidecar: let ``src`` reach ``p`` again, and leave the pair alone for a while."""

    reqid: str
    src: Address
    p: Port


RESPONSES = 200
"""Responses in one message at most: some 40 kB of JSON, which hold up no answer behind them."""
BlockOutcome = Literal["added", "extended", "exists", "vetoed", "removed", "expired", "error"]


@dataclass(frozen=True, slots=True)
class BlockResponse:
    """One of `BlockResponses`: what became of a block; ``outcome`` is one of `BlockOutcome`.

    ``reqid`` is the request's; empty where none asked, as when a block has run out. ``detail`` says why not.
    """

    reqid: str
    src: Address
    p: Port
    outcome: str
    detail: str


@zeek_event("Portkin::block_responses")
@dataclass(frozen=True, slots=True)
class BlockResponses(Message):
    """Sidecar to Zeek: what became of blocks, of any decisions; see `BlockResponse`.

    All fields are as long as each other; ValueError where not. Zeek reads a hundred of them in a third of the time
    that it needs for a hundred events.
    """

    reqids: tuple[str, ...]
    srcs: tuple[Address, ...]
    ports: tuple[Port, ...]
    outcomes: tuple[str, ...]
    details: tuple[str, ...]

    def __post_init__(self) -> None:
        refuse_different_lengths(self.reqids, self.srcs, self.ports, self.outcomes, self.details)

    @classmethod
    def of(cls, responses: Sequence[BlockResponse]) -> list[BlockResponses]:
        """The messages that carry the responses in their order, `RESPONSES` in each at most; none for none."""
        rows = [(each.reqid, each.src, each.p, each.outcome, each.detail) for each in responses]
        return [cls(*zip(*rows[at : at + RESPONSES], strict=True)) for at in range(0, len(rows), RESPONSES)]

    def each(self) -> list[BlockResponse]:
        """The responses, in order."""
        rows = zip(self.reqids, self.srcs, self.ports, self.outcomes, self.details, strict=True)
        return [BlockResponse(*row) for row in rows]
