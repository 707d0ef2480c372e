"""The outbox and the delays between attempts to connect."""

from __future__ import annotations

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from portkin.zeek.transport.backoff import backoff
from portkin.zeek.transport.outbox import Outbox


def test_the_oldest_goes_when_it_is_full():
    """Of four items in an outbox of two, the two newest are left, and two drops were reported."""
    outbox = Outbox(2)
    assert [0, 0, 1, 1] == [outbox.put(item) for item in "abcd"]
    assert (["c", "d"], 0) == (outbox.take(64), len(outbox))


def test_no_more_is_taken_than_asked_for():
    """Items are taken oldest first, as many as asked for, and the rest stays."""
    outbox = Outbox(5)
    for item in "abc":
        outbox.put(item)
    assert [["a", "b"], ["c"], []] == [outbox.take(2) for _ in range(3)]


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
