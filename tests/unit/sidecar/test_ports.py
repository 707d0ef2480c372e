"""Ports as people and Zeek write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkin.errors import PortError
from portkin.net.ports import PORTS, Port


@given(st.integers(0, PORTS - 1), st.sampled_from(["tcp", "udp"]))
def test_what_is_printed_is_read(number, proto):
    """Every port is read from its own text."""
    assert Port(number, proto) == Port.parse(str(Port(number, proto)))


def test_a_port_without_a_protocol_has_the_one_that_holds():
    """TCP where nothing else is said; capitals and blanks around do not matter."""
    assert (Port(80, "tcp"), Port(53, "udp"), Port(53, "udp")) == (
        Port.parse(" 80"),
        Port.parse("53", proto="udp"),
        Port.parse("53/UDP "),
    )


@pytest.mark.parametrize("text", ["", "ssh", "-1", "65536", "٨٠", "8_0", "1e3", "80/", "80/icmp", "/tcp", "9" * 5000])
def test_what_is_no_port_is_named_with_the_remedy(text):
    """The error names the text, briefly, and says how ports are written."""
    with pytest.raises(PortError, match="write a port as 80, 80/tcp or 53/udp") as raised:
        Port.parse(text)
    assert repr(text[:80]) in str(raised.value)
    assert len(str(raised.value)) < 200
