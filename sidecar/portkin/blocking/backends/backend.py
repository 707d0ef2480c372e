"""What a backend is: the one thing that differs between the kernel, Suricata and pretending."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from portkin.blocking.block import Mode, Pair


class Timed(NamedTuple):
    """A pair, to be blocked for so many seconds from now."""

    pair: Pair
    seconds: float


@dataclass(frozen=True)
class Batch:
    """Changes made at once. No pair is in it twice."""

    add: Sequence[Timed] = ()
    """Pairs that are not blocked."""
    extend: Sequence[Timed] = ()
    """Pairs that are, or were a moment ago; from now on these seconds count."""
    remove: Sequence[Pair] = ()
    """Pairs that are, or were a moment ago."""

    def __bool__(self) -> bool:
        return bool(self.add or self.extend or self.remove)


class Held(NamedTuple):
    """What a backend says of a pair: how long it is still blocked, and what that has kept away."""

    seconds: float
    packets: int
    bytes: int


class Dropped(NamedTuple):
    """What was kept away by all blocks since the backend was set up."""

    packets: int
    bytes: int


class Backend(Protocol):
    """Blocks pairs, each until its time is over: by itself, even when nobody is here any more.

    Every method raises BackendError where the backend cannot be reached or refuses.
    """

    mode: Mode

    def setup(self) -> None:
        """Make ready; keeps what is blocked already. May be called again at any time."""

    def apply(self, batch: Batch) -> Collection[Pair]:
        """Carry out the batch; gives the pairs that this backend has no means to block.

        With BackendError nothing may be relied on, and `setup` and everything that holds must come again.
        """

    def held(self) -> Mapping[Pair, Held] | None:
        """All that is blocked; None where the backend cannot say."""

    def dropped(self) -> Dropped | None:
        """What was kept away; None where the backend does not count."""

    def forgot(self) -> bool:
        """Whether what was blocked may be lost, as when Suricata was started again; ``setup`` clears it."""

    def close(self) -> None:
        """Let go; what is blocked stays so."""
