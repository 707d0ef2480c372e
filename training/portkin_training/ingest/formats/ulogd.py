"""ulogd2's JSON output (2.0.8): a record is one packet that nftables or iptables handed over by NFLOG, with flags."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from portkin_training.ingest.formats.format import Format, Source, filled, json_rows
from portkin_training.ingest.reasons import Reasons
from portkin_training.ingest.records import Columns

_FLAGS = ("syn", "ack", "fin", "rst")


def _judge(columns: Columns, source: Source) -> tuple[Columns, Reasons]:
    reasons = Reasons(len(columns["src"]))
    reasons.mark(~filled(columns["in"]) & filled(columns["out"]), "sent by the machine that logged it")
    words = [pc.if_else(pc.is_in(columns[flag], pa.array(["1", "true"])), flag.upper(), "") for flag in _FLAGS]
    # The packet's own time, where the kernel gave one, is UTC; "timestamp" is local.
    micros = pc.utf8_lpad(columns["micros"], 6, "0")
    ts = pc.coalesce(pc.binary_join_element_wise(columns["seconds"], micros, "."), columns["ts"])
    return {**columns, "ts": ts, "flags": pc.binary_join_element_wise(*words, " ")}, reasons


ULOGD = Format(
    "ulogd",
    lambda head: head.has_keys("ip.protocol", "src_ip", "dest_ip") or head.has_keys("oob.prefix", "src_ip"),
    json_rows(
        {
            "ts": "/timestamp",
            "seconds": "/oob.time.sec",
            "micros": "/oob.time.usec",
            "src": "/src_ip",
            "dst": "/dest_ip",
            "sport": "/src_port",
            "dport": "/dest_port",
            "proto": "/ip.protocol",
            "in": "/oob.in",
            "out": "/oob.out",
            **{flag: f"/tcp.{flag}" for flag in _FLAGS},
        },
        _judge,
    ),
    packets=True,
)
