"""How fast logs become probes, on one core, beside plain Python that reads the same fields with json, re or csv.

The logs are made here: SYNs from random sources, in the forms of seven formats. The peers parse every line, pick those
that are probes, and turn times and addresses into numbers, as we do; both must find the same number.
"""

from __future__ import annotations

import csv
import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from bench.bench_ingest import one_core
from bench.figures import Figure, Size, Unit, Work, compare, script
from portkin_training.ingest.inputs import InputOptions, read_input
from portkin_training.ingest.tables.columns import ColumnMap

LINES = {"smoke": 2_000, "small": 200_000, "full": 1_000_000}
SPEED = Unit("lines/s", "more")
BEGIN = 1_767_225_600
ZEEK = (
    "#separator \\x09\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\t"
    "orig_bytes\tresp_bytes\tconn_state\tlocal_orig\tlocal_resp\tmissed_bytes\thistory\torig_pkts\torig_ip_bytes\t"
    "resp_pkts\tresp_ip_bytes\ttunnel_parents\tip_proto\n"
)
KERNEL = re.compile(
    r"^(\w{3} +\d+ [\d:]+) .*?SRC=(\S+) DST=(\S+) .*?PROTO=(\S+)(?: SPT=(\d+) DPT=(\d+))?.*? ((?:[A-Z]{3} )+)URGP"
)
Row = tuple[float, int, int, int, int]


def eve(at: int, src: str, dst: str, port: int) -> str:
    """A flow record of Suricata."""
    time = f"2026-01-01T00:{at // 3000 % 60:02d}:{at // 50 % 60:02d}.{at % 1_000_000:06d}+0000"
    flow = {"pkts_toserver": 1, "pkts_toclient": 1, "bytes_toserver": 60, "bytes_toclient": 54, "start": time,
            "end": time, "age": 0, "state": "closed", "reason": "timeout", "alerted": False}  # fmt: skip
    tcp = {"tcp_flags": "16", "tcp_flags_ts": "02", "tcp_flags_tc": "14", "syn": True, "state": "closed"}
    return (
        json.dumps(
            {
                "timestamp": time,
                "flow_id": at,
                "in_iface": "eth0",
                "event_type": "flow",
                "src_ip": src,
                "src_port": port,
                "dest_ip": dst,
                "dest_port": 22,
                "proto": "TCP",
                "flow": flow,
                "tcp": tcp,
            }
        )
        + "\n"
    )


def kernel(at: int, src: str, dst: str, port: int) -> str:
    """A line of ufw."""
    return (
        f"Jan  1 00:{at // 3000 % 60:02d}:{at // 50 % 60:02d} fw kernel: [  12.345678] [UFW BLOCK] IN=eth0 OUT= "
        f"MAC=02:00:00:00:00:01:02:00:00:00:00:02:08:00 SRC={src} DST={dst} LEN=60 TOS=0x00 PREC=0x00 TTL=49 ID=1 DF "
        f"PROTO=TCP SPT={port} DPT=22 WINDOW=64240 RES=0x00 SYN URGP=0 \n"
    )


def zeek_json(at: int, src: str, dst: str, port: int) -> str:
    """A connection in JSON."""
    return json.dumps({"ts": BEGIN + at / 1000, "uid": f"C{at}", "id.orig_h": src, "id.orig_p": port, "id.resp_h": dst,
                       "id.resp_p": 22, "proto": "tcp", "duration": 0.0009, "orig_bytes": 0, "resp_bytes": 0,
                       "conn_state": "REJ", "local_orig": False, "local_resp": True, "missed_bytes": 0,
                       "history": "Sr", "orig_pkts": 1, "orig_ip_bytes": 40, "resp_pkts": 1}) + "\n"  # fmt: skip


def zeek_tsv(at: int, src: str, dst: str, port: int) -> str:
    """A connection in columns."""
    ends = f"{src}\t{port}\t{dst}\t22"
    return f"{BEGIN + at / 1000:.6f}\tC{at}\t{ends}\ttcp\t-\t0.0009\t0\t0\tREJ\tF\tT\t0\tSr\t1\t40\t1\t40\t-\t6\n"


def cowrie(at: int, src: str, dst: str, port: int) -> str:
    """A session of a honeypot."""
    time = f"2026-01-01T00:{at // 3000 % 60:02d}:{at // 50 % 60:02d}.{at % 1_000_000:06d}Z"
    return json.dumps({"eventid": "cowrie.session.connect", "src_ip": src, "src_port": port, "dst_ip": dst,
                       "dst_port": 22, "session": f"{at:012x}", "protocol": "ssh",
                       "message": f"New connection: {src}:{port} ({dst}:22) [session: {at:012x}]",
                       "sensor": "honeypot", "timestamp": time}) + "\n"  # fmt: skip


def elastic(at: int, src: str, dst: str, port: int) -> str:
    """A row of JSON as Elastic's shippers write it."""
    return json.dumps({"@timestamp": BEGIN + at / 1000, "source": {"ip": src, "port": port},
                       "destination": {"ip": dst, "port": 22}, "network": {"transport": "tcp", "bytes": 60},
                       "event": {"kind": "event", "action": "denied"}, "message": "x" * 100}) + "\n"  # fmt: skip


def comma(at: int, src: str, dst: str, port: int) -> str:
    """A row of CSV."""
    return f"{BEGIN + at / 1000:.6f},{src},{dst},{port},22,tcp\n"


def make(path: Path, line: Callable[[int, str, str, int], str], head: str, lines: int) -> None:
    """Write a log."""
    rng = np.random.default_rng(1)
    sources, ports = rng.integers(1, 255, (lines, 4)).tolist(), rng.integers(0, 65536, lines).tolist()
    with path.open("w") as out:
        out.write(head)
        for at, (source, port) in enumerate(zip(sources, ports, strict=True)):
            out.write(line(at, ".".join(map(str, source)), f"192.0.2.{at % 250}", port))


def plain_eve(path: Path) -> Iterator[Row]:
    """With json."""
    with path.open() as opened:
        for line in opened:
            row = json.loads(line)
            if (
                row["event_type"] == "flow"
                and row["proto"] == "TCP"
                and int(row["tcp"]["tcp_flags_ts"], 16) & 0x12 == 2
            ):
                src, dst = int(ip_address(row["src_ip"])), int(ip_address(row["dest_ip"]))
                time = datetime.fromisoformat(row["flow"]["start"]).timestamp()
                yield time, src, dst, row["src_port"], row["dest_port"]


def plain_kernel(path: Path) -> Iterator[Row]:
    """With re."""
    with path.open() as opened:
        for line in opened:
            found = KERNEL.match(line)
            if found and found[4] == "TCP" and "SYN" in found[7] and "ACK" not in found[7]:
                time = datetime.strptime(f"2026 {found[1]}", "%Y %b %d %H:%M:%S").timestamp()
                src, dst = int(ip_address(found[2])), int(ip_address(found[3]))
                yield time, src, dst, int(found[5]), int(found[6])


def plain_zeek_json(path: Path) -> Iterator[Row]:
    """With json."""
    with path.open() as opened:
        for line in opened:
            row = json.loads(line)
            if row["proto"] == "tcp" and row["conn_state"] in ("S0", "REJ") and row["history"][0] == "S":
                src, dst = int(ip_address(row["id.orig_h"])), int(ip_address(row["id.resp_h"]))
                yield row["ts"], src, dst, row["id.orig_p"], row["id.resp_p"]


def plain_zeek_tsv(path: Path) -> Iterator[Row]:
    """With split."""
    with path.open() as opened:
        for line in opened:
            if line[0] == "#":
                continue
            row = line.split("\t")
            if row[6] == "tcp" and row[11] in ("S0", "REJ") and row[15][0] == "S":
                yield float(row[0]), int(ip_address(row[2])), int(ip_address(row[4])), int(row[3]), int(row[5])


def plain_cowrie(path: Path) -> Iterator[Row]:
    """With json."""
    with path.open() as opened:
        for line in opened:
            row = json.loads(line)
            if row["eventid"] == "cowrie.session.connect":
                src, dst = int(ip_address(row["src_ip"])), int(ip_address(row["dst_ip"]))
                time = datetime.fromisoformat(row["timestamp"]).timestamp()
                yield time, src, dst, row["src_port"], row["dst_port"]


def plain_elastic(path: Path) -> Iterator[Row]:
    """With json."""
    with path.open() as opened:
        for line in opened:
            row = json.loads(line)
            if row["network"]["transport"] == "tcp":
                source, to = row["source"], row["destination"]
                src, dst = int(ip_address(source["ip"])), int(ip_address(to["ip"]))
                yield row["@timestamp"], src, dst, source["port"], to["port"]


def plain_csv(path: Path) -> Iterator[Row]:
    """With csv."""
    with path.open() as opened:
        for row in csv.DictReader(opened):
            if row["proto"] == "tcp":
                src, dst = int(ip_address(row["src"])), int(ip_address(row["dst"]))
                yield float(row["ts"]), src, dst, int(row["sport"]), int(row["dport"])


PATHS = {"ts": "@timestamp", "src": "source.ip", "dst": "destination.ip", "sport": "source.port",
         "dport": "destination.port", "proto": "network.transport"}  # fmt: skip
"""Columns of `elastic`."""


def ours(path: Path, name: str) -> int:
    """The probes that we find."""
    options = InputOptions(columns=ColumnMap(PATHS)) if name == "any JSON with -c" else InputOptions()
    return sum(map(len, read_input(path, None, options)))


FORMS = (
    ("Suricata EVE", eve, "", plain_eve, "json"),
    ("kernel lines", kernel, "", plain_kernel, "re"),
    ("Zeek JSON", zeek_json, "", plain_zeek_json, "json"),
    ("cowrie JSON", cowrie, "", plain_cowrie, "json"),
    ("any JSON with -c", elastic, "", plain_elastic, "json"),
    ("Zeek TSV", zeek_tsv, ZEEK, plain_zeek_tsv, "split"),
    ("CSV", comma, "ts,src,dst,sport,dport,proto\n", plain_csv, "csv"),
)


def measure(size: Size) -> Iterator[Figure]:
    """Each format, beside plain Python on a tenth of the lines."""
    lines = LINES[size]
    with tempfile.TemporaryDirectory() as folder, one_core():
        for name, line, head, plain, module in FORMS:
            path, short = Path(folder) / "log", Path(folder) / "short"
            make(path, line, head, lines)
            make(short, line, head, lines // 10)
            assert sum(1 for _ in plain(short)) == ours(short, name) == lines // 10, name
            us = Work("portkin", lambda at=path, of=name: ours(at, of), lines)
            peer = Work(f"Python's {module}", lambda by=plain, at=short: sum(1 for _ in by(at)), lines // 10)
            yield from compare(size, name, us, [peer], SPEED)


if __name__ == "__main__":
    script(measure, __doc__)
