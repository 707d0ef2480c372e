"""Models: what each of them is, that seeds repeat them, and that ONNX computes what they compute."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from portkin.timeseries.bins import DAY, HOUR
from portkin_training.rates.models import baselines, linear, lstm, registry, regression, var
from portkin_training.rates.models.export import rounded_down, to_onnx
from portkin_training.rates.models.task import Split, Task, folds, judge

torch.set_num_threads(1)  # tiny networks on shared cores: threads only wait for each other
TINY = lstm.LstmConfig(6, (8, 6), (5, 4), 0.1, "adam", 1e-2, 16, 4, 2)


def task(n: int = 400, features: int = 3, seed: int = 0) -> Task:
    """Daily waves of counts with a feature that runs one hour ahead of the target."""
    rng = np.random.default_rng(seed)
    wave = 50 + 30 * np.sin(np.arange(n + 1) * 2 * np.pi / 24) + rng.normal(0, 4, n + 1)
    counts = np.stack([wave[:-1], wave[1:], *rng.poisson(5, (max(0, features - 2), n))], axis=1)[:, :features]
    return Task(np.maximum(counts, 0), HOUR, Split.of(n))


def test_split_reports_the_last_quarter():
    """Of 1000 bins the last 250 are reported, the 75 before chosen on."""
    assert Split(675, 750, 1000) == Split.of(1000)
    with pytest.raises(ValueError, match="40 bins are too few"):
        Split.of(40)


def test_folds_never_look_ahead():
    """Every fold is judged by what was fitted on earlier samples only."""
    found = list(folds(200))
    assert 7 == len(found)
    assert all(train.max() < test.min() for train, test in found)


def test_naive_forecasts_are_what_they_say():
    """Last value: the bin before; seasonal naive: the bin a day before."""
    t = task()
    last, season = t.forecasts(linear.last_value(t)), t.forecasts(linear.seasonal_naive(t))
    np.testing.assert_allclose(t.target[:-1], last[1:], rtol=1e-5)
    np.testing.assert_allclose(t.target[:-24], season[24:], rtol=1e-5)
    assert np.isnan(season[:24]).all()


def test_averages_are_chosen_on_the_fitted_part():
    """On white noise the longest average wins; on a random walk the shortest."""
    rng = np.random.default_rng(1)
    noise = Task(rng.normal(100, 5, (900, 1)), HOUR, Split.of(900))
    walk = Task(1000 + rng.normal(0, 5, (900, 1)).cumsum(axis=0), HOUR, Split.of(900))
    assert 48 <= linear.moving_average(noise).length
    assert 2 == linear.moving_average(walk).length
    assert 0.9 == pytest.approx(float(linear.ewma(walk).weights[-1, 0]), abs=1e-2)
    assert 1 == pytest.approx(float(linear.ewma(noise).weights.sum()), abs=1e-6)


def test_regressions_use_the_feature_that_runs_ahead():
    """Ridge and a VAR with the leading feature all but know the next bin; the last value does not."""
    t = task(600)
    figures = {
        name: judge(t, t.forecasts(model), t.split.choose, t.split.end)
        for name, model in {
            "last": linear.last_value(t),
            "ridge": regression.ridge(t, 24),
            "var": var.fit_fixed(t),
        }.items()
    }
    assert figures["ridge"].r2 > 0.99
    assert figures["var"].r2 > 0.99
    assert figures["last"].r2 < 0.95
    assert figures["ridge"].skill > 0.8


def test_var_of_one_series_is_an_autoregression():
    """With a single feature, or a constant one beside it, the equation still stands."""
    t = task(500, features=1)
    assert judge(t, t.forecasts(var.fit_fixed(t)), 375, 500).r2 > 0.8
    constant = Task(np.full((100, 2), 7.0), HOUR, Split.of(100))
    assert [7.0] == np.unique(constant.forecasts(var.fit_fixed(constant))[1:]).tolist()


@pytest.mark.parametrize("features", [1, 2])
def test_var_of_order_zero_forecasts_the_mean(features):
    """Where no lag is informative, AIC chooses order 0: every forecast is the mean of the fitted part, shipped too."""
    counts = np.random.default_rng(0).normal(20, 3, (400, features)).round()
    t = Task(counts, HOUR, Split(300, 300, 400))
    model = var.fit_fixed(t, 6)
    assert 0 == np.abs(model.weights).sum()
    np.testing.assert_allclose(t.forecasts(model)[1:], counts[:300, 0].mean(), rtol=1e-6)
    session = onnxruntime.InferenceSession(to_onnx(model, features))
    (shipped,) = session.run(None, {"window": np.ones((1, 1, features), dtype=np.float32)})
    assert 0 == pytest.approx(float(shipped[0]), abs=1e-6)  # scaled
    online = var.non_stationary(t, first=300, memory=300, every=24, most=6)
    assert online[300] == pytest.approx(counts[:300, 0].mean(), rel=1e-6)


def test_non_stationary_var_follows_a_change_that_the_fixed_one_misses():
    """When the process turns around in the test, refitting pays."""
    rng = np.random.default_rng(2)
    x = [0.0]
    for t in range(1, 800):
        x.append((0.9 if t < 600 else -0.9) * x[-1] + rng.normal())
    series = Task(100 + 5 * np.array(x)[:, None], HOUR, Split.of(800))
    first = series.split.choose
    online = var.non_stationary(series, first=first, memory=100, every=24)
    fixed = series.forecasts(var.fit_fixed(series))
    assert judge(series, online, first, 800).mae < judge(series, fixed, first, 800).mae
    assert np.isnan(online[:first]).all() and not np.isnan(online[first:]).any()


def test_feature_elimination_keeps_the_target_and_the_feature_that_tells():
    """Of twenty features, the one that runs ahead stays, and so does the target."""
    t = task(400, features=20)
    assert {0, 1} <= set(var.select_features(t.filled, 4).tolist())


def test_exponential_smoothing_forecasts_every_bin():
    """AutoETS is fitted on the first part and run on through the last."""
    t = task(300, features=1)
    found = baselines.auto_ets(t)
    assert found.shape == t.target.shape
    assert judge(t, found, t.split.choose, t.split.end).r2 > 0.7


def test_unknown_bins_are_neither_fitted_nor_judged():
    """An outage leaves no sample whose target is unknown, and figures count known bins only."""
    t = task(400)
    counts = t.counts.copy()
    counts[310:340] = np.nan
    gap = Task(counts, HOUR, t.split)
    _, _, at = gap.samples(24, 0, 400)
    assert not set(range(310, 340)) & set(at.tolist())
    # a window of 24 with 13 unknown bins is not used: bin 340 to 341 still look back on 22 and more
    assert 340 not in at.tolist() and 390 in at.tolist()
    assert 70 == judge(gap, gap.forecasts(linear.last_value(gap)), 300, 400).bins


def test_bin_without_forecast_is_judged_with_the_mean():
    """Passing on hard bins does not help a model's figures."""
    t = task(400)
    nothing = judge(t, np.full(400, np.nan), 300, 400)
    assert nothing.passed == 100
    assert nothing.r2 < 0.05


def test_seed_repeats_the_network():
    """The same seed gives the same network, another one another."""
    t = task(300)
    one, again, other = (lstm.fit(t, TINY, seed) for seed in (1, 1, 2))
    window, _, _ = t.samples(6, 0, 50)
    assert one.predict(window).tobytes() == again.predict(window).tobytes()
    assert one.predict(window).tobytes() != other.predict(window).tobytes()


def test_network_has_the_printed_layers():
    """LSTM 256 and 128; blocks of batch norm, dense, ReLU and dropout of 128 and 96 units; one output."""
    network = lstm.Network(5, lstm.paper_config(HOUR))
    assert [(5, 256), (256, 128)] == [(layer.input_size, layer.hidden_size) for layer in network.recurrent]
    assert ["BatchNorm1d", "Linear", "ReLU", "Dropout"] * 2 + ["Linear"] == [
        type(layer).__name__ for layer in network.head
    ]
    dense = [layer.out_features for layer in network.head if isinstance(layer, torch.nn.Linear)]
    assert [128, 96, 1] == dense
    assert (72, 30) == (lstm.paper_config(HOUR).sequence, lstm.paper_config(DAY).sequence)


@pytest.mark.parametrize("config", [lstm.paper_config(HOUR), lstm.small_config(HOUR), lstm.small_config(DAY)])
def test_attention_is_not_larger_than_the_lstm(config):
    """Of every profile, whether it reads one port or eight: fewer parameters."""
    for features in (1, 8):
        sizes = [
            sum(part.numel() for part in lstm.network_of(features, replace(config, attention=attention)).parameters())
            for attention in (False, True)
        ]
        assert sizes[1] <= sizes[0]


def test_network_with_skip_follows_a_level_it_never_saw():
    """Rates that grow beyond all that was fitted: the paper's network stays behind, the one with skip does not."""
    rng = np.random.default_rng(5)
    growing = 100 + 0.5 * np.arange(500) + rng.normal(0, 5, 500)
    t = Task(growing[:, None], HOUR, Split.of(500))
    config = replace(TINY, epochs=15, patience=15)
    errors = [judge(t, t.forecasts(lstm.fit(t, replace(config, skip=skip), 0)), 375, 500).mae for skip in (False, True)]
    assert errors[1] < errors[0] / 2


def test_grid_is_table_iii():
    """4 sequence lengths x 3 dropouts x 2 optimizers x 3 learning rates x 3 batch sizes, for hours and
    days."""
    hourly, daily = list(lstm.grid(HOUR)), list(lstm.grid(DAY))
    assert 216 == len(set(hourly)) == len(set(daily))
    assert {24, 48, 72, 144} == {config.sequence for config in hourly}
    assert {3, 7, 15, 30} == {config.sequence for config in daily}


def test_reduced_grid_is_a_part_of_table_iii():
    """Four points, searched by a network a quarter as wide as the paper's, for hours and days."""
    for width in (HOUR, DAY):
        used = registry.profile("reduced", width)
        whole = {replace(point, epochs=30, patience=5) for point in lstm.grid(width)}
        assert 4 == len(set(used.grid)) and set(used.grid) <= whole
        narrow = lstm.narrowed(used.grid[0], used.narrower)
        assert ((64, 32), (32, 24)) == (narrow.lstm, narrow.dense)
        assert (256, 128) == used.lstm.lstm


def test_network_that_loses_to_what_is_known_is_not_trained_to_the_end():
    """A bar that nothing reaches ends it after `GRACE` epochs; one that is reached at once changes nothing."""
    t = task(300)
    patient = replace(TINY, epochs=12, patience=12)
    free = lstm.fit(t, patient, 0)
    assert 12 == len(free.history)
    assert lstm.GRACE == len(lstm.fit(t, replace(patient, bar=1e-6), 0).history)
    assert free.history == lstm.fit(t, replace(patient, bar=9.0), 0).history


def test_bar_is_the_best_forecast_of_the_samples_that_early_stopping_watches():
    """Of 225 bins fitted on, windows of 6 leave 219 samples, the last 22 of them watched: bins 203 to 224. Forecasts
    that are off by one deviation and by two have an error of 1 and 2; elsewhere they may be anything."""
    t = task(333)
    assert 225 == t.split.fit
    off = [t.target + number * t.scaling.std[0] for number in (1, 2)]
    off[0][:203] = 1e6
    off[0][225:] = 1e6
    np.testing.assert_allclose(1.0, lstm.bar(t, 6, off), rtol=1e-6)
    np.testing.assert_allclose(2.0, lstm.bar(t, 6, off[1:]), rtol=1e-6)
    assert lstm.bar(t, 6, []) is None


def test_too_few_samples_are_refused():
    """A network is not fitted to nothing."""
    with pytest.raises(ValueError, match="2 samples"):
        lstm.train(np.zeros((2, 3, 1), dtype=np.float32), np.zeros(2), 2, TINY, 0)


def fitted(name: str, t: Task):
    """One model of each kind that ships."""
    return {
        "lstm": lambda: lstm.fit(t, TINY, 0),
        "lstm with skip": lambda: lstm.fit(t, replace(TINY, skip=True), 0),
        "attention": lambda: lstm.fit(t, replace(TINY, attention=True), 0),
        "linear": lambda: regression.ridge(t, 12),
        "lightgbm": lambda: baselines.lightgbm_on_lags(t, 12, 0),
    }[name]()


@pytest.mark.parametrize("name", ["lstm", "lstm with skip", "attention", "linear", "lightgbm"])
def test_onnx_computes_what_the_model_computes(name):
    """Batches of 1, 7 and 64 through onnxruntime agree to 1e-5."""
    t = task(400)
    model = fitted(name, t)
    session = onnxruntime.InferenceSession(to_onnx(model, 3))
    rng = np.random.default_rng(3)
    for batch in (1, 7, 64):
        window = rng.normal(size=(batch, model.length, 3)).astype(np.float32)
        found = session.run(None, {"window": window})[0]
        assert (batch,) == found.shape
        np.testing.assert_allclose(model.predict(window), found, atol=1e-5)


def test_onnx_file_tells_nothing_of_the_machine_that_trained():
    """No source paths are left in an exported network."""
    made = to_onnx(lstm.fit(task(200), TINY, 0), 3)
    assert b".py" not in made


@settings(max_examples=100)
@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6, width=32))
def test_rounding_down_decides_every_single_as_the_double_does(threshold, value):
    """value <= threshold, before and after."""
    assert (value <= threshold) == (value <= rounded_down(threshold))


def test_model_of_no_window_cannot_be_exported():
    """The message names the kind."""
    with pytest.raises(TypeError, match="str"):
        to_onnx("ets", 1)
