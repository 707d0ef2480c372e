"""Real Zeek, a real sidecar and captures of days: what is counted, scored and noticed."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from portkin.errors import TransportError
from portkin.timeseries.bins import HOUR
from portkin.zeek.transport.broker import find_bindings
from support.sidecar_process import SidecarProcess
from support.telescope import BEGIN, HTTP, PORTS, TELNET, hours, write_capture, write_means
from support.zeek_process import SCRIPTS, backend_loads, free_port

pytest.importorskip("onnx")
pytestmark = [pytest.mark.zeek, pytest.mark.timeout(300)]
CHANGES = {(30, HTTP): 6, (40, TELNET): 200}
"""A dip on 80 and a burst on 23."""


class Site:
    """A sidecar with models, and a Zeek that reads captures to it."""

    def __init__(self, zeek: str, folder: Path, transport: str = "websocket") -> None:
        self.zeek, self.folder, self.port, self.transport = zeek, folder, free_port(), transport
        self.models = write_means(folder / "models")
        self.runs = 0
        self.sidecar = SidecarProcess(
            folder / "sidecar",
            {
                "zeek": {
                    "transport": transport,
                    "url": f"ws://127.0.0.1:{self.port}/v1/messages/json",
                    "broker": f"127.0.0.1:{self.port}",
                    "backoff": {"first": 0.1, "cap": 0.3},
                },
                "metrics": {"port": 0},
                "enforce": {"database": str(folder / "blocks.sqlite")},
                "rates": {"model": str(self.models), "database": str(folder / "rates.sqlite")},
            },
        )

    def read(self, capture: Path) -> tuple[list[dict], list[dict]]:
        """The notices, and the scores, of one run of Zeek."""
        self.runs += 1
        here = self.folder / f"run-{self.runs}"
        here.mkdir()
        backend = backend_loads(self.zeek, self.transport) if self.transport == "broker" else []
        loads = [
            *map(str, backend),
            str(SCRIPTS),
            *(str(SCRIPTS / f"{name}.zeek") for name in (self.transport, "notice")),
        ]
        options = [f"Portkin::{self.transport}_port={self.port}/tcp", "LogAscii::use_json=T"]
        ran = subprocess.run(
            [self.zeek, "-C", "-r", str(capture), *loads, *options],
            cwd=here,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=120,
        )
        assert 0 == ran.returncode, ran.stderr
        return _lines(here / "notice.log"), _lines(here / "portkin_rates.log")


def _lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def summary(notices: list[dict]) -> list[tuple[str, str]]:
    """What a notice is of: its kind, its port, and the hour it names, counted from the capture's first."""
    found = []
    for notice in notices:
        _, _, rest = notice["msg"].partition("the bin from ")
        stamp = (rest or notice["msg"].partition("since ")[2])[:21]
        hour = (np.datetime64(stamp[:16]) - np.datetime64(BEGIN, "s")) // np.timedelta64(1, "h")
        port = f"{notice['p']}/{notice['proto']} " if "p" in notice else ""
        found.append((notice["note"].removeprefix("Portkin::"), f"{port}{hour}"))
    return sorted(found)


EXPECTED = [
    ("Probe_Rate_Anomaly", "23/tcp 40"),
    # Two hours after the burst the line through 200, 20, 20 leads below 0, while their mean is 80.
    ("Probe_Rate_Warning", "23/tcp 43"),
    # The line through 60, 60, 6 leads below 0, while their mean is 42.
    ("Probe_Rate_Warning", "80/tcp 31"),
]


@pytest.fixture
def site(zeek, tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    return Site(zeek, tmp_path)


def test_over_broker_scores_and_notices_are_the_same(zeek, tmp_path, monkeypatch):
    """The two days through Zeek's Broker instead of its WebSocket: the expected notices, every score as offline."""
    try:
        find_bindings()
    except TransportError as error:
        pytest.skip(str(error))
    monkeypatch.setenv("TZ", "UTC")
    site = Site(zeek, tmp_path, "broker")
    capture = write_capture(site.folder / "days.pcap", hours(50, CHANGES))
    with site.sidecar:
        notices, scores = site.read(capture)
    assert EXPECTED == summary(notices)
    assert offline(site, capture) == scored(scores)


def test_two_days_with_a_burst_end_in_exactly_the_expected_notices(site):
    """50 hours, a burst on 23 and a dip on 80: one anomaly and two warnings; every score equals the offline one."""
    capture = write_capture(site.folder / "days.pcap", hours(50, CHANGES))
    with site.sidecar:
        notices, scores = site.read(capture)
        metrics = site.sidecar.metrics()
    assert EXPECTED == summary(notices)
    assert (50, 0) == (metrics['portkin_rates_bins_total{state="known"}'], metrics["portkin_rates_errors_total"])
    assert offline(site, capture) == scored(scores)


def offline(site: Site, capture: Path) -> dict[tuple[str, int], tuple[float, ...]]:
    """E and W by `portkin ingest`, `portkin rates series` and the forecaster, per port and bin."""
    from portkin.bundles.forecast import Forecaster
    from portkin_training.commands.ingest import ingest
    from portkin_training.commands.rates import rates
    from portkin_training.rates.series.rate_series import load

    probes, series = site.folder / "probes", site.folder / "series"
    ports = [part for port in PORTS for part in ("--port", str(port))]
    for command, arguments in (
        (ingest, [str(capture), "-o", str(probes)]),
        (rates, ["series", str(probes), "-o", str(series), "--absent", "unknown", *ports]),
    ):
        result = CliRunner().invoke(command, arguments, catch_exceptions=False)
        assert 0 == result.exit_code, result.output
    loaded, models = load(series), Forecaster.load(site.models)
    forecast, e, w = models.score_all(loaded.ports, loaded.counts)
    return {
        (str(port), int(start)): (
            pytest.approx(loaded.counts[t, loaded.column(port)]),
            pytest.approx(forecast[t, number], abs=1e-6),
            pytest.approx(e[t, number], abs=1e-6),
            pytest.approx(w[t, number], abs=1e-6),
        )
        # The series leave out the first hour, in which the recording begins: the live window is one bin longer.
        for t, start in enumerate(loaded.starts)
        if t >= models.history - 1
        for number, port in enumerate(models.targets)
    }


def scored(lines: list[dict]) -> dict[tuple[str, int], tuple[float, ...]]:
    """The log's scores; of the first scored bin, which the series do not reach, none."""
    first = min(line["start"] for line in lines)
    return {
        (f"{line['p']}/{line['proto']}", int(line["start"])): (
            line["observed"],
            line["forecast"],
            line["e"],
            line["w"],
        )
        for line in lines
        if line["start"] > first
    }


def test_a_sensor_that_is_away_is_one_notice(site):
    """Zeek reads 20 hours, is away for 7, and comes back for 20: one outage, no anomaly before or after."""
    before = write_capture(site.folder / "before.pcap", hours(20, {}))
    after = write_capture(site.folder / "after.pcap", hours(20, {}), BEGIN + 27 * HOUR)
    with site.sidecar:
        first, _ = site.read(before)
        second, _ = site.read(after)
    assert ([], [("Probe_Rate_Outage", "20")]) == (summary(first), summary(second))


def test_a_capture_read_twice_counts_once(site):
    """The second run's reports are all repetitions: no notice again, not one count more."""
    capture = write_capture(site.folder / "days.pcap", hours(50, CHANGES))
    with site.sidecar:
        first, _ = site.read(capture)
        second, _ = site.read(capture)
        metrics = site.sidecar.metrics()
    assert (EXPECTED, []) == (summary(first), summary(second))
    outcomes = {name: metrics[f'portkin_rates_reports_total{{outcome="{name}"}}'] for name in ("new", "repeated")}
    assert outcomes["new"] == outcomes["repeated"]


def two_captures(folder: Path) -> tuple[Path, Path]:
    """50 hours in two captures, the first 25 and the others."""
    counts = hours(50, CHANGES)
    first = write_capture(folder / "first.pcap", {port: row[:25] for port, row in counts.items()})
    second = write_capture(folder / "second.pcap", {port: row[25:] for port, row in counts.items()}, BEGIN + 25 * HOUR)
    return first, second


def test_a_sidecar_restarted_between_two_captures_goes_on(site):
    """25 hours, a new sidecar, 25 more: its window is in its file, and the notices are those of one run."""
    first, second = two_captures(site.folder)
    with site.sidecar:
        early, _ = site.read(first)
    with site.sidecar:
        late, scores = site.read(second)
    assert EXPECTED == sorted(summary(early) + summary(late))
    assert BEGIN + 25 * HOUR == min(line["start"] for line in scores)


def test_new_models_go_on_where_the_old_ones_were(site):
    """25 hours, then SIGHUP with other models in the folder, 25 more: the first of them is scored already."""
    first, second = two_captures(site.folder)
    with site.sidecar:
        site.read(first)
        write_means(site.models, [TELNET], length=2)
        site.sidecar.signal(signal.SIGHUP)
        site.sidecar.wait_for("models of rates reloaded")
        late, scores = site.read(second)
    assert [("Probe_Rate_Anomaly", "23/tcp 40")] == [notice for notice in summary(late) if "Anomaly" in notice[0]]
    assert (BEGIN + 25 * HOUR, {"23"}) == (min(line["start"] for line in scores), {str(line["p"]) for line in scores})


def test_a_recording_fills_the_window(site):
    """25 hours by `portkin rates warm`, 25 by Zeek: the first hour that Zeek reports is scored already."""
    from portkin_training.commands.ingest import ingest
    from portkin_training.commands.rates import rates

    first, second = two_captures(site.folder)
    window = ["--model", str(site.models), "--database", str(site.folder / "rates.sqlite"), "--absent", "unknown"]
    probes = str(site.folder / "probes")
    assert 0 == CliRunner().invoke(ingest, [str(first), "-o", probes]).exit_code
    warmed = CliRunner().invoke(rates, ["warm", probes, "--ended", *window], catch_exceptions=False)
    assert f"{site.folder / 'rates.sqlite'}: 24 bins up to 2023-11-15T22:00Z; the models read 4\n" == warmed.stdout
    with site.sidecar:
        notices, scores = site.read(second)
    assert EXPECTED == summary(notices)
    assert BEGIN + 25 * HOUR == min(line["start"] for line in scores)
