"""Chunks that a thread makes ahead: all of them, in order, errors in their place, and no more than asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from portkin_training.ingest.ahead import ahead


def test_all_chunks_in_their_order_made_in_another_thread():
    """What comes is what was made, by one thread that is not the caller's."""
    threads = []

    def chunks() -> Iterator[int]:
        for number in range(10):
            threads.append(threading.current_thread())
            yield number

    assert [*range(10)] == [*ahead(chunks())]
    assert 1 == len({*threads})
    assert threading.current_thread() not in threads
    assert [] == [*ahead([])]


def test_an_error_comes_after_what_was_made_before_it():
    """Chunks before the error are not lost, and it is raised as it is."""

    def chunks() -> Iterator[int]:
        yield from range(3)
        raise ZeroDivisionError

    got = []
    with pytest.raises(ZeroDivisionError):
        for number in ahead(chunks()):
            got.append(number)  # noqa: PERF402  (to have those before the error)
    assert [0, 1, 2] == got


def test_who_stops_early_waits_for_no_more():
    """Of an endless stream a few chunks are made and no more, and the thread ends."""
    made = []

    def chunks() -> Iterator[int]:
        number = 0
        while True:
            made.append(number)
            yield number
            number += 1

    stream = ahead(chunks())
    assert 0 == next(stream)
    stream.close()
    assert len(made) <= 3
    assert not any(thread.name.startswith("ahead") for thread in threading.enumerate())
