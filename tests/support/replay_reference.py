"""The replay for one K and one T in plain Python: what the kernel in `blocking` is held against."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from portkin_training.replay.events import BENIGN, SCAN, Events


@dataclass
class ReplayTotals:
    """Whole-recording counts; the names are those of `blocking.ReplayCounts`."""

    probes: int = 0
    acted: int = 0
    new: int = 0
    reached: int = 0
    steps: int = 0
    benign: int = 0
    connections: int = 0
    blocked: int = 0
    new_blocked: int = 0
    blocks: int = 0
    useful: int = 0
    benign_blocked: int = 0
    connections_blocked: int = 0
    new_blocks: int = 0
    new_useful: int = 0
    hits: int = 0
    reciprocal: float = 0.0
    ordered: int = 0


@dataclass
class _Block:
    until: int
    proved: bool = False


@dataclass
class _Group:
    blocks: dict[int, _Block] = field(default_factory=dict)
    touched: set[int] = field(default_factory=set)
    code: int | None = None
    row: int = 0
    seen: int = 0


def replay_plainly(
    events: Events, matrix: np.ndarray, k: int, window: float, answers: np.ndarray | None = None
) -> ReplayTotals:
    """The same rule as `blocking.replay`, written for reading: one K, one T (seconds)."""
    totals, groups, clock = ReplayTotals(), {}, None
    span = round(window * 1e6)
    rows = events.code if answers is None else answers
    nearest = {row: matrix[row, :k].tolist() for row in np.unique(rows).tolist()}
    columns = (events.ts, events.group, events.code, rows, events.act, events.truth, events.opens)
    for ts, number, code, row, act, truth, opens in zip(*(column.tolist() for column in columns), strict=True):
        clock = now = ts if clock is None else max(clock, ts)
        group = groups.setdefault(number, _Group())
        block = group.blocks.get(code)
        blocked = block is not None and now < block.until
        if truth == SCAN:
            totals.probes += 1
            totals.blocked += blocked
            if blocked and not block.proved:
                block.proved = True
                totals.useful += 1
                totals.new_useful += code not in group.touched
            if group.code is not None:
                if code not in group.touched:
                    totals.new += 1
                    totals.new_blocked += blocked
                    totals.reached += now - group.seen < span
                if code != group.code:
                    totals.steps += 1
                    if code in nearest[group.row]:
                        totals.hits += 1
                        totals.reciprocal += 1 / (1 + nearest[group.row].index(code))
            group.touched.add(code)
            group.code, group.row, group.seen = code, row, now
        elif truth == BENIGN:
            totals.benign += 1
            totals.benign_blocked += blocked
            if opens:
                totals.connections += 1
                totals.connections_blocked += blocked
        if act:
            totals.acted += 1
            for port in [code, *(q for q in nearest[row] if q >= 0)]:
                totals.ordered += 1
                block = group.blocks.get(port)
                if block is not None and now < block.until:
                    block.until = now + span
                else:
                    totals.blocks += 1
                    totals.new_blocks += port not in group.touched
                    group.blocks[port] = _Block(now + span)
    return totals
