"""The telescope, the comparison of models, thresholds, and what ships."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from portkin.net.ports import Port
from portkin.timeseries.bins import DAY, HOUR
from portkin_training.commands.rates import rates as command
from portkin_training.rates import calibrate, evaluate, report
from portkin_training.rates.affinity.feature_ports import Affinities
from portkin_training.rates.models import lstm, registry
from portkin_training.rates.models.task import ForecastScores
from portkin_training.rates.results import Result
from portkin_training.rates.series import rate_series as series
from portkin_training.rates.series.simulate import Telescope, simulate
from support.rates_markdown import markdown

SKY = Telescope(hours=800, groups=4, group_size=(3, 4), alone=2, level=(100, 400))
TINY = registry.Profile("tiny", lstm.LstmConfig(6, (6, 4), (4, 4), 0.1, "adam", 1e-2, 32, 3, 2), (), 4, 24, 300)
QUICK = ("last value", "seasonal naive", "EWMA", "ridge Rank. (T&S)", "VAR Clust. (T&S)", "VAR Feature Selection")


@pytest.fixture(scope="module")
def sky():
    return simulate(SKY, 3)


@pytest.fixture(scope="module")
def affinities(sky):
    return Affinities.of(sky.rates, 48, (sky.sequential, sky.days), 0)


def run(sky, affinities, folder, names=QUICK, targets=1, seed=0):
    return list(
        evaluate.evaluate(
            sky.rates,
            affinities,
            TINY,
            folder=folder,
            seed=seed,
            targets=sky.rates.ports[:targets],
            models=names,
            jobs=1,
        )
    )


def test_killed_run_goes_on_where_it_was(sky, affinities, tmp_path, monkeypatch):
    """Results on disk are not computed again; another seed computes its own."""
    first = run(sky, affinities, tmp_path, QUICK[:2])
    asked = []
    real = evaluate.run_job
    monkeypatch.setattr(evaluate, "run_job", lambda *args: asked.extend(args[1].models) or real(*args))
    again = run(sky, affinities, tmp_path, QUICK[:3])
    assert ["EWMA"] == asked
    assert {result.model: result.reported for result in first}.items() <= {
        result.model: result.reported for result in again
    }.items()
    run(sky, affinities, tmp_path, QUICK[:1], seed=1)
    assert ["EWMA", "last value"] == asked


def test_models_that_are_the_same_are_fitted_once(sky, affinities, tmp_path):
    """Where no affinities helps, rankings by T and by T&S read the target alone: one fit, two results."""
    alone = replace(affinities, temporal=np.eye(len(affinities.temporal)), both=np.eye(len(affinities.temporal)))
    names = ["VAR Rank. (T&S)", "VAR Clust. (T&S)", "LSTM Rank. (T&S)", "LSTM Rank. (T)", "LSTM Rank. (T&S) log"]
    jobs = evaluate.plan(sky.rates, alone, TINY, [(0, name) for name in names], 1)
    assert [["LSTM Rank. (T&S)", "LSTM Rank. (T)"], ["LSTM Rank. (T&S) log"]] == [
        sorted(job.models, key=names.index) for job in jobs if job.kind.cost == 5
    ]
    found = run(sky, alone, tmp_path, names[2:4])
    assert names[2:4] == sorted((result.model for result in found), key=names.index)
    assert found[0].forecast.tobytes() == found[1].forecast.tobytes()


@pytest.mark.timeout(300)
def test_grid_is_searched_point_by_point_and_goes_on_where_it_was(sky, affinities, tmp_path, monkeypatch):
    """The network with the best folds is fitted; points that were tried are not tried again, unless their file is
    damaged. A point without an R2 is not the best, though it comes first."""
    stuck = replace(TINY.lstm, learning_rate=1e-9, epochs=1)
    grid = replace(TINY, grid=(stuck, TINY.lstm))
    name = "LSTM Rank. (T&S) log"

    def run(folder):
        targets = sky.rates.ports[:1]
        (found,) = evaluate.evaluate(
            sky.rates, affinities, grid, folder=folder, seed=0, targets=targets, models=[name], jobs=1,
            searched=lambda points, of: told.append((points, of)),
        )  # fmt: skip
        return found

    told = []
    scores = {stuck: 0.2, TINY.lstm: 0.7}
    tried = []
    monkeypatch.setattr(evaluate, "try_config", lambda *args: tried.append(args[3]) or scores[args[3]])
    assert TINY.lstm.learning_rate == run(tmp_path).about["config"]["learning_rate"]
    assert [stuck, TINY.lstm] == tried
    assert [(1, 2), (2, 2)] == told
    next(tmp_path.glob("*.npz")).unlink()
    run(tmp_path)
    assert 2 == len(tried)
    next(tmp_path.glob("*.npz")).unlink()
    for file, damaged in zip(sorted(tmp_path.glob("*.json")), (b"{", b"[1]"), strict=True):
        file.write_bytes(damaged)
    scores[stuck] = float("nan")
    assert TINY.lstm.learning_rate == run(tmp_path).about["config"]["learning_rate"]
    assert 4 == len(tried)


def test_point_of_the_grid_is_judged_by_its_folds(sky, affinities):
    """A network that may not learn scores worse than one that may; one that finds nothing to learn has no score."""
    stuck = replace(TINY.lstm, learning_rate=1e-9, epochs=1)
    longer = replace(TINY.lstm, epochs=10, patience=10)
    (job,) = evaluate.plan(sky.rates, affinities, TINY, [(0, "LSTM Rank. (T)")], 1)
    scores = [evaluate.try_config(sky.rates, job, 0, config) for config in (stuck, longer)]
    assert scores[0] < scores[1]
    nothing = replace(sky.rates, counts=np.full_like(sky.rates.counts, np.nan))
    assert np.isnan(evaluate.try_config(nothing, job, 0, stuck))


@pytest.mark.timeout(600)  # five networks are fitted and exported: seconds alone, minutes on busy cores
def test_every_model_runs_and_is_judged_on_the_same_bins(sky, affinities, tmp_path):
    """All models of the tables, on one port: same bins, finite figures."""
    found = run(sky, affinities, tmp_path, registry.MODELS)
    assert set(registry.MODELS) == {result.model for result in found}
    assert 1 == len({result.reported.bins for result in found})
    assert all(np.isfinite(result.reported.r2) for result in found)
    ranked = next(result for result in found if result.model == "LSTM Rank. (T&S)")
    assert ranked.features[0] == sky.rates.ports[0] and len(ranked.features) <= 4


def test_model_with_too_few_known_bins_passes_and_says_why(sky, affinities, tmp_path):
    """Of 800 hours every fortieth was watched: no window is known well enough for a ridge."""
    counts = np.where((np.arange(800) % 40 == 0)[:, None], sky.rates.counts, np.nan)
    dark = replace(sky, rates=replace(sky.rates, counts=counts))
    found = {one.model: one for one in run(dark, affinities, tmp_path, ("last value", "ridge Rank. (T&S)", "LightGBM"))}
    ridge = found["ridge Rank. (T&S)"]
    assert "0 known bins come after 24 bins" in ridge.about["unfit"]
    assert ridge.reported.passed == ridge.reported.bins > 0


def test_detection_counts_anomalies_not_bins():
    """A burst of two hours is one anomaly, found by one alarm; the hour after it counts neither way."""
    planted, alarms = np.zeros((720, 1), dtype=bool), np.zeros((720, 1), dtype=bool)
    planted[[10, 11, 50], 0] = True
    alarms[[11, 12, 100], 0] = True
    found = calibrate.detection(alarms, planted, np.ones((720, 1), dtype=bool), HOUR)
    assert (2, 1, 1) == (found.planted, found.found, found.false_alarms)
    assert 0.5 == found.recall
    # 720 hours less three planted and two after them
    assert 1 / (715 / 720) == pytest.approx(found.false_per_port_month)


def test_table_and_json_say_who_won(sky, affinities, tmp_path):
    """The best R2 of a port is the winner, and means are over ports."""
    found = run(sky, affinities, tmp_path, QUICK, 2)
    told = report.as_json(found)
    port = str(found[0].port)
    best = max(told["ports"][port]["models"].items(), key=lambda item: item[1]["reported"]["r2"])[0]
    assert best == told["ports"][port]["winner"]
    assert len(QUICK) == len(told["means"]["r2"])
    assert "| EWMA |" in markdown(found)
    assert len(QUICK) == report.table(found).row_count


def test_paper_table_is_as_the_paper_prints_it():
    """A port a row, a model a column, the best mean first, the best of a row in bold; the means last. Where nothing
    varied there is no R2, and it enters no mean."""

    def result(port: int, model: str, score: float) -> Result:
        scores = ForecastScores(score, 1.0, 1.0, 0.0, 10, 0)
        return Result(Port(port, "tcp"), model, np.zeros(3), scores, scores, 0.0, (Port(port, "tcp"),))

    found = [
        result(port, model, score)
        for port, model, score in [
            (22, "VAR Rank. (T&S)", 0.25),
            (22, "LSTM Rank. (T&S)", 0.5),
            (9, "VAR Rank. (T&S)", 0.75),
            (9, "LSTM Rank. (T&S)", 0.6),
            (1, "VAR Rank. (T&S)", np.nan),
            (1, "LSTM Rank. (T&S)", np.nan),
        ]
    ]
    console = Console(width=120)
    with console.capture() as printed:
        console.print(report.paper_table(found, "1 hour", synthetic=True))
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.get().splitlines() if "│" in line]
    assert [
        ["22/tcp (ssh)", "0.50", "0.25"],
        ["9/tcp (discard)", "0.60", "0.75"],
        ["1/tcp (tcpmux)", "-", "-"],
        ["Mean R2", "0.55", "0.50"],
    ] == cells
    made = report.paper_table(found, "1 hour")
    assert ["", "LSTM Rank. (T&S)", "VAR Rank. (T&S)"] == [column.header for column in made.columns]
    assert ["[bold]0.50[/bold]", "0.60", "-", "0.55"] == list(made.columns[1].cells)
    assert "R2 scores of the probing rates prediction models (1 hour ahead-of-time forecasting)" == made.title
    assert "SYNTHETIC" in printed.get()
    silent = [one for one in found if one.port.number == 1]
    for made in (report.paper_table(silent, "1 hour"), report.table(silent), report.table(found)):
        assert not any("nan" in cell for column in made.columns for cell in column.cells)
    assert ["0.55", "0.50"] == list(made.columns[1].cells)
    assert ["[bold]0.50[/bold]", "0.25"] == list(made.columns[2].cells)


def test_failing_fit_does_not_end_a_run(sky, affinities, tmp_path, monkeypatch):
    """A fault of a library in one model: its result says which, the others are there."""

    def broken(kind, *args):
        if kind.fit == "EWMA":
            raise FloatingPointError("underflow in a library")
        return registry.fit(kind, *args)

    monkeypatch.setattr(evaluate, "fit", broken)
    found = {one.model: one for one in run(sky, affinities, tmp_path, ("last value", "EWMA"))}
    assert "FloatingPointError: underflow in a library" == found["EWMA"].about["unfit"]
    assert found["EWMA"].reported.passed == found["EWMA"].reported.bins
    assert 0 == found["last value"].reported.passed


def test_constant_columns_and_a_single_port_are_evaluated(tmp_path):
    """Ports that are silent for a long time make columns constant; a series may have one port alone."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(5, (300, 4)).astype(float)
    counts[:240, 1], counts[:, 2], counts[100:, 3] = 0, 7, 0
    ports = tuple(Port(number, "tcp") for number in (1, 2, 3, 4))
    starts = np.arange(300) * HOUR
    names = ("VAR Feature Selection", "VAR Rank. (T&S)", "ridge Rank. (T&S)", "HAR Rank. (T&S) log")
    for rates in (series.Rates(ports, starts, counts, HOUR), series.Rates(ports[:1], starts, counts[:, :1], HOUR)):
        kin = Affinities.of(rates, 24, None, 0)
        found = list(
            evaluate.evaluate(rates, kin, TINY, folder=tmp_path, seed=0, targets=rates.ports[:2], models=names, jobs=1)
        )
        assert len(names) * min(2, len(rates.ports)) == len(found)
        assert [] == [one.about["unfit"] for one in found if "unfit" in one.about]


def test_command_line_goes_from_telescope_to_scores_and_plot(tmp_path):
    """simulate, affinity, evaluate, train, score, plot: the whole way, small."""

    def portkin(*args: object, status: int = 0) -> str:
        done = CliRunner().invoke(command, list(map(str, args)))
        assert status == done.exit_code, (done.output, done.exception)
        return done.stdout if status == 0 else str(done.exception)

    sky = tmp_path / "sky"
    assert "SYNTHETIC" in portkin("simulate", "-o", sky, "--hours", 700, "--groups", 2, "--alone", 1)
    pair = ("--sequential", sky / "sequential")
    days = portkin("simulate", "-o", tmp_path / "days", "--hours", 700, "--groups", 2, "--alone", 1, "--bin", "1d")
    assert "29 bins" in days and "SYNTHETIC" in days  # 700 hours from a midnight on: 29 whole days
    truth = json.loads((tmp_path / "days" / "truth.json").read_text())
    assert all(start % DAY == 0 for _, start in truth["bursts"])
    assert "clusters" in portkin("affinity", sky / "series", *pair, "--lags", 24)
    options = ["--lags", 24, "--most", 1, "--jobs", 1, "--work", tmp_path / "work"]
    options += ["--model", "EWMA", "--model", "seasonal naive"]
    told = json.loads(portkin("evaluate", sky / "series", *pair, *options, "--json"))
    assert {"EWMA", "seasonal naive"} == set(told["means"]["r2"])
    assert 0 <= told["warnings"]["pooled"]["chance"] <= 1
    said = portkin("evaluate", sky / "series", *pair, *options[:6], "--work", tmp_path / "work", "--paper",
                   "--model", "VAR Rank. (T&S)")  # fmt: skip
    assert "Mean R2" in said and "VAR Rank." in said
    assert ": 1 model\n" in portkin("train", sky / "series", *pair, *options, "-o", tmp_path / "m", "--alarms", 5)
    assert "no bin after" in portkin("evaluate", "--with", tmp_path / "m", sky / "series", status=1)
    lines = portkin("score", tmp_path / "m", sky / "series", "--json").splitlines()
    assert all(json.loads(line)["anomaly"] or json.loads(line)["warning"] for line in lines)
    portkin("plot", tmp_path / "m", sky / "series", "-o", tmp_path / "p.svg", "--last", 200)
    portkin("plot", tmp_path / "m", sky / "series", "-o", tmp_path / "p.html")
    assert "<svg" in (tmp_path / "p.svg").read_text()
    assert "SYNTHETIC" in (tmp_path / "p.html").read_text()


def test_command_line_counts_a_csv_and_says_what_is_wrong(tmp_path):
    """series reads a CSV; an unknown model, port or width is refused with the remedy."""
    file = tmp_path / "hours.csv"
    rows = "".join(f"2021-01-{1 + h // 24:02}T{h % 24:02},22,{h % 24}\n" for h in range(200))
    file.write_text("hour,port,count\n" + rows)
    runner = CliRunner()
    done = runner.invoke(command, ["series", str(file), "-o", str(tmp_path / "s"), "--absent", "zero"])
    assert "1 port, 200 bins" in done.output
    assert 200 == len(series.load(tmp_path / "s").starts)
    work = ["--work", str(tmp_path / "w")]
    done = runner.invoke(command, ["evaluate", str(tmp_path / "s"), *work, "--model", "oracle"])
    assert "'oracle': choose of median, last value" in done.output
    done = runner.invoke(command, ["evaluate", str(tmp_path / "s"), *work, "--port", "99999"])
    assert "is not a port" in done.output


def test_best_model_is_that_of_least_error_where_there_is_no_r2(tmp_path):
    """A port that varies, one that does not, and one of which nothing is known in the reported part."""
    counts = np.column_stack([np.arange(200.0) % 24, np.full(200, 7.0), np.arange(200.0) % 5])
    counts[140:, 2] = np.nan
    ports = (Port(22, "tcp"), Port(23, "tcp"), Port(80, "tcp"))
    series.save(tmp_path / "s", series.Rates(ports, np.arange(200) * HOUR, counts, HOUR))
    options = ["--work", str(tmp_path / "w"), "--jobs", "1", "--model", "seasonal naive", "--model", "EWMA"]
    done = CliRunner().invoke(command, ["evaluate", str(tmp_path / "s"), *options], catch_exceptions=False)
    assert "22/tcp: best R2 seasonal naive; W" in done.output
    assert "23/tcp: least error seasonal naive; W" in done.output
    assert "80/tcp: nothing is known of it in the last 25 %" in done.output
