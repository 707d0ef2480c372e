"""``portkin rates score`` and ``evaluate --with`` where there is little, nothing or something else to score."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from portkin.net.ports import Port
from portkin.timeseries.bins import DAY, HOUR, bin_starts
from portkin_training.commands import rates_train
from portkin_training.commands.rates import rates as command
from portkin_training.rates.calibrate import Calibrated
from portkin_training.rates.models.task import ForecastScores
from portkin_training.rates.series import rate_series as series
from portkin_training.rates.warnings_worth import Worth
from support.telescope import BEGIN, PORTS, write_means


def invoke(*args: object):
    return CliRunner().invoke(command, list(map(str, args)))


def saved(path, counts, starts=None, width: int = HOUR, tz: str = "UTC"):
    counts = np.asarray(counts, dtype=float)
    counts = np.broadcast_to(counts[:, None], (len(counts), len(PORTS))) if counts.ndim == 1 else counts
    starts = BEGIN + HOUR * np.arange(len(counts)) if starts is None else starts
    series.save(path, series.Rates(PORTS, starts, counts.copy(), width, tz))
    return path


@pytest.fixture
def means(tmp_path):
    """Models that read three bins."""
    return write_means(tmp_path / "m")


def test_what_cannot_be_had_is_a_dash(means, tmp_path):
    """A port that is constant has no R2, and without a week before there is no MASE; neither is printed as nan."""
    flat = saved(tmp_path / "flat", np.full(20, 7.0))
    done = invoke("evaluate", flat, "--with", means)
    assert 0 == done.exit_code and "nan" not in done.output
    row = next(line for line in done.stdout.splitlines() if "22/tcp" in line)
    # of 20 bins 3 are read before the first forecast
    assert ["22/tcp", "17", "0.00", "-", "-", "-"] == [cell.strip() for cell in row.split("│")[1:7]]
    told = json.loads(invoke("evaluate", flat, "--with", means, "--json").stdout)["ports"]["22/tcp"]
    assert (None, None) == (told["r2"], told["mase"])


def test_bins_without_a_forecast_are_told(means, tmp_path):
    """Of five bins two have three before them; an outage hides all of a port."""
    counts = np.full((5, len(PORTS)), 7.0)
    counts[:, 1] = np.nan
    said = invoke("evaluate", saved(tmp_path / "s", counts), "--with", means).stdout
    assert "; 3 of 5 known bins have no forecast, as the 3 before them are not in the series, or unknown" in said
    assert "23/tcp: mean; W: no warning to judge; nothing is known of it after training" in said


def test_one_bin_before_is_one(tmp_path):
    """A model that reads a single bin has no forecast for the first: said in the singular."""
    last = write_means(tmp_path / "m", length=1)
    said = invoke("evaluate", saved(tmp_path / "s", np.full(5, 7.0)), "--with", last).stdout
    assert "1 of 5 known bins have no forecast, as the one before is not in the series, or unknown" in said


def test_numbers_of_bursts_and_alarms(capsys):
    """One burst and one alarm are in the singular, more are not."""
    worth = Worth(0, 0, 0.0, 0.0, 1.0)
    alarms = Calibrated(2.0, 2.0, 1.0, 0.0, 0.5, 9.0, bins=9, bursts=1, raised=1, stated=0.5, worth=worth)
    scores = ForecastScores(**dict.fromkeys((field.name for field in fields(ForecastScores)), 0.5))
    choice = SimpleNamespace(port="22/tcp", name="EWMA", reported=scores, reported_model="EWMA", reason="least error")
    for given in (alarms, replace(alarms, bursts=2, raised=0)):
        rates_train._tell(choice, given)
    said = capsys.readouterr().out
    assert "from 9 bins, 1 burst left out; the later half raised 1 alarm where 0.5 are stated" in said
    assert "W: no warning to judge, so it raises no alarms" in said
    assert "from 9 bins, 2 bursts left out; the later half raised 0 alarms where 0.5 are stated" in said


def test_silence_of_score_is_not_good_news(means, tmp_path):
    """Two bins, fewer than are read: said on standard error, and nothing on the other."""
    done = invoke("score", means, saved(tmp_path / "s", [7.0, 700.0]))
    assert (0, "") == (done.exit_code, done.stdout)
    assert "none of its 2 bins could be scored: the models read the 4 bins up to each" in done.stderr
    assert "" == invoke("score", means, saved(tmp_path / "long", np.full(9, 7.0))).stderr


def test_with_refuses_what_it_would_ignore(means, tmp_path):
    """Options that say what to fit or what to print of it are refused, by name."""
    flat = saved(tmp_path / "flat", np.full(20, 7.0))
    done = invoke("evaluate", flat, "--with", means, "--port", 22, "--figure", "mae")
    assert 2 == done.exit_code
    assert "leave out --port, --figure" in done.output


def test_columns_of_alarms_are_explained(means, tmp_path):
    """Below the table it says what E, W, stated and ratio are."""
    said = invoke("evaluate", saved(tmp_path / "flat", np.full(20, 7.0)), "--with", means).stdout
    assert "E (observed above forecast)" in said


def test_days_of_another_zone_are_not_scored(tmp_path):
    """Days of Berlin begin at 23:00 or 22:00 of UTC: the models' days are others, and --tz says how to count them. A
    zone with the same midnights will do."""
    days = write_means(tmp_path / "m", width=DAY)
    starts = bin_starts(BEGIN, BEGIN + 9 * DAY, DAY, "Europe/Berlin")
    berlin = saved(tmp_path / "berlin", np.full(len(starts), 7.0), starts, DAY, "Europe/Berlin")
    for args in (("score", days, berlin), ("evaluate", berlin, "--with", days)):
        said = str(invoke(*args).exception)
        assert (
            f"{berlin}: days of Europe/Berlin, but the models of {days} read days of UTC; count with --tz UTC" == said
        )
    greenwich = saved(tmp_path / "gmt", np.full(9, 7.0), bin_starts(BEGIN, BEGIN + 8 * DAY, DAY), DAY, "Etc/UTC")
    assert 0 == invoke("score", days, greenwich).exit_code


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--alarms", "nan"), "--alarms nan: in 30 days of such bins at most 360 alarms can begin"),
        (("--alarms", "361"), "--alarms 361: in 30 days of such bins at most 360"),
        (("--device", "nonsense"), "--device nonsense: torch cannot use it here"),
        (("-o", "s"), "holds a bundle of kind 'portkin-series', so it is not replaced"),
    ],
)
def test_what_would_end_a_run_is_refused_before_anything_is_fitted(tmp_path, monkeypatch, option, words):
    """Fitting may take hours; no work folder is made."""
    monkeypatch.chdir(tmp_path)
    noisy = saved(tmp_path / "s", np.random.default_rng(0).poisson(9, 120))
    done = invoke("train", noisy, "-o", "m", "--work", "w", "--model", "EWMA", "--jobs", 1, *option)
    assert 0 != done.exit_code
    assert words in done.output + str(done.exception)
    assert ["s"] == [path.name for path in tmp_path.iterdir()]


def test_no_column_is_cut_off_where_there_is_no_terminal(tmp_path):
    """Fourteen ports need more than the 80 characters of a pipe."""
    ports = tuple(Port(60_000 + number, "tcp") for number in range(14))
    counts = np.random.default_rng(0).poisson(9, (120, 14)).astype(float)
    series.save(tmp_path / "s", series.Rates(ports, BEGIN + HOUR * np.arange(120), counts, HOUR))
    options = ["--lags", 24, "--most", 14, "--jobs", 1, "--work", tmp_path / "w", "--model", "median"]
    said = invoke("evaluate", tmp_path / "s", *options).stdout
    head = next(line for line in said.splitlines() if "60000" in line)
    assert all(str(port.number) in head for port in ports)
    assert "…" not in said


def test_no_alarms_are_no_infinite_threshold(tmp_path):
    """--alarms 0 is said in words."""
    noisy = saved(tmp_path / "s", np.random.default_rng(0).poisson(9, 120))
    options = ["--lags", 24, "--port", 22, "--jobs", 1, "--work", tmp_path / "w", "--model", "EWMA", "--alarms", 0]
    said = invoke("train", noisy, "-o", tmp_path / "m", *options).stdout
    assert "E: no alarms, as none are asked for" in said and "above" not in said
    assert "" == invoke("score", tmp_path / "m", noisy).stdout
