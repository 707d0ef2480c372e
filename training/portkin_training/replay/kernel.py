"""The compiled loops of the replay (`blocking` says what they count).

Groups know nothing of each other, so each one's rows are replayed together: what is known of its ports then lies close
together, in the processor's caches. What a group leaves behind waits in a `store` for the rows of the next chunk.

What is known of one port of one group, at one K, is two int64: the code, and when the port was last blocked (us) << 8
| ever probed << 7 | the first bin proved useful.
"""

from __future__ import annotations

import numba
import numpy as np

from portkin_training.replay.events import BENIGN, CODES, SCAN

# Counters that depend on the level (K) and the window (T), and a last one that depends on the window alone.
BLOCKED, NEW_BLOCKED, BLOCKS, USEFUL, BENIGN_BLOCKED, CONNECTIONS_BLOCKED, REACHED = range(7)
# Counters that depend on the level alone.
HIT, RECIPROCAL, ORDERED = range(3)
# Counters that depend on neither.
PROBES, ACTED, NEW, STEPS, OTHERS, CONNECTIONS = range(6)
# Counters per port, at the one (K, T) of the headline.
PORT_PROBES, PORT_BLOCKED, PORT_NEW, PORT_NEW_BLOCKED, PORT_BLOCKS, PORT_USEFUL, PORT_BENIGN, PORT_BENIGN_BLOCKED = (
    range(8)
)

PROBED = 1 << 7
PROVED = PROBED - 1
NEVER = -(1 << 54)


@numba.njit(cache=True, nogil=True)
def sort(group, act, truth, kept, place, members, starts, rows):  # pragma: no cover - compiled
    """The rows of the groups that have, or come to have, anything blocked, group by group, each in order of time.

    Rows before a group's first of any interest are left out. Fills `members` (the groups), `starts` (where the rows of
    each begin, and an end) and `rows`; returns how many groups. `place` is -1 for every group, before and after.
    """
    count = 0
    which = np.empty(len(group), np.int32)
    for i in range(len(group)):
        g = group[i]
        m = place[g]
        if m < 0 and (truth[i] == SCAN or act[i] or kept[g] > 0):
            m = place[g] = count
            members[m] = g
            starts[m + 1] = 0
            count += 1
        which[i] = m
        if m >= 0:
            starts[m + 1] += 1
    starts[0] = 0
    for m in range(count):
        starts[m + 1] += starts[m]
        place[members[m]] = -1
    free = starts[:count].copy()
    for i in range(len(group)):
        m = which[i]
        if m >= 0:
            rows[free[m]] = i
            free[m] += 1
    return count


@numba.njit(cache=True, nogil=True)
def count_benign(code, truth, opens, unit, plain, ports):  # pragma: no cover - compiled
    """Count the benign rows, blocked or not."""
    for i in range(len(code)):
        if truth[i] == BENIGN:
            plain[unit[i], OTHERS] += 1
            plain[unit[i], CONNECTIONS] += opens[i]
            ports[PORT_BENIGN, code[i]] += 1


@numba.njit(cache=True, nogil=True, inline="always")
def _bin(windows, age):  # pragma: no cover - compiled
    b = 0
    while b < len(windows) and windows[b] <= age:
        b += 1
    return b


@numba.njit(cache=True, nogil=True)
def most(known, rows, k):  # pragma: no cover - compiled
    """How many ports a group can know after so many rows."""
    return known + min(rows * (k + 1), CODES)


@numba.njit(cache=True, nogil=True)
def run(
    begun, count, members, starts, rows,  # the rows by group
    ts, code, act, truth, opens, unit,
    matrix, k, windows, head_window,  # the rule, and the window of the headline: -1 at another K than its
    state, where,  # the ports of the group at hand
    store, stored, kept_at, kept, last_code, last_seen,  # what is kept of each group
    by_window, by_level, plain, ports,  # the counters
):  # fmt: skip  # pragma: no cover - compiled
    """Replay group after group at one K, from the one at `begun` on; stops where the store might not hold what the
    next one leaves. Returns (groups done, rows of the store taken).

    `where` says in which place of `state` a code stands. It need never be cleared: what it says is believed only where
    the code does stand there (the sparse sets of Briggs and Torczon, 1993). The look-up is written out where it is
    needed: as a function that Numba inlines, it makes the loop twice as slow.
    """
    unseen = NEVER << 8 | len(windows)
    head = head_window >= 0
    tally = np.zeros((by_window.shape[1], by_window.shape[2]), np.int64)  # what one group did in one unit
    for m in range(begun, count):
        g = members[m]
        if stored + most(kept[g], starts[m + 1] - starts[m], k) > len(store):
            return m, stored
        known = kept[g]
        for i in range(known):
            state[i, 0], state[i, 1] = store[kept_at[g] + i, 0], store[kept_at[g] + i, 1]
            where[state[i, 0]] = i
        before, seen, at, u = last_code[g], last_seen[g], np.int64(0), unit[rows[starts[m]]]
        probes = acted = fresh = steps = hits = ordered = 0
        reciprocal = 0.0
        for row in range(starts[m], starts[m + 1] + 1):
            i = rows[min(row, starts[m + 1] - 1)]
            if row == starts[m + 1] or unit[i] != u:
                by_window[u] += tally
                tally[:] = 0
                by_level[u, HIT] += hits
                by_level[u, RECIPROCAL] += reciprocal
                by_level[u, ORDERED] += ordered
                plain[u, PROBES] += probes
                plain[u, ACTED] += acted
                plain[u, NEW] += fresh
                plain[u, STEPS] += steps
                if row == starts[m + 1]:
                    break
                probes = acted = fresh = steps = hits = ordered = 0
                reciprocal = 0.0
                u = unit[i]
            c, now, kind = code[i], ts[i], truth[i]
            if kind == SCAN or act[i]:
                at = np.int64(where[c])
                if at >= known or state[at, 0] != c:
                    at = known
                    where[c], state[at, 0], state[at, 1] = at, c, unseen
                    known += 1
            if kind == SCAN:
                probes += 1
                word = state[at, 1]
                b = _bin(windows, now - (word >> 8))
                proved = word & PROVED
                new = before >= 0 and not word & PROBED
                tally[BLOCKED, b] += 1
                if new:
                    fresh += 1
                    tally[NEW_BLOCKED, b] += 1
                    tally[REACHED, _bin(windows, now - seen)] += 1
                if b < proved:  # the first probe of the block for the windows b ... proved - 1
                    tally[USEFUL, b] += 1
                    tally[USEFUL, proved] -= 1
                if head:
                    ports[PORT_PROBES, c] += 1
                    ports[PORT_NEW, c] += new
                    if b <= head_window:
                        ports[PORT_BLOCKED, c] += 1
                        ports[PORT_NEW_BLOCKED, c] += new
                        ports[PORT_USEFUL, c] += head_window < proved
                state[at, 1] = word - proved + b | PROBED
                if before >= 0 and before != c:
                    steps += 1
                    for rank in range(k):
                        if matrix[before, rank] == c:
                            hits += 1
                            reciprocal += 1.0 / (rank + 1)
                            break
                before, seen = c, now
            elif kind == BENIGN:
                held = np.int64(where[c])
                if held < known and state[held, 0] == c:
                    b = _bin(windows, now - (state[held, 1] >> 8))
                    tally[BENIGN_BLOCKED, b] += 1
                    tally[CONNECTIONS_BLOCKED, b] += opens[i]
                    if head:
                        ports[PORT_BENIGN_BLOCKED, c] += b <= head_window
            if act[i]:
                acted += 1
                q = c
                for rank in range(k + 1):
                    if rank > 0:
                        q = matrix[c, rank - 1]
                        if q < 0:
                            continue
                        at = np.int64(where[q])
                        if at >= known or state[at, 0] != q:
                            at = known
                            where[q], state[at, 0], state[at, 1] = at, q, unseen
                            known += 1
                    word = state[at, 1]
                    b = _bin(windows, now - (word >> 8))
                    tally[BLOCKS, b] += 1
                    ordered += 1
                    if head and b > head_window:
                        ports[PORT_BLOCKS, q] += 1
                    state[at, 1] = now << 8 | word & PROBED | max(b, word & PROVED)
        last_code[g], last_seen[g] = before, seen
        # A port never probed whose block has ended is as good as none.
        stale = ts[rows[starts[m + 1] - 1]] - windows[-1]
        if known > kept[g]:  # no room where it was
            kept_at[g] = stored
        to = kept_at[g]
        for i in range(known):
            if state[i, 1] & PROBED or state[i, 1] >> 8 > stale:
                store[to, 0], store[to, 1] = state[i, 0], state[i, 1]
                to += 1
        kept[g] = to - kept_at[g]
        stored = max(stored, to)
    return count, stored


@numba.njit(cache=True, nogil=True)
def move(store, wider, kept_at, kept, stale):  # pragma: no cover - compiled
    """Move to another store what still matters; returns how many of its rows are taken."""
    stored = 0
    for g in range(len(kept)):
        first, count = kept_at[g], kept[g]
        kept_at[g] = stored
        for i in range(first, first + count):
            if store[i, 1] & PROBED or store[i, 1] >> 8 > stale:
                wider[stored, 0], wider[stored, 1] = store[i, 0], store[i, 1]
                stored += 1
        kept[g] = stored - kept_at[g]
    return stored
