"""Whether a pair may be blocked: what wins over every decision of Zeek's. Pure: times come in, verdicts go out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from portkin.blocking.block import Pair, Why
from portkin.net.addresses import Nets
from portkin.net.ports import Port

Veto = Literal[
    "never-net",
    "never-port",
    "own-address",
    "gateway",
    "special-address",
    "duration",
    "grace",
    "unproven",
    "source-cap",
    "total-cap",
    "rate-cap",
    "holdout",
]
"""Why a pair is not blocked; few and fixed, for it labels a metric."""

SPECIAL = Nets(
    (
        "0.0.0.0/8",  # this network (RFC 791)
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local (RFC 3927)
        "224.0.0.0/4",  # multicast
        "255.255.255.255/32",  # limited broadcast
        "::/127",  # unspecified and loopback
        "fe80::/10",  # link-local: routers speak from there
        "ff00::/8",  # multicast
    )
)
"""Addresses that are nobody's in particular: what comes from them is forged, or needed."""

UNQUESTIONED = ("OPERATOR", "NETCONTROL")
"""Orders, not verdicts: they need no evidence, and are not held out."""


@dataclass(frozen=True)
class Limits:
    """What an operator sets. Durations in seconds."""

    never_nets: Nets = Nets()  # noqa: RUF009  (immutable)
    never_ports: frozenset[Port] = frozenset()
    max_ports: int = 1024
    """Ports blocked for one source at a time."""
    max_per_second: int = 1000
    """New blocks per second, of all sources."""
    max_blocks: int = 100_000
    """Blocks at a time."""
    max_duration: float = 604_800.0
    """A longer block is shortened to this."""
    grace: float = 3600.0
    """A pair that was unblocked is left alone for so long."""
    holdout: float = 0.0
    """The share of predictions that is not blocked, from 0 to 1."""
    block_unproven: bool = False
    """Whether sources are blocked that a forger could have made up."""
    darknet_destinations: int = 3
    """Distinct addresses of nets without hosts that prove a scan."""


@dataclass(frozen=True)
class Surroundings:
    """Addresses that must stay reachable, as 128-bit numbers."""

    own: frozenset[int] = frozenset()
    """The machine's, Zeek's, the sidecar's."""
    gateways: frozenset[int] = frozenset()


def never(pair: Pair, limits: Limits, around: Surroundings) -> Veto | None:
    """Why this pair may not be blocked by anybody for any reason; None where it may."""
    if pair.src in SPECIAL:
        return "special-address"
    if pair.src in around.own:
        return "own-address"
    if pair.src in around.gateways:
        return "gateway"
    if pair.src in limits.never_nets:
        return "never-net"
    if pair.port in limits.never_ports:
        return "never-port"
    return None


def duration(seconds: float, limits: Limits) -> float | None:
    """How long a block asked for so long may last; None where that is no time at all."""
    if not (math.isfinite(seconds) and seconds > 0):
        return None
    return min(seconds, limits.max_duration)


def proven(why: Why, limits: Limits) -> bool:
    """Whether more is known against a source than single unanswered SYNs to live hosts.

    Those anybody can send in anybody's name. That a host answered or refused, that a SYN was sent again, or that
    a net without hosts was searched, a forger brings about less easily.
    """
    if limits.block_unproven or why.evidence in UNQUESTIONED:
        return True
    return bool(why.answered or why.refused or why.repeated) or 0 < limits.darknet_destinations <= why.darknet


def held_out(why: Why, rank: int, limits: Limits, draw: float) -> bool:
    """Whether this prediction is among those not blocked; ``draw`` is uniform in [0, 1)."""
    return rank > 0 and why.evidence not in UNQUESTIONED and draw < limits.holdout


@dataclass(slots=True)
class Rate:
    """A bucket of as many tokens as a second allows, filled at that rate."""

    tokens: float = math.inf
    at: float = -math.inf

    def take(self, per_second: int, now: float) -> bool:
        """Take one; False where there is none. ``now`` is of a steady clock, in seconds."""
        self.tokens = min(per_second, self.tokens + max(0.0, now - self.at) * per_second)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass(slots=True)
class Tally:
    """How many blocks there are, in all and per source; holdouts count, so that they change nothing else."""

    total: int = 0
    by_source: dict[int, int] = field(default_factory=dict)

    def add(self, src: int) -> None:
        self.total += 1
        self.by_source[src] = self.by_source.get(src, 0) + 1

    def drop(self, src: int) -> None:
        self.total -= 1
        left = self.by_source[src] - 1
        if left:
            self.by_source[src] = left
        else:
            del self.by_source[src]


def capped(pair: Pair, tally: Tally, limits: Limits) -> Veto | None:
    """Which cap a new block of this pair would break; None for none."""
    if tally.by_source.get(pair.src, 0) >= limits.max_ports:
        return "source-cap"
    if tally.total >= limits.max_blocks:
        return "total-cap"
    return None


def in_grace(pair: Pair, grace: Mapping[Pair, float], now: float) -> bool:
    """Whether the pair was unblocked not long ago; ``grace`` says until when it is left alone."""
    return now < grace.get(pair, -math.inf)
