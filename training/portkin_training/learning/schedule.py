"""When a table is due."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from portkin.bundles.table import Table


def not_over(now: datetime, at: time) -> date:
    """The first day that is not over and gathered: a day is, from the time `at` of the next one on (UTC).

    >>> str(not_over(datetime(2026, 11, 29, 0, 14), time(0, 15)))
    '2026-11-28'
    >>> str(not_over(datetime(2026, 11, 29, 0, 15), time(0, 15)))
    '2026-11-29'
    """
    return (now - timedelta(hours=at.hour, minutes=at.minute)).date()


def learnt_until(table: Table) -> date:
    """The first day that a table has not learnt from: as its manifest says, or else the day it was made on, of which
    it may have seen a part."""
    until = table.manifest.about.get("days", {}).get("until")
    return date.fromisoformat(until) if until else table.created.astimezone(UTC).date() + timedelta(days=1)


def is_due(table: Table | None, until: date) -> bool:
    """Whether the days before `until` ask for another table than this one."""
    made_here = table is not None and "until" in table.manifest.about.get("days", {})
    return table is None or not made_here or learnt_until(table) < until
