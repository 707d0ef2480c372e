"""The never-block file: what is read from it, and what is added."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from portkin.blocking.config import EnforceConfig, limits_of
from portkin.blocking.limits import Limits
from portkin.blocking.never_block import add_never_block, read_never_block
from portkin.errors import ConfigError


@pytest.fixture
def file(tmp_path):
    return tmp_path / "never-block.txt"


def test_networks_addresses_and_comments_are_read(file):
    """A line each; what follows # is not read."""
    file.write_text("# ours\n192.0.2.0/24\n\n  203.0.113.5  # a partner\n2001:db8::/32\n")
    assert tuple(map(ip_network, ("192.0.2.0/24", "203.0.113.5/32", "2001:db8::/32"))) == read_never_block(file)


def test_a_byte_order_mark_is_no_part_of_the_first_line(file):
    """As editors of Windows write it; an address is added behind as to any other file."""
    file.write_bytes(b"\xef\xbb\xbf192.0.2.7\r\n")
    assert add_never_block(file, ip_address("192.0.2.8"), 0.0)
    assert (ip_network("192.0.2.7/32"), ip_network("192.0.2.8/32")) == read_never_block(file)


def test_without_a_file_there_are_none(file):
    """It is no mistake that nothing was added yet."""
    assert () == read_never_block(file)


@pytest.mark.parametrize("text", ["192.0.2.0/24\nnobody\n", "192.0.2.0/99", "\xff"])
def test_a_wrong_line_is_named_and_nothing_is_ignored(file, text):
    """What people excepted must not be lost: the file is refused, with the line."""
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"never-block\.txt"):
        read_never_block(file)


def test_what_is_added_is_read_and_added_once(file):
    """Beside what people wrote; an address within a network that is there is not added."""
    file.write_text("192.0.2.0/24  # without an end of line")
    added = [
        add_never_block(file, ip_address(text), 0.0) for text in ("203.0.113.5", "203.0.113.5", "192.0.2.9", "::5")
    ]
    assert [True, False, False, True] == added
    assert "203.0.113.5  # page, 1970-01-01 00:00:00 UTC" == file.read_text().splitlines()[1]
    assert tuple(map(ip_network, ("192.0.2.0/24", "203.0.113.5/32", "::5/128"))) == read_never_block(file)


def test_it_holds_like_never_nets(file):
    """The limits have both."""
    file.write_text("203.0.113.5\n")
    config = EnforceConfig(never_block=file, limits=Limits(never_nets=(ip_network("192.0.2.0/24"),)))
    assert tuple(map(ip_network, ("192.0.2.0/24", "203.0.113.5/32"))) == limits_of(config).never_nets
