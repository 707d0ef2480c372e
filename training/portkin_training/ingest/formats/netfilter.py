"""Packets that the Linux kernel logs: LOG of iptables, ``log`` of nftables, as ufw, firewalld and others use them.

A line is one packet, with its TCP flags. Read are syslog files of any form, journald's text and JSON (``journalctl -o
json``), ``dmesg -T``, and ulogd2's syslog emulation. Packets that the machine itself sends (no IN=) are left out.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from portkin_training.core.protocols import TCP
from portkin_training.ingest.formats.format import Format, Head, Source, filled, json_rows
from portkin_training.ingest.formats.line_patterns import LinePattern, line_rows
from portkin_training.ingest.formats.netfilter_scan import scan
from portkin_training.ingest.formats.syslog import TIME
from portkin_training.ingest.reasons import WITHOUT_PORTS, Reasons
from portkin_training.ingest.records import Columns
from portkin_training.ingest.values.transport import protos

_PACKET = (
    r"IN=(?P<in>\S*) OUT=(?P<out>\S*).*? ?SRC=(?P<src>\S+) DST=(?P<dst>\S+) .*?PROTO=(?P<proto>\S+)"
    r"(?: SPT=(?P<sport>\d+) DPT=(?P<dport>\d+))?"
    r"(?:[^\n\[]*? (?P<flags>(?:(?:CWR|ECE|URG|ACK|PSH|RST|SYN|FIN) )+)URGP=)?"
)

PATTERN = TIME + r".*?" + _PACKET
"""What a line matches, at its beginning; the groups are the packet's parts."""


def _judge(columns: Columns, source: Source) -> tuple[Columns, Reasons]:
    reasons = Reasons(len(columns["src"]))
    reasons.mark(~filled(columns["in"]) & filled(columns["out"]), "sent by the machine that logged it")
    proto = protos(columns["proto"])
    reasons.mark((proto > 0) & ~filled(columns["dport"]), WITHOUT_PORTS)
    reasons.mark((proto == TCP) & ~filled(columns["flags"]), "no TCP flags: a line that is cut", wrong=True)
    return columns, reasons


def _judge_journal(columns: Columns, source: Source) -> tuple[Columns, Reasons]:
    parts = pc.extract_regex(_as_text(pc.fill_null(columns["message"], "")), _PACKET)
    packet = dict(zip((one.name for one in parts.type), parts.flatten(), strict=True))
    reasons = Reasons(len(parts))
    reasons.mark(parts.is_null().to_numpy(zero_copy_only=False), "other messages")
    found, judged = _judge({**packet, "ts": columns["ts"]}, source)
    for code, text in enumerate(judged.texts[1:], 1):
        reasons.mark(judged.codes == code, text, wrong=text in judged.wrong)
    return found, reasons


def _as_text(messages: pa.Array) -> pa.Array:
    """Messages with those as text that journald writes as numbers of bytes, as it does where one is not printable."""
    numbers = np.flatnonzero(
        pc.match_substring_regex(messages, r"^\[\d{1,3}(?:,\d{1,3})*\]$").to_numpy(zero_copy_only=False)
    )
    if not len(numbers):
        return messages
    texts = messages.to_pylist()
    for row in numbers:
        codes = [int(code) for code in texts[row][1:-1].split(",")]
        texts[row] = bytes(code & 0xFF for code in codes).decode("utf-8", "replace")
    return pa.array(texts, pa.string())


def _is_text(head: Head) -> bool:
    return head.matches("PROTO=", r"^(?!\s*\")[^{]*IN=\S* OUT=\S*.* SRC=\S+ DST=\S+ .*PROTO=")


def _is_journal(head: Head) -> bool:
    return head.has_keys("__REALTIME_TIMESTAMP", "MESSAGE")


NETFILTER = Format(
    "netfilter",
    _is_text,
    line_rows([LinePattern((" PROTO=", " SRC="), PATTERN, scan)], _judge),
    packets=True,
)
JOURNAL = Format(
    "journal",
    _is_journal,
    json_rows({"ts": "/__REALTIME_TIMESTAMP", "message": "/MESSAGE"}, _judge_journal),
    packets=True,
)
