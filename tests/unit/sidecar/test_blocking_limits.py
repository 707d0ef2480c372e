"""Limits: what wins over every decision to block."""

from __future__ import annotations

import math
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portkin.blocking.block import Evidence, key_of
from portkin.blocking.limits import Limits, TokenBucket, duration, held_out, proven
from portkin.blocking.protected import ProtectedAddresses, protection
from portkin.net.addresses import number_of
from portkin.net.ports import Port
from support.enforcing import nets


def key(src, port="80/tcp"):
    return key_of(ip_address(src), Port.parse(port))


ADDRESSES = ProtectedAddresses(
    own=frozenset({number_of("192.0.2.1"), number_of("2001:db8::1")}), gateways=frozenset({number_of("192.0.2.254")})
)
LIMITS = Limits(never_nets=nets("198.51.100.0/24", "2001:db8:5::/48"), never_ports=(Port(53, "udp"),))


@pytest.mark.parametrize(
    ("src", "port", "veto"),
    [
        ("203.0.113.5", "80/tcp", None),
        ("203.0.113.5", "53/udp", "never-port"),
        ("203.0.113.5", "53/tcp", None),
        ("198.51.100.7", "80/tcp", "never-net"),
        ("2001:db8:5::9", "80/tcp", "never-net"),
        ("2001:db8:6::9", "80/tcp", None),
        ("::ffff:198.51.100.7", "80/tcp", "never-net"),
        ("192.0.2.1", "80/tcp", "own-address"),
        ("2001:db8::1", "80/tcp", "own-address"),
        ("192.0.2.254", "80/tcp", "gateway"),
        ("127.0.0.1", "80/tcp", "special-address"),
        ("0.0.0.0", "80/tcp", "special-address"),
        ("169.254.7.7", "80/tcp", "special-address"),
        ("255.255.255.255", "80/tcp", "special-address"),
        ("224.0.0.251", "5353/udp", "special-address"),
        ("::", "80/tcp", "special-address"),
        ("::1", "80/tcp", "special-address"),
        ("fe80::1%eth0", "80/tcp", "special-address"),
        ("ff02::1", "80/tcp", "special-address"),
    ],
)
def test_some_keys_may_never_be_blocked(src, port, veto):
    """Listed nets and ports, our own addresses, gateways, and addresses that are nobody's are never blocked."""
    assert veto == protection(key(src, port), LIMITS, ADDRESSES)


@pytest.mark.parametrize(
    ("asked", "given_"),
    [(60.0, 60.0), (1e12, 604_800.0), (0.0, None), (-1.0, None), (math.nan, None), (math.inf, None)],
)
def test_a_duration_is_positive_and_not_endless(asked, given_):
    """A block lasts a week at most; one of no time, or not a number, is refused."""
    assert given_ == duration(asked, Limits())


@pytest.mark.parametrize(
    ("why", "blocked"),
    [
        ("evidence=TRW answered=0 refused=0 repeated=0 darknet=0", False),
        ("evidence=FAILED", False),
        ("", False),
        ("evidence=TRW answered=1", True),
        ("evidence=TRW refused=1", True),
        ("evidence=TRW repeated=1", True),
        ("evidence=DARKNET darknet=2", False),
        ("evidence=DARKNET darknet=3", True),
        ("evidence=OPERATOR", True),
        ("evidence=NETCONTROL", True),
        ("evidence=TRW answered=-1 refused=x repeated=1e9 darknet=99999999999999", False),
    ],
)
def test_what_a_forger_could_have_sent_proves_nothing(why, blocked):
    """Single unanswered SYNs to live hosts are no reason to block; answers, repetition and darknets are."""
    assert blocked == proven(Evidence.parse(why), Limits())
    assert proven(Evidence.parse(why), Limits(block_unproven=True))


def test_only_predictions_are_held_out():
    """A probed port and an order are never held out; of predictions, the share that was set."""
    half = Limits(holdout=0.5)
    scan = Evidence.parse("evidence=TRW")
    assert [True, False, False, False] == [
        held_out(scan, 1, half, 0.49),
        held_out(scan, 1, half, 0.5),
        held_out(scan, 0, half, 0.0),
        held_out(Evidence.parse("evidence=OPERATOR"), 1, half, 0.0),
    ]
    assert not held_out(scan, 1, Limits(), 0.0)


def test_the_rate_is_that_of_a_bucket():
    """Three at once with three per second; the fourth waits for a third of a second."""
    bucket = TokenBucket()
    assert [True, True, True, False] == [bucket.take(3, 10.0) for _ in range(4)]
    assert not bucket.take(3, 10.3)
    assert bucket.take(3, 10.34)


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_reason_can_be_read(text):
    """Whatever text comes as a reason, it is read as something, and proves nothing by accident."""
    why = Evidence.parse(text)
    assert all(0 <= count < 10**9 for count in (why.answered, why.refused, why.repeated, why.darknet))


@settings(max_examples=100, deadline=None)
@given(st.ip_addresses())
def test_an_address_and_its_pair_are_the_same(address):
    """The number of a key is the address; mapped ones as the IPv4 they are."""
    mapped = address.version == 6 and address.ipv4_mapped
    assert (mapped or address) == key_of(address, Port(1, "tcp")).address


def test_the_zone_of_an_address_is_left_behind():
    """Text that hides behind the % of an IPv6 address goes no further."""
    hidden = key_of(ip_address("2001:db8::1%; flush ruleset"), Port(1, "tcp"))
    assert "2001:db8::1 1/tcp" == str(hidden)
