"""``portkin rates`` on a probes dataset and against an NVD file."""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from portkin.bundles.forecast import Forecaster
from portkin.net.ports import Port
from portkin_training.commands import rates_run
from portkin_training.commands.rates import rates as command
from portkin_training.commands.rates_run import progress
from portkin_training.core import dataset as dataset_module
from portkin_training.core.dataset_writer import ProbesWriter
from portkin_training.core.probes import Probes
from portkin_training.rates import page, plots
from portkin_training.rates.alarms import Alarm, scores_of
from portkin_training.rates.series import rate_series as series
from support.telescope import PORTS, write_means

BEGIN = int(datetime(2023, 1, 1, tzinfo=UTC).timestamp())
HOURS = 24 * 16
NOTHING = {
    "CVE_data_meta": {"ID": "CVE-2023-2"},
    "description": {"description_data": [{"lang": "en", "value": "a toaster"}]},
}


def portkin(*args: object, status: int = 0) -> str:
    """Run the command; its standard output, or all of it where it fails."""
    done = CliRunner().invoke(command, list(map(str, args)))
    assert status == done.exit_code, (done.output, done.exception)
    return done.stdout if status == 0 else done.output + str(done.exception)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Sixteen days of sources that probe 22 and then 2222, or 80 and then 8080, more of them by day than by night."""
    rng = np.random.default_rng(0)
    rows = []
    for hour in range(HOURS):
        for first, second in ((22, 2222), (80, 8080)):
            for _ in range(rng.poisson(6 + 4 * np.sin(hour * np.pi / 12))):
                source, second_of_hour = rng.integers(0, 2**31), rng.uniform(0, 3_000)
                rows += [(hour * 3_600 + second_of_hour + k, source, port) for k, port in enumerate((first, second))]
    rows.sort()
    n = len(rows)
    when, sources, ports = (np.array(column) for column in zip(*rows, strict=True))
    zeros = np.zeros(n, dtype=np.int64)
    probes = Probes(
        ((BEGIN + when) * 1e6).astype(np.int64),
        np.arange(n),
        np.column_stack((zeros, sources.astype(np.int64))),
        np.column_stack((zeros, zeros)),
        zeros.astype(np.uint16),
        ports.astype(np.uint16),
        np.full(n, 6, dtype=np.uint8),
        zeros.astype(np.uint8),
    )
    folder = tmp_path_factory.mktemp("rates")
    with ProbesWriter(folder / "probes") as writer:
        writer.write(probes)
    portkin("series", folder / "probes", "-o", folder / "series", "--share", 1, "--absent", "zero")
    return folder


def test_probes_are_counted_per_port_and_hour(dataset):
    """All but the recording's first and last hour, all four ports."""
    counted = series.load(dataset / "series")
    assert {Port(22, "tcp"), Port(2222, "tcp"), Port(80, "tcp"), Port(8080, "tcp")} == set(counted.ports)
    assert HOURS - 2 == len(counted.starts)
    assert BEGIN + 3_600 == counted.starts[0]


def test_a_port_that_nobody_probed_is_told(dataset, tmp_path):
    """A port that is asked for by a wrong number is a row of zeros, and that is said."""
    asked = ["-o", str(tmp_path / "s"), "--absent", "zero", "--port", "22", "--port", "222"]
    done = CliRunner().invoke(command, ["series", str(dataset / "probes"), *asked])
    assert 0 == done.exit_code
    assert f"{dataset / 'probes'}: 222/tcp: not probed in any bin of it" in done.stderr


def test_ports_probed_in_sequence_are_akin(dataset):
    """22 goes with 2222 and 80 with 8080: by their sources, and in the clusters."""
    told = json.loads(portkin("affinity", dataset / "series", "--probes", dataset / "probes", "--lags", 24, "--json"))
    at = {port: place for place, port in enumerate(told["ports"])}
    semantic = np.array(told["semantic"])
    assert semantic[at["22/tcp"], at["2222/tcp"]] > 0.9
    assert 0 == semantic[at["22/tcp"], at["80/tcp"]]
    assert told["clusters"][at["22/tcp"]] == told["clusters"][at["2222/tcp"]]
    assert told["clusters"][at["22/tcp"]] != told["clusters"][at["80/tcp"]]


@pytest.fixture(scope="module")
def bundle(dataset):
    options = ["--probes", dataset / "probes", "--lags", 24, "--port", 22, "--jobs", 1, "--work", dataset / "work"]
    portkin("train", dataset / "series", *options, "--model", "ridge", "--alarms", 2, "-o", dataset / "bundle")
    return dataset / "bundle"


def test_hours_known_not_to_be_normal_do_not_raise_the_threshold(dataset, bundle):
    """With the hour of the largest E declared abnormal the threshold is lower; a time within a bin is refused."""
    from portkin.bundles.forecast import Forecaster

    rates = series.load(dataset / "series")
    models = Forecaster.load(bundle)
    e = models.score_all(rates.ports, rates.counts)[1][:, models.targets.index(Port(22, "tcp"))]
    held_out = len(e) * 3 // 4
    # an alarm that goes on from the hour before would count for nothing
    calm = np.append(False, e[:-1] == 0)[held_out:]
    worst = held_out + int(np.nanargmax(np.where(calm, e[held_out:], np.nan)))
    spike = series.Rates(rates.ports, rates.starts, rates.counts.copy(), rates.width)
    spike.counts[worst, rates.column(Port(22, "tcp"))] = 90
    series.save(dataset / "spike", spike)
    abnormal = dataset / "abnormal.csv"
    options = ["--lags", 24, "--port", 22, "--jobs", 1, "--work", dataset / "work"]
    options += ["--model", "ridge", "--alarms", 20, "-o", dataset / "other"]
    portkin("train", dataset / "spike", *options)
    before = Forecaster.load(dataset / "other").models[0].threshold_e
    abnormal.write_text(f"port,start\n22/tcp,{rates.starts[worst]}\n")
    portkin("train", dataset / "spike", *options, "--abnormal", abnormal)
    assert Forecaster.load(dataset / "other").models[0].threshold_e < before
    abnormal.write_text(f"port,start\n22/tcp,{rates.starts[worst] + 60}\n")
    said = portkin("train", dataset / "spike", *options, "--abnormal", abnormal, status=1)
    assert "abnormal.csv, line 2" in said and f"starts at {rates.starts[worst]}" in said
    for text, words in (
        (f"port,start\n9/tcp,{rates.starts[worst]}\n", ", line 2: 9/tcp: these series have no such port"),
        ("port,start\n22/tcp,soon\n", ", line 2: not port,start with whole seconds"),
        ("22/tcp,0\n", ", line 1: not the header port,start"),
        ("", ", line 1: not the header port,start"),
        ("\ufeffport,start\n22/tcp,soon\n", ", line 2: not port,start with whole seconds"),
        (b"\x1f\x8b\xff", ": not a CSV file in UTF-8"),
    ):
        abnormal.write_bytes(text if isinstance(text, bytes) else text.encode())
        said = portkin("train", dataset / "spike", *options, "--abnormal", abnormal, status=1)
        assert f"abnormal.csv{words}" in said


def test_models_that_cannot_ship_are_refused_with_the_remedy(dataset):
    """AutoETS keeps a state that no window holds: alone it is evaluated, and not trained."""
    options = ["--lags", 24, "--port", 22, "--jobs", 1, "--work", dataset / "work", "--model", "AutoETS"]
    said = portkin("train", dataset / "series", *options, "-o", dataset / "none", status=1)
    assert "--model AutoETS: evaluated, but cannot ship" in said and "add one of median" in said
    assert "AutoETS" in portkin("evaluate", dataset / "series", *options)


def test_progress_is_printed_off_a_terminal(dataset, bundle):
    """How many models there are, and when they are done, on standard error."""
    options = ["--lags", 24, "--port", 22, "--jobs", 1, "--work", dataset / "fresh", "--model", "median"]
    done = CliRunner().invoke(command, ["train", *map(str, [dataset / "series", *options, "-o", dataset / "told"])])
    assert "fitting 1 model\n" in done.stderr and "1 of 1 models" in done.stderr


def test_an_interrupted_fit_says_what_stands(tmp_path, capsys):
    """How many models the work folder has, and that the same command goes on from them."""
    with pytest.raises(KeyboardInterrupt), progress(3, tmp_path / "work") as shown:
        shown.fitted(SimpleNamespace(port=Port.parse("22"), model="median"))
        raise KeyboardInterrupt
    said = f"{tmp_path / 'work'}: 1 of 3 models are kept; the same command goes on from there\n"
    assert capsys.readouterr().err.endswith(said)


def test_a_search_of_the_grid_says_how_far_it_is(tmp_path, capsys, monkeypatch):
    """The search is most of the work, and before it has ended there is no model: its points are counted, and kept."""
    monkeypatch.setattr(rates_run, "EVERY", 0.0)
    with pytest.raises(KeyboardInterrupt), progress(3, tmp_path / "work") as shown:
        shown.searched(1, 1_344)
        raise KeyboardInterrupt
    lines = capsys.readouterr().err.splitlines()
    assert ["fitting 3 models", "1 of 1,344 points of the grid, 0 s"] == lines[:2]
    assert f"{tmp_path / 'work'}: 1 of 1,344 points of the grid are kept; the same command goes on" in lines[2]


def test_bundle_is_scored_on_what_came_after_its_training(dataset, bundle):
    """Five days more: figures of these bins alone, and alarms against the stated rate with their counting noise."""
    rates = series.load(dataset / "series")
    more = np.random.default_rng(1).poisson(6, (120, len(rates.ports))).astype(float)
    later = rates.starts[-1] + 3_600 * np.arange(1, 121)
    whole = series.Rates(
        rates.ports, np.concatenate([rates.starts, later]), np.concatenate([rates.counts, more]), rates.width
    )
    series.save(dataset / "later", whole)
    told = json.loads(portkin("evaluate", "--with", bundle, dataset / "later", "--json"))
    port = told["ports"]["22/tcp"]
    assert (120, 0) == (port["bins"], port["passed"])
    assert 2 * 120 / 720 == pytest.approx(port["alarms"]["stated"])  # two alarms per 720 hours
    assert port["alarms"]["interval"][0] <= port["alarms"]["ratio"] <= port["alarms"]["interval"][1]
    column = rates.column(Port(22, "tcp"))
    # the last value's errors: each new bin against the one before it
    errors = np.abs(np.diff(np.append(rates.counts[-1, column], more[:, column])))
    assert errors.mean() == pytest.approx(port["mae_last_value"])
    text = portkin("evaluate", "--with", bundle, dataset / "later")
    assert ("bins after its training" in text and "by chance" in text) or "no warning to judge" in text


def test_port_that_nobody_probed_states_no_alarm(dataset, bundle):
    """Without a probe E is never above zero: its days are not among those for which alarms are stated."""
    rates = series.load(dataset / "series")
    later = rates.starts[-1] + 3_600 * np.arange(1, 121)
    more = np.random.default_rng(1).poisson(6, (120, len(rates.ports))).astype(float)
    more[:, rates.column(Port(22, "tcp"))] = 0
    starts, counts = np.concatenate([rates.starts, later]), np.concatenate([rates.counts, more])
    series.save(dataset / "silent", series.Rates(rates.ports, starts, counts, rates.width))
    told = json.loads(portkin("evaluate", "--with", bundle, dataset / "silent", "--json"))
    port, others = told["ports"]["22/tcp"], [one for name, one in told["ports"].items() if name != "22/tcp"]
    assert port["silent"] and not any(one["silent"] for one in others)
    assert (0, 0, None) == (port["anomalies"]["raised"], port["anomalies"]["stated"], port["anomalies"]["ratio"])
    stated = sum(one["alarms"]["stated"] for one in others) + port["warnings"]["stated"]
    assert stated == pytest.approx(told["pooled"]["alarms"]["stated"])
    assert "nobody probed it, so no E" in portkin("evaluate", "--with", bundle, dataset / "silent")


def test_series_of_other_bins_are_not_scored(dataset, bundle):
    """Models of hours refuse days, and say which option counts them."""
    days = series.coarser(series.load(dataset / "series"), 86_400)
    series.save(dataset / "days", days)
    assert "--bin" in portkin("score", bundle, dataset / "days", status=1)


def test_indicators_are_compared_with_vulnerabilities(dataset, bundle):
    """cve prints the matrix and the scores with their nulls, and says which services had no vulnerability."""
    item = {
        "cve": {
            "CVE_data_meta": {"ID": "CVE-2023-1"},
            "description": {"description_data": [{"lang": "en", "value": "OpenSSH is broken"}]},
        },
        "impact": {"baseMetricV3": {"cvssV3": {"attackVector": "NETWORK", "baseScore": 9.8}}},
        "publishedDate": "2023-01-15T00:00Z",
    }
    feed = dataset / "nvd.json"
    entries = [item | {"publishedDate": f"2023-01-{day:02}T00:00Z"} for day in (1, 17)]
    feed.write_text(json.dumps({"CVE_Items": [item, *(other | {"cve": NOTHING} for other in entries)]}))
    told = json.loads(portkin("cve", bundle, dataset / "series", feed, "--all-bins", "--draws", 9, "--json"))
    assert 1 == told["ports"]["22/tcp"]["cve_days"]
    assert 0 < told["ports"]["22/tcp"]["E"]["permuted"] <= 1
    text = portkin("cve", bundle, dataset / "series", feed, "--all-bins", "--draws", 9)
    assert "Fig. 12" in text and "perm." in text
    feed.write_text(json.dumps({"CVE_Items": [other | {"cve": NOTHING} for other in entries]}))
    assert "no vulnerability" in portkin("cve", bundle, dataset / "series", feed, "--all-bins", status=1)
    feed.write_text(json.dumps({"CVE_Items": []}))
    assert "only 0 whole days" in portkin("cve", bundle, dataset / "series", feed, "--all-bins", status=1)


def test_scores_are_json_even_where_one_is_unknown(dataset, bundle):
    """The bin after an outage has a forecast to warn of but no observation: null, not NaN."""

    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is not JSON")

    rates = series.load(dataset / "series")
    counts = rates.counts.copy()
    counts[200, :] = np.nan
    counts[201, :] = 500
    series.save(dataset / "gap", series.Rates(rates.ports, rates.starts, counts, rates.width))
    lines = portkin("score", bundle, dataset / "gap", "--json").splitlines()
    told = [json.loads(line, parse_constant=refuse) for line in lines]
    assert any(row["anomaly"] and row["observed"] == 500 for row in told)
    starts = [row["bin"] for row in told]
    assert all(row["next_bin"] > start for row, start in zip(told, starts, strict=True))


def test_warning_is_shown_with_the_bin_it_is_about(tmp_path):
    """80 -> 20 -> 20 by a mean of three bins: the forecast of hour 6 is above the line through the hours before it."""
    from support.telescope import BEGIN, PORTS, SSH

    counts = np.tile(np.array([30.0, 20, 60, 10]), (8, 1))
    counts[:, PORTS.index(SSH)] = [30, 30, 80, 20, 20, 20, 20, 20]
    series.save(tmp_path / "s", series.Rates(PORTS, BEGIN + 3_600 * np.arange(8), counts, 3_600))
    bundle = write_means(tmp_path / "m")
    # at the close of hour 3: forecast (30 + 80 + 20) / 3 = 43.3; the line through 30, 80, 20 ends at 33.3 for hour 4;
    # at that of hour 4: (80 + 20 + 20) / 3 = 40, the line through them is at -20, taken as 0: W = 40
    rows = [json.loads(line) for line in portkin("score", bundle, tmp_path / "s", "--json").splitlines()]
    (row,) = [row for row in rows if row["warning"] and row["next_forecast"] == pytest.approx(40)]
    assert (row["next_trend"], row["w"]) == (pytest.approx(-20), pytest.approx(40))
    text = portkin("score", bundle, tmp_path / "s")
    assert f"{row['bin']} 22/tcp warning of {row['next_bin']}: forecast 40.0, trend 0.0, W 40.00 above 1.00" in text


def test_anomaly_is_shown_with_the_bin_after_it(tmp_path):
    """80 after three times 30: E = 50 / 30; of the next bin (30 + 30 + 80) / 3 = 46.7 are forecast, where the line
    through these ends at 96.7."""
    from support.telescope import BEGIN, PORTS, SSH

    counts = np.tile(np.array([30.0, 20, 60, 10]), (4, 1))
    counts[3, PORTS.index(SSH)] = 80
    series.save(tmp_path / "s", series.Rates(PORTS, BEGIN + 3_600 * np.arange(4), counts, 3_600))
    text = portkin("score", write_means(tmp_path / "m"), tmp_path / "s")
    after = "2023-11-15T02:00Z: forecast 46.7, trend 96.7, W 0.00"
    assert f"2023-11-15T01:00Z 22/tcp anomaly: observed 80, forecast 30.0, E 1.67 above 1.00; {after}" in text


def test_port_without_model_is_not_drawn(dataset, bundle):
    """The message names the port and those there are."""
    said = portkin("plot", bundle, dataset / "series", "-o", dataset / "x.svg", "--port", 80, status=1)
    assert "80/tcp" in said and "22/tcp" in said


def test_a_recording_that_ended_long_ago_does_not_warm(dataset, bundle, tmp_path):
    """What the models would not read is refused, and no database is made; --ended insists."""
    window = ["--model", bundle, "--database", tmp_path / "rates.sqlite", "--absent", "zero"]
    said = portkin("warm", dataset / "probes", *window, status=1)
    assert "nothing of it would be read" in said and "--ended" in said
    assert not (tmp_path / "rates.sqlite").exists()
    assert "bins up to" in portkin("warm", dataset / "probes", "--ended", *window)
    again = portkin("warm", dataset / "probes", "--ended", *window, status=1)
    assert "none is taken" in again and "has them already, from Zeek or an earlier run" in again


def held(database: Path) -> dict[int, dict[int, int]]:
    """Of a rates database: known bin -> port -> probes."""
    with closing(sqlite3.connect(database)) as db:
        bins = {start: {} for (start,) in db.execute("SELECT start FROM bins WHERE known")}
        for start, port, count in db.execute("SELECT bin, port, n FROM counts"):
            bins[start][port] = count
    return bins


@pytest.mark.parametrize("later", [[], [30], [*range(1, 40)], [3_000_000]], ids=["none", "one", "many", "far"])
@pytest.mark.parametrize("absent", ["zero", "unknown"])
def test_stamps_of_the_future_fill_no_bin_and_cost_none(tmp_path, later, absent):
    """Bins up to now are those of the recording, whatever of it is dated later; how much is, is said."""
    now = int(time.time()) // 3_600
    recorded = probes_at(tmp_path / "probes", [now + hour for hour in [*range(-10, 1), *later]])
    window = ["--model", write_means(tmp_path / "m"), "--database", tmp_path / "rates.sqlite", "--absent", absent]
    done = CliRunner().invoke(command, ["warm", str(recorded), *map(str, window)])
    assert 0 == done.exit_code
    assert bool(later) == (f"{len(later)} probes of {recorded} are dated in the future and are left out" in done.stderr)
    found = held(tmp_path / "rates.sqlite")
    # An hour may end meanwhile; the first one is not whole.
    assert {(now + hour) * 3_600: {22: 1} for hour in range(-9, 0)}.items() <= found.items()
    assert max(found) <= now * 3_600


def test_a_recording_of_the_future_alone_is_refused(tmp_path):
    """Where every stamp is later than now, no bin is filled, and the clock is asked about; --ended insists."""
    now = int(time.time()) // 3_600
    recorded = probes_at(tmp_path / "probes", range(now + 5, now + 20))
    window = ["--model", write_means(tmp_path / "m"), "--database", tmp_path / "rates.sqlite", "--absent", "zero"]
    said = portkin("warm", recorded, *window, status=1)
    assert f"15 probes of {recorded} are dated in the future, which is all of them" in said
    assert not (tmp_path / "rates.sqlite").exists()
    assert "13 bins up to" in portkin("warm", recorded, "--ended", *window)


def test_what_a_recording_lacks_is_said_by_its_name(tmp_path):
    """One without a port of the models is filled in with a warning; one that is too short is refused by its name."""
    now = int(time.time()) // 3_600
    window = ["--model", write_means(tmp_path / "m"), "--database", tmp_path / "rates.sqlite", "--absent", "zero"]
    other = probes_at(tmp_path / "other", range(now - 10, now + 1), port=4)
    done = CliRunner().invoke(command, ["warm", str(other), *map(str, window)])
    assert 0 == done.exit_code
    assert f"{other} has no probe of the 4 ports that the models forecast, 22/tcp" in done.stderr
    short = probes_at(tmp_path / "short", [now - 1, now])
    assert f"{short} spans 2 bins of 3600 s" in portkin("warm", short, *window, status=1)


def test_bins_of_another_width_are_deleted_and_that_is_said(tmp_path):
    """Models of days cannot read the hours in a database: what they take the place of is named."""
    now = int(time.time()) // 3_600
    recorded = probes_at(tmp_path / "probes", range(now - 120, now + 1))
    database = tmp_path / "rates.sqlite"
    said = []
    for name, width in (("hours", 3_600), ("days", 86_400)):
        models = write_means(tmp_path / name, width=width)
        options = ["--model", models, "--database", database, "--absent", "zero"]
        done = CliRunner().invoke(command, ["warm", str(recorded), *map(str, options)])
        assert 0 == done.exit_code
        said.append(f"{database} held bins of 3,600 s in UTC, which these models do not read" in done.stderr)
    assert [False, True] == said


@pytest.mark.parametrize("name", ["warm", "series"])
def test_a_dataset_that_is_replaced_meanwhile_is_read_again(tmp_path, monkeypatch, name):
    """Where another with other days takes its place between opening and counting, it is said to run again."""
    now = int(time.time()) // 3_600
    recorded = probes_at(tmp_path / "probes", range(now - 10, now + 1))
    opened = dataset_module.open_probes

    def replaced(*paths, **options):
        table = opened(*paths, **options)
        shutil.rmtree(recorded)
        probes_at(recorded, range(now - 2_000, now - 1_990))
        return table

    monkeypatch.setattr(dataset_module, "open_probes", replaced)
    options = {
        "warm": ["--model", write_means(tmp_path / "m"), "--database", tmp_path / "rates.sqlite"],
        "series": ["-o", tmp_path / "series"],
    }[name]
    said = portkin(name, recorded, *options, "--absent", "zero", status=1)
    assert "replaced or removed while it was read" in said and said.endswith("run again")


def probes_at(folder: Path, hours: Iterable[int], port: int = 22) -> Path:
    """A dataset with a probe of a port in each of these hours since 1970, at its beginning."""
    when = np.array([*hours], np.int64) * 3_600
    n = len(when)
    zeros, source = np.zeros(n, np.int64), np.column_stack((np.zeros(n, np.int64), np.arange(n)))
    with ProbesWriter(folder) as writer:
        writer.write(
            Probes(
                ts=when * 1_000_000, seq=np.arange(n), src=source, dst=source * 0, sport=zeros.astype(np.uint16),
                dport=np.full(n, port, np.uint16), proto=np.full(n, 6, np.uint8), flags=zeros.astype(np.uint8),
            )
        )  # fmt: skip
    return folder


def test_the_report_says_what_score_lists(dataset, bundle, tmp_path):
    """The page begins with a verdict, has the alarms of `score` in columns, and names E and W in words."""
    file, seen = tmp_path / "rates.html", series.load(dataset / "series")
    counts = seen.counts.copy()
    counts[-3, seen.column(Port.parse("22"))] *= 20
    series.save(tmp_path / "series", replace(seen, counts=counts))
    portkin("plot", bundle, tmp_path / "series", "-o", file)
    text = file.read_text()
    listed = [json.loads(line) for line in portkin("score", bundle, tmp_path / "series", "--json").splitlines()]
    anomalies, warnings = (sum(row[kind] for row in listed) for kind in ("anomaly", "warning"))
    assert anomalies and anomalies + warnings == text.count("<tr><td>")
    assert f"{anomalies} of rates above their forecast, {warnings} of forecasts above the trend" in text
    burst = max(listed, key=lambda row: row["e"])
    cells = (burst["bin"], "22/tcp", "above forecast", f"{burst['observed']:,.0f}")
    assert "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) in text
    assert f"<td>{burst['e']:+,.0%}</td><td>{burst['threshold_e']:+,.0%}</td></tr>" in text
    drawn = base64.b64decode(text.split("base64,")[1].split('"')[0]).decode()
    assert all(part in drawn for part in ("forecast", "above")) and "eq. 20" not in drawn
    assert f"{datetime.fromtimestamp(int(seen.starts[0]), UTC):%Y-%m-%dT%H:%MZ} to" in text
    assert "prefers-color-scheme:dark" in text and "width=device-width" in text


def test_the_verdict_of_a_report():
    """Without alarms it says so; many are told by kind, with the latest."""
    numbers = dict.fromkeys(("observed", "forecast", "e", "threshold_e", "next_forecast", "next_trend", "w"), 1.0)
    alarm = Alarm(port=Port.parse("22"), bin="2026-01-02", next_bin="2026-01-03", threshold_w=1.0, **numbers,
                  anomaly=True, warning=True)  # fmt: skip
    assert "No alarm on 1 port." == page.verdict([], 1)
    assert (
        "Alarms on 2 ports: 2 of rates above their forecast, 1 of forecasts above the trend. "
        "The latest: 22/tcp, 2026-01-02."
    ) == page.verdict([alarm, replace(alarm, bin="2026-01-01", warning=False)], 2)


def test_a_long_name_is_within_the_page(tmp_path):
    """What is drawn is named in whole, also where the model is the mean of several."""
    name = "mean of ridge Rank. (T&S) log, HAR Rank. (T&S) log, EWMA log and HAR log"
    models = Forecaster.load(write_means(tmp_path / "m", kind=name))
    flat = series.Rates(PORTS, BEGIN + 3600 * np.arange(20), np.full((20, len(PORTS)), 7.0), 3600, "UTC")
    figure = plots.panels(flat, scores_of(models, flat), models, PORTS[0])
    figure.canvas.draw()
    box = figure.legends[0].get_window_extent()
    plots.plt.close(figure)
    assert 0 <= box.x0 < box.x1 <= figure.bbox.x1


def test_what_has_no_measure_does_not_flatten_the_rest():
    """E and W beyond what is drawn lie at the upper end, and so do their dots; the axis ends there."""
    figure, axis = plots.plt.subplots()
    values = np.array([0.5, 2.0, 85_000.0, 1.0])
    plots._indicator(axis, [*range(4)], values, np.full(4, 1.5), 1)
    line, limit, dots = axis.lines
    assert [0.5, 2.0, plots.MOST_TIMES, 1.0] == line.get_ydata().tolist()
    assert [1.5] * 4 == limit.get_ydata().tolist()
    assert [(1, 2.0), (2, plots.MOST_TIMES)] == [*zip(dots.get_xdata(), dots.get_ydata(), strict=True)]
    plots.plt.close(figure)


def test_many_bins_are_drawn_as_means(dataset, bundle):
    """A curve of more bins than can be distinguished has a point for several, at their mean."""
    rng = np.random.default_rng(1)
    values = rng.uniform(0, 10, 2 * plots.MOST_POINTS)
    figure, axis = plots.plt.subplots()
    plots.curve(axis, [*range(len(values))], values, 2, color="k", name="observed")
    drawn = axis.lines[0].get_ydata()
    assert plots.MOST_POINTS == len(drawn)
    np.testing.assert_allclose((values[0::2] + values[1::2]) / 2, drawn)
    plots.plt.close(figure)
