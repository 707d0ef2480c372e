"""VPC flow logs of AWS (version 2 and custom formats), with or without the header line, and as JSON.

From AWS' documentation, "Flow log records"; no program here writes them. A row is all packets of one
direction of a flow in an interval. Rejected rows are probes, and accepted ones whose tcp-flags (custom formats) are a
SYN alone; other accepted rows do not say whether anything came back. NODATA and SKIPDATA rows hold no flow. Times have
no sub-seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from portkin_training.ingest.formats.delimited import Delimited
from portkin_training.ingest.formats.format import Format, Head, Source, first_bytes, is_in, json_rows
from portkin_training.ingest.reasons import Reasons
from portkin_training.ingest.records import Columns, Rows

_VERSION_2 = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)
_COLUMNS = {
    "ts": ["start"],
    "src": ["srcaddr", "src-addr", "pkt-srcaddr"],
    "dst": ["dstaddr", "dst-addr", "pkt-dstaddr"],
    "sport": ["srcport", "src-port"],
    "dport": ["dstport", "dst-port"],
    "proto": ["protocol"],
    "action": ["action"],
    "status": ["log-status"],
    "flags": ["tcp-flags"],
    "direction": ["flow-direction"],
}


def _judge(columns: Columns, source: Source) -> tuple[Columns, Reasons]:
    n = len(columns["src"])
    nothing = pa.nulls(n, pa.string())
    reasons = Reasons(n)
    reasons.mark(is_in(columns.get("status", nothing), "NODATA", "SKIPDATA"), "NODATA and SKIPDATA rows")
    reasons.mark(is_in(columns.get("direction", nothing), "egress"), "leaves the network interface")
    if not source.any_state:
        opening = is_in(columns.get("flags", nothing), "2", "2.0")
        rejected = is_in(columns.get("action", nothing), "REJECT")
        reasons.mark(~rejected & ~opening, "accepted; the log does not say what came of it")
    fields = {name: columns[name] for name in ("ts", "src", "dst", "sport", "dport", "proto")}
    return {**fields, "sport": pc.if_else(pc.equal(fields["sport"], "-"), "", fields["sport"])}, reasons


def _is_header(line: str) -> bool:
    """Whether a line names columns as AWS does; Athena and Parquet have underscores for hyphens."""
    names = {name.strip().strip('"').replace("_", "-") for name in re.split(r"[ ,\t]", line)}
    return {"srcaddr", "dstaddr"} <= names and bool(
        names & {"action", "tcp-flags", "log-status", "interface-id", "account-id", "pkt-srcaddr"}
    )


_AS_JSON = json_rows(
    {
        ours: [f"/{written}" for name in names for written in (name.replace("-", "_"), name)]
        for ours, names in _COLUMNS.items()
    },
    _judge,
)


class _Records(Delimited):
    """Columns; or JSON as collectors write it, with underscores for hyphens."""

    def __call__(self, source: Source) -> Iterator[Rows]:
        return _AS_JSON(source) if _is_json(Head(first_bytes(source.path))) else super().__call__(source)


_RECORDS = _Records(" ,\t", _COLUMNS, _judge, _is_header, names=_VERSION_2.split())


def _is_json(head: Head) -> bool:
    return any(
        head.has_keys("srcaddr", "dstaddr", one) for one in ("log_status", "log-status", "interface_id", "interface-id")
    )


def _recognise(head: Head) -> bool:
    return (
        _RECORDS.begins(head)
        or _is_json(head)
        or head.matches("2 ", r"^2 \S+ \S+ \S+ \S+ \S+ \S+ \S+ \S+ \S+ \d+ \d+ \S+ (?:OK|NODATA|SKIPDATA)\s*$")
    )


AWS_VPC = Format("aws-vpc", _recognise, _RECORDS)
