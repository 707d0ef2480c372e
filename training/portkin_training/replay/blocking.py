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

import numba
import numpy as np

from portkin_training.replay.events import BENIGN, CODES, SCAN, Events

# Counters that depend on the level (K) and the window (T).
BLOCKED, NEW_BLOCKED, BLOCKS, USEFUL, BENIGN_BLOCKED, CONNECTIONS_BLOCKED = range(6)
BY_WINDOW = ("blocked", "new_blocked", "blocks", "useful", "benign_blocked", "connections_blocked")
# Counters that depend on the level alone.
HIT, RECIPROCAL, ORDERED = range(3)
# Counters that depend on neither.
PROBES, ACTED, NEW, STEPS, OTHERS, CONNECTIONS = range(6)
PLAIN = ("probes", "acted", "new", "steps", "benign", "connections")
# Counters per port, at the one (K, T) of the headline.
PORT_PROBES, PORT_BLOCKED, PORT_NEW, PORT_NEW_BLOCKED, PORT_BLOCKS, PORT_USEFUL, PORT_BENIGN, PORT_BENIGN_BLOCKED = (
    range(8)
)
BY_PORT = ("probes", "blocked", "new", "new_blocked", "blocks", "useful", "benign", "benign_blocked")


@dataclass(frozen=True)
class Sweep:
    """The K and the T (seconds) to answer for, ascending; K = 0 is MySelf. `headline` is the (K, T) of per-port
    counts and must be among them."""

    ks: tuple[int, ...] = (0, 3)
    windows: tuple[float, ...] = (20_000.0,)
    headline: tuple[int, float] = (3, 20_000.0)

    def __post_init__(self) -> None:
        if len(self.windows) >= PROVED:
            raise ValueError(f"{len(self.windows)} windows in one replay; at most {PROVED - 1}")
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


# A slot of the hash table is one row of int64: the key (group * CODES + code, -1 where empty), then per level one
# word: when the port was last blocked (us) << 8 | ever probed << 7 (level 0 alone) | the first bin proved useful.
# One row is one cache line, and cache misses are what the replay waits for.
PROBED = 1 << 7
PROVED = PROBED - 1
NEVER = -(1 << 54)


@numba.njit(cache=True, nogil=True, inline="always")
def _find(slots, key):  # pragma: no cover - compiled
    """The slot of the key, or of the empty place where it belongs."""
    mask = len(slots) - 1
    x = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    at = np.int64((x ^ (x >> np.uint64(32))) & np.uint64(mask))
    while slots[at, 0] != key and slots[at, 0] != -1:
        at = (at + 1) & mask
    return at


@numba.njit(cache=True, nogil=True, inline="always")
def _bin(windows, age):  # pragma: no cover - compiled
    b = 0
    while b < len(windows) and windows[b] <= age:
        b += 1
    return b


@numba.njit(cache=True, nogil=True)
def _run(
    start, ts, group, code, act, truth, opens, unit,  # the rows
    matrix, level_of_rank, windows, head_level, head_window,  # the rule
    slots, used, last_code, last_seen,  # the ports of the groups; the groups
    by_window, reached, by_level, plain, ports,  # the counters
):  # fmt: skip  # pragma: no cover - compiled
    """Replay rows from start on; stops where the hash table wants to grow. Returns (rows done, slots used)."""
    levels, n_windows, width = slots.shape[1] - 1, len(windows), matrix.shape[1]
    unseen = NEVER << 8 | n_windows
    limit = 7 * len(slots) // 10 - width - 2
    bins = np.empty(levels, np.int64)
    for i in range(start, len(ts)):
        if used > limit:
            return i, used
        g, c, u, now = group[i], code[i], unit[i], ts[i]
        before = last_code[g]
        if truth[i] == SCAN:
            at = _find(slots, g * CODES + c)
            if slots[at, 0] == -1:
                slots[at, 0] = g * CODES + c
                slots[at, 1:] = unseen
                used += 1
            plain[u, PROBES] += 1
            ports[c, PORT_PROBES] += 1
            new = before >= 0 and not slots[at, 1] & PROBED
            if new:
                plain[u, NEW] += 1
                ports[c, PORT_NEW] += 1
                reached[u, _bin(windows, now - last_seen[g])] += 1
            for level in range(levels):
                word = slots[at, 1 + level]
                b = _bin(windows, now - (word >> 8))
                proved = word & PROVED
                by_window[u, BLOCKED, level, b] += 1
                if new:
                    by_window[u, NEW_BLOCKED, level, b] += 1
                if b < proved:  # the first probe of the block for the windows b ... proved - 1
                    by_window[u, USEFUL, level, b] += 1
                    by_window[u, USEFUL, level, proved] -= 1
                if level == head_level and b <= head_window:
                    ports[c, PORT_BLOCKED] += 1
                    ports[c, PORT_NEW_BLOCKED] += new
                    ports[c, PORT_USEFUL] += head_window < proved
                slots[at, 1 + level] = word - proved + b
            slots[at, 1] |= PROBED
            if before >= 0 and before != c:
                plain[u, STEPS] += 1
                for rank in range(1, width + 1):
                    if matrix[before, rank - 1] == c:
                        for level in range(level_of_rank[rank], levels):
                            by_level[u, HIT, level] += 1
                            by_level[u, RECIPROCAL, level] += 1.0 / rank
                        break
            last_code[g] = c
            last_seen[g] = now
        elif truth[i] == BENIGN:
            plain[u, OTHERS] += 1
            plain[u, CONNECTIONS] += opens[i]
            ports[c, PORT_BENIGN] += 1
            if before != -1:  # something may be blocked for this group
                at = _find(slots, g * CODES + c)
                if slots[at, 0] != -1:
                    for level in range(levels):
                        bins[level] = _bin(windows, now - (slots[at, 1 + level] >> 8))
                        by_window[u, BENIGN_BLOCKED, level, bins[level]] += 1
                        by_window[u, CONNECTIONS_BLOCKED, level, bins[level]] += opens[i]
                    ports[c, PORT_BENIGN_BLOCKED] += bins[head_level] <= head_window
        if act[i]:
            plain[u, ACTED] += 1
            if last_code[g] == -1:
                last_code[g] = -2  # blocked, though no scan of it is known
            for rank in range(width + 1):
                q = c if rank == 0 else matrix[c, rank - 1]
                if q < 0:
                    continue
                at = _find(slots, g * CODES + q)
                if slots[at, 0] == -1:
                    slots[at, 0] = g * CODES + q
                    slots[at, 1:] = unseen
                    used += 1
                for level in range(level_of_rank[rank], levels):
                    word = slots[at, 1 + level]
                    b = _bin(windows, now - (word >> 8))
                    by_window[u, BLOCKS, level, b] += 1
                    by_level[u, ORDERED, level] += 1
                    if level == head_level:
                        ports[q, PORT_BLOCKS] += b > head_window
                    slots[at, 1 + level] = now << 8 | word & PROBED | max(b, word & PROVED)
    return len(ts), used


@numba.njit(cache=True, nogil=True)
def _still_needed(slots, stale):  # pragma: no cover - compiled
    """How many slots matter: one never probed whose block ended by `stale` is as good as none."""
    live = 0
    for i in range(len(slots)):
        if slots[i, 0] != -1 and (slots[i, 1] & PROBED or slots[i, -1] >> 8 > stale):
            live += 1
    return live


@numba.njit(cache=True, nogil=True)
def _rehash(slots, wider, stale):  # pragma: no cover - compiled
    """Move every slot that matters; returns how many."""
    used = 0
    for i in range(len(slots)):
        if slots[i, 0] != -1 and (slots[i, 1] & PROBED or slots[i, -1] >> 8 > stale):
            wider[_find(wider, slots[i, 0])] = slots[i]
            used += 1
    return used


class Replay:
    """A replay under way: feed it rows in time order, chunk by chunk, then ask for the counts.

    `matrix` is int32 (CODES, >= max K): the codes nearest to each code, nearest first, -1 where there is none.
    `late` counts the rows whose stamp lay before that of an earlier row.
    """

    def __init__(self, matrix: np.ndarray, sweep: Sweep, *, capacity: int = 1 << 14) -> None:
        deepest = sweep.ks[-1]
        if matrix.shape[0] != CODES or matrix.shape[1] < deepest:
            raise ValueError(f"K = {deepest} needs a matrix ({CODES}, >= {deepest}), not {matrix.shape}")
        self.sweep = sweep
        self._matrix = np.ascontiguousarray(matrix[:, :deepest], np.int32)
        self._windows = sweep.windows_us
        self._level_of_rank = np.searchsorted(sweep.ks, np.arange(deepest + 1)).astype(np.int64)
        self._head = (sweep.ks.index(sweep.headline[0]), sweep.windows.index(sweep.headline[1]))
        self._slots = self._empty(capacity)
        self._used = 0
        self.late = 0
        self._clock = NEVER
        self._last_code = np.empty(0, np.int32)
        self._last_seen = np.empty(0, np.int64)
        self._units = np.empty(0, np.int64)
        levels, bins = len(sweep.ks), len(sweep.windows) + 1
        self._by_window = np.zeros((0, len(BY_WINDOW), levels, bins), np.int64)
        self._reached = np.zeros((0, bins), np.int64)
        self._by_level = np.zeros((0, 3, levels))
        self._plain = np.zeros((0, len(PLAIN)), np.int64)
        self._ports = np.zeros((CODES, len(BY_PORT)), np.int64)

    def _empty(self, capacity: int) -> np.ndarray:
        slots = np.empty((capacity, 1 + len(self.sweep.ks)), np.int64)
        slots[:, 0] = -1
        return slots

    def feed(self, events: Events) -> None:
        """Replay these rows; they follow whatever was fed before."""
        if len(events) == 0:
            return
        ts, unit = self._forward(events), self._rows_of(events.unit)
        self._grow_groups(int(events.group.max()) + 1)
        done = 0
        while True:
            done, self._used = _run(
                done, ts, events.group, events.code, events.act, events.truth, events.opens, unit,
                self._matrix, self._level_of_rank, self._windows, *self._head,
                self._slots, self._used, self._last_code, self._last_seen,
                self._by_window, self._reached, self._by_level, self._plain, self._ports,
            )  # fmt: skip
            if done == len(events):
                return
            self._grow_table(int(ts[done]))

    def _forward(self, events: Events) -> np.ndarray:
        """The stamps as a clock that never runs backwards: a late row counts as now."""
        ts = np.maximum.accumulate(np.maximum(events.ts, self._clock))
        self.late += int(np.count_nonzero(ts != events.ts))
        self._clock = int(ts[-1])
        return ts

    def _grow_table(self, now: int) -> None:
        # Where dropping what has expired is enough, the size stays.
        stale = now - int(self._windows[-1])
        live = _still_needed(self._slots, stale)
        capacity = len(self._slots)
        while capacity < 3 * live or capacity < 64 * (self._matrix.shape[1] + 2):
            capacity *= 2
        slots = self._empty(capacity)
        self._used = _rehash(self._slots, slots, stale)
        self._slots = slots

    def _grow_groups(self, count: int) -> None:
        have = len(self._last_code)
        if count > have:
            size = max(count, 2 * have, 1024)
            self._last_code = np.concatenate([self._last_code, np.full(size - have, -1, np.int32)])
            self._last_seen = np.concatenate([self._last_seen, np.full(size - have, NEVER, np.int64)])

    def _rows_of(self, unit: np.ndarray) -> np.ndarray:
        """The rows of the counters that stand for these units, adding those not seen before."""
        fresh = np.setdiff1d(unit, self._units)
        if len(fresh):
            self._units = np.concatenate([self._units, fresh])
            for name in ("_by_window", "_reached", "_by_level", "_plain"):
                have = getattr(self, name)
                more = np.zeros((len(fresh), *have.shape[1:]), have.dtype)
                setattr(self, name, np.concatenate([have, more]))
        order = np.argsort(self._units)
        return order[np.searchsorted(self._units, unit, sorter=order)].astype(np.int64)

    def counts(self) -> Counts:
        """What has been counted so far."""
        order = np.argsort(self._units)
        bins = self._by_window[order]
        upto = np.cumsum(bins, axis=3)[..., :-1]  # ages below the window
        at_least = bins.sum(axis=3, keepdims=True) - upto  # ages at or above it
        by_window = np.where((np.arange(len(BY_WINDOW)) == BLOCKS)[None, :, None, None], at_least, upto)
        return Counts(
            sweep=self.sweep,
            units=self._units[order].astype(np.int32),
            by_window=by_window,
            by_level=self._by_level[order].copy(),
            plain=self._plain[order].copy(),
            reached=np.cumsum(self._reached[order], axis=1)[:, :-1],
            ports=self._ports.copy(),
        )


def replay(events: Events, matrix: np.ndarray, sweep: Sweep) -> Counts:
    """Replay all the rows at once."""
    run = Replay(matrix, sweep)
    run.feed(events)
    return run.counts()
