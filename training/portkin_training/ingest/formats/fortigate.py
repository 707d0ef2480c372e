"""Traffic logs of FortiGate: a line of key=value pairs is one session, or a packet that was refused.

From Fortinet's "FortiOS Log Message Reference", LOGID 13 and 14; no program here writes it.
Refused sessions (deny, ip-conn), and those to which nothing came back, are probes. The time is ``eventtime``, which
has no zone; without it, ``date`` and ``time`` are the device's local time (--tz).
"""

from __future__ import annotations

import pyarrow.compute as pc

from portkin_training.ingest.formats.format import Format, LinePattern, Source, filled, is_in, line_rows
from portkin_training.ingest.reasons import Reasons
from portkin_training.ingest.records import Columns


def _then(key: str, group: str) -> str:
    return rf'(?:[^\n]*?[ ,]{key}="?(?P<{group}>[^" ,\n]*))?'


_PATTERN = (
    r'date="?(?P<date>\d{4}-\d\d-\d\d)"?[ ,]time="?(?P<time>\d\d:\d\d:\d\d)'
    + _then("eventtime", "event")
    + _then("srcip", "src")
    + _then("srcport", "sport")
    + _then("dstip", "dst")
    + _then("dstport", "dport")
    + _then("proto", "proto")
    + _then("action", "action")
    + _then("rcvdbyte", "back")
)


def _judge(columns: Columns, source: Source) -> tuple[Columns, Reasons]:
    reasons = Reasons(len(columns["src"]))
    reasons.mark(~filled(columns["src"]), "other kinds of events")
    if not source.any_state:
        refused = is_in(columns["action"], "deny", "ip-conn", "blocked", "dropped")
        reasons.mark(~refused & ~is_in(columns["back"], "0"), "answered or used")
    local = pc.binary_join_element_wise(columns["date"], columns["time"], "T")
    ts = pc.if_else(pc.not_equal(columns["event"], ""), columns["event"], local)
    return {"ts": ts, **{name: columns[name] for name in ("src", "sport", "dst", "dport", "proto")}}, reasons


FORTIGATE = Format(
    "fortigate",
    "FortiGate traffic logs",
    lambda head: head.matches(r'date="?\d{4}-\d\d-\d\d"?[ ,]time="?\d\d:\d\d:\d\d"?[ ,].*\b(?:srcip|devid)='),
    line_rows([LinePattern("time=", _PATTERN)], _judge),
)
