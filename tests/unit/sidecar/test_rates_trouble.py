"""Live rates where the database fails: locked, read-only, on a full disk, damaged, removed. SQLite is real."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import ExitStack, closing

import pytest
from prometheus_client import CollectorRegistry

from portkin.rates.config import RatesConfig
from portkin.rates.factory import make_rates
from portkin.rates.history import RatesListing
from portkin.rates.service import GONE_ON
from portkin.timeseries.bins import HOUR
from portkin.zeek.messages import RateAnomaly, RatesOutage, RatesResponse, RatesScores
from support.disks import filled
from support.enforcing import Lines, at_work
from support.rate_desk import Desk, kinds, report
from support.simulated_backend import unwritable
from support.telescope import BEGIN, TELNET, USUAL, write_means

pytest.importorskip("onnx")
pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture
def connections(monkeypatch):
    """The connections that are opened, the latest last."""
    opened, connect = [], sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **more: opened.append(connect(*args, **more)) or opened[-1])
    return opened


def after_four_hours(folder) -> Desk:
    desk = Desk(folder)
    for number in range(4):
        desk.hour(number)
    return desk


def once(desk: Desk, happens) -> None:
    """This happens when the next bin is closed."""

    def called() -> None:
        desk.once_closed = lambda: None
        happens()

    desk.once_closed = called


def kept(desk: Desk) -> tuple[list, list]:
    """The alarms that are kept for display, and the thresholds in the file."""
    with closing(RatesListing(desk.scorer.path)) as listing:
        alarms = [(alarm.kind, alarm.port, alarm.start) for alarm in listing.alarms(0.0, 10)]
    with closing(sqlite3.connect(desk.scorer.path)) as db:
        return alarms, db.execute(
            "SELECT proto, port, e, w, over_e, over_w FROM followed ORDER BY proto, port"
        ).fetchall()


def burst_that_cannot_be_written(desk: Desk, broken) -> list:
    """What is found of an hour with a burst, where `broken` begins between the bin's end and what is written of it."""
    with ExitStack() as trouble:
        once(desk, lambda: trouble.enter_context(broken))
        with pytest.raises(sqlite3.OperationalError):
            desk.hour(4, {TELNET: 200})
        return kinds(desk.scorer.unsent())


def check_nothing_is_lost(desk: Desk, found: list, calm: Desk) -> None:
    calm.hour(4, {TELNET: 200})
    assert [RatesScores, RateAnomaly] == found
    assert [] == desk.scorer.unsent()
    assert [RatesScores] == kinds(desk.hour(5))
    calm.hour(5)
    assert ([("anomaly", TELNET, BEGIN + 4 * HOUR)], kept(calm)[1]) == kept(desk)


def test_an_alarm_is_sent_though_the_file_is_locked(tmp_path):
    """Somebody else begins to write once the bin is closed: the alarm is sent, and kept with the next bin."""
    desk, calm = after_four_hours(tmp_path / "a"), after_four_hours(tmp_path / "b")
    check_nothing_is_lost(desk, burst_that_cannot_be_written(desk, unwritable(desk.scorer.path)), calm)


def test_an_alarm_is_sent_though_the_file_is_read_only(tmp_path, connections):
    """SQLite refuses to write once the bin is closed: the same."""
    calm, desk = after_four_hours(tmp_path / "b"), after_four_hours(tmp_path / "a")
    db = connections[-1]
    broken = ExitStack()
    broken.callback(db.execute, "PRAGMA query_only = 0")
    with broken:
        once(desk, lambda: db.execute("PRAGMA query_only = 1"))
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            desk.hour(4, {TELNET: 200})
    check_nothing_is_lost(desk, kinds(desk.scorer.unsent()), calm)


@pytest.mark.root
@pytest.mark.parametrize("small_disk", ["12m"], indirect=True)
def test_an_alarm_is_sent_though_the_disk_is_full(small_disk, tmp_path):
    """The disk is full once the bin is closed: the same."""
    desk, calm = after_four_hours(small_disk / "a"), after_four_hours(tmp_path / "b")
    check_nothing_is_lost(desk, burst_that_cannot_be_written(desk, filled(small_disk)), calm)


def test_a_bin_that_cannot_be_read_is_scored_later(tmp_path):
    """Where reading fails once the bin is closed, the next call scores it, alarm and all."""
    desk = after_four_hours(tmp_path)
    other = sqlite3.connect(desk.scorer.path)
    once(desk, lambda: other.execute("ALTER TABLE counts RENAME TO away"))
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        desk.hour(4, {TELNET: 200})
    other.execute("ALTER TABLE away RENAME TO counts")
    other.close()
    assert [RatesScores, RateAnomaly] == kinds(desk.scorer.tick(BEGIN + 5 * HOUR))


def test_what_waits_for_a_node_outlasts_a_failure(tmp_path):
    """An outage found while nobody reports is sent with the first report that can be taken."""
    desk = after_four_hours(tmp_path)
    desk.scorer.connected()
    assert [] == desk.scorer.tick(BEGIN + 5 * HOUR + 130)
    next_report, now = report(BEGIN + 5 * HOUR), BEGIN + 5 * HOUR + 130.0
    with unwritable(desk.scorer.path), pytest.raises(sqlite3.OperationalError):
        desk.scorer.receive(next_report, now)
    assert RatesOutage in kinds(desk.scorer.receive(next_report, now))


class Serving:
    """The part with its thread, its models and its file."""

    def __init__(self, folder) -> None:
        self.file, self.log, self.registry, self.said = folder / "w.sqlite", Lines(), CollectorRegistry(), []
        config = RatesConfig(model=write_means(folder / "m"), database=self.file)
        self.part, self.folder = make_rates(config, registry=self.registry, log=self.log)

    async def hour(self, number: int, changes=None) -> list[type]:
        """What is said to the reports of a whole hour, once the last is answered; reports are repeated until then."""
        (handler,) = self.part.handlers().values()
        before, begin = len(self.said), BEGIN + number * HOUR
        counts = {**USUAL, **(changes or {})}

        def unanswered() -> list[int]:
            answered = {message.reqid for message in self.said[before:] if isinstance(message, RatesResponse)}
            return [minute for minute in range(60) if f"{minute}" not in answered]

        async with asyncio.timeout(60):
            while missing := unanswered():
                for minute in missing:
                    one = report(begin + 60 * minute, {} if minute else counts, reqid=f"{minute}")
                    self.said += handler(one, begin)
                for _ in range(100):  # then again, as Zeek does
                    if unanswered():
                        await asyncio.sleep(0.01)
        return [kind for kind in kinds(self.said[before:]) if kind is not RatesResponse]

    def run(self, scenario) -> None:
        async def go() -> None:
            async with at_work(self.part, self.said.extend):
                await scenario()

        asyncio.run(go())

    def failures(self) -> float | None:
        return self.registry.get_sample_value("portkin_rates_database_errors_total")


def test_the_service_sends_the_alarm_says_why_and_counts(tmp_path, connections):
    """A write that fails after the bin's end: the alarm goes to Zeek, the log names the file, a metric counts."""
    serving = Serving(tmp_path)

    async def scenario() -> None:
        for number in range(4):
            await serving.hour(number)
        connections[-1].execute(
            "CREATE TEMP TRIGGER fails BEFORE INSERT ON scores BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )
        assert RateAnomaly in await serving.hour(4, {TELNET: 200})

    serving.run(scenario)
    assert 1 <= serving.failures()
    (reason,) = {pairs["reason"] for level, _, pairs in serving.log.lines if level == "error"}
    assert reason.startswith(f"{serving.file}: the rates database cannot be written (no room)")


def overwrite(file, first: int) -> None:
    """What follows byte `first` becomes rubbish, and the sidecar has to read it: somebody else has written."""
    with closing(sqlite3.connect(file)) as other:
        other.execute("UPDATE state SET watching = watching")
        other.commit()
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with file.open("r+b") as opened:
        opened.seek(first)
        opened.write(b"\xee" * (file.stat().st_size - first))


def remove(file) -> None:
    for part in file.parent.glob(file.name + "*"):
        part.unlink()


@pytest.mark.parametrize(
    "harm",
    [lambda file: overwrite(file, 100), lambda file: overwrite(file, 0), remove],
    ids=["damaged", "not even a database", "removed"],
)
def test_a_file_that_is_damaged_or_removed_silences_nothing(tmp_path, harm):
    """A new one goes on with the counts there were: the next hour is scored, the next burst found, the log says so."""
    serving = Serving(tmp_path)

    async def scenario() -> None:
        for number in range(5):
            await serving.hour(number)
        harm(serving.file)
        assert RatesScores in await serving.hour(5)
        assert [RatesScores, RateAnomaly] == await serving.hour(6, {TELNET: 200})

    serving.run(scenario)
    assert GONE_ON in serving.log.events("error")
    with closing(RatesListing(serving.file)) as listing:
        assert [TELNET] == [alarm.port for alarm in listing.alarms(0.0, 10)]


def test_models_that_are_removed_leave_the_old_ones(tmp_path):
    """A folder of models that disappears is an error in the log; scoring goes on."""
    serving = Serving(tmp_path)

    async def scenario() -> None:
        for number in range(4):
            await serving.hour(number)
        remove(tmp_path / "m" / "manifest.json")
        await serving.folder.changed()
        assert [RatesScores] == await serving.hour(4)

    serving.run(scenario)
    assert ["new models rejected, the old ones stay"] == serving.log.events("error")
