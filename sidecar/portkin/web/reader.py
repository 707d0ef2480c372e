"""Reads what is shown, in the page's thread: the running parts, and the two databases, read-only."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from portkin.blocking.block import BlockKey
from portkin.blocking.listing import Listing
from portkin.blocking.service import BlockingService
from portkin.bundles.table import Table
from portkin.errors import StorageError
from portkin.net.addresses import number_of
from portkin.net.ports import Port
from portkin.rates.history import RatesListing
from portkin.web import shapes
from portkin.zeek.messages import HelloResponse

SCANNERS = 100
BLOCKS = 100
RATES = 100
ALARMS = 200
DAYS = 30
"""So many are in a section at most, the latest or the most unusual."""
NOW = 3600.0
"""Seconds since its latest probe for which a source scans "now"."""
DAY = 86_400.0
HEALTH_EVERY = 5.0
"""Seconds between two looks at health."""


@dataclass(frozen=True)
class Parts:
    """The running parts that are read. Each function may be called in any thread."""

    table: Callable[[], Table]
    connection: Callable[[], shapes.Connection]
    greeting: Callable[[], HelloResponse | None]
    """What Zeek answered to our hello."""
    blocking: BlockingService
    blocks: Path
    """The block database."""
    rates_file: Path | None
    """The rates database; None where no rates are scored."""
    health: Callable[[], Mapping[str, Any]]
    """The doctor's verdict and findings."""
    not_ready: Callable[[], list[str]]
    """Why it is not ready; empty where it is."""
    actions: bool
    wall_clock: Callable[[], float] = time.time


class _Closable(Protocol):
    def close(self) -> None: ...
    def version(self) -> int: ...


Opened = TypeVar("Opened", bound=_Closable)


class Reopened(Generic[Opened]):
    """A database that is opened when it is there, and again when another file has taken its place."""

    def __init__(self, path: Path, make: Callable[[], Opened]) -> None:
        self._path = path
        self._make = make
        self._opened: Opened | None = None
        self._identity: tuple[int, int] | None = None

    def get(self) -> Opened | None:
        """The open database; None where there is none. Raises as opening does."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self.close()
            return None
        identity = status.st_dev, status.st_ino
        if self._opened is None or identity != self._identity:
            self.close()
            self._opened, self._identity = self._make(), identity
        return self._opened

    def close(self) -> None:
        """Close it; it is opened again when it is asked for."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None


class Reader:
    """Makes the sections of `Live`, and answers single questions. For one thread."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._blocks: Reopened[Listing] = Reopened(parts.blocks, lambda: Listing(parts.blocks))
        path = parts.rates_file
        self._rates = None if path is None else Reopened(path, lambda: RatesListing(path))
        self._kept: dict[str, tuple[tuple[int, int], Any]] = {}
        self._health: Mapping[str, Any] = {}
        self._health_at = -HEALTH_EVERY

    def sections(self) -> dict[str, Any]:
        """Every section. What cannot be read is ``{"error": ...}`` in its place."""
        return {
            "status": self.status(),
            "scanners": self.scanners(),
            "blocks": self._from(self._blocks, "blocks", self._latest_blocks, {"active": 0, "shown": []}),
            "figures": {**self._since_start(), **self._from(self._blocks, "figures", self._days, {"days": []})},
            "rates": self._of_rates("rates", self._latest_rates),
            "alarms": self._of_rates("alarms", self._latest_alarms, changes_by_itself=True),
        }

    def status(self) -> dict[str, Any]:
        """Zeek, table, blocking, health."""
        parts = self._parts
        if time.monotonic() - self._health_at >= HEALTH_EVERY:
            self._health = {**parts.health(), "active": parts.blocking.enforcer.active_by_mode()}
            self._health_at = time.monotonic()
        return shapes.status(
            connection=parts.connection(),
            greeting=parts.greeting(),
            table=parts.table(),
            blocking=parts.blocking,
            health=self._health,
            not_ready=parts.not_ready(),
            rates=parts.rates_file is not None,
            actions=parts.actions,
        )

    def scanners(self) -> dict[str, Any]:
        """The latest scanners."""
        number, latest = self._parts.blocking.enforcer.scanners.latest(self._parts.wall_clock() - NOW, SCANNERS)
        return {"window": NOW, "active": number, "shown": [shapes.scanner(each) for each in latest]}

    def blocks(self, *, active: bool, src: str | None, port: Port | None, limit: int) -> dict[str, Any]:
        """Blocks of a source or a port, the latest first."""

        def rows(listing: Listing) -> dict[str, Any]:
            found = listing.rows(active=active, src=src, port=port, limit=limit)
            return {"shown": list(map(self._block, found))}

        return self._asked(self._blocks, rows, {"shown": []})

    def series(self, port: Port, limit: int) -> dict[str, Any]:
        """The latest bins of one port."""

        def found(listing: RatesListing) -> dict[str, Any]:
            bins = [shapes.rate(row) for row in listing.series(port, limit)]
            return {"port": str(port), "width": listing.width(), "bins": bins}

        nothing = {"port": str(port), "width": 0, "bins": []}
        return nothing if self._rates is None else self._asked(self._rates, found, nothing)

    def kin(self, port: Port, k: int) -> dict[str, Any]:
        """The kin of a port."""
        return shapes.kin(self._parts.table(), port, k)

    def close(self) -> None:
        """Close the databases."""
        self._blocks.close()
        if self._rates is not None:
            self._rates.close()

    def _latest_blocks(self, listing: Listing) -> dict[str, Any]:
        rows = listing.rows(active=True, limit=BLOCKS)
        return {"active": listing.count_active(), "shown": list(map(self._block, rows))}

    def _block(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row, with what is known since it was written: hits are recorded when a block is extended, or ends."""
        shown, key = shapes.block(row), BlockKey(number_of(row["src"]), Port(row["port"], row["proto"]))
        block = self._parts.blocking.enforcer.active_block(key)
        if block is not None and block.row == row["id"]:
            shown |= {"came": block.hit, "packets": block.packets, "bytes": block.bytes, "until": block.until}
        return shown

    def _since_start(self) -> dict[str, Any]:
        enforcer = self._parts.blocking.enforcer
        start = {mode: shapes.figures(counts) for mode, counts in enforcer.stats.by_mode.items()}
        return {"since": round(enforcer.started, 3), "start": start}

    def _days(self, listing: Listing) -> dict[str, Any]:
        return {"days": [{"day": day * DAY, "mode": m, **shapes.figures(c)} for day, m, c in listing.days(DAYS)]}

    def _latest_rates(self, listing: RatesListing) -> dict[str, Any]:
        rows = sorted(listing.latest(), key=shapes.unusual, reverse=True)
        start = rows[0].start if rows else None
        return {
            "scored": True, "width": listing.width(), "start": start, "ports": len(rows),
            "shown": [shapes.rate(row) for row in rows[:RATES]],
        }  # fmt: skip

    def _latest_alarms(self, listing: RatesListing) -> dict[str, Any]:
        found = listing.alarms(self._parts.wall_clock() - DAY, ALARMS)
        return {"scored": True, "shown": [shapes.alarm(each) for each in found]}

    def _of_rates(
        self, name: str, read: Callable[[RatesListing], dict[str, Any]], *, changes_by_itself: bool = False
    ) -> dict[str, Any]:
        if self._rates is None:
            return {"scored": False, "shown": []}
        found = self._from(self._rates, name, read, {}, changes_by_itself=changes_by_itself)
        return {"scored": True, "shown": [], **found}

    def _from(
        self,
        database: Reopened[Opened],
        name: str,
        read: Callable[[Opened], dict[str, Any]],
        nothing: Mapping[str, Any],
        *,
        changes_by_itself: bool = False,
    ) -> dict[str, Any]:
        """A section from a database, read again only when the file was written; ``nothing`` while there is no file."""

        def when_written(opened: Opened) -> dict[str, Any]:
            version = id(opened), opened.version()
            kept = self._kept.get(name)
            if changes_by_itself or kept is None or kept[0] != version:
                kept = self._kept[name] = version, read(opened)
            return kept[1]

        return self._asked(database, when_written, {}) or dict(nothing)

    def _asked(
        self, database: Reopened[Opened], read: Callable[[Opened], dict[str, Any]], nothing: dict[str, Any]
    ) -> dict[str, Any]:
        try:
            opened = database.get()
            return nothing if opened is None else read(opened)
        except (OSError, sqlite3.Error, StorageError) as error:
            database.close()
            return {**nothing, "error": str(error)}
