"""Sets of networks: what is in them, and when two are the same."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkin.blocking.limits import Limits
from portkin.errors import ConfigError
from portkin.net.addresses import Nets, number_of
from portkin.net.ports import Port
from support.enforcing import nets

networks = st.one_of(
    st.builds(lambda first, bits: str(IPv4Network((first << 24, bits))), st.integers(9, 12), st.integers(8, 8)),
    st.builds(lambda at, bits: str(IPv4Network((at << 29, bits))), st.integers(0, 7), st.integers(3, 3)),
    st.builds(lambda at: str(IPv6Network((at << 120, 8))), st.integers(0, 255)),
)


@given(st.lists(networks, max_size=8), st.randoms())
def test_order_and_repetition_do_not_matter(texts, random):
    """The same networks in another order, some of them twice, are equal and hash alike."""
    shuffled = texts + texts[:2]
    random.shuffle(shuffled)
    assert Nets(texts) == Nets(shuffled)
    assert hash(Nets(texts)) == hash(Nets(shuffled))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (["10.0.0.0/8", "10.1.0.0/16"], ["10.0.0.0/8"], True),
        (["10.0.0.0/9", "10.128.0.0/9"], ["10.0.0.0/8"], True),
        (["::ffff:198.51.100.0/120"], ["198.51.100.0/24"], True),
        (["10.0.0.1/8"], ["10.0.0.0/8"], True),
        ([], [], True),
        (["10.0.0.0/8"], ["10.0.0.0/9"], False),
        (["0.0.0.0/0"], ["::/0"], False),
    ],
)
def test_equal_is_what_holds_the_same_addresses(one, other, same):
    """However networks are written, equality is that of the addresses in them; equal ones hash alike."""
    assert same == (Nets(one) == Nets(other))
    assert not same or hash(Nets(one)) == hash(Nets(other))


def test_what_is_in_a_set():
    """An address is in a set if one of its networks holds it."""
    found = Nets(["192.0.2.0/24", "192.0.3.0/24", "2001:db8::/32"])
    inside = ("192.0.2.1", "192.0.3.255", "2001:db8:ffff::", "::ffff:192.0.2.9")
    outside = ("192.0.4.0", "2001:db9::", "::")
    assert [True] * 4 + [False] * 3 == [number_of(text) in found for text in (*inside, *outside)]
    assert (True, False) == (bool(found), bool(Nets()))


def test_what_is_no_network_is_quoted():
    """The error has the text and says how to write it."""
    with pytest.raises(ConfigError, match=r"'10\.0\.0\.0/33' is not a network"):
        Nets(["10.0.0.0/33"])


def test_a_reordered_list_is_no_change_of_limits():
    """Never-block lists in another order or spelling forbid the same; any other number does not."""
    one = Limits(never_nets=nets("10.0.0.0/8", "192.0.2.0/24"), never_ports=(Port(22, "tcp"), Port(53, "udp")))
    other = Limits(never_nets=nets("192.0.2.0/24", "10.0.0.0/8"), never_ports=(Port(53, "udp"), Port(22, "tcp")))
    assert one.same(other)
    assert not one.same(Limits(never_nets=one.never_nets, never_ports=one.never_ports, max_ports=7))
    assert not one.same(Limits(never_nets=one.never_nets))
