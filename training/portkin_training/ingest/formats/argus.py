"""argus' ``ra -c ,``: a record is a flow of both directions, or a part of one.

Unanswered and refused flows are probes (TCP: REQ, RST to which the source sent no data; UDP: INT). ra writes times
without a date by itself: use ``ra -u``, which writes seconds since 1970. It writes names of ports: they are looked up,
but ``ra -n`` is safer.
"""

from __future__ import annotations

import pyarrow as pa

from portkin_training.ingest.formats.delimited import Delimited
from portkin_training.ingest.formats.format import Format, Source, is_in
from portkin_training.ingest.reasons import Reasons
from portkin_training.ingest.records import Columns
from portkin_training.ingest.values.text_numbers import whole_numbers

_SHORT = 4
"""Packets of a TCP flow at most to which the answer can have been all: SYN, SYN-ACK, ACK, RST."""


def _judge(columns: Columns, source: Source) -> tuple[Columns, Reasons]:
    n = len(columns["src"])
    nothing = pa.nulls(n, pa.string())
    state = columns.get("state", nothing)
    reasons = Reasons(n)
    reasons.mark(is_in(columns["proto"], "man"), "argus' own records")
    begun = is_in(columns.get("dir", nothing), "   ->", "  ->", " ->", "->", "  <->", "<->", "   <->")
    reasons.mark(("dir" in columns) & ~begun, "backscatter or begun before")
    if not source.any_state:
        packets = whole_numbers(columns.get("packets", nothing))
        reset = is_in(state, "RST") & (packets <= _SHORT)
        reasons.mark(~(is_in(state, "REQ", "INT", "TIM") | reset), "answered or used")
    return columns, reasons


def _is_header(line: str) -> bool:
    return "SrcAddr" in line and "DstAddr" in line and "StartTime" in line


_RECORDS = Delimited(
    ",\t;|",
    {
        "ts": ["starttime"],
        "src": ["srcaddr"],
        "dst": ["dstaddr"],
        "sport": ["sport"],
        "dport": ["dport"],
        "proto": ["proto"],
        "state": ["state"],
        "dir": ["dir"],
        "packets": ["totpkts"],
    },
    _judge,
    _is_header,
    needed=["state"],
)
ARGUS = Format("argus", _RECORDS.begins, _RECORDS, lines=False)
