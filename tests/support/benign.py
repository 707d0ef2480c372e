"""Forty clients and servers outside that are no scanners, each with an address of its own, as one capture.

`PATTERNS` names what each does; all of it happens within ten minutes. Inside is 192.0.2.0/24 (and 2001:db8:1::/64).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from support.captures import pcap
from support.traffic import Traffic, host

HOME = "[192.0.2.0/24,2001:db8:1::/64]"
ALLOWED = "vulnerability scanner on the pass list"
"""The pattern that only a pass list keeps from being blocked."""


PATTERNS: dict[str, Callable[[Traffic], None]] = {}


def pattern(name: str) -> Callable[[Callable[[Traffic], None]], Callable[[Traffic], None]]:
    """Give a function that makes traffic its place in `PATTERNS`."""

    def add(make: Callable[[Traffic], None]) -> Callable[[Traffic], None]:
        PATTERNS[name] = make
        return make

    return add


@pattern("passive FTP, twelve files in two minutes")
def _(t: Traffic) -> None:
    for at, port in enumerate([21, *(49_152 + 1009 * at % 16_000 for at in range(12)), 21]):
        t.tcp(8 * at, host(1), port)


@pattern("passive FTP, sixty files, low data ports")
def _(t: Traffic) -> None:
    for at, port in enumerate([21, *(1024 + 37 * at for at in range(60)), 21]):
        t.tcp(2 * at, host(1), port)


@pattern("active FTP: the server connects back")
def _(t: Traffic) -> None:
    t.tcp(0, t.outside, 21, src=host(2), sport=40_000)
    for at in range(30):
        t.tcp(1 + at, host(2), 1024 + 61 * at, sport=20)


@pattern("active FTP through a firewall that refuses")
def _(t: Traffic) -> None:
    t.tcp(0, t.outside, 21, src=host(3), sport=40_000)
    for at in range(20):
        t.tcp(1 + 3 * at, host(3), 1024 + 61 * at, "refused", sport=20)


@pattern("monitor, twelve web sites a minute")
def _(t: Traffic) -> None:
    for minute in range(8):
        for site in range(12):
            t.tcp(60 * minute + 5 * site, host(10 + site), 443 if site % 2 else 80)


@pattern("monitor, forty sites side by side")
def _(t: Traffic) -> None:
    for minute in range(4):
        for site in range(40):
            t.tcp(60 * minute + 0.000_02 * site, host(10 + site), 443, rtt=0.02)


@pattern("CDN edge, four connections to each of twelve origins")
def _(t: Traffic) -> None:
    for minute in range(5):
        for site in range(48):
            t.tcp(60 * minute + 0.0005 * site, host(30 + site % 12), 443 if site % 4 else 80, rtt=0.015)


@pattern("CDN edge, sixty origins at once, far away")
def _(t: Traffic) -> None:
    for site in range(60):
        t.tcp(0.000_1 * site, host(30 + site), 443, rtt=0.08)


@pattern("monitor of sixty hosts, eight of them down")
def _(t: Traffic) -> None:
    for minute in range(3):
        for site in range(60):
            t.tcp(100 * minute + site, host(50 + site), 22, "silent" if site % 8 == 7 else "open", repeats=(1, 3))


@pattern("monitor of thirty hosts, six of which refuse")
def _(t: Traffic) -> None:
    for minute in range(3):
        for site in range(30):
            t.tcp(60 * minute + 2 * site, host(50 + site), 8080, "refused" if site % 5 == 4 else "open")


@pattern("crawler, two hundred sites, one in ten dead")
def _(t: Traffic) -> None:
    for site in range(200):
        t.tcp(0.2 * site, host(site), 80, "silent" if site % 10 == 3 else "open", rtt=0.01)


@pattern("mail server, delivers to fifteen of ours")
def _(t: Traffic) -> None:
    for at in range(15):
        t.tcp(0.3 * at, host(100 + at), 25)


@pattern("mail server, greylisted, comes back")
def _(t: Traffic) -> None:
    for again in range(4):
        for at in range(14):
            t.tcp(90 * again + at, host(100 + at), 25)


@pattern("mail server, primaries of five domains are down")
def _(t: Traffic) -> None:
    for at in range(5):
        t.tcp(10 * at, host(100 + at), 25, "silent", repeats=(1, 3, 7))
        t.tcp(10 * at + 9, host(120 + at), 25)


@pattern("mail server, asks ident of twelve hosts that sent it mail")
def _(t: Traffic) -> None:
    for at in range(12):
        t.tcp(5 * at, t.outside, 25, src=host(130 + at), sport=41_000 + at)
        t.tcp(5 * at + 0.1, host(130 + at), 113, "refused")


@pattern("IRC server, looks for proxies on a client of its own")
def _(t: Traffic) -> None:
    t.tcp(0, t.outside, 6667, src=host(4), sport=42_000)
    for at, port in enumerate([113, 1080, 1081, 3128, 3380, 4480, 6588, 8000, 8080, 8081, 8888, 9999, 23, 80, 5555]):
        t.tcp(0.5 + 0.01 * at, host(4), port, "silent" if at % 2 else "refused")


@pattern("DNS resolver, thirteen servers in parallel")
def _(t: Traffic) -> None:
    for again in range(20):
        for at in range(13):
            t.udp(5 * again + 0.001 * at, host(150 + at), 53, rtt=0.01)


@pattern("DNS resolver, falls back to TCP")
def _(t: Traffic) -> None:
    for at in range(13):
        t.udp(at, host(150 + at), 53)
        t.tcp(at + 0.1, host(150 + at), 53)


@pattern("DNS resolver, three of thirteen servers are down")
def _(t: Traffic) -> None:
    for again in range(10):
        for at in range(13):
            t.udp(20 * again + at, host(150 + at), 53, "silent" if at % 5 == 2 else "open", repeats=(1, 2))


@pattern("QUIC server, late datagrams to twenty clients")
def _(t: Traffic) -> None:
    for at in range(60):
        t.udp(0.5 * at, host(170 + at % 20), 50_000 + at, "refused" if at % 3 else "silent", sport=443)


@pattern("QUIC server, late datagrams to a NAT gateway")
def _(t: Traffic) -> None:
    for at in range(80):
        t.udp(0.3 * at, host(5), 1024 + 97 * at, "silent", sport=443)


@pattern("DNS server, late answers")
def _(t: Traffic) -> None:
    for at in range(40):
        t.udp(0.4 * at, host(6), 30_000 + 7 * at, "refused", sport=53)


@pattern("NTP server, late answers to twenty clients")
def _(t: Traffic) -> None:
    for at in range(20):
        t.udp(at, t.outside, 123, src=host(170 + at), sport=123)
        t.udp(at + 400, host(170 + at), 123, "silent", sport=123)


@pattern("media relay, RTP both ways with a dozen phones")
def _(t: Traffic) -> None:
    for at in range(120):
        t.udp(0.02 * at, host(190 + at % 12), 16_384 + 2 * (at % 12), sport=3478)


@pattern("media server, RTP one way to two dozen phones")
def _(t: Traffic) -> None:
    for at in range(480):
        t.udp(0.05 * at, host(190 + at % 24), 16_384 + 2 * (at % 24), "silent", sport=10_000 + at % 24)


@pattern("SIP provider, keeps twelve phones registered")
def _(t: Traffic) -> None:
    for at in range(60):
        t.udp(2 * at, host(190 + at % 12), 5060, sport=5060)


@pattern("BitTorrent peer, a third of fifteen peers are gone")
def _(t: Traffic) -> None:
    for at in range(15):
        t.tcp(0.7 * at, host(210 + at), 6881 + at, ("open", "open", "refused")[at % 3])


@pattern("BitTorrent DHT node, asks nodes that have left")
def _(t: Traffic) -> None:
    for at in range(30):
        t.udp(0.6 * at, host(210 + at), 6881 + 331 * at, "silent", sport=6881)


@pattern("game client, pings thirty servers")
def _(t: Traffic) -> None:
    for at in range(30):
        t.udp(0.01 * at, host(200 + at % 15), 27_015 + at, rtt=0.03)


@pattern("game client, twelve ports of a lobby")
def _(t: Traffic) -> None:
    for at in range(24):
        t.tcp(0.05 * at, host(7), 7777 + 13 * (at % 12), rtt=0.04)


@pattern("Ansible, thirty hosts in a row")
def _(t: Traffic) -> None:
    for at in range(30):
        t.tcp(2.5 * at, host(60 + at), 22)


@pattern("Ansible, fifty forks")
def _(t: Traffic) -> None:
    for at in range(150):
        t.tcp(6 * (at // 50) + 0.000_2 * (at % 50), host(60 + at), 22, rtt=0.03)


@pattern("backup server, two of twenty-five clients are off")
def _(t: Traffic) -> None:
    for at in range(25):
        t.tcp(4 * at, host(80 + at), 10_000, "silent" if at in (7, 19) else "open", repeats=(1, 3) if at == 7 else ())


@pattern("office behind one address, twenty services, SYNs lost")
def _(t: Traffic) -> None:
    for at in range(300):
        port = (443, 80, 993, 25, 22, 8443)[at % 6]
        t.tcp(0.4 * at, host(20 + at % 20), port, rtt=0.005, repeats=(1.0,) if at % 20 == 11 else ())


@pattern("browser, six connections to each of fifteen hosts")
def _(t: Traffic) -> None:
    for at in range(90):
        t.tcp(0.05 * (at // 6) + 0.000_05 * (at % 6), host(20 + at // 6), 443, rtt=0.12)


@pattern("mobile client, every third SYN lost")
def _(t: Traffic) -> None:
    for at in range(30):
        t.tcp(0.9 * at, host(20 + at), 443, rtt=0.2, repeats=(1.0,) if at % 3 == 2 else ())


@pattern("load balancer, health checks of twelve backends, one down")
def _(t: Traffic) -> None:
    for again in range(60):
        for at in range(12):
            for port in (8080, 8443):
                t.tcp(5 * again + 0.01 * at, host(220 + at), port, "refused" if at == 5 else "open")


@pattern("storage client, twenty daemons of one host")
def _(t: Traffic) -> None:
    for at in range(40):
        t.tcp(0.001 * at, host(8), 6800 + at % 20, rtt=0.004)


@pattern("client of eight services that are down for half a minute")
def _(t: Traffic) -> None:
    for at in range(8):
        t.tcp(at, host(230 + at), 443, rtt=0.01, repeats=(1, 3, 7, 15, 31))


@pattern("traceroute, thirty hops, UDP")
def _(t: Traffic) -> None:
    for at in range(90):
        t.udp(0.1 * at, host(9), 33_434 + at, "refused" if at > 60 else "silent")


@pattern("client over IPv6, twelve sites")
def _(t: Traffic) -> None:
    t.outside = "2001:db8:ffff::41"
    for at in range(36):
        t.tcp(0.2 * (at // 12) + 0.000_1 * (at % 12), f"2001:db8:1::{1 + at % 12:x}", 443, rtt=0.02)


@pattern(ALLOWED)
def _(t: Traffic) -> None:
    for at in range(200):
        t.tcp(0.1 * at, host(10), 1 + 41 * at, "refused")


def write_benign(path: Path, names: Iterable[str] = PATTERNS) -> dict[str, str]:
    """Write the capture of these patterns; returns the outside address of each."""
    sources, packets = {}, []
    for number, name in enumerate(names):
        traffic = Traffic(1 + number)
        PATTERNS[name](traffic)
        sources[name] = traffic.outside
        # Patterns begin at different fractions of a second: bits of Suricata 7 end by whole seconds.
        packets += [(us + 137_000 * number, packet) for us, packet in traffic.packets]
    path.write_bytes(pcap(sorted(packets, key=lambda packet: packet[0])))
    return sources
