"""Denies of Cisco ASA and Firepower (FTD): a line is one packet or connection that was refused.

From Cisco's "ASA Series Syslog Messages": 106001, 106006, 106007, 106015, 106023, 106100, 106102, 106103, 710003 and
710005; no program here writes them. 106100 and its kin count hits of an interval in one line, which is one probe here.
Lines about connections that were built (302013 and others) are left out. ASA logs local time without a zone (--tz).
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from portkin_training.ingest.formats.format import Format, Source, is_in
from portkin_training.ingest.formats.line_patterns import LinePattern, line_rows
from portkin_training.ingest.formats.syslog import TIME
from portkin_training.ingest.reasons import Reasons
from portkin_training.ingest.records import Columns

_IP = "[0-9a-fA-F.:]+"
_FROM_TO = (
    rf" from (?:[^:/\s]+:)?(?P<src>{_IP})/(?P<sport>\d+) to (?:[^:/\s]+:)?(?P<dst>{_IP})/(?P<dport>\S+)"
    r"(?: flags (?P<flags>[A-Z ]*?) +on)?"
)
_MESSAGE = r"%(?:ASA|FTD)-(?:[a-z]+-)?\d-"
_START = TIME + ".*?" + _MESSAGE
_HOST_PORT = r"[^:\s]+:(?P<{0}>[^/\s(]+)(?:/(?P<{1}>[\w.-]+))?"
_SRC_DST = f" src {_HOST_PORT.format('src', 'sport')}.*? dst {_HOST_PORT.format('dst', 'dport')}"
_ARROW = r" [^/\s]+/(?P<src>[^(\s]+)\((?P<sport>\d+)\).*?-> [^/\s]+/(?P<dst>[^(\s]+)\((?P<dport>\d+)\)"
_MESSAGES = {
    ("106023",): r"(?P<what>Deny) (?:protocol )?(?P<proto>\S+)" + _SRC_DST,
    ("106100", "106102", "106103"): r"access-list \S+ (?P<what>\S+) (?P<proto>\S+)(?: for user \S+)?" + _ARROW,
    ("106001",): r"(?P<what>Inbound) (?P<proto>TCP) connection denied" + _FROM_TO,
    ("106006", "106007"): r"(?P<what>Deny) inbound (?P<proto>UDP)" + _FROM_TO,
    ("106015",): r"(?P<what>Deny) (?P<proto>TCP) \(no connection\)" + _FROM_TO,
    ("710003",): r"(?P<proto>\S+) access (?P<what>\S+) by ACL" + _FROM_TO,
    ("710005",): r"(?P<proto>\S+) request (?P<what>\S+)" + _FROM_TO,
}
"""Numbers of messages -> what stands behind them."""
_PATTERNS = [
    LinePattern(tuple(f"-{number}: " for number in numbers), f"{_START}(?:{'|'.join(numbers)}): {text}")
    for numbers, text in _MESSAGES.items()
]


def _judge(columns: Columns, source: Source) -> tuple[Columns, Reasons]:
    reasons = Reasons(len(columns["src"]))
    reasons.mark(is_in(columns["what"], "permitted", "est-allowed"), "permitted")
    # What is denied is the first packet of a connection, where no flags say otherwise.
    flags = columns.get("flags", pa.array([""] * len(reasons.codes)))
    return {**columns, "flags": pc.if_else(pc.equal(flags, ""), "SYN", flags)}, reasons


ASA = Format(
    "asa",
    lambda head: head.matches("%", _MESSAGE + r"\d{6}: "),
    line_rows(_PATTERNS, _judge),
    packets=True,
)
