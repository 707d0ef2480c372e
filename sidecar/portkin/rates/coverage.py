"""How much of a bin Zeek's nodes watched, and whether its counts are therefore known. Part of the rates database."""

from __future__ import annotations

import sqlite3

from portkin.rates.closing import Closing

SLACK = 0.01
"""Seconds by which stamps of the same moment may differ: Zeek's are written in milliseconds."""


def covered(db: sqlite3.Connection, node: str, start: int, end: int) -> float:
    """How many seconds of [start, end) a node has reported on. Raises sqlite3.Error."""
    rows = db.execute(
        "SELECT max(start, ?), min(until, ?) FROM reports WHERE node = ? AND start < ? AND until > ? ORDER BY start",
        (start, end, node, end, start),
    )
    seconds, reached = 0.0, float(start)
    for begin, until in rows:
        seconds += max(0.0, until - max(begin, reached))
        reached = max(reached, until)
    return seconds


def watching(db: sqlite3.Connection, start: int, end: int, memory: float) -> list[tuple[str, float, float]]:
    """Node, since, reached: of those that are to watch the bin [start, end). Raises sqlite3.Error.

    A node that was silent for ``memory`` seconds before it is not expected any more.
    """
    return db.execute(
        "SELECT node, since, reached FROM nodes WHERE reached > ? AND since < ? ORDER BY node", (start - memory, end)
    ).fetchall()


def mark(db: sqlite3.Connection, start: int, end: int, closing: Closing) -> tuple[str, ...]:
    """Record whether the bin [start, end) is known; returns the nodes that watched too little of it.

    Within a transaction. Raises sqlite3.Error.
    """
    # A node that joined within the bin is not expected before: the others saw what there was to see.
    expected = watching(db, start, end, closing.memory)
    nodes = [node for node, since, _ in expected if since <= start + SLACK]
    # Where no node has watched from the beginning, one that came shortly after will do.
    nodes = nodes or [node for node, _, _ in expected]
    missed = tuple(node for node in nodes if covered(db, node, start, end) < closing.coverage * (end - start))
    row = db.execute("SELECT total FROM bins WHERE start = ?", (start,)).fetchone()
    total = 0 if row is None else row[0]
    known = bool(nodes) and not missed and (total > 0 or closing.absent == "zero")
    db.execute(
        "INSERT INTO bins (start, known) VALUES (?, ?) ON CONFLICT (start) DO UPDATE SET known = excluded.known",
        (start, known),
    )
    return missed
