"""Records of programs as text, and what is read of a file of them."""

import os
from pathlib import Path

from portkin_training.ingest.captures.packets import Packets
from portkin_training.ingest.inputs import InputOptions, detect, read_input
from portkin_training.ingest.probe_definition import FirstPackets
from portkin_training.ingest.reading import Reading

BEGIN = 1_767_225_600
A, B = "198.51.100.7", "192.0.2.10"
HEAD = "ts,src,dst,sport,dport,proto\n"
KERNEL = (
    f"IN=eth0 OUT= SRC={A} DST={B} LEN=60 TOS=0x00 PREC=0x00 TTL=49 ID=1 DF PROTO=TCP SPT=40000 DPT=22 WINDOW=64240 "
    "RES=0x00 SYN URGP=0"
)
FORTI = {
    "date": "2026-01-01", "time": "01:00:00", "devid": '"FGT"', "type": '"traffic"', "srcip": A, "srcport": "40000",
    "dstip": B, "dstport": "22", "proto": "6", "action": '"deny"', "rcvdbyte": "0",
}  # fmt: skip
AWS = f"2 123456789012 eni-0a1 {A} {B} 40000 22 6 1 40 {BEGIN} {BEGIN + 60}"
AWS_NAMES = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)
ZEEK = {"ts": BEGIN, "id.orig_h": A, "id.orig_p": 40000, "id.resp_h": B, "id.resp_p": 22, "proto": "tcp",
        "conn_state": "S0", "history": "S"}  # fmt: skip
NFDUMP = {"type": "FLOW", "sampled": 0, "export_sysid": 1, "first": "2026-01-01T00:00:00.250", "proto": 6,
          "tcp_flags": "......S.", "src_port": 40000, "dst_port": 22, "src4_addr": A, "dst4_addr": B}  # fmt: skip
DIONAEA = {"dst_ip": B, "dst_port": 22, "src_ip": A, "src_port": 40000, "timestamp": "2026-01-01T00:00:00"}
ONE = [(0.0, 40000, 22, 6)]


def read(path: Path, text: str | bytes, options: InputOptions | None = None):
    """(seconds after BEGIN, source port, port, protocol) of each probe, the kind of the input, and the report."""
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    os.utime(path, (BEGIN + 86_400, BEGIN + 86_400))
    reading, first, found = Reading(str(path)), FirstPackets(), []
    kind = options.kind if options and options.kind else detect(path)
    for chunk in read_input(path, reading, options):
        probes = first.of_packets(chunk, 0) if isinstance(chunk, Packets) else chunk
        columns = (probes.ts / 1e6 - BEGIN).round(6), probes.sport, probes.dport, probes.proto
        found += zip(*(column.tolist() for column in columns), strict=True)
    reading.skipped.update(first.skipped)
    return found, kind, reading


def row(**values: str) -> str:
    """A row of CSV."""
    whole = {"ts": str(BEGIN), "src": A, "dst": B, "sport": "40000", "dport": "22", "proto": "tcp"} | values
    return ",".join(f'"{value}"' if "," in value else value for value in whole.values()) + "\n"
