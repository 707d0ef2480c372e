"""What a backend must be told so that it holds what the books hold, and no more."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from portkin.blocking.active import Memory
from portkin.blocking.backends.backend import Batch, Held, Timed
from portkin.blocking.block import Block, Mode, Pair

T = TypeVar("T")

LOOSE = 2.0
"""Seconds by which books and backend may differ about an end without anything being done."""
CHUNK = 20_000
"""Changes in one batch where there are many."""


@dataclass
class Differences:
    """Between the books and a backend."""

    adds: list[Timed] = field(default_factory=list)
    moves: list[Timed] = field(default_factory=list)
    removes: list[Pair] = field(default_factory=list)
    strangers: list[Block] = field(default_factory=list)
    """What the books never heard of, to be entered there."""

    def batches(self) -> Iterator[Batch]:
        """The changes, in portions."""
        yield from (Batch(remove=part) for part in parts(self.removes))
        yield from (Batch(extend=part) for part in parts(self.moves))
        yield from (Batch(add=part) for part in parts(self.adds))


def differences(
    memory: Memory,
    mode: Mode,
    held: Mapping[Pair, Held] | None,
    *,
    gone: Collection[Pair] = (),
    now: float,
    longest: float,
    unwanted: Callable[[Pair], bool],
) -> Differences:
    """What to change in a backend that holds ``held`` (None: it cannot say, so all is sent to it again).

    ``gone`` are pairs that it may still block though their blocks have ended.

    A pair of the backend that is not in memory goes where it is ``unwanted``, as when the books know that it has
    ended; else the books were lost, and it is taken over for what is left of it, ``longest`` at most.
    """
    ours = {pair: block.until - now for pair, block in memory.held_by(mode).items()}
    found = Differences()
    if held is None:
        found.moves = [Timed(pair, left) for pair, left in ours.items() if left > 0]
        found.removes = [pair for pair in gone if pair not in ours]
        return found
    for pair, left in ours.items():
        there = held.get(pair)
        if left <= 0:
            if there is not None:
                found.removes.append(pair)
        elif there is None:
            found.adds.append(Timed(pair, left))
        elif abs(there.seconds - left) > LOOSE:
            found.moves.append(Timed(pair, left))
    for pair, there in held.items():
        if pair in ours:
            continue
        if pair in memory.live or pair in gone or unwanted(pair):
            found.removes.append(pair)
            continue
        left = min(there.seconds, longest)
        if left < there.seconds:
            found.moves.append(Timed(pair, left))
        found.strangers.append(Block(pair, mode, 0, now, now + left))
    return found


def parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """The items in portions of `CHUNK`."""
    return (items[at : at + CHUNK] for at in range(0, len(items), CHUNK))
