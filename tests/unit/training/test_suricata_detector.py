"""The detector of the rules: who is a scanner, what is blocked, and until when."""

from __future__ import annotations

import pytest

from portkin.net.ports import Port
from portkin_training.twin.suricata_rules import Answer, Opening, Refusal, RulesConfig, watch

SSH, TELNET, HTTP, DNS = Port(22, "tcp"), Port(23, "tcp"), Port(80, "tcp"), Port(53, "udp")
BLOCKED = {SSH: (SSH, TELNET), TELNET: (TELNET,), HTTP: (HTTP,), DNS: (DNS,)}
CONFIG = RulesConfig(scan_count=3, scan_seconds=10, memory=50, seconds=100)


def seen(*packets, config=CONFIG):
    """The verdicts on packets (second, source, host, port[, flow]): letters s scanner, n new scanner, b blocked, -
    nothing. An answer is (second, flow), a refusal (second, flow, "R")."""

    def packet(when, *rest):
        kind = Opening if len(rest) > 2 else Refusal if rest[1:] else Answer
        return kind(round(when * 1e6), *(rest if kind is Opening else rest[:1]))

    found = watch((packet(*row) for row in packets), BLOCKED, config)
    return [("b" if v.blocked else "") + ("n" if v.new_scanner else "s" if v.scanner else "-") for _, v in found]


def test_distinct_ports():
    """Three new ports make a scanner; its third probe blocks from then on."""
    # The first packet is a new host and a new port, one contact; so are the others, new ports.
    probes = [(2 * at, "a", "h", port) for at, port in enumerate((SSH, HTTP, TELNET, TELNET))]
    assert ["-", "-", "n", "bs"] == seen(*probes)


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
    # Ranges 0-22, 23-79 and 80-65535; a count of 3 distinguishes 4 groups in each, so 84 and 88 are as 80.
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


def test_success_forgives_a_failure():
    """An answer takes back its contact and one that failed before, not one that may still be answered."""
    probes = [(0, "a", "h", SSH, 1), (2, "a", "h", HTTP, 2), (2.1, 2), (4, "a", "h", TELNET, 3)]
    assert ["-", "-", "-", "-", "n"] == seen(*probes, (6, "a", "h", DNS, 4), (8, "a", "i", DNS, 5))
    probes = [(3, "a", "h", SSH, 1), (3, "a", "h", HTTP, 2), (3.1, 2), (5.5, "a", "h", TELNET, 3)]
    assert ["-", "-", "-", "n"] == seen(*probes, (8, "a", "h", DNS, 4))


@pytest.mark.parametrize(("whole_seconds", "expected"), [(True, ["-", "n"]), (False, ["n", "s"])])
def test_contacts_in_flight(whole_seconds, expected):
    """A contact has failed when it is not answered for a second, or for one to two where bits end by whole seconds."""
    config = RulesConfig(3, 10, 50, 100, whole_seconds)
    # At 1.6 the first is 1.1 s old: bits that were set at 0.5 for 1 s exist until 1.5, in whole seconds until 1.99.
    packets = [(0.5, "a", "h", SSH), (0.6, "a", "h", HTTP), (1.4, "a", "h", TELNET), (1.6, "a", "h", DNS)]
    assert ["-", "-", "-", expected[0]] == seen(*packets, config=config)
    assert ["-", "-", "-", *expected] == seen(*packets, (2, "a", "i", HTTP), config=config)


def test_refusal():
    """A refused contact has failed at once."""
    probes = [(0, "a", "h", SSH, 1), (0.001, 1, "R"), (0.002, "a", "h", HTTP, 2), (0.003, 2, "R")]
    assert ["-", "-", "n"] == seen(*probes, (0.004, "a", "h", TELNET, 3))
    assert ["-", "-", "-"] == seen(*(row for row in probes if len(row) > 3), (0.004, "a", "h", TELNET, 3))


@pytest.mark.parametrize(("answered", "expected"), [(None, [65]), (0, [66]), (40, []), (64, [])])
def test_burst(answered, expected):
    """The last of so many contacts at once makes a scanner; an answer to any of them begins the count again."""
    # Two places, then the 64th further contact: the 66th in all.
    packets = []
    for at in range(100):
        packets.append((at / 1000, "a", f"h{at}", HTTP, at))
        packets += [(at / 1000, at)] if at == answered else []
    assert expected == [at for at, what in enumerate(seen(*packets)) if what == "n"]


def test_answer_counts_once():
    """A repeated answer, and one to a contact that was not new, changes nothing."""
    packets = [(0, "a", "h", HTTP, 2), (0, 2), (0, "a", "h", SSH, 1), (2, 2), (2, "a", "h", SSH, 3), (2, 3)]
    assert ["-", "-", "-", "-", "n"] == seen(*packets, (3, "a", "h", TELNET, 4), (4, "a", "h", DNS, 5))


def test_late_answer():
    """An answer after the contact's time, or to a scanner, changes nothing."""
    packets = [(0, "a", "h", SSH, 1), (20, 1), (20, "b", "h", HTTP, 2), (22, "b", "h", SSH, 3), (22, 2)]
    packets += [(23, "b", "h", HTTP, 4), (23, "a", "h", HTTP, 5), (25, "a", "h", DNS, 6)]
    expected = ["-", "-", "n", "s", "-", "n"]
    assert expected == seen(*packets, config=RulesConfig(scan_count=2, scan_seconds=10))


def test_window():
    """Each contact counts for so long."""
    # 10 s in whole seconds: the contact of 0.5 counts until 10.99.
    assert ["-", "-", "n"] == seen((0.5, "a", "h", SSH), (1, "a", "h", HTTP), (10.9, "a", "h", DNS))
    assert ["-", "-", "-"] == seen((0.5, "a", "h", SSH), (1, "a", "h", HTTP), (11, "a", "h", DNS))


def test_ports_that_are_not_protected():
    """A new TCP port or host counts without a rule for the port; of UDP, only protected ports count."""
    other = Port(4444, "tcp")
    assert ["-", "-", "n", "s"] == seen(*((at, "a", "h", Port(4444 + at, "tcp")) for at in range(4)))
    assert ["-"] * 9 == seen(*((at, "a", f"h{at}", Port(4444 + at, "udp")) for at in range(9)))
    assert ["-", "-", "n", "s"] == seen(*((at, "a", host, other) for at, host in enumerate("ghii")))


def test_block_ends_and_is_extended():
    """A block ends after its time, in whole seconds; a new probe of a scanner begins it again."""
    config = RulesConfig(scan_count=2, scan_seconds=10, memory=1000, seconds=100)
    start = [(8, "a", "h", HTTP), (10, "a", "h", SSH)]
    assert ["-", "n", "bs"] == seen(*start, (110.9, "a", "h", SSH), config=config)
    assert ["-", "n", "s"] == seen(*start, (111, "a", "h", SSH), config=config)
    assert ["-", "n", "bs", "bs"] == seen(*start, (100, "a", "h", SSH), (200, "a", "h", TELNET), config=config)


def test_scanner_is_forgotten():
    """A source that is quiet for the memory is no scanner any more, while its blocks run on."""
    start = [(8, "a", "h", HTTP), (9, "a", "h", DNS), (10, "a", "h", SSH)]
    assert ["-", "-", "n", "b-"] == seen(*start, (61, "a", "h", SSH))
    assert ["-", "-", "n", "bs", "bs"] == seen(*start, (60, "a", "h", SSH), (110, "a", "h", SSH))
