"""What closed bins were scored and which alarms were raised: tables beside those of the rates database, for display."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from portkin.net.ports import Port, Proto
from portkin.rates.store_schema import APPLICATION
from portkin.sqlite import connect_to_read

if TYPE_CHECKING:
    from portkin.bundles.forecast import Score

KEPT = 7 * 86_400.0
"""Seconds for which alarms are kept."""
_TABLES = (
    "CREATE TABLE IF NOT EXISTS scores (proto TEXT NOT NULL, port INTEGER NOT NULL, bin INTEGER NOT NULL, "
    "observed REAL, forecast REAL, e REAL, ahead REAL, w REAL, PRIMARY KEY (proto, port, bin)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS scores_by_bin ON scores (bin)",
    "CREATE TABLE IF NOT EXISTS alarms (raised REAL NOT NULL, kind TEXT NOT NULL, proto TEXT NOT NULL, "
    "port INTEGER NOT NULL, start INTEGER NOT NULL, rate REAL, base REAL, value REAL, threshold REAL, "
    "model TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS alarms_by_time ON alarms (raised)",
)
"""NULL is what is not known."""


class Alarm(NamedTuple):
    """An alarm. ``raised`` is when it was (s since 1970), ``start`` when the bin begins that it is about.

    An anomaly has the observed rate above its forecast (E), a warning the forecast above the trend (W), both as a
    multiple of it; probes per bin.
    """

    raised: float
    kind: Literal["anomaly", "warning"]
    port: Port
    start: int
    rate: float | None
    base: float | None
    value: float | None
    threshold: float | None
    model: str


class ScoreRow(NamedTuple):
    """One port at one closed bin; None for what is not known. Probes per bin."""

    port: Port
    start: int
    observed: float | None
    forecast: float | None
    e: float | None
    ahead: float | None
    w: float | None


def create(db: sqlite3.Connection) -> None:
    """Create the tables where they are not there, within a transaction: a file of before gains them."""
    for statement in _TABLES:
        db.execute(statement)


def keep(db: sqlite3.Connection, start: int, scores: Sequence[Score], alarms: Sequence[Alarm], *, oldest: int) -> None:
    """Keep a closed bin's scores and alarms, within a transaction; scores of bins before ``oldest`` are deleted."""
    db.execute("DELETE FROM scores WHERE bin < ?", (oldest,))
    db.executemany(
        "INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                each.port.proto,
                each.port.number,
                start,
                *map(_known, (each.observed, each.forecast, each.e, each.ahead, each.w)),
            )
            for each in scores
        ],
    )
    for alarm in alarms:
        db.execute("DELETE FROM alarms WHERE raised < ?", (alarm.raised - KEPT,))
        numbers = map(_known, (alarm.rate, alarm.base, alarm.value, alarm.threshold))
        row = (alarm.raised, alarm.kind, alarm.port.proto, alarm.port.number, alarm.start, *numbers, alarm.model)
        db.execute("INSERT INTO alarms VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


def _known(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None


class RatesListing:
    """The rates database, opened for reading. For one thread at a time. Methods may raise sqlite3.Error."""

    def __init__(self, path: Path) -> None:
        """Raises StorageError for a file that is not ours, sqlite3.Error for one that cannot be read."""
        self._db = connect_to_read(path, application=APPLICATION, what="a rates database")
        self._db.execute("SELECT 1 FROM scores, alarms LIMIT 0")  # a file of before has neither

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def version(self) -> int:
        """Another number whenever the file was written since the last call."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def width(self) -> int:
        """Seconds of a bin."""
        row = self._db.execute("SELECT width FROM state").fetchone()
        return int(row[0]) if row else 0

    def latest(self) -> list[ScoreRow]:
        """Every port at the latest closed bin that was scored."""
        query = "SELECT proto, port, bin, observed, forecast, e, ahead, w FROM scores WHERE bin = (SELECT max(bin) "
        return [_row(*values) for values in self._db.execute(query + "FROM scores)")]

    def series(self, port: Port, limit: int) -> list[ScoreRow]:
        """The latest bins of one port, the earliest first."""
        query = (
            "SELECT proto, port, bin, observed, forecast, e, ahead, w FROM scores WHERE proto = ? AND port = ? "
            "ORDER BY bin DESC LIMIT ?"
        )
        rows = self._db.execute(query, (port.proto, port.number, limit)).fetchall()
        return [_row(*values) for values in reversed(rows)]

    def alarms(self, since: float, limit: int) -> list[Alarm]:
        """The alarms raised since then, the latest first."""
        query = "SELECT * FROM alarms WHERE raised >= ? ORDER BY raised DESC, rowid DESC LIMIT ?"
        rows = self._db.execute(query, (since, limit))
        return [Alarm(raised, kind, Port(port, proto), *rest) for raised, kind, proto, port, *rest in rows]


def _row(proto: Proto, port: int, *values: float | None) -> ScoreRow:
    start, *numbers = values
    return ScoreRow(Port(port, proto), int(start or 0), *numbers)
