"""Limits of blocking: the settings, and what follows from them. Pure: times come in, verdicts go out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from portkin.blocking.block import BlockKey, Evidence
from portkin.config.loading import Networks, setting
from portkin.net.addresses import Nets
from portkin.net.ports import Port

Cap = Literal["source-cap", "total-cap"]

ORDERS = ("OPERATOR", "NETCONTROL")
"""Kinds of evidence that are orders: they need no proof, and are not held out."""


@dataclass(frozen=True)
class Limits:
    """The section ``enforce.limits``: what overrides every decision to block. Reloaded when the file changes."""

    never_nets: tuple[Networks, ...] = ()
    """Sources never blocked."""
    never_ports: tuple[Port, ...] = ()
    """Destination ports never blocked: ``22/tcp`` or ``53/udp``."""
    max_ports: int = setting(1024, low=1, high=65_536)
    """Ports blocked for one source at a time: what a sweep over all ports can add."""
    max_per_second: int = setting(1000, low=1, high=1_000_000)
    """New blocks per second, of all sources: a tenth of what one core can do."""
    max_blocks: int = setting(100_000, low=1, high=1_000_000)
    """Blocks at a time: about 20 MB in the kernel, and as much here."""
    max_duration: float = setting(604_800.0, low=1.0, high=31_536_000.0)
    """Seconds; a longer block is shortened to this week."""
    grace: float = setting(3600.0, low=0.0, high=31_536_000.0)
    """Seconds after an unblock during which the same source and port is not blocked again."""
    holdout: float = setting(0.0, low=0.0, high=0.9)
    """The share of predictions that is not blocked, to measure their usefulness; 0.02 is much already."""
    block_unproven: bool = False
    """Whether to block sources known from nothing but single unanswered SYNs, which anybody can forge."""
    darknet_destinations: int = setting(3, low=0, high=16)
    """Distinct addresses without a host that prove a scan, of the 16 that Zeek counts; 0: they prove nothing."""

    def same(self, other: Limits) -> bool:
        """Whether both forbid and allow the same, in whatever order and spelling their lists are."""
        return (self.nets, self.ports) == (other.nets, other.ports) and self == replace(
            other, never_nets=self.never_nets, never_ports=self.never_ports
        )

    @cached_property
    def nets(self) -> Nets:
        """``never_nets``, to look addresses up in."""
        return Nets(map(str, self.never_nets))

    @cached_property
    def ports(self) -> frozenset[Port]:
        """``never_ports``, to look ports up in."""
        return frozenset(self.never_ports)


def duration(seconds: float, limits: Limits) -> float | None:
    """How many seconds a block of the requested duration lasts; None where that is not a positive number."""
    if not (math.isfinite(seconds) and seconds > 0):
        return None
    return min(seconds, limits.max_duration)


def proven(evidence: Evidence, limits: Limits) -> bool:
    """Whether more is known against a source than single unanswered SYNs to live hosts.

    Those anybody can send in anybody's name. That a host answered or refused, that a SYN was sent again, or that
    a net without hosts was searched, a forger brings about less easily.
    """
    if limits.block_unproven or evidence.kind in ORDERS:
        return True
    contacted = evidence.answered or evidence.refused or evidence.repeated
    return bool(contacted) or 0 < limits.darknet_destinations <= evidence.darknet


def held_out(evidence: Evidence, rank: int, limits: Limits, draw: float) -> bool:
    """Whether this prediction is among those not blocked; ``draw`` is uniform in [0, 1)."""
    return rank > 0 and evidence.kind not in ORDERS and draw < limits.holdout


@dataclass(slots=True)
class TokenBucket:
    """Limits new blocks per second: a second's worth of tokens, refilled at that rate."""

    tokens: float = math.inf
    at: float = -math.inf

    def take(self, per_second: int, now: float) -> bool:
        """Take one; False where there is none. ``now`` is in seconds, of a monotonic clock."""
        self.tokens = min(per_second, self.tokens + max(0.0, now - self.at) * per_second)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass(slots=True)
class BlockCounts:
    """How many blocks are active, in total and per source. Holdouts count, so that they change nothing else."""

    total: int = 0
    by_source: dict[int, int] = field(default_factory=dict)

    def add(self, src: int) -> None:
        """A block of this source begins."""
        self.total += 1
        self.by_source[src] = self.by_source.get(src, 0) + 1

    def remove(self, src: int) -> None:
        """A block of this source ends."""
        self.total -= 1
        left = self.by_source[src] - 1
        if left:
            self.by_source[src] = left
        else:
            del self.by_source[src]


def capped(key: BlockKey, counts: BlockCounts, limits: Limits) -> Cap | None:
    """Which cap a new block of this key would exceed; None for none."""
    if counts.by_source.get(key.src, 0) >= limits.max_ports:
        return "source-cap"
    if counts.total >= limits.max_blocks:
        return "total-cap"
    return None


def in_grace(key: BlockKey, grace: Mapping[BlockKey, float], now: float) -> bool:
    """Whether the key was unblocked recently; ``grace`` has the end of each period of grace."""
    return now < grace.get(key, -math.inf)
