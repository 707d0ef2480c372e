"""nfdump's CSV and JSON (1.6, 1.7): a record is one direction of a flow, with the TCP flags of all its packets.

From 1.7.5 on ``-o csv`` holds no flags, but ``-o csv-fast`` and ``-o json`` do, and chosen columns (``csv:%ts,...``).

A TCP flow whose flags hold a SYN and no ACK is a probe. A UDP flow is taken as a datagram by the rules for captures,
which know answers by their ports, as nothing else distinguishes the two directions. nfdump writes local time without
a zone (--tz), and exchanges begin and end of IPFIX flows with sysUpTime (findings/nfdump-ipfix-sysuptime-swapped.sh).

softflowd names the lower address as the source of a bidirectional flow (findings/softflowd-biflow-*.sh). Where that one
sent nothing, the flow is the other's. Where both sent something, nothing tells who began.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from portkin_training.ingest.captures.packets import ACK, SYN
from portkin_training.ingest.formats.delimited import Delimited
from portkin_training.ingest.formats.format import Format, Source, is_in, json_rows
from portkin_training.ingest.reasons import Reasons
from portkin_training.ingest.records import Columns
from portkin_training.ingest.values.transport import protos, tcp_flags

_COLUMNS = {
    "ts": ["ts", "firstseen", "tsfirst", "first"],
    "src": ["sa", "srcaddr", "srcip"],
    "dst": ["da", "dstaddr", "dstip"],
    "sport": ["sp", "srcport"],
    "dport": ["dp", "dstport"],
    "proto": ["pr", "proto", "protocol"],
    "flags": ["flg", "flags", "tcpflags"],
    "end": ["te", "lastseen", "tslast", "last"],
    "packets": ["ipkt", "inpackets", "in-packets"],
}


def one_way(columns: Columns, source: Source) -> tuple[Columns, Reasons]:
    """Flows of one direction, of which TCP flags say whether they opened and were never acknowledged."""
    columns = _by_sender(columns)
    n = len(columns["src"])
    reasons = Reasons(n)
    if "flags" in columns:
        flags = tcp_flags(columns["flags"])
        tcp = protos(columns["proto"]) == 6
        reasons.mark(tcp & (flags & SYN == 0), "backscatter or begun before")
        reasons.mark(tcp & (flags & ACK != 0), "answered or used, or an answer")
    # Every flow that is left begins with a SYN; a RST or FIN behind it changes nothing.
    return {**columns, "flags": pa.array(["SYN"] * n)}, reasons


def _by_sender(columns: Columns) -> Columns:
    """The flows with the earlier of their two times, and by who sent their packets."""
    found = dict(columns)
    if "end" in columns:
        # As text: both are written alike.
        found["ts"] = pc.min_element_wise(columns["ts"], columns["end"])
    if "packets" in columns:
        nothing = pa.array(is_in(columns["packets"], "0"))
        for ours, theirs in (("src", "dst"), ("sport", "dport")):
            found[ours] = pc.if_else(nothing, columns[theirs], columns[ours])
            found[theirs] = pc.if_else(nothing, columns[ours], columns[theirs])
    return found


def _is_header(line: str) -> bool:
    names = line.split(",")
    return line.startswith(("ts,te,td,", "tsFirst,")) or {"firstSeen", "srcAddr", "dstAddr"} <= {*names}


_RECORDS = Delimited(
    ",",
    _COLUMNS,
    one_way,
    _is_header,
    needed=["flags"],
    end=("Summary", "No matching flows"),
    remedy="have nfdump write JSON, which every version of it does with all that is needed (`nfdump -o json`)",
)
NFDUMP_CSV = Format("nfdump", _RECORDS.begins, _RECORDS, packets=True, lines=False)
NFDUMP_JSON = Format(
    "nfdump-json",
    lambda head: any(
        head.has_keys(*keys)
        for keys in (["export_sysid", "type"], ["export_sysid", "first"], ["src4_addr"], ["src6_addr"])
    ),
    json_rows(
        {
            "ts": ["/first", "/t_first"],
            "src": ["/src4_addr", "/src6_addr"],
            "dst": ["/dst4_addr", "/dst6_addr"],
            "sport": "/src_port",
            "dport": "/dst_port",
            "proto": "/proto",
            "flags": "/tcp_flags",
            "end": ["/last", "/t_last"],
            "packets": "/in_packets",
        },
        one_way,
    ),
    packets=True,
)
