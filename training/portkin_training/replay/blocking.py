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

from dataclasses import dataclass

import numpy as np

from portkin_training.replay import kernel
from portkin_training.replay.events import CODES, Events

# Names of the kernel's counters, in its order.
BY_WINDOW = ("blocked", "new_blocked", "blocks", "useful", "benign_blocked", "connections_blocked")
BY_LEVEL = ("hits", "reciprocal", "ordered")
PLAIN = ("probes", "acted", "new", "steps", "benign", "connections")
BY_PORT = ("probes", "blocked", "new", "new_blocked", "blocks", "useful", "benign", "benign_blocked")


@dataclass(frozen=True)
class Sweep:
    """The K and the T (seconds) to answer for, ascending; K = 0 is MySelf. `headline` is the (K, T) of per-port
    counts and must be among them."""

    ks: tuple[int, ...] = (0, 3)
    windows: tuple[float, ...] = (20_000.0,)
    headline: tuple[int, float] = (3, 20_000.0)

    def __post_init__(self) -> None:
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
class Counts:
    """What a replay counted, per bootstrap unit. Sums over units give the whole."""

    sweep: Sweep
    units: np.ndarray  # int32 (u,)
    by_window: np.ndarray  # int64 (u, len(BY_WINDOW), K, T)
    by_level: np.ndarray  # float64 (u, 3, K): hits, sum of reciprocal ranks, ports ordered blocked
    plain: np.ndarray  # int64 (u, len(PLAIN))
    reached: np.ndarray  # int64 (u, T): new ports reached while an earlier probe of the group was younger than T
    ports: np.ndarray  # int64 (CODES, len(BY_PORT))


class _Level:
    """One K: what is kept of each group for the next chunk, and the counters."""

    def __init__(self, k: int, bins: int, capacity: int) -> None:
        self.k = k
        self.store, self.stored = np.empty((capacity, 2), np.int64), 0
        self.kept_at, self.kept, self.last_seen = (np.empty(0, np.int64) for _ in range(3))
        self.last_code = np.empty(0, np.int32)
        self.by_window = np.zeros((0, kernel.REACHED + 1, bins), np.int64)
        self.by_level = np.zeros((0, len(BY_LEVEL)))
        self.plain = np.zeros((0, len(PLAIN)), np.int64)

    def grow_store(self, stale: int, wanted: int) -> None:
        """Make room for `wanted` more; what ended by `stale`, or was left behind, is dropped."""
        size = max(len(self.store), 2 * (int(self.kept.sum()) + wanted))
        wider = np.empty((size, 2), np.int64)
        self.stored = kernel.move(self.store, wider, self.kept_at, self.kept, stale)
        self.store = wider

    def grow(self, groups: int, units: int) -> None:
        """Make room for so many groups and units more."""
        for name, empty in (("kept_at", 0), ("kept", 0), ("last_seen", kernel.NEVER), ("last_code", -1)):
            setattr(self, name, _longer(getattr(self, name), groups, empty))
        for name in ("by_window", "by_level", "plain"):
            setattr(self, name, _longer(getattr(self, name), units, 0))


def _longer(column: np.ndarray, more: int, empty: int) -> np.ndarray:
    return np.concatenate([column, np.full((more, *column.shape[1:]), empty, column.dtype)]) if more else column


class Replay:
    """A replay under way: feed it rows in time order, chunk by chunk, then ask for the counts.

    `matrix` is int32 (CODES, >= max K): the codes nearest to each code, nearest first, -1 where there is none.
    `late` counts the rows whose stamp lay before that of an earlier row.
    """

    def __init__(self, matrix: np.ndarray, sweep: Sweep, *, capacity: int = 1 << 12) -> None:
        deepest = sweep.ks[-1]
        if matrix.shape[0] != CODES or matrix.shape[1] < deepest:
            raise ValueError(f"K = {deepest} needs a matrix ({CODES}, >= {deepest}), not {matrix.shape}")
        self.sweep = sweep
        self.late = 0
        self._clock = kernel.NEVER
        self._matrix = np.ascontiguousarray(matrix[:, :deepest], np.int32)
        self._windows = sweep.windows_us
        self._levels = [_Level(k, len(sweep.windows) + 1, capacity) for k in sweep.ks]
        # The ports of the group at hand; pages that no group needs are never touched.
        self._state, self._where = np.empty((CODES, 2), np.int64), np.zeros(CODES, np.int32)
        self._place = np.empty(0, np.int32)
        self._units = np.empty(0, np.int64)
        self._ports = np.zeros((len(BY_PORT), CODES), np.int64)

    def feed(self, events: Events) -> None:
        """Replay these rows; they follow whatever was fed before."""
        n = len(events)
        if n == 0:
            return
        ts, unit = self._forward(events), self._rows_of(events.unit)
        self._grow_groups(int(events.group.max()) + 1)
        members, starts, rows = np.empty(n, np.int64), np.empty(n + 1, np.int64), np.empty(n, np.int64)
        # Whoever has anything blocked at any K has so at the greatest.
        kept = self._levels[-1].kept
        count = kernel.sort(events.group, events.act, events.truth, kept, self._place, members, starts, rows)
        columns = (ts, events.code, events.act, events.truth, events.opens, unit)
        kernel.count_benign(events.code, events.truth, events.opens, unit, self._levels[0].plain, self._ports)
        for level in self._levels:
            self._run(level, (count, members, starts, rows), columns)

    def _run(self, level: _Level, order: tuple, columns: tuple) -> None:
        """Replay the rows of a chunk at one K."""
        count, members, starts, _ = order
        k, window = self.sweep.headline
        head = self.sweep.windows.index(window) if level.k == k else -1
        done = 0
        while True:
            done, level.stored = kernel.run(
                done, *order, *columns,
                self._matrix, level.k, self._windows, head,
                self._state, self._where,
                level.store, level.stored, level.kept_at, level.kept, level.last_code, level.last_seen,
                level.by_window, level.by_level, level.plain, self._ports,
            )  # fmt: skip
            if done == count:
                return
            wanted = kernel.most(level.kept[members[done]], starts[done + 1] - starts[done], level.k)
            level.grow_store(int(columns[0][0] - self._windows[-1]), wanted)

    def _forward(self, events: Events) -> np.ndarray:
        """The stamps as a clock that never runs backwards: a late row counts as now."""
        ts = np.maximum.accumulate(np.maximum(events.ts, self._clock))
        self.late += int(np.count_nonzero(ts != events.ts))
        self._clock = int(ts[-1])
        return ts

    def _grow_groups(self, count: int) -> None:
        have = len(self._place)
        if count > have:
            more = max(count, 2 * have, 1024) - have
            self._place = _longer(self._place, more, -1)
            for level in self._levels:
                level.grow(more, 0)

    def _rows_of(self, unit: np.ndarray) -> np.ndarray:
        """The rows of the counters that stand for these units, adding those not seen before."""
        starts = np.flatnonzero(np.diff(unit, prepend=unit[0] - 1))  # days come in runs
        fresh = np.setdiff1d(unit[starts], self._units)
        self._units = np.concatenate([self._units, fresh])
        for level in self._levels:
            level.grow(0, len(fresh))
        order = np.argsort(self._units)
        rows = order[np.searchsorted(self._units, unit[starts], sorter=order)]
        return np.repeat(rows, np.diff(starts, append=len(unit)))

    def counts(self) -> Counts:
        """What has been counted so far; `ports` goes on counting where more is fed."""
        order = np.argsort(self._units)
        bins = np.stack([level.by_window[order] for level in self._levels], axis=2)
        upto = np.cumsum(bins, axis=3)[..., :-1]  # ages below the window
        at_least = bins.sum(axis=3, keepdims=True) - upto  # ages at or above it
        is_blocks = (np.arange(bins.shape[1]) == kernel.BLOCKS)[None, :, None, None]
        first = self._levels[0]
        return Counts(
            sweep=self.sweep,
            units=self._units[order].astype(np.int32),
            by_window=np.where(is_blocks, at_least, upto)[:, : kernel.REACHED],
            by_level=np.stack([level.by_level[order] for level in self._levels], axis=2),
            plain=first.plain[order],
            reached=upto[:, kernel.REACHED, 0],
            ports=self._ports.T,
        )


def replay(events: Events, matrix: np.ndarray, sweep: Sweep) -> Counts:
    """Replay all the rows at once."""
    run = Replay(matrix, sweep)
    run.feed(events)
    return run.counts()
