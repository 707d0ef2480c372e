"""Traffic logs of FortiGate: a line of key=value pairs is one session, or a packet that was refused.

From Fortinet's "FortiOS Log Message Reference", LOGID 13 and 14; no program here writes it.
Refused sessions (deny, ip-conn), and those to which nothing came back, are probes. The time is ``eventtime``, which
has no zone; without it, ``date`` and ``time`` are the device's local time, in ``tz`` or --tz.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from portkin_training.ingest.formats.format import Format, Source, filled, is_in
from portkin_training.ingest.formats.line_patterns import LinePattern, line_rows
from portkin_training.ingest.reasons import Reasons
from portkin_training.ingest.records import Columns

_TIME = r'time="?\d\d:\d\d:\d\d'
_LINE = rf'(?:date="?\d{{4}}-\d\d-\d\d"?[ ,]"?{_TIME}|{_TIME}[^\n]*[ ,]"?eventtime=)'
"""A date and a time; collectors that make the date their own leave the time, and ``eventtime`` in which it is."""
_KEYS = ("date", "time", "eventtime", "tz", "srcip", "srcport", "dstip", "dstport", "proto", "action", "rcvdbyte")


def _judge(columns: Columns, source: Source) -> tuple[Columns, Reasons]:
    found = {key: _value(columns["line"], key) for key in _KEYS}
    src, dst = found["srcip"], found["dstip"]
    reasons = Reasons(len(src))
    reasons.mark(~filled(src) & ~filled(dst), "other kinds of events")
    cut = ~(filled(src) & filled(dst) & filled(found["proto"]) & filled(found["action"]))
    reasons.mark(cut, "no srcip, dstip, proto or action: a line that is cut", wrong=True)
    if not source.any_state:
        refused = is_in(found["action"], "deny", "ip-conn", "blocked", "dropped")
        reasons.mark(~refused & ~is_in(found["rcvdbyte"], "0"), "answered or used")
    local = pc.binary_join_element_wise(found["date"], "T", found["time"], found["tz"], "")
    ts = pc.if_else(pc.not_equal(found["eventtime"], ""), found["eventtime"], local)
    fields = {"sport": "srcport", "dport": "dstport", "proto": "proto"}
    return {"ts": ts, "src": src, "dst": dst, **{name: found[key] for name, key in fields.items()}}, reasons


def _value(lines: pa.Array, key: str) -> pa.Array:
    """The value of a key in each line, wherever it stands; "" where it is not there."""
    found = pc.extract_regex(lines, rf'(?:^|[ ,"]){key}="?(?P<value>[^" ,]*)')
    return pc.fill_null(found.field("value"), "")


FORTIGATE = Format(
    "fortigate",
    lambda head: head.matches("time=", _LINE + r".*\b(?:srcip|devid)="),
    line_rows([LinePattern("time=", rf"(?P<line>[^\n]*{_LINE}[^\n]*)")], _judge),
)
