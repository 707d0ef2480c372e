"""The detector of the rules: who is a scanner, what is blocked, and until when."""

from __future__ import annotations

from portkin.net.ports import Port
from portkin_training.twin.suricata_rules import Answer, Opening, RulesConfig, watch

SSH, TELNET, HTTP, DNS = Port(22, "tcp"), Port(23, "tcp"), Port(80, "tcp"), Port(53, "udp")
BLOCKED = {SSH: (SSH, TELNET), TELNET: (TELNET,), HTTP: (HTTP,), DNS: (DNS,)}
CONFIG = RulesConfig(scan_count=3, scan_seconds=10, memory=50, seconds=100)


def seen(*packets, config=CONFIG):
    """The verdicts on packets (second, source, host, port[, flow]): letters s scanner, n new scanner, b blocked, -
    nothing. An answer is (second, flow)."""
    stream = ((Opening if len(rest) > 1 else Answer)(round(when * 1e6), *rest) for when, *rest in packets)
    found = watch(stream, BLOCKED, config)
    return [("b" if v.blocked else "") + ("n" if v.new_scanner else "s" if v.scanner else "-") for _, v in found]


def test_distinct_ports():
    """Three new ports make a scanner; its third probe blocks from then on."""
    # The first packet is a new host and a new port, one contact; so are the others, new ports.
    assert ["-", "-", "n", "bs"] == seen(*((at, "a", "h", port) for at, port in enumerate((SSH, HTTP, TELNET, TELNET))))


def test_nearest_are_blocked():
    """A scanner's probe blocks what is near to its port, for it alone."""
    packets = [
        (0, "a", "h", DNS),
        (1, "a", "h", HTTP),
        (2, "a", "h", SSH),
        (3, "a", "h", TELNET),
        (3, "b", "h", TELNET),
    ]
    assert ["-", "-", "n", "bs", "-"] == seen(*packets)


def test_ports_of_a_group():
    """TCP ports of a range whose numbers end alike are one, so only the first is new."""
    # Ranges 0-22, 23-79 and 80-65535; a count of 3 tells 4 groups apart in each, so 84 and 88 are as 80.
    alike = [Port(number, "tcp") for number in (80, 84, 88, 8080)]
    assert ["-"] * 4 == seen(*((at, "a", "h", port) for at, port in enumerate(alike)))
    assert ["-", "-", "n"] == seen(*((at, "a", "h", Port(80 + at, "tcp")) for at in range(3)))


def test_distinct_hosts():
    """A sweep of one port counts each host once."""
    packets = [(0, "a", "g", SSH), (1, "a", "g", SSH), (2, "a", "h", SSH), (3, "a", "i", SSH), (4, "a", "i", SSH)]
    assert ["-", "-", "-", "n", "bs"] == seen(*packets)


def test_busy_client():
    """Any number of connections to the same port of the same host count once."""
    assert ["-"] * 500 == seen(*((at / 100, "a", "h", HTTP) for at in range(500)))


def test_answered_contacts():
    """A contact that was answered does not count, however many there are; those without an answer do."""
    ftp = [Port(64000 + at, "tcp") for at in range(40)]
    packets = [packet for at, port in enumerate(ftp) for packet in ((at / 10, "a", at, port, at), (at / 10, at))]
    assert ["-"] * 40 == seen(*packets)
    assert ["-", "-", "-", "n"] == seen(
        (0, "a", "h", SSH, 1), (1, "a", "h", HTTP, 2), (1, 2), (2, "a", "h", TELNET, 3), (3, "a", "h", DNS, 4)
    )


def test_answer_counts_once():
    """A repeated answer, and one to a contact that was not new, changes nothing."""
    packets = [(0, "a", "h", SSH, 1), (0, "a", "h", HTTP, 2), (0, 2), (0, 2), (0, "a", "h", SSH, 3), (0, 3)]
    assert ["-", "-", "-", "-", "n"] == seen(*packets, (1, "a", "h", TELNET, 4), (1, "a", "h", DNS, 5))


def test_answer_ends_the_window():
    """When every contact of a window was answered, the next one begins another."""
    packets = [(0, "a", "h", SSH, 1), (1, 1), (9, "a", "h", HTTP, 2), (12, "a", "h", TELNET, 3)]
    assert ["-", "-", "-", "n"] == seen(*packets, (13, "a", "h", DNS, 4))


def test_late_answer():
    """An answer after the window, or to a scanner, changes nothing."""
    packets = [(0, "a", "h", SSH, 1), (20, 1), (20, "b", "h", HTTP, 2), (20, "b", "h", SSH, 3), (20, 2)]
    packets += [(21, "b", "h", HTTP, 4), (21, "a", "h", HTTP, 5), (21, "a", "h", DNS, 6)]
    expected = ["-", "-", "n", "s", "-", "n"]
    assert expected == seen(*packets, config=RulesConfig(scan_count=2, scan_seconds=10))


def test_window():
    """Contacts count within the window of the first; the first after it begins another."""
    # Window of 10 s in whole seconds: at 10.9 it is still open, at 11 no more.
    assert ["-", "-", "n"] == seen((0.5, "a", "h", SSH), (1, "a", "h", HTTP), (10.9, "a", "h", DNS))
    assert ["-", "-", "-"] == seen((0.5, "a", "h", SSH), (1, "a", "h", HTTP), (11, "a", "h", DNS))


def test_ports_that_are_not_protected():
    """A TCP port without a rule may be new, a UDP port may not; its host may be. It is never blocked."""
    other = Port(4444, "tcp")
    assert ["-", "-", "n", "s"] == seen(*((at, "a", "h", Port(4444 + at, "tcp")) for at in range(4)))
    assert ["-", "-", "-", "-"] == seen(*((at, "a", "h", Port(4444 + at, "udp")) for at in range(4)))
    assert ["-", "-", "n", "s"] == seen(*((at, "a", host, other) for at, host in enumerate("ghii")))


def test_block_ends_and_is_extended():
    """A block ends after its time, in whole seconds; a new probe of a scanner begins it anew."""
    config = RulesConfig(scan_count=2, scan_seconds=10, memory=1000, seconds=100)
    start = [(0, "a", "h", HTTP), (0, "a", "h", SSH)]
    assert ["-", "n", "bs"] == seen(*start, (100.9, "a", "h", SSH), config=config)
    assert ["-", "n", "s"] == seen(*start, (101, "a", "h", SSH), config=config)
    assert ["-", "n", "bs", "bs"] == seen(*start, (90, "a", "h", SSH), (190, "a", "h", TELNET), config=config)


def test_scanner_is_forgotten():
    """A source that is quiet for the memory is no scanner any more, while its blocks run on."""
    start = [(0, "a", "h", HTTP), (0, "a", "h", DNS), (0, "a", "h", SSH)]
    assert ["-", "-", "n", "b-"] == seen(*start, (51, "a", "h", SSH))
    assert ["-", "-", "n", "bs", "bs"] == seen(*start, (50, "a", "h", SSH), (100, "a", "h", SSH))
