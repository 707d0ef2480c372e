"""Suricata's EVE (7 and 8): flow and drop records.

A flow record has a flow's whole life: first packet, packets of either side, TCP flags of either side. It is a probe
where the client opened and the connection failed: as `probe_definition` says of Zeek's conn.log, in EVE's terms.
A drop record is a packet that a rule or the stream engine dropped; the flow it may belong to repeats it, and is the
same probe. Stamps have a zone.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from portkin_training.ingest.captures.packets import ACK, FIN, PSH, RST, SYN
from portkin_training.ingest.formats.format import Format, Head, Source, is_in, json_rows
from portkin_training.ingest.reasons import Reasons
from portkin_training.ingest.records import Columns
from portkin_training.ingest.values.text_numbers import whole_numbers
from portkin_training.ingest.values.transport import by_value

_PATHS = {
    "event": "/event_type",
    "time": "/timestamp",
    "start": "/flow/start",
    "src": "/src_ip",
    "sport": "/src_port",
    "dst": "/dest_ip",
    "dport": "/dest_port",
    "proto": "/proto",
    "state": "/flow/state",
    "there": "/flow/pkts_toserver",
    "back": "/flow/pkts_toclient",
    "flags_there": "/tcp/tcp_flags_ts",
    "flags_back": "/tcp/tcp_flags_tc",
    "syn": "/drop/syn",
    "ack": "/drop/ack",
}


def _hexadecimal(text: str) -> int:
    try:
        return int(text, 16) & 0xFF
    except ValueError:
        return -1


def _judge(columns: Columns, source: Source) -> tuple[Columns, Reasons]:
    event = columns["event"]
    flow, drop = is_in(event, "flow"), is_in(event, "drop")
    reasons = Reasons(len(event))
    reasons.mark(~(flow | drop), "other kinds of events")
    tcp = by_value(columns["proto"], lambda text: text.upper() == "TCP", 0).astype(bool)
    there = by_value(columns["flags_there"], _hexadecimal, -1)
    answers = np.maximum(whole_numbers(columns["back"]), 0)
    flagged = flow & tcp & (there >= 0)
    begun = ~flagged | (there & SYN != 0)
    reasons.mark(flow & ~begun, "backscatter or begun before")
    if source.outcomes:
        reasons.mark(drop, "packets of flows")
    elif not source.any_state:
        half_open = (there & RST != 0) & (there & (PSH | FIN) == 0)  # it was answered, sent no data and reset itself
        failed = (there & ACK == 0) | half_open
        # Suricata counts the ICMP error that refuses a datagram among the answers, but leaves the flow new.
        bare = (answers == 0) | (~tcp & is_in(columns["state"], "new"))
        # Without TCP flags, as other programs that write EVE leave them out: one packet that nothing can have followed.
        bare |= (
            tcp & (columns["back"].is_null().to_numpy(zero_copy_only=False)) & (whole_numbers(columns["there"]) <= 1)
        )
        reasons.mark(flow & ~np.where(flagged, failed, bare), "answered or used")
    opening = is_in(columns["syn"], "true") & ~is_in(columns["ack"], "true")
    reasons.mark(drop & tcp & ~opening, "TCP but no first SYN (answers, data, backscatter)")
    ts = pc.if_else(pa.array(flow), pc.coalesce(columns["start"], columns["time"]), columns["time"])
    found = {"ts": ts, **{name: columns[name] for name in ("src", "sport", "dst", "dport", "proto")}}
    if source.outcomes:
        back = by_value(columns["flags_back"], _hexadecimal, 0)
        refused = np.where(tcp, (back & RST != 0) & (back & SYN == 0), is_in(columns["state"], "new"))
        outcome = np.where(answers == 0, "", np.where(refused, "refused", "answered"))
        found["outcome"] = pa.array(outcome.tolist(), pa.string())
    return found, reasons


def _recognise(head: Head) -> bool:
    return head.has_keys("event_type", "timestamp", "src_ip") or head.has_keys("event_type", "timestamp", "stats")


EVE = Format("eve", _recognise, json_rows(_PATHS, _judge), outcomes=True)
