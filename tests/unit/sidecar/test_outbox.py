"""The outbox and the delays between attempts to connect."""

from __future__ import annotations

import asyncio
import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from portkin.transport.backoff import backoff
from portkin.transport.outbox import Outbox


def test_the_oldest_goes_when_it_is_full():
    """Of four items in an outbox of two, the two newest are left, and two drops were told."""

    async def fill_and_take():
        outbox = Outbox(2)
        drops = [outbox.put(item) for item in "abcd"]
        return drops, [await outbox.take(), await outbox.take()], len(outbox)

    assert ([0, 0, 1, 1], ["c", "d"], 0) == asyncio.run(fill_and_take())


def test_taking_waits_for_an_item():
    """A reader of an empty outbox sleeps until something is put."""

    async def take_before_put():
        outbox = Outbox(2)
        taker = asyncio.create_task(outbox.take())
        await asyncio.sleep(0)
        assert not taker.done()
        outbox.put("a")
        return await taker

    assert "a" == asyncio.run(take_before_put())


@given(st.floats(0.01, 10), st.floats(0.01, 100), st.integers())
def test_delays_double_up_to_the_cap_with_jitter(first, cap, seed):
    """The n-th delay is at most first * 2**n and the cap, and at least half of that."""
    for n, delay in enumerate(itertools.islice(backoff(first, cap, random.Random(seed)), 12)):
        full = min(first * 2**n, cap)
        assert full / 2 <= delay <= full


def test_delays_go_on_for_ever():
    """However long Zeek is away, there is a next attempt, no later than the cap."""
    (late,) = itertools.islice(backoff(0.2, 10.0, random.Random(1)), 5000, 5001)
    assert 5.0 <= late <= 10.0
