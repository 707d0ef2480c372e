"""Makes the captures in which nobody scans, and two scans that are easy to miss, packet by packet with scapy.

Run it in this folder; it writes the captures named at its end.
"""

from __future__ import annotations

from collections.abc import Iterable

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet
from scapy.utils import wrpcap

START = 1_700_000_000.0
CLIENT, SERVER = "198.51.100.9", "192.0.2.10"


def tcp(src: str, dst: str, sport: int, dport: int, flags: str, *, seq: int = 1000, ack: int = 0) -> Packet:
    """One segment without data."""
    layer = IPv6 if ":" in src else IP
    ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    return ether / layer(src=src, dst=dst) / TCP(sport=sport, dport=dport, flags=flags, seq=seq, ack=ack)


def write(name: str, packets: Iterable[tuple[float, Packet]]) -> None:
    """Write packets, each with its offset from the start in seconds, in order."""
    stamped = []
    for at, packet in sorted(packets, key=lambda pair: pair[0]):
        packet.time = START + at
        stamped.append(packet)
    wrpcap(name, stamped)


def backscatter() -> Iterable[tuple[float, Packet]]:
    """What a host flooded in our name sends back: SYN-ACKs and RSTs to many hosts and ports, no SYN."""
    for step in range(120):
        host, port = f"192.0.2.{step % 60 + 1}", 1024 + step * 7
        yield step * 0.05, tcp(CLIENT, host, 80, port, "SA" if step % 2 else "RA", ack=1)


def dns_answers() -> Iterable[tuple[float, Packet]]:
    """Answers of name servers whose questions were not seen, some of them too late: their ports are closed again."""
    for step in range(120):
        server = f"192.0.2.{step % 60 + 1}"
        ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
        answer = IP(src=server, dst=CLIENT) / UDP(sport=53, dport=30000 + step)
        yield step * 0.05, ether / answer
        if step % 2:
            yield step * 0.05 + 0.001, ether / IP(src=CLIENT, dst=server) / ICMP(type=3, code=3) / answer


def handshake(at: float, src: str, dst: str, sport: int, dport: int, *, seen: str) -> Iterable[tuple[float, Packet]]:
    """A short connection; ``seen`` says which directions the capture holds: "both", "out" or "back"."""
    there = [
        (0.000, tcp(src, dst, sport, dport, "S")),
        (0.002, tcp(src, dst, sport, dport, "A", seq=1001, ack=5001)),
        (0.003, tcp(src, dst, sport, dport, "FA", seq=1001, ack=5001)),
    ]
    back = [
        (0.001, tcp(dst, src, dport, sport, "SA", seq=5000, ack=1001)),
        (0.004, tcp(dst, src, dport, sport, "FA", seq=5001, ack=1002)),
    ]
    for offset, packet in (there if seen != "back" else []) + (back if seen != "out" else []):
        yield at + offset, packet


def one_way() -> Iterable[tuple[float, Packet]]:
    """Clients of which only one direction passes the sensor: no SYN-ACK is ever seen, or nothing but SYN-ACKs."""
    for step in range(60):
        yield from handshake(step * 2.0, CLIENT, f"192.0.2.{step + 1}", 40000 + step, 443, seen="out")
        yield from handshake(step * 2.0, "198.51.100.8", f"192.0.2.{step + 1}", 50000 + step, 443, seen="back")


def midstream() -> Iterable[tuple[float, Packet]]:
    """Connections that began before the capture: data and ACKs, then a RST."""
    for step in range(60):
        host, sport = f"192.0.2.{step + 1}", 40000 + step
        yield step * 0.5, tcp(CLIENT, host, sport, 443, "PA", seq=7000, ack=9000)
        yield step * 0.5 + 0.1, tcp(host, CLIENT, 443, sport, "RA", seq=9000, ack=7000)


def browsing() -> Iterable[tuple[float, Packet]]:
    """A client of many services; every third time it tries one that is closed."""
    for step in range(90):
        if step % 3 == 2:
            yield step * 0.2, tcp(CLIENT, SERVER, 40000 + step, 9000 + step % 9, "S")
            yield step * 0.2 + 0.001, tcp(SERVER, CLIENT, 9000 + step % 9, 40000 + step, "RA", ack=1001)
        else:
            host = f"192.0.2.{step % 50 + 1}"
            yield from handshake(step * 0.2, CLIENT, host, 40000 + step, (80, 443)[step % 2], seen="both")


def silent() -> Iterable[tuple[float, Packet]]:
    """A slow scan, one SYN in 30 s, to hosts that never answer; every SYN is sent three times."""
    for step, port in enumerate((23, 2323, 80, 8080, 443, 8443, 22, 2222)):
        for again in (0, 1, 3):
            yield step * 30 + again, tcp(CLIENT, f"192.0.2.{step + 1}", 41000 + step, port, "S", seq=step)


def ipv6() -> Iterable[tuple[float, Packet]]:
    """A scan of one host over IPv6, every port refused."""
    for step, port in enumerate((21, 22, 23, 25, 80, 110, 443)):
        yield step * 0.1, tcp("2001:db8::66", "2001:db8:1::10", 42000, port, "S", seq=step)
        yield step * 0.1 + 0.01, tcp("2001:db8:1::10", "2001:db8::66", port, 42000, "RA", ack=step + 1)


if __name__ == "__main__":
    write("backscatter.pcap", backscatter())
    write("dns-answers.pcap", dns_answers())
    write("one-way.pcap", one_way())
    write("midstream.pcap", midstream())
    write("browsing.pcap", browsing())
    write("silent.pcap", silent())
    write("ipv6.pcap", ipv6())
