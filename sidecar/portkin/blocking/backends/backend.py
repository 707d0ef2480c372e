"""The interface of a backend: what nftables, Suricata and shadow have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from portkin.blocking.block import BlockKey, Mode


class TimedKey(NamedTuple):
    """A key, to be blocked for so many seconds from now, and what its block has dropped before."""

    key: BlockKey
    seconds: float
    packets: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Batch:
    """Changes made at once. No key is in it twice."""

    add: Sequence[TimedKey] = ()
    """Keys that are not blocked."""
    extend: Sequence[TimedKey] = ()
    """Keys that are, or were a moment ago; from now on these seconds count."""
    remove: Sequence[BlockKey] = ()
    """Keys that are, or were a moment ago."""

    def __bool__(self) -> bool:
        return bool(self.add or self.extend or self.remove)


class HeldBlock(NamedTuple):
    """A block as the backend has it: the time left, and what was dropped, extensions included."""

    seconds: float
    packets: int
    bytes: int


class Dropped(NamedTuple):
    """What all blocks have dropped since the backend was set up."""

    packets: int
    bytes: int


class Backend(Protocol):
    """Blocks keys, each until its time is over: by itself, even when the sidecar is dead.

    Every method raises BackendError where the backend cannot be reached or refuses. A backend that accepts a
    request has proved nothing: once after connecting, it sets something and checks that it is there.
    """

    mode: Mode

    def setup(self, room: int = 0) -> None:
        """Make ready for so many blocks at a time, or more; keeps existing blocks. May be called again at any time."""

    def join(self) -> bool:
        """Connect beside a sidecar that may be running, for single changes; False where only `setup` helps."""

    def apply(self, batch: Batch) -> Mapping[BlockKey, str]:
        """Carry out the batch; returns the keys that this backend cannot block, each with the reason.

        After BackendError nothing of it may be relied on; `setup` must be called, and all active blocks sent again.
        """

    def held(self, expected: Iterable[BlockKey] = ()) -> Mapping[BlockKey, HeldBlock] | None:
        """All blocks; None where the backend cannot list them.

        A list that is read while it changes may lack some: those ``expected`` are in it wherever the backend has them.
        """

    def counted(self, keys: Iterable[BlockKey]) -> Mapping[BlockKey, HeldBlock]:
        """A few blocks, as far as the backend has and counts them."""

    def dropped(self) -> Dropped | None:
        """What was dropped; None where the backend does not count."""

    def lost_blocks(self) -> bool:
        """Whether blocks may be lost, as when Suricata was restarted; ``setup`` clears it."""

    def ipv6_fault(self) -> str:
        """Why no IPv6 source can be blocked, as far as is known yet; empty where there is no reason."""

    def close(self) -> None:
        """Close the connection; blocks stay."""


class Uncounted:
    """The answers of a backend that can neither list its blocks nor count what they drop."""

    def held(self, expected: Iterable[BlockKey] = ()) -> Mapping[BlockKey, HeldBlock] | None:
        return None

    def counted(self, keys: Iterable[BlockKey]) -> Mapping[BlockKey, HeldBlock]:
        return {}

    def dropped(self) -> Dropped | None:
        return None
