"""The service of live rates: its thread, broken files and disks, and models that are replaced."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest
from prometheus_client import CollectorRegistry

from portkin.bundles.forecast_models import SCHEMA
from portkin.config.schema import load_config
from portkin.errors import BundleError
from portkin.rates.config import RatesConfig
from portkin.rates.factory import make_rates
from portkin.rates.service import NO_MODELS
from portkin.timeseries.bins import HOUR
from portkin.zeek.event import Count
from portkin.zeek.messages import RatesResponse, RatesScores
from support.enforcing import Lines, at_work
from support.rate_desk import drive, kinds, report
from support.telescope import BEGIN, PORTS, SSH, TELNET, USUAL, write_means


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
            async with at_work(self.part, self.said.extend):
                await scenario()

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
