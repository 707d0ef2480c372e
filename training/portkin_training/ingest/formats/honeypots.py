"""Honeypots: cowrie, opencanary, dionaea, honeytrap, endlessh. A session counts once, however many events it has.

A honeypot answers everything, so what came of a session does not matter.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from portkin_training.ingest.formats.format import Format, Source, filled, is_in, json_rows
from portkin_training.ingest.formats.line_patterns import LinePattern, line_rows
from portkin_training.ingest.formats.syslog import TIME
from portkin_training.ingest.reasons import Reasons
from portkin_training.ingest.records import Columns, constant

SESSION = 3600
"""Seconds: events of one session share their addresses and ports, and come this close together."""
_ACCEPT = r"ACCEPT host=(?P<src>\S+) port=(?P<sport>\d+)"
_UDP_MODULES = ("10001", "11001", "13001", "15001")
"""logtype of opencanary's TFTP, NTP, SNMP and SIP."""
_NO_PORTS = ("heartbeat", "arp", "icmp", "portscan")
_UDP_SERVICES = ("counterstrike", "tftp")
"""Values of honeytrap's category: events that are none of a connection, and services of UDP."""


def _cowrie(columns: Columns, source: Source) -> tuple[Columns, Reasons]:
    n = len(columns["event"])
    reasons = Reasons(n)
    reasons.mark(~is_in(columns["event"], "cowrie.session.connect"), "later events of sessions")
    if is_in(columns["dport"], "2222", "2223").any() and not any("2222" in note for note in source.reading.notes):
        source.reading.note(
            "ports are those on which cowrie listens: where 22 and 23 are redirected to 2222 and 2223, these count"
        )
    # cowrie 3.1 writes local time with a Z: --tz says which it is.
    ts = pc.ascii_rtrim(columns["ts"], "Z")
    return {**columns, "ts": ts, "proto": constant("tcp", n)}, reasons


def _opencanary(columns: Columns, source: Source) -> tuple[Columns, Reasons]:
    n = len(columns["src"])
    reasons = Reasons(n)
    reasons.mark(~filled(columns["src"]), "events without a connection")
    reasons.mark(is_in(columns["sport"], "-1") | is_in(columns["dport"], "-1"), "events without a connection")
    udp = pa.array(is_in(columns["type"], *_UDP_MODULES) | is_in(columns["logged"], "UDP"))
    # Both are UTC, whatever their names: opencanary writes its local time as local_time_adjusted.
    ts = pc.binary_join_element_wise(columns["ts"], "Z", "")
    return {**columns, "ts": ts, "proto": pc.if_else(udp, "udp", "tcp")}, reasons


def _dionaea(columns: Columns, source: Source) -> tuple[Columns, Reasons]:
    reasons = Reasons(len(columns["src"]))
    reasons.mark(is_in(columns["type"], "listen"), "events without a connection")
    # A datagram begins a session that dionaea connects to its sender; a TCP connection is its own, to fetch files.
    own = is_in(columns["type"], "connect") & is_in(columns["proto"], "tcp", "tls")
    reasons.mark(own, "connections of the honeypot itself")
    proto = columns["proto"]
    for secured, plain in (("dtls", "udp"), ("tls", "tcp")):
        proto = pc.if_else(pa.array(is_in(proto, secured)), plain, proto)
    # dionaea writes UTC without saying so; what ships its log may add a zone.
    ts = pc.replace_substring_regex(columns["ts"], r"^(\d{4}-\d\d-\d\d[T ][\d:.]+)$", r"\1Z")
    return {**columns, "ts": ts, "proto": proto}, reasons


def _honeytrap(columns: Columns, source: Source) -> tuple[Columns, Reasons]:
    reasons = Reasons(len(columns["src"]))
    reasons.mark(~filled(columns["src"]) | is_in(columns["category"], *_NO_PORTS), "events without a connection")
    # Services of the one in Go that know one protocol alone do not name it.
    usual = pc.if_else(pa.array(is_in(columns["category"], *_UDP_SERVICES)), "udp", "tcp")
    return {**columns, "proto": pc.if_else(pa.array(filled(columns["proto"])), columns["proto"], usual)}, reasons


def _endlessh(columns: Columns, source: Source) -> tuple[Columns, Reasons]:
    n = len(columns["src"])
    return {**columns, "proto": constant("tcp", n), "dport": constant("22", n)}, Reasons(n)


COWRIE = Format(
    "cowrie",
    lambda head: any(str(one.get("eventid", "")).startswith("cowrie.") for one in head.objects),
    json_rows(
        {
            "event": "/eventid",
            "ts": "/timestamp",
            "src": "/src_ip",
            "sport": "/src_port",
            "dst": ["/dst_ip", "/dest_ip"],
            "dport": ["/dst_port", "/dest_port"],
        },
        _cowrie,
    ),
)
OPENCANARY = Format(
    "opencanary",
    lambda head: head.has_keys("logtype", "src_host", "dst_host"),
    json_rows(
        {
            "ts": ["/utc_time", "/local_time"],
            "src": "/src_host",
            "sport": "/src_port",
            "dst": "/dst_host",
            "dport": "/dst_port",
            "type": "/logtype",
            "logged": "/logdata/PROTO",
        },
        _opencanary,
    ),
    session=SESSION,
)
DIONAEA = Format(
    "dionaea",
    lambda head: any(isinstance(one.get("connection"), dict) and "transport" in one["connection"]
                     for one in head.objects),
    json_rows(
        {
            "ts": "/timestamp",
            "src": "/src_ip",
            "sport": "/src_port",
            "dst": "/dst_ip",
            "dport": "/dst_port",
            "proto": "/connection/transport",
            "type": "/connection/type",
        },
        _dionaea,
    ),
    session=SESSION,
)  # fmt: skip
HONEYTRAP = Format(
    "honeytrap",
    lambda head: head.has_keys("attack_connection") or head.has_keys("category", "date", "sensor"),
    json_rows(
        {
            "ts": ["/start_time", "/timestamp", "/date"],
            "src": ["/attack_connection/remote_ip", "/source-ip"],
            "sport": ["/attack_connection/remote_port", "/source-port"],
            "dst": ["/attack_connection/local_ip", "/destination-ip"],
            "dport": ["/attack_connection/local_port", "/destination-port"],
            "proto": ["/attack_connection/protocol", "/protocol"],
            "category": "/category",
        },
        _honeytrap,
    ),
    session=SESSION,
)
ENDLESSH = Format(
    "endlessh",
    lambda head: head.matches("ACCEPT host=", r"\bACCEPT host=\S+ port=\d+ "),
    line_rows(
        [
            LinePattern("Z ACCEPT host=", r"(?P<ts>\d{4}-\S+)\s+" + _ACCEPT),
            LinePattern("ACCEPT host=", TIME + ".*?" + _ACCEPT),  # by syslog, without a time of its own
        ],
        _endlessh,
    ),
)
