"""The times that lines of system logs begin with, as a part of patterns."""

from __future__ import annotations

TIME = (
    r"^(?:[a-z]+ *:[a-z]+ *: )?(?:\d+ )?(?:<\d{1,3}>)?(?:1 |: ?)?\[?"
    r"(?P<ts>(?:[A-Z][a-z]{2} )?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?[^\s\],]*(?: UTC)?"
    r"|(?:[A-Z][a-z]{2} )?(?:\d{4} )?[A-Z][a-z]{2} +\d{1,2} (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d+)?(?: \d{4})?(?: UTC)?"
    r"|[a-z]{3}/\d\d(?:/\d{4})? \d\d:\d\d:\d\d"
    r"|\d{10}\.\d+)?"
)
"""Group ``ts``: RFC 3164 with and without year, RFC 5424, journald's short-iso, short-full and short-unix, `dmesg -T`
and `--time-format iso`, RouterOS; "" where a line has no time, as `dmesg` alone writes it."""
