"""The state of blocks in memory: what is active, and what has ended but is not recorded or released yet."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portkin.blocking.active import ActiveBlocks, Ended
from portkin.blocking.block import Block, key_of
from portkin.net.ports import Port


def a_block(port: int, *, until: float = 100.0, mode="nftables", row: int = 0) -> Block:
    key = key_of(ip_address("203.0.113.5"), Port(port, "tcp"))
    return Block(key, mode, 0, 0.0, until, row or port)


@pytest.fixture
def active():
    counted = []
    made = ActiveBlocks(lambda mode, outcome, count: counted.append((mode, outcome, count)))
    made.counted = counted
    return made


def test_a_block_ends_at_once_and_waits_to_be_recorded_and_released(active):
    """What ends is no longer active, whatever becomes of database and backend; both are still to be done."""
    block = a_block(80)
    active.add(block)
    active.end([block], "removed", 10.0, release=True)
    assert ({}, 0) == (active.by_key, active.counts.total)
    assert [Ended(block, "removed", 10.0)] == active.unrecorded
    assert [block.key] == active.to_release("nftables")
    assert [("nftables", "removed", 1)] == active.counted


def test_what_expired_needs_no_release(active):
    """The backend releases by itself what has run out; an extended block runs out at its new end, once."""
    one, other = a_block(80, until=50.0), a_block(81, until=50.0)
    active.add(one)
    active.add(other)
    active.set_end(other, 60.0)
    assert [[one], [], [other], []] == [active.expire(now) for now in (50.0, 59.0, 60.0, 70.0)]
    assert [] == active.to_release("nftables")
    assert [("nftables", "expired", 1)] * 2 == active.counted


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 100)), max_size=200), st.integers(0, 100))
def test_extensions_end_each_block_once(extensions, now):
    """However often blocks are extended, each ends once, at its last end."""
    active = ActiveBlocks()
    blocks = [a_block(port, until=1.0) for port in range(1, 5)]
    for block in blocks:
        active.add(block)
    for port, until in extensions:
        if port <= len(blocks):
            active.set_end(blocks[port - 1], float(until))
    assert {block.row for block in blocks if block.until <= now} == {block.row for block in active.ending(now)}
    over = [block for block in blocks if block.until <= now]
    assert over == sorted(active.expire(now), key=lambda block: block.row)


def test_a_key_that_is_blocked_again_is_not_released(active):
    """A release that is still to be done does not take away a later block of the same key, but for another mode's."""
    active.add(a_block(80))
    active.end([active.by_key[a_block(80).key]], "removed", 10.0, release=True)
    active.add(a_block(80, row=2))
    assert [] == active.to_release("nftables")
    active.end([active.by_key[a_block(80).key]], "removed", 11.0, release=False)
    active.add(a_block(80, mode="holdout", row=3))
    assert [a_block(80).key] == active.to_release("nftables")


def test_what_has_ended_does_not_come_back_from_the_database(active):
    """Rows that the database still has as active are not loaded again, unless their end is undone."""
    ended, replaced = a_block(80), a_block(81)
    for block in (ended, replaced):
        active.add(block)
        active.end([block], "removed", 10.0, release=False)
    active.load([a_block(80), a_block(81), a_block(82)], {})
    assert [82] == [key.port.number for key in active.by_key]
    active.undo([], [replaced])
    active.load([a_block(80), a_block(81), a_block(82)], {})
    assert [81, 82] == [key.port.number for key in active.by_key]
