"""Choice by rolling origins, what ships, and its alarms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from portkin.bundles.bundle_reader import read_manifest
from portkin.bundles.forecast import Forecaster
from portkin.bundles.forecast_models import KIND, SCHEMA, Rules
from portkin.errors import InputError
from portkin.net.ports import Port
from portkin.timeseries.bins import DAY, HOUR
from portkin_training.rates import calibrate, held_out, rolling, ship
from portkin_training.rates.affinity.feature_ports import Affinities
from portkin_training.rates.choice import choose
from portkin_training.rates.evaluate import plan
from portkin_training.rates.models import lstm, registry
from portkin_training.rates.series import rate_series as series
from portkin_training.rates.series.simulate import Telescope, simulate

TINY = registry.Profile("tiny", lstm.LstmConfig(6, (6, 4), (4, 4), 0.1, "adam", 1e-2, 32, 3, 2), (), 4, 24, 300)
CHEAP = ("median", "last value", "seasonal naive", "EWMA", "EWMA log", "level and trend log", "HAR log")
PORT = Port(3306, "tcp")


def of(counts, width: int = HOUR) -> series.Rates:
    counts = np.asarray(counts, dtype=float).reshape(len(counts), -1)
    ports = (PORT, *(Port(number, "tcp") for number in range(1, counts.shape[1])))
    return series.Rates(ports, np.arange(len(counts)) * width, counts, width)


def tried(rates: series.Rates, names=CHEAP, targets=1) -> dict[Port, list[rolling.Trial]]:
    kin = Affinities.of(rates, 24, None, 0, rolling.cuts(len(rates.starts))[0])
    found: dict[Port, list[rolling.Trial]] = {}
    keys = [(target, name) for target in range(targets) for name in names]
    for job in plan(rates, kin, TINY, keys, 1):
        for trial in rolling.run_trial(rates, job, TINY, 0):
            found.setdefault(trial.port, []).append(trial)
    return found


@pytest.fixture(scope="module")
def wave():
    """A day's wave with noise, and a port an hour ahead of it."""
    rng = np.random.default_rng(0)
    level = np.exp(3 + 0.5 * np.sin(np.arange(601) * 2 * np.pi / 24) + np.cumsum(rng.normal(0, 0.05, 601)))
    return of(np.stack([rng.poisson(level[:-1]), rng.poisson(level[1:])], axis=1))


def test_every_block_is_forecast_by_what_was_fitted_before_it(wave):
    """Bins after an origin change no forecast of the block that ends there; there is none before the first."""
    (trial,) = tried(wave, ["HAR log"])[PORT]
    edges = rolling.cuts(600)
    assert (300, 375, 450, 525, 600) == edges
    assert np.isnan(trial.forecast[:300]).all() and not np.isnan(trial.forecast[300:]).any()
    changed = wave.counts.copy()
    changed[450:] *= 9
    (other,) = tried(replace(wave, counts=changed), ["HAR log"])[PORT]
    np.testing.assert_array_equal(trial.forecast[300:450], other.forecast[300:450])
    assert abs(trial.forecast[460:] - other.forecast[460:]).max() > 1


def test_expensive_model_is_fitted_once(wave):
    """Trees are judged on the reported part alone."""
    (trial,) = tried(wave, ["LightGBM"])[PORT]
    assert np.isnan(trial.forecast[:450]).all() and not np.isnan(trial.forecast[450:]).any()


def trial_of(rates: series.Rates, model: str, forecast) -> rolling.Trial:
    forecast = np.where(np.arange(len(rates.starts)) >= rolling.cuts(len(rates.starts))[0], forecast, np.nan)
    return rolling.Trial(PORT, model, forecast, np.full(len(forecast), np.nan), 0.0, (PORT,))


def test_latest_blocks_weigh_most():
    """One model is right in the first half of the judged time, the other in the second: the second ships."""
    rates = of(np.full(800, 100.0))
    late = np.arange(800) >= 600
    early = trial_of(rates, "median", np.where(late, 150.0, 101))
    right = trial_of(rates, "last value", np.where(late, 101.0, 150))
    chosen = choose(rates, [early, right])
    assert "last value" == chosen.name
    # What would have been chosen before the reported part is what its figures are of: off by 50.
    assert ("median", 50.0) == (chosen.reported_model, chosen.reported.mae)
    assert [1, 1, 50, 50] == [round(error) for error in chosen.tried["median"]]


def test_mean_of_models_ships_where_it_is_better():
    """Two are off to either side: their mean, in logarithms, is right."""
    rates = of(np.full(800, 99.0))
    low, high = (trial_of(rates, name, np.full(800, value)) for name, value in (("EWMA log", 49.0), ("HAR log", 199.0)))
    chosen = choose(rates, [low, high])
    assert "mean of EWMA log and HAR log" == chosen.name
    np.testing.assert_allclose(chosen.forecast[400:], 99.0)  # sqrt(50 * 200) - 1


def test_baseline_ships_where_nothing_beats_the_seasonal_naive_forecast():
    """A model that was good for long and is worse than the naive forecast now does not ship."""
    rates = of(np.tile([10.0, 90.0], 400))
    late = np.arange(800) >= 600
    model = trial_of(rates, "HAR log", np.where(late, 200.0, rates.counts[:, 0]))
    naive = trial_of(rates, "seasonal naive", rates.counts[:, 0] + 5)
    chosen = choose(rates, [model, naive, trial_of(rates, "median", np.full(800, 50.0))])
    assert "seasonal naive" == chosen.name


def test_only_models_that_ship_are_chosen(wave):
    """AutoETS alone, or a model without a forecast: refused, with the reason or the remedy."""
    with pytest.raises(InputError, match=r"3306/tcp: none .*\(AutoETS\); add one of median"):
        choose(wave, [trial_of(wave, "AutoETS", wave.counts[:, 0])])
    empty = replace(trial_of(wave, "HAR log", np.full(600, np.nan)), about={"unfit": "3 known bins"})
    with pytest.raises(InputError, match="3 known bins"):
        choose(wave, [empty])


def bundle(path, rates: series.Rates, names=CHEAP, targets=1, alarms=1.0) -> tuple[Forecaster, dict]:
    choices = {port: choose(rates, found) for port, found in tried(rates, names, targets).items()}
    ship.ship(path, rates, choices, TINY, rules=Rules(rates.width, "UTC"), alarms_per_month=alarms, about={})
    return Forecaster.load(path), choices


KINDS = (
    "EWMA",
    "moving median",
    "HAR log",
    "HAR Rank. (T&S) log",
    "VAR Rank. (T&S)",
    "ridge Rank. (T&S)",
    "LightGBM",
)


@pytest.mark.parametrize("names", [[name] for name in KINDS])
def test_sidecar_forecasts_what_training_does(wave, tmp_path, names):
    """Each kind, fitted to all bins: through onnxruntime and without it, to 1e-6. The leaves of trees are summed in
    single precision there: to a millionth of a standard deviation."""
    models, choices = bundle(tmp_path / "b", wave, names)
    (trial,) = choices[PORT].members
    (job,) = plan(wave, Affinities.of(wave, 24, None, 0, 300), TINY, [(0, names[0])], 1)
    task = rolling.task_of(wave, job, 600 if choices[PORT].refit else 525)
    made, _ = registry.fit_to_ship(job.kind, task, TINY, 0, "cpu")
    found = models.forecasts(wave.ports, wave.counts)[:-1, 0]
    noise = 1e-6 * wave.counts[:, 0].std() if names == ["LightGBM"] else 0.0
    np.testing.assert_allclose(task.forecasts(made), found, rtol=1e-6, atol=noise)
    assert trial.features == models.models[0].features


@pytest.mark.parametrize("names", [("EWMA log", "HAR Rank. (T&S) log"), ("ridge", "HAR", "EWMA")])
def test_mean_is_one_weighted_sum_in_the_sidecar(wave, tmp_path, names):
    """What is shipped for a mean forecasts the mean of its members, the geometric one of logarithms, to 1e-6: none of
    them counts for less than zero, as where rates fall to nothing for half of each day."""
    if names[0] == "ridge":
        wave = replace(wave, counts=np.maximum(wave.counts - np.nanmean(wave.counts), 0.0))
    trials = tried(wave, names)[PORT]
    chosen = replace(choose(wave, trials), members=tuple(trials), refit=True)
    ship.ship(tmp_path / "b", wave, {PORT: chosen}, TINY, rules=Rules(HOUR, "UTC"), alarms_per_month=1, about={})
    singles = []
    for number, trial in enumerate(trials):
        one = replace(chosen, members=(trial,))
        folder = tmp_path / str(number)
        ship.ship(folder, wave, {PORT: one}, TINY, rules=Rules(HOUR, "UTC"), alarms_per_month=1, about={})
        singles.append(Forecaster.load(folder).forecasts(wave.ports, wave.counts)[:, 0])
    found = Forecaster.load(tmp_path / "b").forecasts(wave.ports, wave.counts)[:, 0]
    known = ~np.isnan(found)
    members = np.asarray(singles)[:, known]  # each corrects its own level
    if "log" in names[0]:
        expected, noise = np.expm1(np.mean(np.log1p(members), axis=0)), 0.0
    else:
        assert ((members == 0).any(axis=0) & (members > 1).any(axis=0)).any()
        # a forecast near zero is a difference of larger numbers: a millionth of a standard deviation
        expected, noise = np.mean(members, axis=0), 1e-6 * wave.counts[:, 0].std()
    np.testing.assert_allclose(expected, found[known], rtol=1e-6, atol=noise)
    told = read_manifest(tmp_path / "b", kind=KIND, schema=SCHEMA).about["models"][str(PORT)]
    assert set(names) == set(told["tried"])


def test_choice_that_cannot_be_fitted_again_gives_way(wave, tmp_path, monkeypatch):
    """The next best ships of its port, and the others as they are; where nothing is left the reason is reported."""
    both = tried(wave, ("EWMA", "HAR log", "median"), 2)
    choices = {
        port: choose(wave, [trial for trial in found if trial.model == "HAR log"]) for port, found in both.items()
    }
    spare = {port: choose(wave, [trial for trial in found if trial.model == "EWMA"]) for port, found in both.items()}
    fit = ship.fit_chosen

    def broken(rates, choice, *args):
        if (choice.port, choice.name) == (PORT, "HAR log"):
            raise np.linalg.LinAlgError("singular")
        return fit(rates, choice, *args)

    monkeypatch.setattr(ship, "fit_chosen", broken)
    options = {"rules": Rules(HOUR, "UTC"), "alarms_per_month": 1, "about": {}}
    asked = []

    def instead(choice, why):
        asked.append((choice.port, why))
        return spare[choice.port]

    ship.ship(tmp_path / "b", wave, choices, TINY, **options, instead=instead)
    assert [(PORT, "LinAlgError: singular")] == asked
    assert ["EWMA", "HAR log"] == [model.kind for model in Forecaster.load(tmp_path / "b").models]
    with pytest.raises(InputError, match="3306/tcp: HAR log: LinAlgError: singular"):
        ship.ship(tmp_path / "c", wave, {PORT: choices[PORT]}, TINY, **options)


def test_port_that_grows_twentyfold_is_followed(tmp_path):
    """From 60 a day to 1,200 within the last quarter, after a flat year: the error is no larger than the last value's,
    and the forecast is on the new level, though nothing was fitted on it."""
    rng = np.random.default_rng(3)
    level = np.concatenate([np.full(300, 60.0), np.geomspace(60, 1200, 60), np.full(60, 1200.0)])
    rates = of(rng.negative_binomial(12, 12 / (12 + level)), DAY)
    models, _ = bundle(tmp_path / "b", replace(rates, starts=rates.starts[:300], counts=rates.counts[:300]))
    (figures,) = held_out.score(models, rates)
    assert figures.mae < figures.last
    forecast = models.forecasts(rates.ports, rates.counts)[-30:, 0]
    assert 0.8 < np.median(forecast) / 1200 < 1.25


@pytest.mark.parametrize("name", ["ridge", "ridge Rank. (T&S) log", "VAR Rank. (T&S)", "LightGBM"])
@pytest.mark.parametrize("later", [800.0, 0.0])
def test_model_that_learnt_a_flat_level_follows_the_port(tmp_path, name, later):
    """40 an hour as long as it was learnt, then twentyfold, or nothing at all: after a day and a half the shipped
    forecast is within a fifth of the new level, or below half of the old one; and it is finite all the while."""
    rng = np.random.default_rng(5)
    level = np.concatenate([np.full(400, 40.0), np.full(100, later)])
    rates = of(np.stack([rng.poisson(level), rng.poisson(np.full(500, 30.0))], axis=1))
    models, _ = bundle(tmp_path / "b", replace(rates, starts=rates.starts[:400], counts=rates.counts[:400]), [name])
    forecast = models.forecasts(rates.ports, rates.counts)[400:500, 0]
    assert np.isfinite(forecast).all()
    assert 32 < forecast[0] < 48
    assert np.abs(forecast[40:] - later).max() < max(0.2 * later, 0.5 * 40)


@pytest.mark.parametrize("seed", [101, 102])
def test_planted_bursts_are_found_as_a_user_gets_them(seed):
    """Bursts are in what thresholds are calibrated on, unmarked; those of the later half are found, and false alarms
    stay below the stated rate and a half."""
    made = simulate(Telescope(hours=3_000, groups=1, group_size=(2, 2), alone=3), seed)
    found, planted, false, months = 0, 0, 0, 0.0
    for port, trials in tried(made.rates, ["HAR log"], len(made.rates.ports)).items():
        column = made.rates.column(port)
        observed, forecast = made.rates.counts[:, column], trials[0].forecast
        half = 2_250
        rules = Rules(HOUR, "UTC")
        begin = calibrate.calibrate(observed[:half], forecast[:half], rules, 1.0)
        e, limits = follow(observed, forecast, begin, rules, half)
        alarms = np.zeros((3_000, 1), dtype=bool)
        alarms[half:, 0] = e[half:] > limits
        watched = (np.arange(3_000) >= half)[:, None] & ~np.isnan(observed)[:, None]
        seen = calibrate.detection(alarms, made.bursts[:, [column]], watched, HOUR)
        found, planted = found + seen.found, planted + seen.planted
        false, months = false + seen.false_alarms, months + seen.port_months
    assert planted >= 3
    assert found >= 0.95 * planted
    assert false <= 1.5 * months


def follow(observed, forecast, begin: calibrate.Calibrated, rules: Rules, half: int):
    """E (n,), and its thresholds from bin `half` on as the sidecar moves them."""
    from portkin.timeseries.calibration import Stated, Thresholds, followed_all, share

    found = calibrate.indicators(observed, forecast, rules)
    first = Thresholds.of(np.array([begin.threshold_e]), np.array([np.inf]))
    stated = Stated(share(np.array([begin.alarms_e]), HOUR), np.zeros(1), *np.array([[begin.least_e], [begin.burst_e]]))
    rest = found.at((slice(half, None), None))
    limits, _, _ = followed_all(first, rest, stated, np.ones(len(rest.e), dtype=bool))
    return found.e, limits[:, 0]
