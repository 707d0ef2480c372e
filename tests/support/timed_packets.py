"""Captures of packets at given times, as Suricata reads them."""

from __future__ import annotations

import socket
from pathlib import Path

import dpkt

FLAGS = {"S": dpkt.tcp.TH_SYN, "A": dpkt.tcp.TH_ACK, "F": dpkt.tcp.TH_FIN, "R": dpkt.tcp.TH_RST}


def connection(when, client, server, port, how="accept", *, udp=False, sport=None):
    """The packets of a connection at a second, each (time, source, source port, destination, port, what).

    ``how`` is what the server does: accept, accept ``twice`` or ``late`` (by 3 s), ``reset``, or ``nothing``.
    """
    sport = sport or 40_000 + int(when)
    there, back = (client, sport, server, port), (server, port, client, sport)
    delay = 3.0 if how == "late" else 0.001
    packets = [(when, *there, "udp" if udp else "S")]
    if udp:
        replies = {"nothing": 0, "reset": 0, "twice": 2}.get(how, 1)
        return packets + [(when + delay * (1 + at), *back, "udp") for at in range(replies)]
    if how == "reset":
        packets.append((when + delay, *back, "RA"))
    elif how != "nothing":
        packets += [(when + delay * (1 + at), *back, "SA") for at in range(2 if how == "twice" else 1)]
        packets += [(when + 3 * delay, *there, "A"), (when + 4 * delay, *there, "FA"), (when + 5 * delay, *back, "FA")]
        packets.append((when + 6 * delay, *there, "A"))
    return packets


def write_packets(path: Path, packets) -> None:
    """A capture of packets as `connection` returns them, in their order."""
    sequence: dict[tuple, int] = {}
    with path.open("wb") as opened:
        writer = dpkt.pcap.Writer(opened)
        for when, src, sport, dst, dport, what in packets:
            if what == "udp":
                data = dpkt.udp.UDP(sport=sport, dport=dport, data=b"12345678", ulen=16)
                proto = dpkt.ip.IP_PROTO_UDP
            else:
                there, back = (src, sport, dst, dport), (dst, dport, src, sport)
                flags = sum(FLAGS[letter] for letter in what)
                number, acked = sequence.get(there, 100), sequence.get(back, 0)
                number -= what == "SA" and there in sequence  # the second time
                data = dpkt.tcp.TCP(sport=sport, dport=dport, seq=number, ack=acked, flags=flags)
                sequence[there] = number + ("S" in what or "F" in what)
                proto = dpkt.ip.IP_PROTO_TCP
            ip = dpkt.ip.IP(src=socket.inet_aton(src), dst=socket.inet_aton(dst), p=proto, data=data)
            ip.len = len(ip)
            writer.writepkt(bytes(dpkt.ethernet.Ethernet(data=ip)), 1_700_000_000.25 + when)


def write_syns(path: Path, probes: list[tuple[float, int, str]]) -> None:
    """A capture of SYNs of 198.51.100.7, each (time, port, host) from a source port of its own."""
    with path.open("wb") as opened:
        writer = dpkt.pcap.Writer(opened)
        for at, (when, port, host) in enumerate(probes):
            tcp = dpkt.tcp.TCP(sport=20_000 + at, dport=port, seq=1000 * at, flags=dpkt.tcp.TH_SYN)
            src, dst = socket.inet_aton("198.51.100.7"), socket.inet_aton(host)
            ip = dpkt.ip.IP(src=src, dst=dst, p=dpkt.ip.IP_PROTO_TCP, data=tcp)
            ip.len = len(ip)
            writer.writepkt(bytes(dpkt.ethernet.Ethernet(data=ip)), 1_700_000_000.25 + when)
