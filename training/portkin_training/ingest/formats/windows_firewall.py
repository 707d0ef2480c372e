"""pfirewall.log of the Windows Defender Firewall: a line is a dropped packet, or a connection that was allowed.

From Microsoft's "Configuring Firewall Log Files" (Windows 7 and Server 2008 R2); Windows 11 adds a column behind the
last. No program here writes it. What is dropped where a connection begins has no TCP flags, and a size of 0: it is the
first packet of one. Windows XP to Server 2003 write OPEN, OPEN-INBOUND and CLOSE in the place of ALLOW. Times are local
and without a zone (--tz).
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from portkin_training.ingest.formats.format import Format, Source, is_in
from portkin_training.ingest.formats.line_patterns import LinePattern, line_rows
from portkin_training.ingest.reasons import Reasons
from portkin_training.ingest.records import Columns

_HEADER = "#Fields: date time action protocol src-ip dst-ip "
_ACTIONS = ("ALLOW", "DROP", "OPEN", "OPEN-INBOUND", "CLOSE", "INFO-EVENTS-LOST")
_START = rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d (?:{'|'.join(_ACTIONS)}) "
_PATTERN = (
    r"(?P<ts>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?P<what>[A-Z-]+) (?P<proto>\S+) (?P<src>\S+) (?P<dst>\S+)"
    r" (?P<sport>\S+) (?P<dport>\S+) \S+ (?P<flags>\S+)(?: \S+){6} (?P<path>\S+)"
)


def _judge(columns: Columns, source: Source) -> tuple[Columns, Reasons]:
    what, flags = columns["what"], columns["flags"]
    reasons = Reasons(len(what))
    reasons.mark(is_in(what, "INFO-EVENTS-LOST"), "events that were lost")
    reasons.mark(is_in(columns["path"], "SEND") | is_in(what, "OPEN"), "sent by the machine that logged it")
    reasons.mark(is_in(what, "CLOSE"), "ends of connections")
    if not source.any_state:
        reasons.mark(is_in(what, "ALLOW", "OPEN-INBOUND"), "allowed")
    first = pa.array(is_in(flags, "-"))
    return {**columns, "flags": pc.if_else(first, "SYN", flags)}, reasons


WINDOWS = Format(
    "windows",
    lambda head: _HEADER in head.text or head.matches("-", _START),
    line_rows([LinePattern(tuple(f" {action} " for action in _ACTIONS), _PATTERN)], _judge),
    packets=True,
)
