"""The replay: was a probe already blocked; then block what it predicts.

A probe of port p by a group at time t blocks p (rank 0) and the K nearest of p (rank 1 ... K) for that group, in
[t, t + T). One pass answers every K and T at once, because with *age* = t - (when the port was last blocked for
the group at a rank <= K):

- the probe was already blocked under (K, T) exactly where age < T;
- blocking a port starts a new block under (K, T) exactly where age >= T, else it extends the one in force;
- a block counts as useful at its first probe. The set of T under which the block in force has already proved
  useful is always {T > u}: a probe at age a makes it {T > a}, blocking again at age a makes it {T > max(u, a)}.

Ages are kept as bins: bin b holds ages with exactly b of the windows T at or below them, so b == 0 is an age below
the shortest window and b == len(windows) means not blocked under any.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from portkin_training.core.port_codes import CODES
from portkin_training.replay import kernel
from portkin_training.replay.events import Events

# Names of the kernel's counters, in its order.
BY_WINDOW = (
    "blocked", "new_blocked", "blocks", "useful", "benign_blocked", "connections_blocked", "new_blocks", "new_useful"
)  # fmt: skip
BY_LEVEL = ("hits", "reciprocal", "ordered")
PLAIN = ("probes", "acted", "new", "steps", "benign", "connections")
BY_PORT = ("probes", "blocked", "new", "new_blocked", "blocks", "useful", "benign", "benign_blocked")

LANES = min(os.cpu_count() or 1, 8)
"""Threads of a replay."""
FULL = int(np.iinfo(np.int32).max)
"""What the narrow counters per port of a lane may hold."""


@dataclass(frozen=True)
class Sweep:
    """The K and the T (seconds) to answer for, ascending; K = 0 is MySelf. `headline` is the (K, T) of per-port
    counts and must be among them."""

    ks: tuple[int, ...] = (0, 3)
    windows: tuple[float, ...] = (20_000.0,)
    headline: tuple[int, float] = (3, 20_000.0)

    def __post_init__(self) -> None:
        """ValueError, which names them, for K or T out of range or order."""
        if len(self.windows) >= kernel.PROVED:
            raise ValueError(f"{len(self.windows)} windows in one replay; at most {kernel.PROVED - 1}")
        for name, values, least in (("K", self.ks, 0), ("T", self.windows, 1e-6)):
            if not values or list(values) != sorted(set(values)) or values[0] < least:
                raise ValueError(f"{name}: {values} must be ascending, distinct and at least {least}")
        if self.headline[0] not in self.ks or self.headline[1] not in self.windows:
            raise ValueError(f"the headline {self.headline} is not one of K {self.ks} and T {self.windows}")

    @property
    def windows_us(self) -> np.ndarray:
        """The windows in microseconds, int64 (T,)."""
        return np.round(np.array(self.windows) * 1e6).astype(np.int64)


@dataclass(frozen=True)
class ReplayCounts:
    """What a replay counted, per bootstrap unit. Sums over units give the whole."""

    sweep: Sweep
    units: np.ndarray  # int32 (u,)
    by_window: np.ndarray  # int64 (u, len(BY_WINDOW), K, T)
    by_level: np.ndarray  # float64 (u, 3, K): hits, sum of reciprocal ranks, ports ordered blocked
    plain: np.ndarray  # int64 (u, len(PLAIN))
    reached: np.ndarray  # int64 (u, T): new ports reached while an earlier probe of the group was younger than T
    ports: np.ndarray  # int32 or int64 (CODES, len(BY_PORT))


class _Groups:
    """What is kept of every group at one K, but for its ports."""

    def __init__(self) -> None:
        self.kept_at, self.kept, self.last_seen = (np.empty(0, np.int64) for _ in range(3))
        self.last_code = np.empty(0, np.int32)

    def grow(self, more: int) -> None:
        """Make room for so many more."""
        for name, empty in (("kept_at", 0), ("kept", 0), ("last_seen", kernel.NEVER), ("last_code", -1)):
            setattr(self, name, _longer(getattr(self, name), more, empty))


class _Level:
    """One K in one lane: the ports that are kept of its groups for the next chunk, and the counters."""

    def __init__(self, k: int, bins: int, capacity: int) -> None:
        self.k = k
        self.store, self.stored = np.empty((capacity, 2), np.int64), 0
        self.by_window = np.zeros((0, kernel.REACHED + 1, bins), np.int64)
        self.by_level = np.zeros((0, kernel.ORDERED + 1 + k), np.int64)
        self.plain = np.zeros((0, len(PLAIN)), np.int64)

    def grow(self, units: int) -> None:
        """Make room for so many units more."""
        for name in ("by_window", "by_level", "plain"):
            setattr(self, name, _longer(getattr(self, name), units, 0))


def _longer(column: np.ndarray, more: int, empty: int) -> np.ndarray:
    return np.concatenate([column, np.full((more, *column.shape[1:]), empty, column.dtype)]) if more else column


class _Lane:
    """Some of the groups, with a thread of its own: what it works with, and what it counts."""

    def __init__(self, sweep: Sweep, capacity: int) -> None:
        self.levels = [_Level(k, len(sweep.windows) + 1, capacity) for k in sweep.ks]
        # The ports of the group at hand.
        self.held = np.full(CODES, kernel.NEVER << 8 | len(sweep.windows), np.int64)
        self.touched = np.empty(CODES + 1, np.int32)
        # Half as wide as the sums may become (`FULL`), for half as many cache lines.
        self.ports = np.zeros((CODES, len(BY_PORT)), np.int32)


class Replay:
    """A replay under way: feed it rows in time order, chunk by chunk, then ask for the counts.

    `matrix` is int32 (CODES, >= max K): the codes nearest to each code, nearest first, -1 where there is none. More
    rows may follow, for events that are answered by rows of their own.
    `lanes` is how many threads share the groups; all that is counted is whole numbers, so that they
    change nothing but the time it takes. `late` counts the rows whose stamp lay before that of an earlier row.
    """

    def __init__(self, matrix: np.ndarray, sweep: Sweep, *, capacity: int = 1 << 12, lanes: int = LANES) -> None:
        """ValueError for a matrix of another shape."""
        deepest = sweep.ks[-1]
        if matrix.shape[0] < CODES or matrix.shape[1] < deepest:
            raise ValueError(f"K = {deepest} needs a matrix ({CODES}, >= {deepest}), not {matrix.shape}")
        self.sweep = sweep
        self.late = 0
        self._clock = kernel.NEVER
        self._matrix = np.ascontiguousarray(matrix, np.int32)
        self._windows = sweep.windows_us
        self._lanes = [_Lane(sweep, capacity) for _ in range(lanes)]
        self._groups = [_Groups() for _ in sweep.ks]
        self._place, self._lane_of = np.empty(0, np.int32), np.empty(0, np.int32)
        self._units = np.empty(0, np.int64)
        self._ports_before: np.ndarray | int = 0
        self._unsummed = 0

    def feed(self, events: Events, *, last: bool = False, answers: np.ndarray | None = None) -> None:
        """Replay these rows; they follow whatever was fed before, and nothing may follow the `last`.

        `answers` (n,) says which row of the matrix answers each of them, where that is not the row of its code; all
        rows are then fed at once.
        """
        n, lanes = len(events), len(self._lanes)
        if n == 0:
            return
        runs, units = self._runs_of(events.unit)
        self._grow_groups(int(events.group.max()) + 1)
        self._sum_ports_before(n)
        began = max(self._clock, int(events.ts[0]))
        count, rows = np.empty(lanes, np.int64), np.empty((n, 2), np.int64)
        members, starts = np.empty((lanes, n), np.int64), np.empty((lanes, n + 1), np.int64)
        answer = np.empty(0, np.int64) if answers is None else np.ascontiguousarray(answers, np.int64)
        ordered = np.empty(len(answer), np.int64)
        # Whoever has anything blocked at any K has so at the greatest.
        self._clock, late = kernel.order(
            events.ts, events.group, events.code, events.act, events.truth, events.opens, self._clock,
            runs, units, self._groups[-1].kept, self._place, self._lane_of, answer, ordered,
            count, members, starts, rows,
            self._lanes[0].levels[0].plain, self._lanes[0].ports,
        )  # fmt: skip
        self.late += late

        def work(lane: int) -> None:
            self._run(lane, began, int(count[lane]), members[lane], starts[lane], rows, ordered, last)

        with ThreadPoolExecutor(lanes) as pool:
            others = pool.map(work, range(1, lanes))
            work(0)
            list(others)

    def add_benign(self, unit: int, packets: int, connections: int, ports: np.ndarray) -> None:
        """Count benign rows of a unit that belong to groups of which nothing is blocked, and so are not fed.

        `connections`: how many of them open one; `ports`: how many there are of each code, int64 (CODES,).
        """
        _, (row,) = self._runs_of(np.array([unit]))
        plain = self._lanes[0].levels[0].plain
        plain[row, kernel.OTHERS] += packets
        plain[row, kernel.CONNECTIONS] += connections
        more = np.zeros((CODES, len(BY_PORT)), np.int64)
        more[:, kernel.PORT_BENIGN] = ports
        self._ports_before = self._ports_before + more

    def _run(
        self, number: int, began: int, count: int, members: np.ndarray, starts: np.ndarray, rows: np.ndarray,
        answers: np.ndarray, last: bool,
    ) -> None:  # fmt: skip
        """Replay the rows of a chunk that began at `began` in one lane, K after K."""
        lane, (k, window) = self._lanes[number], self.sweep.headline
        longest = int(self._windows[-1])
        for level, groups in zip(lane.levels, self._groups, strict=True):
            head = self.sweep.windows.index(window) if level.k == k else -1
            done = 0
            while True:
                done, level.stored = kernel.run(
                    done, count, members, starts, rows, self._clock - longest, last,
                    self._matrix, answers, level.k, self._windows, head,
                    lane.held, lane.touched,
                    level.store, level.stored, groups.kept_at, groups.kept, groups.last_code, groups.last_seen,
                    level.by_window, level.by_level, level.plain, lane.ports,
                )  # fmt: skip
                if done == count:
                    break
                # Make room; what had ended before the chunk, or was left behind, is dropped.
                wanted = kernel.most(groups.kept[members[done]], starts[done + 1] - starts[done], level.k)
                mine = np.repeat(self._lane_of == number, 1 << kernel.HANDFUL)[: len(groups.kept)]
                needed = int(groups.kept[mine].sum()) + wanted
                size = max(len(level.store), needed + max(needed, int(starts[count] - starts[0])))
                wider = np.empty((size, 2), np.int64)
                level.stored = kernel.move(
                    level.store, wider, groups.kept_at, groups.kept, began - longest, number, self._lane_of
                )
                level.store = wider

    def _grow_groups(self, count: int) -> None:
        have = len(self._place)
        if count > have:
            more = max(count, 2 * have, 1024) - have
            self._place = _longer(self._place, more, -1)
            self._lane_of = _longer(self._lane_of, (len(self._place) >> kernel.HANDFUL) + 1 - len(self._lane_of), -1)
            for groups in self._groups:
                groups.grow(more)

    def _sum_ports_before(self, rows: int) -> None:
        """See to it that the counts per port of so many rows more fit into a lane's counters."""
        self._unsummed += rows * (self.sweep.headline[0] + 1)
        if self._unsummed > FULL:
            self._ports_before = self._sum_of_ports().astype(np.int64)
            for lane in self._lanes:
                lane.ports[:] = 0
            self._unsummed = rows * (self.sweep.headline[0] + 1)

    def _sum_of_ports(self) -> np.ndarray:
        total = self._ports_before + self._lanes[0].ports
        for lane in self._lanes[1:]:
            total += lane.ports  # in place: a sum of its own for each lane costs a millisecond
        return total

    def _runs_of(self, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where runs of one unit begin, and for each its row of the counters, adding units not seen before."""
        starts = np.concatenate([[0], np.flatnonzero(unit[1:] != unit[:-1]) + 1])  # days come in runs
        fresh = np.setdiff1d(unit[starts], self._units)
        self._units = np.concatenate([self._units, fresh])
        for lane in self._lanes:
            for level in lane.levels:
                level.grow(len(fresh))
        order = np.argsort(self._units)
        return starts, order[np.searchsorted(self._units, unit[starts], sorter=order)]

    def counts(self) -> ReplayCounts:
        """What has been counted so far."""
        order = np.argsort(self._units)
        # At each K, the lanes together.
        levels = list(zip(*(lane.levels for lane in self._lanes), strict=True))
        bins = np.stack([sum(part.by_window for part in level)[order] for level in levels], axis=2)
        upto = np.cumsum(bins, axis=3)[..., :-1]  # ages below the window
        at_least = bins.sum(axis=3, keepdims=True) - upto  # ages at or above it
        is_blocks = np.isin(np.arange(bins.shape[1]), (kernel.BLOCKS, kernel.NEW_BLOCKS))[None, :, None, None]
        return ReplayCounts(
            sweep=self.sweep,
            units=self._units[order].astype(np.int32),
            by_window=np.where(is_blocks, at_least, upto)[:, : kernel.REACHED],
            by_level=np.stack([_by_level(sum(part.by_level for part in level)[order]) for level in levels], axis=2),
            plain=sum(part.plain for part in levels[0])[order],
            reached=upto[:, kernel.REACHED, 0],
            ports=self._sum_of_ports(),
        )


def _by_level(counted: np.ndarray) -> np.ndarray:
    """What `BY_LEVEL` names, float64 (u, 3), of the kernel's counters of one level."""
    ordered, ranks = counted[:, kernel.ORDERED], counted[:, kernel.ORDERED + 1 :]
    reciprocal = (ranks / np.arange(1, ranks.shape[1] + 1)).sum(axis=1)
    return np.stack([ranks.sum(axis=1), reciprocal, ordered], axis=1)


def replay(events: Events, matrix: np.ndarray, sweep: Sweep, answers: np.ndarray | None = None) -> ReplayCounts:
    """Replay all the rows at once; `matrix` int32 (CODES, >= max K) and `answers` (n,), as in `Replay`."""
    run = Replay(matrix, sweep)
    run.feed(events, last=True, answers=answers)
    return run.counts()
