"""p0f 3: its own log, and T-Pot's JSON of it. A ``syn`` record is a SYN; p0f writes one line for identical
retransmits, and local time without a zone (--tz)."""

from __future__ import annotations

from portkin_training.ingest.formats.format import Format, Source, is_in, json_rows
from portkin_training.ingest.formats.line_patterns import LinePattern, line_rows
from portkin_training.ingest.reasons import Reasons
from portkin_training.ingest.records import Columns, constant


def _judge(columns: Columns, source: Source) -> tuple[Columns, Reasons]:
    n = len(columns["src"])
    reasons = Reasons(n)
    reasons.mark(~is_in(columns["module"], "syn"), "other kinds of events")
    constants = {name: constant(text, n) for name, text in (("proto", "tcp"), ("flags", "SYN"))}
    return {**columns, **constants}, reasons


P0F = Format(
    "p0f",
    lambda head: head.matches("] mod=", r"^\[\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\] mod=[^|]+\|cli="),
    line_rows(
        [
            LinePattern(
                "mod=",
                r"^\[(?P<ts>[^\]]+)\] mod=(?P<module>[^|]+)\|cli=(?P<src>[^/|]+)/(?P<sport>\d+)\|"
                r"srv=(?P<dst>[^/|]+)/(?P<dport>\d+)",
            )
        ],
        _judge,
    ),
    packets=True,
)
P0F_JSON = Format(
    "p0f-json",
    lambda head: head.has_keys("mod", "client_ip", "server_port"),
    json_rows(
        {
            "ts": "/timestamp",
            "module": "/mod",
            "src": "/client_ip",
            "sport": "/client_port",
            "dst": "/server_ip",
            "dport": "/server_port",
        },
        _judge,
    ),
    packets=True,
)
