"""The shell: what it does with what the transport reports, and how the table is reloaded."""

from __future__ import annotations

import asyncio
import time

import pytest

from portkin.net.ports import Port
from portkin.zeek.event import Count, Event, Junk
from portkin.zeek.event_codec import unparse
from portkin.zeek.messages import PROTOCOL, HelloRequest, HelloResponse, NearestRequest, NearestResponse, TableChanged
from support.sidecar_shell import Setting

REQUEST = NearestRequest("r1", Port(22, "tcp"), Count(1), -1.0)


@pytest.fixture
def setting(tmp_path):
    return Setting(tmp_path / "table")


def in_loop(act):
    """Run the function within an event loop, for timers want one."""

    async def scenario():
        return act()

    return asyncio.run(scenario())


def test_a_request_is_answered_and_counted(setting):
    """The event of a request comes in, the event of its answer goes out, and both are counted."""
    in_loop(lambda: setting.sidecar.received(unparse(REQUEST)))
    (answer,) = setting.transport.sent
    assert ("r1", (Port(23, "tcp"),)) == (answer.reqid, answer.ports)
    assert [1, 1] == [setting.count("portkin_requests_total", by="port"), setting.count("portkin_answers_total")]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (Junk("not-json", "?"), "not-json"),
        (Event("nobody::knows", []), "unknown-event"),
        (Event(REQUEST.EVENT, []), "wrong-arity"),
        (Event(REQUEST.EVENT, [1, 2, 3, 4]), "wrong-type"),
        (unparse(HelloRequest("x", Count(1), "s", "t", Count(1))), "unexpected"),
    ],
)
def test_junk_is_counted_and_logged_once_in_a_while(setting, item, reason):
    """The same junk a thousand times counts a thousand in the metrics and is one line; the next line has the number."""

    def flood():
        for _ in range(1000):
            setting.sidecar.received(item)
        setting.now = 60.0
        setting.sidecar.received(item)

    in_loop(flood)
    assert 1001 == setting.count("portkin_invalid_messages_total", reason=reason)
    assert [("invalid message received", reason, 0), ("invalid message received", reason, 999)] == [
        (entry["event"], entry["reason"], entry["not_shown"]) for entry in setting.logged()
    ]
    assert [] == setting.transport.sent


def test_a_defect_in_a_part_does_not_end_the_others(setting):
    """An exception in a handler is counted and logged with its traceback; the next request is answered."""

    def fail_then_ask():
        setting.sidecar.received(unparse(TableChanged("x", Count(1), False)))
        setting.sidecar.received(unparse(REQUEST))

    in_loop(fail_then_ask)
    assert 1 == setting.count("portkin_failures_total")
    assert "ZeroDivisionError" in setting.logged()[0]["exception"]
    assert [NearestResponse] == [type(message) for message in setting.transport.sent]


@pytest.fixture
def impatient(setting, monkeypatch):
    """Hellos are repeated after milliseconds, by the real clock."""
    monkeypatch.setattr("portkin.zeek.dispatcher.HELLO_FIRST", 0.002)
    setting.clock = time.monotonic


def test_hello_is_repeated_by_the_clock_until_answered(setting, impatient):
    """While Zeek is silent the timer repeats the hello; the answer is logged and stops it, and the table is named."""

    async def scenario():
        setting.sidecar.connected("zeek")
        while len(setting.transport.sent) < 3:
            await asyncio.sleep(0.005)
        setting.sidecar.received(unparse(HelloResponse("h1", Count(PROTOCOL), "zeek", "8.0.9")))
        said = len(setting.transport.sent)
        await asyncio.sleep(0.1)
        return said

    said = asyncio.run(scenario())
    *hellos, named = setting.transport.sent
    assert [HelloRequest("h1", Count(PROTOCOL), *_rest(setting))] * (said - 1) == hellos
    assert TableChanged(setting.nearest.table.id, Count(3), False) == named
    assert ("Zeek answered", "8.0.9") == (setting.logged()[-1]["event"], setting.logged()[-1]["zeek"])


def _rest(setting):
    hello = setting.transport.sent[0]
    return hello.sidecar, setting.nearest.table.id, Count(3)


def test_a_zeek_that_does_not_answer_the_hello_is_reported_once(setting, impatient):
    """After five hellos in vain the log says, once, what to load in that Zeek."""

    async def scenario():
        setting.sidecar.connected("zeek")
        while len(setting.transport.sent) < 8:
            await asyncio.sleep(0.005)

    asyncio.run(scenario())
    told = [entry for entry in setting.logged() if entry["event"] == "Zeek does not answer our hello"]
    assert ["load portkin, and portkin/websocket or portkin/broker, in the Zeek at this address"] == [
        entry["remedy"] for entry in told
    ]


def test_connections_and_drops_are_counted_and_logged(setting):
    """Failed attempts are logged sparingly; lost connections, reconnects and drops are counted."""

    def story():
        for _ in range(50):
            setting.sidecar.failed("refused", 0.2)
        setting.sidecar.connected("zeek")
        setting.sidecar.lost("gone")
        setting.sidecar.connected("zeek")
        setting.sidecar.dropped(7)

    in_loop(story)
    assert [1, 1, 7] == [
        setting.count(f"portkin_{name}") for name in ("connected", "reconnects_total", "messages_dropped_total")
    ]
    assert [
        "no connection to Zeek",
        "connected to Zeek",
        "connection to Zeek lost",
        "connected to Zeek",
        "messages to Zeek dropped: it is slow or away",
    ] == [entry["event"] for entry in setting.logged()]
