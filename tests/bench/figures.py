"""What a benchmark says: figures beside their peers, both timed in the same run, in turns.

Every module ``bench_*.py`` has ``measure(size)``, which yields figures as it finds them, and ends in `script`, so that
it runs alone as well as under ``run.py``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, get_args

Size = Literal["smoke", "small", "full"]
"""How much is measured: seconds for all (does it run?), minutes, and what the documentation is written from."""
Clock = Literal["wall", "cpu"]
SIZES: tuple[Size, ...] = get_args(Size)
TURNS: dict[Size, int] = {"smoke": 1, "small": 3, "full": 3}
"""How often everybody is timed."""


@dataclass(frozen=True)
class Figure:
    """One figure, and what it stands beside.

    Attributes:
        name: what was measured.
        value: ours; None where it was not measured, and the note says why.
        unit: of the value and of the peer's.
        better: which way the value should go.
        peer: who did the same work; "" where nobody did.
        peer_value: the peer's; None where it was not measured, and the note says why.
        ratio: how many times as good as the peer ours is, by the clock: above 1 we are the better.
        cpu, peer_cpu, cpu_ratio: the same by processor time, of which other work on the machine takes less.
        n: how many measurements the value is the median of.
        note: what a reader must know to read it.
    """

    name: str
    value: float | None
    unit: str
    better: Literal["less", "more"]
    peer: str = ""
    peer_value: float | None = None
    ratio: float | None = None
    cpu: float | None = None
    peer_cpu: float | None = None
    cpu_ratio: float | None = None
    n: int = 1
    note: str = ""

    def __str__(self) -> str:
        text = f"{self.name}: {quantity(self.value, self.unit)}{_by_processor(self.cpu)}"
        if self.peer:
            text += f"; {self.peer} {quantity(self.peer_value, self.unit)}{_by_processor(self.peer_cpu)}"
        if self.ratio is not None:
            text += f"; {number(self.ratio)} times as good"
        if self.cpu_ratio is not None:
            text += f" ({number(self.cpu_ratio)} by processor time)"
        return text + (f"; {self.note}" if self.note else "")


def missing(name: str, why: str, *, peer: str = "") -> Figure:
    """The row of what could not be measured."""
    return Figure(name, None, "", "less", peer, n=0, note=f"not measured: {why}")


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock, and of processor time: this process, its threads, and children that have ended."""

    wall: float
    cpu: float


def timed(action: Callable[[], object]) -> Spent:
    """What a call takes."""
    cpu, wall = _processor(), time.perf_counter()
    action()
    wall = time.perf_counter() - wall
    return Spent(wall, _processor() - cpu)


def _processor() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


@dataclass(frozen=True)
class Work:
    """Something to be timed.

    Attributes:
        name: who does it.
        do: does it once.
        amount: how much is done by one call, in what the unit counts.
        start: does all but the work, as starting a program; its time is taken off.
        note: what a reader must know of it.
    """

    name: str
    do: Callable[[], object]
    amount: float = 1.0
    start: Callable[[], object] | None = None
    note: str = ""


@dataclass(frozen=True)
class Missing:
    """A peer that is not here, and why."""

    name: str
    why: str


@dataclass(frozen=True)
class Unit:
    """What seconds are shown as: an amount per second (more is better), or time per amount (less is)."""

    name: str
    better: Literal["less", "more"] = "less"
    scale: float = 1.0

    def of(self, seconds: float, amount: float) -> float:
        """The value of so much done in so many seconds."""
        return amount / seconds / self.scale if self.better == "more" else seconds / amount / self.scale


SECONDS, MILLI, MICRO = Unit("s"), Unit("ms", scale=1e-3), Unit("µs", scale=1e-6)


def compare(
    size: Size, name: str, ours: Work, peers: Sequence[Work | Missing] = (), unit: Unit = SECONDS
) -> Iterator[Figure]:
    """A figure for each peer, or one without a peer where there are none.

    Everybody runs once to get warm; then, turn after turn, all run one after another. Values are medians over the
    turns, a ratio is the median of the ratios within the turns, so that what slows the machine for a while slows both.
    """
    turns = TURNS[size]
    present = [ours, *(peer for peer in peers if isinstance(peer, Work))]
    if size != "smoke":
        for work in present:
            work.do()
    measured = [_Measured(work) for work in present]
    for _ in range(turns):
        for one in measured:
            one.turn()
    found = dict(zip((work.name for work in present), measured, strict=True))

    def median(work: Work, clock: Clock) -> float | None:
        seconds = statistics.median(found[work.name].seconds(clock))
        return unit.of(seconds, work.amount) if seconds > 0 else None

    def ratio(peer: Work, clock: Clock) -> float | None:
        pairs = zip(found[ours.name].seconds(clock), found[peer.name].seconds(clock), strict=True)
        ratios = [(his / peer.amount) / (mine / ours.amount) if mine > 0 else math.nan for mine, his in pairs]
        return middle if (middle := statistics.median(ratios)) > 0 else None

    values = median(ours, "wall"), unit.name, unit.better
    cpu = median(ours, "cpu")
    for peer in peers or [None]:
        if peer is None:
            yield Figure(name, *values, cpu=cpu, n=turns, note=ours.note)
        elif isinstance(peer, Missing):
            yield Figure(name, *values, peer.name, cpu=cpu, n=turns, note=f"not measured: {peer.why}")
        else:
            theirs = median(peer, "wall"), ratio(peer, "wall"), cpu, median(peer, "cpu"), ratio(peer, "cpu")
            note = "; ".join(filter(None, (ours.note, peer.note)))
            if theirs[0] is None or values[0] is None:
                theirs, note = (None, None, cpu, None, None), "not measured: too short to be told from its start"
            yield Figure(name, *values, peer.name, *theirs, turns, note)


def spread(name: str, seconds: Sequence[float]) -> Figure:
    """Many of a kind, in milliseconds: the median, and the 99th percentile in the note."""
    if not seconds:
        return missing(name, "nothing came")
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    note = f"99th percentile {number(1e3 * p99)} ms"
    return Figure(name, 1e3 * statistics.median(ordered), "ms", "less", n=len(ordered), note=note)


def once(name: str, action: Callable[[], object], note: str = "") -> Figure:
    """What happens only once, in seconds."""
    spent = timed(action)
    return Figure(name, spent.wall, "s", "less", cpu=spent.cpu, note=note)


class _Measured:
    """The turns of a work."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._done: list[Spent] = []
        self._started: list[Spent] = []

    def turn(self) -> None:
        if self._work.start:
            self._started.append(timed(self._work.start))
        self._done.append(timed(self._work.do))

    def seconds(self, clock: Clock) -> list[float]:
        """Of each turn, the median of the starts taken off."""
        off = statistics.median([getattr(spent, clock) for spent in self._started] or [0.0])
        return [getattr(spent, clock) - off for spent in self._done]


def number(value: float) -> str:
    """A number for people: three digits that count, thousands apart."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.{max(0, 2 - math.floor(math.log10(abs(rounded))))}f}"


def quantity(value: float | None, unit: str) -> str:
    """A value with its unit; millions and more as such."""
    if value is None:
        return "not measured"
    for size, letter in ((1e9, "G"), (1e6, "M")):
        if abs(value) >= size:
            return f"{number(value / size)} {letter} {unit}".rstrip()
    return f"{number(value)} {unit}".rstrip()


def _by_processor(value: float | None) -> str:
    return "" if value is None else f" ({quantity(value, '').strip()} by processor time)"


def script(measure: Callable[[Size], Iterable[Figure]], about: str) -> None:
    """The command line of a benchmark: prints its figures as they come, for people or one JSON object a line."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="small", help="how much to measure [small]")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was set up is taken down
    # What libraries print goes elsewhere.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    load = "{:.1f} {:.1f} {:.1f}".format(*os.getloadavg())
    print(f"size {given.size}, {len(os.sched_getaffinity(0))} cores, load {load}", file=sys.stderr)
    for figure in measure(given.size):
        print(json.dumps(asdict(figure)) if given.json else figure, file=out, flush=True)
