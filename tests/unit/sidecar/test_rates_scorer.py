"""Live rates: reports in, scores and alarms out, and the thread they are made in."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from portkin.net.ports import Port
from portkin.rates.config import RatesConfig
from portkin.rates.factory import make_rates
from portkin.timeseries.bins import HOUR
from portkin.zeek.event import Count
from portkin.zeek.event_codec import parse, unparse
from portkin.zeek.messages import RateAnomaly, RatesOutage, RatesReport, RatesResponse, RatesScores, RateWarning
from support.enforcing import Lines
from support.rate_desk import Desk, drive, kinds, report
from support.telescope import BEGIN, PORTS, SSH, TELNET, write_means

pytest.importorskip("onnx")


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


def test_a_window_that_is_in_the_future_is_reported(tmp_path):
    """Where an earlier version, or a wrong clock, left the window years ahead, the log says so at the start."""
    config = RatesConfig(model=write_means(tmp_path / "m"), database=tmp_path / "w.sqlite")
    told = []
    for wall in (BEGIN + HOUR, BEGIN - 24 * HOUR):
        log = Lines()
        part, _ = make_rates(config, registry=CollectorRegistry(), log=log, wall_clock=lambda wall=wall: wall)
        drive(part, [report(BEGIN, {SSH: 1})])
        told.append([pairs["file"] for level, _, pairs in log.lines if level == "error" and "file" in pairs])
    assert [[], [str(tmp_path / "w.sqlite")]] == told
