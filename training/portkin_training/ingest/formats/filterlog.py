"""filterlog of pfSense and OPNsense: a line is one packet that pf blocked or passed, with its TCP flags.

From pfSense's documentation, "Raw Filter Log Format" (Netgate), and OPNsense; no
program here writes it. Packets that leave (direction out) are left out: they came in before, or are the firewall's own.
"""

from __future__ import annotations

import pyarrow.compute as pc

from portkin_training.ingest.formats.format import Format, Source, filled, is_in
from portkin_training.ingest.formats.line_patterns import LinePattern, line_rows
from portkin_training.ingest.formats.syslog import TIME
from portkin_training.ingest.reasons import WITHOUT_PORTS, Reasons
from portkin_training.ingest.records import Columns
from portkin_training.ingest.values.transport import protos

_FIELD = r"[^,\n]*,"
_PATTERN = (
    rf".*?\bfilterlog[^,\n]* (?:{_FIELD}){{6}}(?P<action>[^,\n]*),(?P<dir>[^,\n]*),"
    rf"(?:4,(?:{_FIELD}){{6}}(?P<proto4>\d+),{_FIELD}|6,(?:{_FIELD}){{4}}(?P<proto6>\d+),)"
    rf"{_FIELD}(?P<src>[^,\n]*),(?P<dst>[^,\n]*)"
    r"(?:,(?P<sport>\d+),(?P<dport>\d+)(?:,\d*,(?P<flags>[A-Z]*))?)?"
)


def _judge(columns: Columns, source: Source) -> tuple[Columns, Reasons]:
    proto = pc.binary_join_element_wise(columns["proto4"], columns["proto6"], "")
    reasons = Reasons(len(proto))
    reasons.mark(is_in(columns["dir"], "out"), "leaves the firewall")
    reasons.mark((protos(proto) > 0) & ~filled(columns["dport"]), WITHOUT_PORTS)
    return {**columns, "proto": proto}, reasons


FILTERLOG = Format(
    "filterlog",
    lambda head: head.matches("filterlog", r"\bfilterlog\b[^,]* \d*,"),
    line_rows([LinePattern("filterlog", TIME + _PATTERN)], _judge),
    packets=True,
)
