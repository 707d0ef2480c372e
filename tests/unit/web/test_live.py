"""How often it is read, and what viewers get."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from portkin.web.live import Live, Section


class Source:
    """Sections that a test sets; counts readings, and which threads read."""

    def __init__(self, **sections):
        self.sections = sections
        self.readings = 0
        self.threads = set()

    def __call__(self):
        self.readings += 1
        self.threads.add(threading.current_thread().name)
        return dict(self.sections)


def run(scenario):
    return asyncio.run(asyncio.wait_for(scenario(), 30))


def test_many_who_ask_at_once_cause_one_reading():
    """A hundred questions within a second are one reading, in one thread that is not the loop's."""
    source = Source(a=1)

    async def scenario():
        live = Live(source, every=60.0)
        found = await asyncio.gather(*(live.sections() for _ in range(100)))
        live.close()
        return found

    assert [{"a": Section(1, b"1")}] * 100 == run(scenario)
    assert (1, {"page_0"}) == (source.readings, source.threads)


def test_ten_viewers_cost_what_one_costs():
    """Ten who follow share every reading."""
    source = Source(a=0)

    async def scenario():
        live = Live(source, every=0.01)

        async def follow():
            got = 0
            async for event in live.events():
                got += event.count(b"event: a\n")
                source.sections["a"] = source.readings
                if got == 5:
                    return

        await asyncio.gather(*(follow() for _ in range(10)))
        live.close()

    run(scenario)
    assert source.readings <= 10  # not ten times five


def test_a_viewer_gets_everything_once_and_then_what_changed():
    """First both sections; after a change of one, that one."""
    source = Source(a=[1], b=[2])

    async def scenario():
        live = Live(source, every=0.01)
        events = live.events()
        assert b"retry: 2000\n\n" == await anext(events)
        assert b"event: a\ndata: [1]\n\nevent: b\ndata: [2]\n\n" == await anext(events)
        source.sections["b"] = [3]
        assert b"event: b\ndata: [3]\n\n" == await anext(events)
        live.end()
        assert [] == [event async for event in events]
        live.close()

    run(scenario)


def test_a_reading_that_takes_long_is_repeated_less_often(monkeypatch):
    """What took 0.2 s of the processor is not read again for 4 s: a twentieth."""
    clock = iter((10.0, 10.2, 20.0, 20.2))
    monkeypatch.setattr("portkin.web.live.time.thread_time", lambda: next(clock))

    async def scenario():
        live, now, readings = Live(Source(a=1), every=1.0), time.monotonic(), []
        for later in (0.0, 3.999, 4.0):
            monkeypatch.setattr("portkin.web.live.time.monotonic", lambda at=now + later: at)
            await live.sections()
            readings.append(live.readings)
        live.close()
        return readings

    assert [1, 1, 2] == run(scenario)


def test_a_fault_in_reading_reaches_who_asked_and_passes():
    """The next question is a new attempt."""

    class Faulty(Source):
        def __call__(self):
            if not self.readings:
                self.readings = 1
                raise ZeroDivisionError
            return super().__call__()

    async def scenario():
        live = Live(Faulty(a=1))
        with pytest.raises(ZeroDivisionError):
            await live.sections()
        found = await live.sections()
        live.close()
        return found

    assert b"1" == run(scenario)["a"].body


def test_text_in_events_stays_on_its_line():
    """Newlines of what is shown do not end an event early."""
    source = Source(a="x\n\nevent: evil\ndata: 1\n\n")

    async def scenario():
        live = Live(source)
        events = live.events()
        await anext(events)
        event = await anext(events)
        live.close()
        return event

    assert 2 == run(scenario).count(b"\n\n") + 1
    assert b'event: a\ndata: "x\\n\\nevent: evil\\ndata: 1\\n\\n"\n\n' == run(scenario)
