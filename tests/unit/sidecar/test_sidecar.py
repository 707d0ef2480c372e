"""The shell: what it does with what the transport reports, and how the table is reloaded."""

from __future__ import annotations

import asyncio
import io
import json
import time
from contextlib import asynccontextmanager, suppress

import pytest

from portkin.logs import make_log
from portkin.metrics import Metrics
from portkin.net.ports import Port
from portkin.sidecar import Sidecar, TableFolder
from portkin.zeek.dispatcher import Hello, Nearest, Part, Service
from portkin.zeek.event import Count, Event, Junk
from portkin.zeek.event_codec import parse, unparse
from portkin.zeek.messages import PROTOCOL, HelloRequest, HelloResponse, NearestRequest, NearestResponse, TableChanged
from support.tables import small_table

REQUEST = NearestRequest("r1", Port(22, "tcp"), Count(1), -1.0)


class Kept:
    """A transport that keeps what it is given."""

    def __init__(self):
        self.sent = []

    def send(self, event):
        self.sent.append(parse(event))

    async def run(self, listener):
        await asyncio.Event().wait()


class Broken(Part):
    """A part with a defect."""

    def handlers(self):
        return {TableChanged: self._fail}

    def _fail(self, message, now):
        raise ZeroDivisionError


class Setting:
    """A sidecar with a small table, a transport that keeps what it is given, and a clock that is set by hand."""

    def __init__(self, folder):
        self.now = 0.0
        self.clock = lambda: self.now
        self.text = io.StringIO()
        self.nearest = Nearest(small_table(folder))
        self.hello = Hello(self.nearest, lambda: "h1")
        self.metrics = Metrics(lambda: self.nearest.table, lambda: 0.0)
        self.transport = Kept()
        self.log = make_log(format="json", stream=self.text)
        self.sidecar = Sidecar(
            Service(self.hello, self.nearest, Broken()),
            self.transport,
            hello=self.hello,
            metrics=self.metrics,
            log=self.log,
            clock=lambda: self.clock(),
        )

    def count(self, name, **labels):
        return self.metrics.registry.get_sample_value(name, labels)

    def logged(self):
        return [json.loads(line) for line in self.text.getvalue().splitlines()]


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


@asynccontextmanager
async def watching(setting, folder):
    """A `TableFolder` at work that looks whenever ``look`` of what is yielded is awaited."""
    looks = asyncio.Queue()
    tables = TableFolder(
        folder, setting.nearest, publish=setting.sidecar.publish, metrics=setting.metrics, log=setting.log
    )

    async def sleep(seconds):
        (await looks.get()).set()

    async def look():
        for _ in range(2):  # the second sleep begins when the first look is over
            seen = asyncio.Event()
            looks.put_nowait(seen)
            await seen.wait()

    task = asyncio.create_task(tables.run(1.0, sleep))
    try:
        yield tables, look
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def test_a_new_table_in_the_folder_is_taken_into_service(setting, tmp_path):
    """When the folder holds another table, answers come from it, and Zeek is notified."""

    async def scenario():
        async with watching(setting, tmp_path / "table") as (_, look):
            await look()
            assert [] == setting.transport.sent
            new = small_table(tmp_path / "table", shift=1)
            await look()
            return new

    new = asyncio.run(scenario())
    assert [TableChanged(new.id, Count(3), False)] == setting.transport.sent
    assert new.id == setting.nearest.table.id
    assert 1 == setting.count("portkin_table_reloads_total", outcome="changed")
    assert 1 == setting.count("portkin_table_info", id=new.id, k="3", method="by hand", by_source="false")


def test_a_damaged_table_is_refused_once_and_the_old_one_stays(setting, tmp_path):
    """A bundle that does not verify changes nothing, is logged once, and does not hinder the next good one."""
    old = setting.nearest.table.id

    async def scenario():
        async with watching(setting, tmp_path / "table") as (_, look):
            (tmp_path / "table" / "manifest.json").write_text("{")
            await look()
            await look()
            assert old == setting.nearest.table.id
            (tmp_path / "table" / "manifest.json").unlink()
            await look()
            small_table(tmp_path / "new", shift=2)
            (tmp_path / "table").rename(tmp_path / "away")
            (tmp_path / "new").rename(tmp_path / "table")
            await look()

    asyncio.run(scenario())
    refused = [entry for entry in setting.logged() if entry["level"] == "error"]
    assert [("new table refused, the old one stays", old)] * 2 == [(e["event"], e["table"]) for e in refused]
    assert [2, 1] == [
        setting.count("portkin_table_reloads_total", outcome=outcome) for outcome in ("refused", "changed")
    ]


def test_a_table_that_is_copied_over_file_by_file_is_taken_into_service(setting, tmp_path):
    """`cp new/* table/` truncates each file and fills it: a whole table answers all the while, at last the new one."""
    port, tables = Port(22, "tcp"), [setting.nearest.table, small_table(tmp_path / "new", shift=3)]
    rows = {table.id: table.nearest(port) for table in tables}

    async def scenario():
        async with watching(setting, tmp_path / "table") as (_, look):
            for file in sorted((tmp_path / "new").iterdir()):
                for content in (b"", file.read_bytes()):
                    (tmp_path / "table" / file.name).write_bytes(content)
                    await look()
                    assert rows[setting.nearest.table.id] == setting.nearest.table.nearest(port)

    asyncio.run(scenario())
    assert [TableChanged(tables[1].id, Count(3), False)] == setting.transport.sent


def test_being_told_to_look_reloads_even_an_unchanged_table(setting, tmp_path):
    """The signal loads the table again; the same content is not announced."""

    async def scenario():
        async with watching(setting, tmp_path / "table") as (tables, _):
            tables.look()
            while setting.count("portkin_table_reloads_total", outcome="same") is None:
                await asyncio.sleep(0.005)

    asyncio.run(scenario())
    assert [] == setting.transport.sent


def test_requests_during_a_reload_are_answered(setting, tmp_path):
    """Every request that arrives while tables change is answered, by the old table or the new one."""
    asked = 300

    async def scenario():
        async with watching(setting, tmp_path / "table") as (tables, _):
            for n in range(asked):
                if n % 50 == 0:
                    small_table(tmp_path / "table", shift=n // 50)
                    tables.look()
                setting.sidecar.received(unparse(REQUEST))
                await asyncio.sleep(0.001)

    asyncio.run(scenario())
    answers = [message for message in setting.transport.sent if isinstance(message, NearestResponse)]
    changes = [message.table_id for message in setting.transport.sent if isinstance(message, TableChanged)]
    assert asked == len(answers)
    assert {answer.table_id for answer in answers} <= {answers[0].table_id, *changes}
    assert len(changes) > 0
