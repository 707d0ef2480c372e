"""The times that lines of system logs begin with, as a part of patterns."""

from __future__ import annotations

TIME = (
    r"^(?:<\d{1,3}>)?(?:1 |: ?)?\[?"
    r"(?P<ts>\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d[^\s\],]*"
    r"|(?:[A-Z][a-z]{2} )?[A-Z][a-z]{2} +\d{1,2} (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d+)?(?: \d{4})?(?: UTC)?"
    r"|[a-z]{3}/\d\d/\d{4} \d\d:\d\d:\d\d"
    r"|\d{10}\.\d+)?"
)
"""Group ``ts``: RFC 3164 with and without year, RFC 5424, journald's short-iso and short-unix, `dmesg -T`, RouterOS;
"" where a line has no time, as `dmesg` alone writes it."""
