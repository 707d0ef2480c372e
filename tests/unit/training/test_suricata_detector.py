"""The detector of the rules: who is a scanner, what is blocked, and until when."""

from __future__ import annotations

from portkin.net.ports import Port
from portkin_training.twin.suricata_rules import Opening, RulesConfig, watch

SSH, TELNET, HTTP, DNS = Port(22, "tcp"), Port(23, "tcp"), Port(80, "tcp"), Port(53, "udp")
KIN = {SSH: (SSH, TELNET), TELNET: (TELNET,), HTTP: (HTTP,), DNS: (DNS,)}
CONFIG = RulesConfig(scan_count=3, scan_seconds=10, memory=50, seconds=100)


def seen(*packets, config=CONFIG):
    """What becomes of packets (second, source, host, port): letters s scanner, c condemned, b blocked, - nothing."""
    found = watch((Opening(round(when * 1e6), *rest) for when, *rest in packets), KIN, config)
    return [("b" if s.blocked else "") + ("c" if s.condemned else "s" if s.scanner else "-") for _, s in found]


def test_distinct_ports():
    """Three new ports make a scanner; its third probe blocks from then on."""
    # The first packet is a new host and a new port, one contact; so are the others, new ports.
    assert ["-", "-", "c", "bs"] == seen(*((at, "a", "h", port) for at, port in enumerate((SSH, HTTP, TELNET, TELNET))))


def test_kin_is_blocked():
    """A scanner's probe blocks what is near to its port, for it alone."""
    packets = [
        (0, "a", "h", DNS),
        (1, "a", "h", HTTP),
        (2, "a", "h", SSH),
        (3, "a", "h", TELNET),
        (3, "b", "h", TELNET),
    ]
    assert ["-", "-", "c", "bs", "-"] == seen(*packets)


def test_ports_of_a_group():
    """TCP ports of a range whose numbers end alike are one, so only the first is new."""
    # Ranges 0-22, 23-79 and 80-65535; a count of 3 tells 4 groups apart in each, so 84 and 88 are as 80.
    alike = [Port(number, "tcp") for number in (80, 84, 88, 8080)]
    assert ["-"] * 4 == seen(*((at, "a", "h", port) for at, port in enumerate(alike)))
    assert ["-", "-", "c"] == seen(*((at, "a", "h", Port(80 + at, "tcp")) for at in range(3)))


def test_distinct_hosts():
    """A sweep of one port counts each host once."""
    packets = [(0, "a", "g", SSH), (1, "a", "g", SSH), (2, "a", "h", SSH), (3, "a", "i", SSH), (4, "a", "i", SSH)]
    assert ["-", "-", "-", "c", "bs"] == seen(*packets)


def test_busy_client():
    """Any number of connections to the same port of the same host count once."""
    assert ["-"] * 500 == seen(*((at / 100, "a", "h", HTTP) for at in range(500)))


def test_window():
    """Contacts count within the window of the first; the first after it begins another."""
    # Window of 10 s in whole seconds: at 10.9 it is still open, at 11 no more.
    assert ["-", "-", "c"] == seen((0.5, "a", "h", SSH), (1, "a", "h", HTTP), (10.9, "a", "h", DNS))
    assert ["-", "-", "-"] == seen((0.5, "a", "h", SSH), (1, "a", "h", HTTP), (11, "a", "h", DNS))


def test_ports_that_are_not_protected():
    """A TCP port without a rule may be new, a UDP port may not; its host may be. It is never blocked."""
    other = Port(4444, "tcp")
    assert ["-", "-", "c", "s"] == seen(*((at, "a", "h", Port(4444 + at, "tcp")) for at in range(4)))
    assert ["-", "-", "-", "-"] == seen(*((at, "a", "h", Port(4444 + at, "udp")) for at in range(4)))
    assert ["-", "-", "c", "s"] == seen(*((at, "a", host, other) for at, host in enumerate("ghii")))


def test_block_ends_and_is_extended():
    """A block ends after its time, in whole seconds; a new probe of a scanner begins it anew."""
    config = RulesConfig(scan_count=2, scan_seconds=10, memory=1000, seconds=100)
    start = [(0, "a", "h", HTTP), (0, "a", "h", SSH)]
    assert ["-", "c", "bs"] == seen(*start, (100.9, "a", "h", SSH), config=config)
    assert ["-", "c", "s"] == seen(*start, (101, "a", "h", SSH), config=config)
    assert ["-", "c", "bs", "bs"] == seen(*start, (90, "a", "h", SSH), (190, "a", "h", TELNET), config=config)


def test_scanner_is_forgotten():
    """A source that is quiet for the memory is no scanner any more, while its blocks run on."""
    start = [(0, "a", "h", HTTP), (0, "a", "h", DNS), (0, "a", "h", SSH)]
    assert ["-", "-", "c", "b-"] == seen(*start, (51, "a", "h", SSH))
    assert ["-", "-", "c", "bs", "bs"] == seen(*start, (50, "a", "h", SSH), (100, "a", "h", SSH))
