"""The compiled loops of the replay (`blocking` says what they count).

Groups know nothing of each other, so each one's rows are replayed together: what is known of its ports then lies close
together, in the processor's caches. What a group leaves behind waits in a `store` for the rows of the next chunk.

What is known of one port of one group, at one K, is an int64: when the port was last blocked (us) << 8 | ever probed
<< 7 | the first bin proved useful.
"""

from __future__ import annotations

import numba
import numpy as np

from portkin_training.core.port_codes import CODES
from portkin_training.replay.events import BENIGN, SCAN

# Counters that depend on the level (K) and the window (T), and a last one that depends on the window alone.
BLOCKED, NEW_BLOCKED, BLOCKS, USEFUL, BENIGN_BLOCKED, CONNECTIONS_BLOCKED, NEW_BLOCKS, NEW_USEFUL, REACHED = range(9)
# Counters that depend on the level alone; those after the last: how often the port r-th nearest was the next, r >= 1.
(ORDERED,) = range(1)
# Counters that depend on neither.
PROBES, ACTED, NEW, STEPS, OTHERS, CONNECTIONS = range(6)
# Counters per port, at the one (K, T) of the headline.
PORT_PROBES, PORT_BLOCKED, PORT_NEW, PORT_NEW_BLOCKED, PORT_BLOCKS, PORT_USEFUL, PORT_BENIGN, PORT_BENIGN_BLOCKED = (
    range(8)
)

PROBED = 1 << 7
PROVED = PROBED - 1
NEVER = -(1 << 54)
# A row as `order` packs it: its code, then what it is, whether it acts, whether it opens a connection, its unit.
CODE = (1 << 17) - 1
TRUTH, ACTS, OPENS, UNIT = 17, 19, 20, 21


HANDFUL = 4
"""2 ** this many groups that follow each other share a lane, as what is kept of them shares cache lines."""


@numba.njit(cache=True, nogil=True)
def order(
    ts, group, code, act, truth, opens, clock,  # the rows
    runs, units,  # where runs of one unit begin, and the units' rows among the counters
    kept, place,  # what groups have from earlier chunks; -1 for every group, before and after
    lane_of,  # of every handful of groups, -1 where it has none yet
    answer, answers,  # which row of the matrix answers each row, before and after; empty where that of its code does
    counts, members, starts, rows,  # the rows by lane and group
    plain, ports,
):  # fmt: skip  # pragma: no cover - compiled
    """The rows of the groups that have, or come to have, anything blocked: lane by lane, group by group, each in order
    of time.

    Rows before a group's first of any interest are left out. Handfuls of groups that are new go to the lane with the
    fewest rows. Fills, for each lane, `counts` (its groups), `members` (which) and `starts` (where the rows of each
    begin, and an end); and `rows`: the stamp, by a clock that never runs backwards (a late row counts as now), and all
    else. Counts the benign rows, blocked or not. Returns (clock, late rows).
    """
    lanes, found, late = len(counts), 0, 0
    which = np.empty(len(group), np.int32)
    size, of = np.empty(len(group), np.int64), np.empty(len(group), np.int64)
    for i in range(len(group)):
        g = group[i]
        m = place[g]
        if m < 0 and (truth[i] == SCAN or act[i] or kept[g] > 0):
            m = place[g] = found
            of[m], size[m] = g, 0
            found += 1
        which[i] = m
        if m >= 0:
            size[m] += 1
    weight, load = np.zeros(len(lane_of), np.int64), np.zeros(lanes, np.int64)
    for m in range(found):
        weight[of[m] >> HANDFUL] += size[m]
    for h in range(len(lane_of)):
        if lane_of[h] >= 0:
            load[lane_of[h]] += weight[h]
    counts[:] = 0
    for m in range(found):
        g = of[m]
        place[g] = -1
        lane = lane_of[g >> HANDFUL]
        if lane < 0:
            lane = lane_of[g >> HANDFUL] = np.argmin(load)
            load[lane] += weight[g >> HANDFUL]
        members[lane, counts[lane]] = m
        counts[lane] += 1
    end = 0
    free = np.empty(found, np.int64)
    for lane in range(lanes):
        for at in range(counts[lane]):
            m = members[lane, at]
            members[lane, at] = of[m]
            starts[lane, at] = free[m] = end
            end += size[m]
        starts[lane, counts[lane]] = end
    for run in range(len(runs)):
        u = units[run]
        for i in range(runs[run], runs[run + 1] if run + 1 < len(runs) else len(group)):
            late += ts[i] < clock
            clock = max(clock, ts[i])
            m, kind = which[i], np.int64(truth[i])
            if kind == BENIGN:
                plain[u, OTHERS] += 1
                plain[u, CONNECTIONS] += opens[i]
                ports[code[i], PORT_BENIGN] += 1
            if m >= 0:
                at = free[m]
                rows[at, 0] = clock
                rows[at, 1] = (
                    code[i] | kind << TRUTH | np.int64(act[i]) << ACTS | np.int64(opens[i]) << OPENS | u << UNIT
                )
                if len(answer):
                    answers[at] = answer[i]
                free[m] = at + 1
    return clock, late


@numba.njit(cache=True, nogil=True, inline="always")
def _bin(windows, age):  # pragma: no cover - compiled
    b = np.int64(0)
    for w in range(len(windows)):
        b += windows[w] <= age
    return b


@numba.njit(cache=True, nogil=True)
def most(known, rows, k):  # pragma: no cover - compiled
    """How many ports a group can know after so many rows."""
    return known + min(rows * (k + 1), CODES)


@numba.njit(cache=True, nogil=True)
def run(
    begun, count, members, starts, rows,  # the rows by group
    stale,  # a block that began by then has ended for the chunks to come: of a port never probed, as good as none
    last,  # whether no chunk is to come
    matrix, answers, k, windows, head_window,  # the rule, and the window of the headline: -1 at another K than its
    held, touched,  # of the group at hand: what is known of each port, and the ports of which anything is
    store, stored, kept_at, kept, last_code, last_seen,  # what is kept of each group
    by_window, by_level, plain, ports,  # the counters
):  # fmt: skip  # pragma: no cover - compiled
    """Replay group after group at one K, from the one at `begun` on; stops where the store might not hold what the
    next one leaves. Returns (groups done, rows of the store taken).

    `held` knows nothing of any port, before and after.
    """
    unseen = NEVER << 8 | len(windows)
    head = head_window >= 0
    for m in range(begun, count):
        g = members[m]
        if not last and stored + most(kept[g], starts[m + 1] - starts[m], k) > len(store):
            return m, stored
        known = kept[g]
        for i in range(known):
            c = store[kept_at[g] + i, 0]
            held[c], touched[i] = store[kept_at[g] + i, 1], c
        before, seen, u = np.int64(last_code[g]), last_seen[g], rows[starts[m], 1] >> UNIT
        answered = before
        tally = by_window[u]
        probes = acted = fresh = steps = ordered = 0
        for row in range(starts[m], starts[m + 1] + 1):
            now, packed = rows[min(row, starts[m + 1] - 1), 0], rows[min(row, starts[m + 1] - 1), 1]
            if row == starts[m + 1] or packed >> UNIT != u:
                by_level[u, ORDERED] += ordered
                plain[u, PROBES] += probes
                plain[u, ACTED] += acted
                plain[u, NEW] += fresh
                plain[u, STEPS] += steps
                if row == starts[m + 1]:
                    break
                probes = acted = fresh = steps = ordered = 0
                u = packed >> UNIT
                tally = by_window[u]
            c, kind = np.uint32(packed & CODE), packed >> TRUTH & 3
            word = held[c]
            b, proved = _bin(windows, now - (word >> 8)), word & PROVED
            if kind == SCAN:
                probes += 1
                new = before >= 0 and not word & PROBED
                tally[BLOCKED, b] += 1
                if new:
                    fresh += 1
                    tally[NEW_BLOCKED, b] += 1
                    tally[REACHED, _bin(windows, now - seen)] += 1
                if b < proved:  # the first probe of the block for the windows b ... proved - 1
                    tally[USEFUL, b] += 1
                    tally[USEFUL, proved] -= 1
                    if not word & PROBED:
                        tally[NEW_USEFUL, b] += 1
                        tally[NEW_USEFUL, proved] -= 1
                if head:
                    ports[c, PORT_PROBES] += 1
                    ports[c, PORT_NEW] += new
                    if b <= head_window:
                        ports[c, PORT_BLOCKED] += 1
                        ports[c, PORT_NEW_BLOCKED] += new
                        ports[c, PORT_USEFUL] += head_window < proved
                if before >= 0 and before != c:
                    steps += 1
                    for rank in range(k):
                        if matrix[answered, rank] == c:
                            by_level[u, ORDERED + 1 + rank] += 1
                            break
                touched[known] = c
                known += word == unseen
                held[c] = word = word - proved + b | PROBED
                proved = b
                before, seen = c, now  # type: ignore[assignment]
                answered = answers[row] if len(answers) else before
            elif kind == BENIGN:
                tally[BENIGN_BLOCKED, b] += 1
                tally[CONNECTIONS_BLOCKED, b] += packed >> OPENS & 1
                if head:
                    ports[c, PORT_BENIGN_BLOCKED] += b <= head_window
            if packed >> ACTS & 1:
                # The port itself, of which all is at hand, then its nearest: one loop over both takes a tenth longer.
                acted += 1
                tally[BLOCKS, b] += 1
                tally[NEW_BLOCKS, b] += not word & PROBED
                ordered += 1
                if head:
                    ports[c, PORT_BLOCKS] += b > head_window
                touched[known] = c
                known += word == unseen
                held[c] = now << 8 | word & PROBED | max(b, proved)
                asked = np.int64(answers[row]) if len(answers) else np.int64(c)
                for rank in range(k):
                    near = matrix[asked, rank]
                    if near < 0:
                        continue
                    q = np.uint32(near)
                    word = held[q]
                    b = _bin(windows, now - (word >> 8))
                    tally[BLOCKS, b] += 1
                    tally[NEW_BLOCKS, b] += not word & PROBED
                    ordered += 1
                    if head:
                        ports[q, PORT_BLOCKS] += b > head_window
                    touched[known] = q
                    known += word == unseen
                    held[q] = now << 8 | word & PROBED | max(b, word & PROVED)
        last_code[g], last_seen[g] = before, seen
        if known > kept[g]:  # no room where it was
            kept_at[g] = stored
        to = kept_at[g]
        for i in range(known):
            c = touched[i]
            if not last and (held[c] & PROBED or held[c] >> 8 > stale):
                store[to, 0], store[to, 1] = c, held[c]
                to += 1
            held[c] = unseen
        kept[g] = to - kept_at[g]
        stored = max(stored, to)
    return count, stored


@numba.njit(cache=True, nogil=True)
def move(store, wider, kept_at, kept, stale, lane, lane_of):  # pragma: no cover - compiled
    """Move to another store what still matters of a lane's groups: blocks that began after `stale`, and ports that were
    probed. Returns how many of its rows are taken."""
    stored = 0
    for g in range(len(kept)):
        if lane_of[g >> HANDFUL] != lane:
            continue
        first, count = kept_at[g], kept[g]
        kept_at[g] = stored
        for i in range(first, first + count):
            if store[i, 1] & PROBED or store[i, 1] >> 8 > stale:
                wider[stored, 0], wider[stored, 1] = store[i, 0], store[i, 1]
                stored += 1
        kept[g] = stored - kept_at[g]
    return stored
