"""Firewall lines of MikroTik RouterOS (6 and 7): a line is one packet, with its TCP flags.

From MikroTik's documentation, "Log" and "Filter" (RouterOS); no program here writes it. RouterOS
logs local time (--tz).
"""

from __future__ import annotations

import pyarrow.compute as pc

from portkin_training.ingest.formats.format import Format, Source, filled
from portkin_training.ingest.formats.line_patterns import LinePattern, line_rows
from portkin_training.ingest.formats.syslog import TIME
from portkin_training.ingest.reasons import Reasons
from portkin_training.ingest.records import Columns
from portkin_training.ingest.values.transport import protos

_END = r"(?:\[(?P<{0}6>[^\]\n]+)\]|(?P<{0}4>[0-9.]+))(?::(?P<{1}>\d+))?"
_PATTERN = (
    r".*?\bproto (?P<proto>[^,( \n]+)(?: \((?P<flags>[^)\n]*)\))?"
    rf"(?:, {_END.format('src', 'sport')}->{_END.format('dst', 'dport')})?"
)


def _judge(columns: Columns, source: Source) -> tuple[Columns, Reasons]:
    ends = {name: pc.binary_join_element_wise(columns[f"{name}4"], columns[f"{name}6"], "") for name in ("src", "dst")}
    reasons = Reasons(len(ends["src"]))
    reasons.mark((protos(columns["proto"]) > 0) & filled(ends["src"]) & ~filled(columns["dport"]), "no ports")
    return {**columns, **ends}, reasons


MIKROTIK = Format(
    "mikrotik",
    lambda head: head.matches("->", r"\bproto \S+(?: \([^)]*\))?, \S+->\S+, (?:NAT .*)?len \d+"),
    line_rows([LinePattern(" proto ", TIME + _PATTERN)], _judge),
    packets=True,
)
