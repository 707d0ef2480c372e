"""Denies of Cisco ASA and Firepower (FTD): a line is one packet or connection that was refused.

From Cisco's "ASA Series Syslog Messages" (9.20, read as of 2024): 106001, 106006, 106015, 106023, 106100, 710003 and
710005; no program here writes them. 106100 counts hits of an interval in one line, which is one probe here. Lines
about connections that were built (302013 and others) are left out. ASA logs local time without a zone (--tz).
"""

from __future__ import annotations

import pyarrow as pa

from portkin_training.ingest.formats.format import Format, LinePattern, Source, is_in, line_rows
from portkin_training.ingest.formats.syslog import TIME
from portkin_training.ingest.reasons import Reasons
from portkin_training.ingest.records import Columns

_FROM_TO = r" from (?:[^:/\s]+:)?(?P<src>[0-9a-fA-F.:]+)/(?P<sport>\d+) to (?:[^:/\s]+:)?(?P<dst>[0-9a-fA-F.:]+)/(?P<dport>\S+)"
_START = TIME + r".*?%(?:ASA|FTD)-\d-"
_PATTERNS = (
    LinePattern("-106023:", _START + r"106023: (?P<what>Deny) (?:protocol )?(?P<proto>\S+) src [^:\s]+:(?P<src>[0-9a-fA-F.:]+)"
                r"(?:/(?P<sport>\d+))?.*? dst [^:\s]+:(?P<dst>[0-9a-fA-F.:]+)(?:/(?P<dport>\d+))?"),
    LinePattern("-106100:", _START + r"106100: access-list \S+ (?P<what>\S+) (?P<proto>\S+) [^/\s]+/(?P<src>[^(\s]+)\((?P<sport>\d+)\)"
                r".*?-> [^/\s]+/(?P<dst>[^(\s]+)\((?P<dport>\d+)\)"),
    LinePattern("-106001:", _START + r"106001: (?P<what>Inbound) (?P<proto>TCP) connection denied" + _FROM_TO + r"(?: flags (?P<flags>[A-Z ]*?) +on)?"),
    LinePattern("-106006:", _START + r"106006: (?P<what>Deny) inbound (?P<proto>UDP)" + _FROM_TO),
    LinePattern("-106015:", _START + r"106015: (?P<what>Deny) (?P<proto>TCP) \(no connection\)" + _FROM_TO + r"(?: flags (?P<flags>[A-Z ]*?) +on)?"),
    LinePattern("-710003:", _START + r"710003: (?P<proto>\S+) access (?P<what>\S+) by ACL" + _FROM_TO),
    LinePattern("-710005:", _START + r"710005: (?P<proto>\S+) request (?P<what>\S+)" + _FROM_TO),
)  # fmt: skip


def _judge(columns: Columns, source: Source) -> tuple[Columns, Reasons]:
    reasons = Reasons(len(columns["src"]))
    reasons.mark(is_in(columns["what"], "permitted"), "permitted")
    if "flags" not in columns:  # what is denied without being part of a connection is the first of one
        columns["flags"] = pa.array(["SYN"] * len(reasons.codes))
    return columns, reasons


ASA = Format(
    "asa",
    "Cisco ASA and FTD denies",
    lambda head: head.matches(r"%(?:ASA|FTD)-\d-\d{6}: "),
    line_rows(_PATTERNS, _judge),
    packets=True,
)
