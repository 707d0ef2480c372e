"""Live rates: reports in, scores and alarms out, and the thread they are made in."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from portkin.bundles.forecast import Forecaster
from portkin.bundles.forecast_models import SCHEMA
from portkin.config.schema import load_config
from portkin.errors import BundleError
from portkin.net.ports import Port
from portkin.rates.closing import Closing
from portkin.rates.config import RatesConfig
from portkin.rates.factory import make_rates
from portkin.rates.metrics import RatesMetrics
from portkin.rates.scorer import RateScorer
from portkin.rates.service import NO_MODELS
from portkin.rates.store import RateStore
from portkin.timeseries.bins import HOUR
from portkin.zeek.event_codec import Count, parse, unparse
from portkin.zeek.messages import RateAnomaly, RatesOutage, RatesReport, RatesResponse, RatesScores, RateWarning
from support.enforcing import Lines
from support.telescope import BEGIN, PORTS, SSH, TELNET, USUAL, write_means

pytest.importorskip("onnx")


def report(start: float, counts=None, *, node: str = "zeek", width: float = 60.0, reqid: str = "r") -> RatesReport:
    counts = counts or {}
    return RatesReport(
        reqid,
        node,
        datetime.fromtimestamp(start, UTC),
        timedelta(seconds=width),
        tuple(counts),
        tuple(map(Count, counts.values())),
    )


class Desk:
    """A scorer with clocks that a test controls; reports come with Zeek's time."""

    def __init__(self, folder, **closing) -> None:
        self.models = Forecaster.load(write_means(folder / "models"))
        self.registry = CollectorRegistry()
        store = RateStore(
            folder / "w.sqlite", width=HOUR, tz="UTC", ports=self.models.ports, bins=20, closing=Closing(**closing)
        )
        self.log = Lines()
        self.wall_clock = time.time
        """The sidecar's; today, years after the reports, unless `at` sets it."""
        self.scorer = RateScorer(
            store,
            self.models,
            metrics=RatesMetrics(self.registry),
            log=self.log,
            wall_clock=lambda: self.wall_clock(),
        )

    def at(self, now: float) -> None:
        """The sidecar's clock shows this time."""
        self.wall_clock = lambda: now

    def hour(self, number: int, changes=None, node: str = "zeek") -> list:
        """What is said to the reports of a whole hour, but for the responses."""
        counts = {**USUAL, **(changes or {})}
        begin = BEGIN + number * HOUR
        reports = [report(begin, counts, node=node, width=60)]
        reports += [report(begin + minute * 60, node=node) for minute in range(1, 60)]
        said = [message for one in reports for message in self.scorer.receive(one, one.start.timestamp() + 60)]
        return [message for message in said if not isinstance(message, RatesResponse)]


def kinds(said: list) -> list[type]:
    return [type(message) for message in said]


def test_scores_begin_when_the_models_have_enough(tmp_path):
    """Models of three bins need four: the fourth hour is scored, with what was forecast from the first three."""
    desk = Desk(tmp_path)
    assert [[], [], []] == [desk.hour(number) for number in range(3)]
    (scores,) = desk.hour(3, {SSH: 36})
    assert (PORTS, datetime.fromtimestamp(BEGIN + 3 * HOUR, UTC)) == (scores.ports, scores.start)
    assert (36, pytest.approx(30), 0) == (scores.observed[0], scores.forecast[0], scores.e[0])  # 6 < 3 * sqrt(30)
    assert scores == parse(unparse(scores))


def test_a_burst_is_an_anomaly_and_what_follows_a_warning(tmp_path):
    """200 where 20 were forecast is E = 9; two hours later the mean of 80 is above a trend of -100."""
    desk = Desk(tmp_path)
    said = [desk.hour(number, {TELNET: 200} if number == 4 else None) for number in range(7)]
    assert [[], [], [], [RatesScores], [RatesScores, RateAnomaly], [RatesScores], [RatesScores, RateWarning]] == list(
        map(kinds, said)
    )
    anomaly, warning = said[4][1], said[6][1]
    assert (TELNET, 200, pytest.approx(20), pytest.approx(9), 1) == (
        anomaly.p, anomaly.observed, anomaly.forecast, anomaly.e, anomaly.threshold,
    )  # fmt: skip
    assert (datetime.fromtimestamp(BEGIN + 7 * HOUR, UTC), pytest.approx(80), pytest.approx(-100)) == (
        warning.start, warning.forecast, warning.trend,
    )  # fmt: skip
    assert (1, 1) == tuple(
        desk.registry.get_sample_value("portkin_rates_alarms_total", {"kind": kind}) for kind in ("anomaly", "warning")
    )


def test_live_scores_are_the_offline_scores(tmp_path):
    """Hour by hour over gaps and bursts, E, W and the forecasts equal those of whole series to 1e-6."""
    desk = Desk(tmp_path)
    rng = np.random.default_rng(1)
    counts = rng.poisson(40, (40, len(PORTS))).astype(float)
    counts[rng.random(40) < 0.15] = np.nan
    counts[0] = 40
    offline = desk.models.score_all(PORTS, counts)
    for t, row in enumerate(counts):
        if np.isnan(row).any():
            continue
        said = desk.hour(t, {port: int(n) for port, n in zip(PORTS, row, strict=True)})
        for scores in said:
            if isinstance(scores, RatesScores):
                at = int(scores.start.timestamp() - BEGIN) // HOUR
                for found, expected in zip(
                    (scores.forecast, scores.e, scores.w), (offline[0][at], *(x[at] for x in offline[1:])), strict=True
                ):
                    expected = np.where(np.isnan(expected), -1, expected)
                    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert 36 <= desk.registry.get_sample_value("portkin_rates_scores_total") / len(PORTS)


def test_reports_that_stop_are_one_outage_said_when_somebody_is_there(tmp_path):
    """Three hours of silence: reported once, and, after a reconnect, with the next report."""
    desk = Desk(tmp_path)
    for number in range(5):
        desk.hour(number)
    end = BEGIN + 5 * HOUR
    assert [] == desk.scorer.tick(end + HOUR)
    said = desk.scorer.tick(end + HOUR + 130)
    assert [RatesOutage, RatesScores] == kinds(said)
    assert (datetime.fromtimestamp(end, UTC), ("zeek",)) == (said[0].start, said[0].nodes)
    assert (-1, -1) == (said[1].observed[0], said[1].e[0])
    assert [RatesScores, RatesScores] == kinds(desk.scorer.tick(end + 3 * HOUR + 130))
    assert [] == [m for m in desk.hour(9) if isinstance(m, RatesOutage | RateAnomaly | RateWarning)]
    desk.scorer.connected()
    assert [] == desk.scorer.tick(BEGIN + 12 * HOUR)
    assert RatesOutage in kinds(desk.scorer.receive(report(BEGIN + 12 * HOUR), BEGIN + 12 * HOUR + 60))


def test_a_repeated_report_is_answered_and_counts_once(tmp_path):
    """The second answer accepts nothing, without an error; ports that no model reads are not taken."""
    scorer = Desk(tmp_path).scorer
    once = report(BEGIN, {SSH: 5, Port(9, "udp"): 1}, reqid="a")
    said = [scorer.receive(once, 0.0), scorer.receive(once, 1.0)]
    assert [[RatesResponse("a", Count(1), "")], [RatesResponse("a", Count(0), "")]] == said


def test_reports_at_odds_with_themselves_are_refused(tmp_path):
    """More ports than counts, or an interval over two bins: an answer that says so."""
    scorer = Desk(tmp_path).scorer
    odd = RatesReport("a", "w", datetime.fromtimestamp(BEGIN, UTC), timedelta(minutes=1), (SSH,), ())
    assert "1 ports, but 0 counts" in scorer.receive(odd, 0.0)[0].error
    wide = scorer.receive(report(BEGIN, {SSH: 1}, width=2 * HOUR), 0.0)
    assert "beyond the end of its bin" in wide[0].error
    silent = scorer.receive(report(BEGIN, width=40 * 24 * HOUR), 0.0)
    assert "3456000 s wide, more than 2678400" in silent[0].error
    assert parse(unparse(odd)) == odd


YEAR = 365 * 24 * HOUR


@pytest.mark.parametrize(
    ("jump", "counts", "width", "node"),
    [
        (10 * YEAR, None, 60.0, "zeek"),
        (30 * 24 * HOUR, {TELNET: 1}, 60.0, "zeek"),
        (24 * HOUR, None, 60.0, "other"),
        (0, None, 5e9, "zeek"),
    ],
)
def test_a_report_from_the_future_is_refused_and_alarms_go_on(tmp_path, jump, counts, width, node):
    """A clock far ahead closes no bin: the next hours are scored, a burst is reported, and the log says which node."""
    desk = Desk(tmp_path)
    for number in range(6):
        desk.at(BEGIN + (number + 1) * HOUR)
        desk.hour(number)
    for _ in range(3):
        (answer,) = desk.scorer.receive(report(BEGIN + 6 * HOUR + jump, counts, width=width, node=node), 0.0)
        assert re.fullmatch(
            rf"report of {node} rejected: it ends \d+ s ahead of the sidecar's clock; set .*", answer.error
        )
    said = []
    for number in range(6, 9):
        desk.at(BEGIN + (number + 1) * HOUR)
        said.append(kinds(desk.hour(number, {TELNET: 2000} if number == 8 else None)))
    assert [[RatesScores], [RatesScores], [RatesScores, RateAnomaly]] == said
    lines = [(level, pairs["node"]) for level, _, pairs in desk.log.lines]
    assert [("error", node)] == lines
    assert 3 == desk.registry.get_sample_value("portkin_rates_reports_total", {"outcome": "refused"})


def test_a_clock_that_differs_a_little_is_believed(tmp_path):
    """A node half an hour ahead is counted: clocks differ, and that loses a bin at most."""
    desk = Desk(tmp_path)
    desk.at(BEGIN)
    assert [RatesResponse("r", Count(1), "")] == desk.scorer.receive(report(BEGIN + HOUR // 2, {SSH: 5}), 0.0)


def test_a_window_that_is_in_the_future_is_told(tmp_path):
    """Where an earlier version, or a wrong clock, left the window years ahead, the log says so at the start."""
    config = RatesConfig(model=write_means(tmp_path / "m"), database=tmp_path / "w.sqlite")
    told = []
    for wall in (BEGIN + HOUR, BEGIN - 24 * HOUR):
        log = Lines()
        part, _ = make_rates(config, registry=CollectorRegistry(), log=log, wall_clock=lambda wall=wall: wall)
        drive(part, [report(BEGIN, {SSH: 1})])
        told.append([pairs["file"] for level, _, pairs in log.lines if level == "error" and "file" in pairs])
    assert [[], [str(tmp_path / "w.sqlite")]] == told


def drive(part, reports) -> list:
    """What the part says to reports, its thread and all; ends with the last response."""

    async def go() -> list:
        said: list = []
        (handler,) = part.handlers().values()
        work = asyncio.create_task(part.run(said.extend))
        try:
            for one in reports:
                said.extend(handler(one, one.start.timestamp()))
            async with asyncio.timeout(20):
                while sum(isinstance(message, RatesResponse) for message in said) < len(reports):
                    await asyncio.sleep(0.01)
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        return said

    return asyncio.run(go())


def made(config: RatesConfig):
    return make_rates(config, registry=CollectorRegistry(), log=Lines())[0]


def test_the_part_answers_from_its_thread(tmp_path):
    """Reports handed to the part are answered in order, and the window is in its file."""
    config = RatesConfig(model=write_means(tmp_path / "m").absolute(), database=tmp_path / "state" / "w.sqlite")
    said = drive(made(config), [report(BEGIN + 60 * n, {SSH: 1}, reqid=str(n)) for n in range(5)])
    assert [RatesResponse(str(n), Count(1), "") for n in range(5)] == said
    assert (tmp_path / "state" / "w.sqlite").exists()


def test_without_models_reports_are_answered_with_what_to_do(tmp_path):
    """Zeek hears that rates.model is not set; nothing is written."""
    config = RatesConfig(database=tmp_path / "w.sqlite")
    assert [RatesResponse("r", Count(0), NO_MODELS)] == drive(made(config), [report(BEGIN, {SSH: 1})])
    assert not (tmp_path / "w.sqlite").exists()


def test_a_file_that_cannot_be_written_ends_nothing(tmp_path):
    """The error is logged, with the setting to change; reports stay unanswered, so Zeek keeps them."""
    log = Lines()
    (tmp_path / "file").write_text("")
    config = RatesConfig(model=write_means(tmp_path / "m"), database=tmp_path / "file" / "w.sqlite")
    part, _ = make_rates(config, registry=CollectorRegistry(), log=log)
    with pytest.raises(TimeoutError):
        asyncio.run(_briefly(part))
    assert [True] == ["rates.database" in pairs["reason"] for level, _, pairs in log.lines if level == "error"]


def test_a_full_disk_is_no_defect(tmp_path, monkeypatch):
    """The log names the file and rates.database, without a traceback; the report stays unanswered, so Zeek keeps it."""
    opened, connect = [], sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **more: opened.append(connect(*args, **more)) or opened[-1])
    log, said = Lines(), []
    config = RatesConfig(model=write_means(tmp_path / "m"), database=tmp_path / "w.sqlite")
    part, _ = make_rates(config, registry=CollectorRegistry(), log=log, clock=lambda: 0.0)
    many = [report(BEGIN + 1 + n, {SSH: 1}, node=f"{n}" * 500) for n in range(50)]

    async def scenario() -> None:
        (handler,) = part.handlers().values()
        work = asyncio.create_task(part.run(said.extend))
        async with asyncio.timeout(20):
            list(handler(report(BEGIN, {SSH: 1}), 0.0))
            while not said:
                await asyncio.sleep(0.01)
            (pages,) = opened[-1].execute("PRAGMA page_count").fetchone()
            opened[-1].execute(f"PRAGMA max_page_count = {pages}")
            for one in many:
                list(handler(one, 0.0))
            while not log.events("error"):
                await asyncio.sleep(0.01)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    asyncio.run(scenario())
    assert [RatesResponse] == kinds(said[:1])
    assert len(said) < 1 + len(many)
    (reason,) = [pairs["reason"] for level, _, pairs in log.lines if level == "error"]
    assert reason.startswith(
        f"{tmp_path / 'w.sqlite'}: the rates database cannot be written (database or disk is full)"
    )
    assert "rates.database" in reason


async def _briefly(part) -> None:
    (handler,) = part.handlers().values()
    work = asyncio.create_task(part.run([].extend))
    list(handler(report(BEGIN, {SSH: 1}), 0.0))
    try:
        async with asyncio.timeout(1):
            await work
    finally:
        work.cancel()


def damaged(path) -> None:
    file = path / "22-tcp.onnx"
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    file.write_bytes(data)


def of_another_schema(path) -> None:
    file = path / "manifest.json"
    file.write_text(file.read_text().replace(f'"schema": {SCHEMA}', '"schema": 99'))


def foreign(path) -> None:
    file = path / "manifest.json"
    file.write_text(file.read_text().replace('"portkin-rates"', '"portkin-table"'))


@pytest.mark.parametrize("harm", [damaged, of_another_schema, foreign])
def test_models_that_cannot_be_trusted_end_the_start(tmp_path, harm):
    """A flipped byte, another schema, another kind of bundle: refused before anything is served."""
    harm(write_means(tmp_path / "m"))
    with pytest.raises(BundleError):
        made(RatesConfig(model=tmp_path / "m"))


class Reloading:
    """The part and its folder of models, with reports of whole hours that are waited for."""

    def __init__(self, tmp_path) -> None:
        self.path, self.log, self.registry = write_means(tmp_path / "m"), Lines(), CollectorRegistry()
        config = RatesConfig(model=self.path, database=tmp_path / "w.sqlite")
        self.part, self.folder = make_rates(config, registry=self.registry, log=self.log)
        self.said: list = []
        self.hours = 0

    async def hour(self) -> list[RatesScores]:
        """The scores of the next hour."""
        (handler,) = self.part.handlers().values()
        before = len(self.said)
        begin = BEGIN + self.hours * HOUR
        for minute in range(60):
            self.said += handler(report(begin + 60 * minute, {} if minute else USUAL, reqid=f"{minute}"), begin)
        self.hours += 1
        async with asyncio.timeout(20):
            while sum(isinstance(message, RatesResponse) for message in self.said[before:]) < 60:
                await asyncio.sleep(0.01)
        return [message for message in self.said[before:] if isinstance(message, RatesScores)]

    def reloads(self, outcome: str) -> float | None:
        return self.registry.get_sample_value("portkin_rates_reloads_total", {"outcome": outcome})

    def run(self, scenario) -> None:
        async def go() -> None:
            work = asyncio.create_task(self.part.run(self.said.extend))
            try:
                await scenario()
            finally:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)

        asyncio.run(go())


def test_new_models_score_the_next_bin_from_the_same_window(tmp_path):
    """After four hours with models of three bins, models of two for one port of them go on: no hour is lost."""
    live = Reloading(tmp_path)

    async def scenario() -> None:
        (first,) = [scores for _ in range(4) for scores in await live.hour()]
        write_means(live.path, [SSH], length=2)
        await live.folder.changed()
        (second,) = await live.hour()
        assert (PORTS, (SSH,)) == (first.ports, second.ports)
        assert first.model_id != second.model_id
        assert (30.0, pytest.approx(30.0)) == (second.observed[0], second.forecast[0])
        assert 1 == live.registry.get_sample_value("portkin_rates_model_info", {"id": second.model_id, "ports": "1"})

    live.run(scenario)
    assert (1, None) == (live.reloads("changed"), live.reloads("refused"))
    assert "models of rates reloaded" in [event for _, event, _ in live.log.lines]


def test_a_port_that_new_models_add_is_unknown_before_them(tmp_path):
    """It was not counted: three hours pass until it is forecast, while the others' scores go on."""
    live = Reloading(tmp_path)
    write_means(live.path, [SSH])
    live.part, live.folder = make_rates(
        RatesConfig(model=live.path, database=tmp_path / "w.sqlite"), registry=CollectorRegistry(), log=live.log
    )

    async def scenario() -> None:
        for _ in range(4):
            await live.hour()
        write_means(live.path, [SSH, TELNET])
        await live.folder.changed()
        forecasts = [(await live.hour())[0].forecast for _ in range(4)]
        assert [(30, -1), (30, -1), (30, 20), (30, 20)] == [tuple(map(round, row)) for row in forecasts]

    live.run(scenario)


@pytest.mark.parametrize("harm", [damaged, of_another_schema, foreign])
def test_models_that_cannot_be_trusted_leave_the_old_ones(tmp_path, harm):
    """A damaged bundle is refused with a reason in the log; bins are scored by the models there were."""
    live = Reloading(tmp_path)

    async def scenario() -> None:
        (first,) = [scores for _ in range(4) for scores in await live.hour()]
        harm(write_means(live.path, length=2))
        await live.folder.changed()
        (second,) = await live.hour()
        assert first.model_id == second.model_id

    live.run(scenario)
    assert (None, 1) == (live.reloads("changed"), live.reloads("refused"))
    (pairs,) = [pairs for level, _, pairs in live.log.lines if level == "error"]
    assert str(live.path) in pairs["reason"]


def test_settings_name_the_models(tmp_path):
    """The section of the settings is read, ranges and all."""
    file = tmp_path / "portkin.yaml"
    file.write_text("rates: {model: /models, grace: 5, absent: zero}\n")
    rates = load_config(file).rates
    assert ("/models", 5.0, "zero") == (str(rates.model), rates.grace, rates.absent)
