"""The rates database: what was counted in the latest bins, by which nodes, in one SQLite file that survives a restart.

Reports of all nodes are summed. A report is identified by its node and its start, so a repeated one changes nothing,
and a late one still counts. A bin is known when every active node watched nearly all of it; what was counted in an
unknown bin is not a rate, and reads as NaN.

There is no clock and no socket here. Times are seconds since the epoch, as Zeek's nodes report them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from portkin.net.ports import Port
from portkin.rates import history
from portkin.rates.closing import Closed, Closing
from portkin.rates.coverage import SLACK, covered, mark, watching
from portkin.rates.history import Alarm
from portkin.rates.store_schema import APPLICATION, SCHEMA, TABLES, THRESHOLDS
from portkin.rates.threshold_table import ThresholdTable
from portkin.sqlite import check_sound, connect, identity, prepare, transaction
from portkin.timeseries.bins import bin_start, latest_starts, next_start
from portkin.timeseries.scaling import Floats

if TYPE_CHECKING:
    from portkin.bundles.forecast import Score

_UNCOUNTED = -1
"""In place of a number: the bin was watched, and this port was not counted in it."""
WIDEST = 31 * 86_400.0
"""Seconds of the longest report. One without counts says that a node watched and saw nothing, for so long at most."""

Taken = Literal["new", "repeated", "old"]


class RateStore:
    """The open file. For one thread at a time. Every method may raise sqlite3.Error."""

    def __init__(
        self,
        path: Path,
        *,
        width: int,
        tz: str,
        ports: Sequence[Port],
        bins: int,
        closing: Closing,
        known: bool = False,
    ) -> None:
        """Open or create the file at ``path``, which holds the latest ``bins`` bins of these ports.

        ``known``: it was ours when it was opened before. A file with bins of another width or zone is emptied. Raises
        sqlite3.DatabaseError for a file that is damaged or something else; see `portkin.rates.factory.open_store`.
        """
        self.path = path
        self.width, self.tz, self.ports, self.closing = width, tz, tuple(ports), closing
        self.deleted = ""
        """Which bins the file held that models with others cannot read, and that were deleted; "" for none."""
        self._bins = bins
        self.columns = {port: column for column, port in enumerate(ports)}
        self._db = connect(path, application=APPLICATION, what="a rates database", known=known)
        try:
            self._create()
        except BaseException:
            self._db.close()
            raise
        self.thresholds = ThresholdTable(self._db)
        self._identity = identity(path)

    def _create(self) -> None:
        prepare(self._db, tables=TABLES, schema=SCHEMA, application=APPLICATION, what="a rates database")
        check_sound(self._db)
        with transaction(self._db):
            self._db.execute(THRESHOLDS)
            history.create(self._db)
            before = self._db.execute("SELECT width, tz FROM state").fetchone()
            if before != (self.width, self.tz):
                if before is not None and self._one("SELECT count(*) FROM bins"):
                    self.deleted = f"bins of {before[0]:,} s in {before[1]}"
                for table in ("state", "nodes", "reports", "bins", "counts", "counted"):
                    self._db.execute(f"DELETE FROM {table}")  # noqa: S608
                self._db.execute("INSERT INTO state (one, width, tz) VALUES (1, ?, ?)", (self.width, self.tz))
            self._record_counted()

    def _record_counted(self) -> None:
        """Record since which bin each port is counted: before it, the port is unknown, not zero."""
        latest = self._one("SELECT max(start) FROM bins")
        since = 0 if latest is None else next_start(latest, self.width, self.tz)
        held = {(proto, number) for proto, number in self._db.execute("SELECT proto, port FROM counted")}
        wanted = {(port.proto, port.number) for port in self.ports}
        self._db.executemany("DELETE FROM counted WHERE proto = ? AND port = ?", held - wanted)
        self._db.executemany("INSERT INTO counted VALUES (?, ?, ?)", [(*key, since) for key in wanted - held])

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def gone(self) -> bool:
        """Whether the file was removed or replaced: the next start then uses another one."""
        return identity(self.path) != self._identity

    def _one(self, query: str, *values: object) -> int | None:
        row = self._db.execute(query, values).fetchone()
        return None if row is None else row[0]

    @property
    def open(self) -> int | None:
        """The start of the earliest bin that is not closed; None before the first report."""
        return self._one("SELECT open FROM state")

    @property
    def reached(self) -> float | None:
        """Until when the node that is furthest ahead has reported."""
        return self._one("SELECT max(reached) FROM nodes")

    # Counting.

    def take(self, node: str, start: float, until: float, counts: Mapping[Port, int]) -> Taken:
        """Take a report in. Raises ValueError, with the reason, for one that cannot be used."""
        if not 0 <= start < until < 2**40:
            raise ValueError(f"its interval is from {start} to {until}")
        if until - start > WIDEST:
            raise ValueError(f"its interval is {until - start:.0f} s wide, more than {WIDEST:.0f}")
        bin_ = bin_start(start + SLACK, self.width, self.tz)
        after = next_start(bin_, self.width, self.tz)
        if counts and until > after + SLACK:
            raise ValueError(f"its interval goes beyond the end of its bin of {self.width} s")
        open_ = self.open
        with transaction(self._db):
            if open_ is None:
                open_ = bin_
                self._db.execute("UPDATE state SET open = ?", (bin_,))
            elif bin_ < self._oldest(open_):
                return "old"
            if not self._db.execute("INSERT OR IGNORE INTO reports VALUES (?, ?, ?)", (node, start, until)).rowcount:
                return "repeated"
            self._db.execute(
                "INSERT INTO nodes VALUES (?, ?, ?) ON CONFLICT (node) DO UPDATE SET "
                "reached = max(reached, excluded.reached), since = min(since, excluded.since)",
                (node, start, until),
            )
            self._db.execute(
                "INSERT INTO bins (start, total) VALUES (?, ?) "
                "ON CONFLICT (start) DO UPDATE SET total = total + excluded.total",
                (bin_, sum(counts.values())),
            )
            self._db.executemany(
                "INSERT INTO counts VALUES (?, ?, ?, ?) "
                "ON CONFLICT (bin, proto, port) DO UPDATE SET n = n + excluded.n WHERE n >= 0",
                [(bin_, port.proto, port.number, n) for port, n in counts.items() if port in self.columns],
            )
            # A late report completes a closed bin.
            while bin_ < min(open_, until):
                self._mark(bin_)
                bin_ = next_start(bin_, self.width, self.tz)
        return "new"

    def _oldest(self, open_: int) -> int:
        return open_ - self._bins * self.width

    # Closing.

    def due(self, now: float) -> int | None:
        """The start of the earliest open bin, if it can be closed: all reports are in, or the grace is over."""
        start = self.open
        if start is None:
            return None
        end = next_start(start, self.width, self.tz)
        if now < end - SLACK:
            return None
        if now >= end + self.closing.grace:
            return start
        nodes = watching(self._db, start, end, self.closing.memory)
        whole = all(covered(self._db, node, start, end) > end - max(start, since) - 1.0 for node, since, _ in nodes)
        return start if nodes and whole else None

    def close_bin(self, now: float) -> Closed:
        """Close the earliest open bin; after a long silence also those that no model will read.

        ValueError where none is open.
        """
        start = self.open
        if start is None:
            raise ValueError("no bin is open")
        with transaction(self._db):
            missed = self._mark(start)
            known = bool(self._one("SELECT known FROM bins WHERE start = ?", start))
            watching = bool(self._one("SELECT watching FROM state"))
            following = next_start(start, self.width, self.tz)
            following = max(following, bin_start(now - self._bins * self.width, self.width, self.tz))
            self._db.execute("UPDATE state SET open = ?, watching = ?", (following, known))
            oldest = self._oldest(following)
            self._db.execute("DELETE FROM bins WHERE start < ?", (oldest,))
            self._db.execute("DELETE FROM counts WHERE bin < ?", (oldest,))
            self._db.execute("DELETE FROM reports WHERE until < ?", (oldest,))
            self._db.execute("DELETE FROM nodes WHERE reached < ?", (following - self.closing.memory,))
        return Closed(start, known, missed, watching and not known)

    def _mark(self, start: int) -> tuple[str, ...]:
        return mark(self._db, start, next_start(start, self.width, self.tz), self.closing)

    # Reading.

    def counts(self, last: int, number: int) -> Floats:
        """Counts of the bins up to the one at ``last``, oldest first, float64 (n, ports), NaN where unknown.

        n is ``number``, or less where the file does not reach back so far.
        """
        starts = latest_starts(last, number, self.width, self.tz)
        earliest = self._one("SELECT min(start) FROM bins WHERE start >= ?", starts[0])
        starts = [start for start in starts if earliest is not None and start >= earliest]
        found = np.full((len(starts), len(self.ports)), np.nan)
        place = {start: row for row, start in enumerate(starts)}
        for (start,) in self._db.execute("SELECT start FROM bins WHERE known AND start BETWEEN ? AND ?", _ends(starts)):
            if start in place:
                found[place[start]] = 0.0
        counted = np.zeros_like(found)
        rows = self._db.execute("SELECT bin, proto, port, n FROM counts WHERE bin BETWEEN ? AND ?", _ends(starts))
        column = {(port.proto, port.number): column for port, column in self.columns.items()}
        for start, proto, number_, n in rows:
            if start in place and (proto, number_) in column:
                counted[place[start], column[proto, number_]] = np.nan if n == _UNCOUNTED else n
        found += counted  # what is unknown stays NaN
        for proto, number_, since in self._db.execute("SELECT proto, port, since FROM counted WHERE since > 0"):
            before = sum(start < since for start in starts)
            found[:before, self.columns[Port(number_, proto)]] = np.nan
        return found

    def fill(self, starts: NDArray[np.int64], ports: Sequence[Port], counts: Floats) -> int:
        """Take bins from a recording: counts (n, p), NaN where unknown. Returns how many were taken.

        Bins that Zeek's nodes watched, or are watching, stay as they are. Raises ValueError where a port is missing.
        """
        if lacking := set(self.ports) - set(ports):
            raise ValueError(f"it has no counts of {', '.join(sorted(map(str, lacking))[:5])}")
        open_, latest = self.open, self._one("SELECT max(since) FROM counted") or 0
        counted_since = self._db.execute("SELECT proto, port, since FROM counted").fetchall()
        taken = []
        with transaction(self._db):
            for start, row in list(zip(starts.tolist(), counts, strict=True))[-self._bins :]:
                if open_ is not None and start >= open_:
                    break
                # A bin in which not all of today's ports were counted is better taken from the recording.
                known = not np.isnan(row).any()
                if (start >= latest or not known) and self._one("SELECT known FROM bins WHERE start = ?", start):
                    continue
                self._db.execute("DELETE FROM counts WHERE bin = ?", (start,))
                total = int(row.sum()) if known else 0
                self._db.execute("INSERT OR REPLACE INTO bins VALUES (?, ?, ?)", (start, known, total))
                if known:
                    self._db.executemany(
                        "INSERT INTO counts VALUES (?, ?, ?, ?)",
                        [(start, port.proto, port.number, int(n)) for port, n in zip(ports, row, strict=True) if n],
                    )
                    taken.append(start)
            if taken:
                self._mark_uncounted(taken, counted_since)
                self._db.execute("UPDATE counted SET since = min(since, ?)", (taken[0],))
        return len(taken)

    def resume(self, open_: int) -> None:
        """In a file without reports: go on with this bin, as after one that was watched."""
        with transaction(self._db):
            self._db.execute("UPDATE state SET open = ?, watching = 1 WHERE open IS NULL", (open_,))

    def _mark_uncounted(self, taken: Sequence[int], counted_since: Sequence[tuple[str, int, int]]) -> None:
        """Mark the ports that nodes did not count yet in bins, from the first taken one on, that were not taken.

        A port is counted from the first bin of the recording on; between those of the recording and the first in which
        nodes count it, it is unknown, not zero.
        """
        latest = max(since for _, _, since in counted_since)
        rows = self._db.execute("SELECT start FROM bins WHERE start >= ? AND start < ?", (taken[0], latest))
        watched = {start for (start,) in rows} - set(taken)
        self._db.executemany(
            "INSERT OR REPLACE INTO counts VALUES (?, ?, ?, ?)",
            [
                (start, proto, port, _UNCOUNTED)
                for start in sorted(watched)
                for proto, port, since in counted_since
                if start < since
            ],
        )

    # What closed bins were scored.

    def keep_scores(self, start: int, scores: Sequence[Score], alarms: Sequence[Alarm]) -> None:
        """Keep what a closed bin was scored, for display."""
        with transaction(self._db):
            history.keep(self._db, start, scores, alarms, oldest=self._oldest(start))


def _ends(starts: Sequence[int]) -> tuple[int, int]:
    return (starts[0], starts[-1]) if starts else (0, -1)
