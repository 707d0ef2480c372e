"""Forecasting with a model bundle."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from portkin.bundles import forecast
from portkin.bundles.bundle_writer import write_bundle
from portkin.bundles.forecast import Forecaster
from portkin.bundles.forecast_models import Model, Rules
from portkin.errors import BundleError, InputError
from portkin.net.ports import Port
from portkin.timeseries.bins import HOUR
from portkin.timeseries.scaling import Scaling

NAN = float("nan")
PORTS = (Port(22, "tcp"), Port(23, "tcp"), Port(53, "udp"))


def linear_bundle(path):
    """A bundle whose one model forecasts 22/tcp as half of itself and half of 23/tcp, two bins before."""
    pytest.importorskip("onnx")
    from portkin_training.rates.models.export import to_onnx, write_models
    from portkin_training.rates.models.linear import Linear

    weights = np.array([[0.5, 0.5], [0, 0], [0, 0]], dtype=np.float32)
    scaling = Scaling(np.zeros(2), np.array([2.0, 4.0]))  # scaled: x / 2, y / 4; forecast 2 * (x / 4 + y / 8)
    model = Model(PORTS[0], "linear", "22-tcp.onnx", 3, PORTS[:2], scaling, 1.0, 2.0)
    write_models(path, [(model, to_onnx(Linear(weights), 2))], Rules(HOUR, "UTC", trend=3), {"made": "by a test"})
    return path


def test_bundle_forecasts_and_scores(tmp_path):
    """Scores of the closed bin and of the next come from the features' windows, in counts."""
    models = Forecaster.load(linear_bundle(tmp_path / "m"))
    assert (PORTS[:2], (PORTS[0],), 4) == (models.ports, models.targets, models.history)
    counts = np.array([[40.0, 80, 0], [4, 8, 0], [6, 8, 0], [1000, 8, 0]])
    (score,) = models.score(PORTS, counts)
    # window 40.. -> 40 / 2 + 80 / 4 = 40 for the closed bin; window 4.. -> 2 + 2 = 4 for the next
    assert (40, 1000, 4) == (score.forecast, score.observed, score.ahead)
    assert 24 == pytest.approx(score.e)  # (1000 - 40) / 40
    assert (True, False) == (score.anomalous, score.warning)
    # line through 4, 6, 1000: mean 1010 / 3, slope 996 / 2 = 498, two steps from the middle
    assert 1010 / 3 + 2 * 498 == pytest.approx(score.trend)


def test_live_scores_are_the_offline_scores(tmp_path):
    """Bin by bin and all at once give the same E and W: no train/serve skew."""
    models = Forecaster.load(linear_bundle(tmp_path / "m"))
    rng = np.random.default_rng(0)
    counts = rng.poisson(20, (60, 3)).astype(float)
    counts[rng.random((60, 3)) < 0.1] = NAN
    _, e, w = models.score_all(PORTS, counts)
    for t in range(models.history - 1, len(counts)):
        (score,) = models.score(PORTS, counts[t - models.history + 1 : t + 1])
        np.testing.assert_allclose([e[t, 0], w[t, 0]], [score.e, score.w], rtol=1e-6)


def test_live_thresholds_are_the_offline_thresholds(tmp_path):
    """Bin by bin and all at once, with a level of bursts that alarms cross: above it their steps are short."""
    loaded = Forecaster.load(linear_bundle(tmp_path / "m"))
    told = replace(loaded.models[0], threshold_e=1.0, threshold_w=1.0, alarms_e=40.0, alarms_w=40.0, burst_e=1.5)
    rules = replace(loaded.rules, until=HOUR * (loaded.history - 1))  # the first bin that is followed can be scored
    models = Forecaster([told], rules, loaded._sessions, "told")
    rng = np.random.default_rng(0)
    counts = np.round(20 * np.exp(rng.normal(0, 1, (200, 3))))
    counts[rng.random((200, 3)) < 0.1] = NAN
    starts = HOUR * np.arange(1, 201)
    limits_e, limits_w = models.thresholds_all(starts, PORTS, counts, models.score_all(PORTS, counts))
    now = models.thresholds
    for t in range(models.history - 1, len(counts)):
        np.testing.assert_allclose([limits_e[t, 0], limits_w[t, 0]], [now.e[0], now.w[0]], rtol=1e-6)
        if not np.isnan(counts[t]).all():
            now = models.followed(now, models.score(PORTS, counts[t - models.history + 1 : t + 1], now))
    assert limits_e.min() < 1.5 < limits_e.max()


def test_too_short_a_history_is_refused(tmp_path):
    """Three bins where four are read."""
    models = Forecaster.load(linear_bundle(tmp_path / "m"))
    with pytest.raises(InputError, match="3 closed bins are too few"):
        models.score(PORTS, np.ones((3, 3)))


def test_features_that_are_not_counted_are_refused(tmp_path):
    """The message names the port that the rates do not have."""
    models = Forecaster.load(linear_bundle(tmp_path / "m"))
    with pytest.raises(BundleError, match="23/tcp"):
        models.forecasts(PORTS[:1], np.ones((9, 1)))


def test_damaged_bundle_is_refused(tmp_path):
    """A flipped byte in a model is refused before it runs."""
    path = linear_bundle(tmp_path / "m")
    file = path / "22-tcp.onnx"
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    file.write_bytes(data)
    with pytest.raises(BundleError, match=r"22-tcp\.onnx"):
        Forecaster.load(path)


def entry(**changes):
    """An entry of models.json with some fields changed."""
    model = Model(PORTS[0], "linear", "x.onnx", 3, PORTS[:2], Scaling(np.zeros(2), np.ones(2)), 1.0, 1.0)
    return model.write() | changes


def test_threshold_that_nothing_exceeds_is_null():
    """A port without held-out bins raises no alarm; its entry is plain JSON and read back the same."""
    written = entry() | {"threshold_e": None}
    model = Model.read(json.loads(json.dumps(written)))
    assert np.inf == model.threshold_e
    assert written == model.write()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("{", "models.json"),
        ({"rules": {"width": 3600, "tz": "UTC"}}, "models"),
        ({"rules": {"width": 3600, "tz": "UTC"}, "models": [entry(std=[1.0])]}, "does not fit"),
        ({"rules": {"width": 3600, "tz": "UTC"}, "models": [entry(std=[0.0, 1.0])]}, "positive"),
        ({"rules": {"width": 3600, "tz": "UTC"}, "models": [entry(port="99/tcp")]}, "first feature"),
        ({"rules": {"width": 3600, "tz": "UTC"}, "models": [entry(logarithm=1)]}, "logarithm is 1"),
        ({"rules": {"width": 3600, "tz": "UTC"}, "models": [entry(alarms_e=-1.0)]}, "alarms_e is -1"),
        ({"rules": {"width": 3600, "tz": "UTC"}, "models": [entry(burst_e=None)]}, "missing or wrong"),
        ({"rules": {"width": 3600, "tz": "UTC"}, "models": [entry(alarms_w=None)]}, "missing or wrong"),
        ({"rules": {"width": 3600, "tz": "UTC", "more": 1}, "models": []}, "more"),
        ({"rules": {"width": 3600, "tz": "UTC"}, "models": [entry()]}, r"no x\.onnx"),
    ],
)
def test_bundle_at_odds_with_itself_is_refused(tmp_path, fields, message):
    """Whole and verified, but its models.json is not what it should be."""
    with write_bundle(tmp_path / "m", kind=forecast.KIND, schema=forecast.SCHEMA, about={}) as folder:
        text = fields if isinstance(fields, str) else json.dumps(fields)
        (folder / "models.json").write_text(text)
    with pytest.raises(BundleError, match=message):
        Forecaster.load(tmp_path / "m")


def test_model_of_other_features_than_it_says_is_refused(tmp_path):
    """models.json says three features, the ONNX file reads two."""
    path = linear_bundle(tmp_path / "m")
    onnx_bytes = (path / "22-tcp.onnx").read_bytes()
    fields = json.loads((path / "models.json").read_text())
    fields["models"][0] |= {"features": [str(p) for p in PORTS], "mean": [0, 0, 0], "std": [1, 1, 1]}
    with write_bundle(tmp_path / "n", kind=forecast.KIND, schema=forecast.SCHEMA, about={}) as folder:
        (folder / "models.json").write_text(json.dumps(fields))
        (folder / "22-tcp.onnx").write_bytes(onnx_bytes)
    with pytest.raises(BundleError, match=r"\[3, 3\]"):
        Forecaster.load(tmp_path / "n")


@pytest.mark.parametrize("schema", [1, 2, 99])
def test_bundle_of_another_schema_is_refused(tmp_path, schema):
    """A bundle that an earlier or a later version wrote is not guessed at: how its rates are scaled is not known."""
    with write_bundle(tmp_path / "m", kind=forecast.KIND, schema=schema, about={}) as folder:
        (folder / "models.json").write_text("{}")
    with pytest.raises(BundleError, match=f"schema {schema}"):
        Forecaster.load(tmp_path / "m")


def test_model_of_logarithms_forecasts_in_counts(tmp_path):
    """The mean of two logarithms is the geometric mean: of 3 and 15, with 1 added, sqrt(4 * 16) - 1 = 7."""
    pytest.importorskip("onnx")
    from portkin_training.rates.models.export import to_onnx, write_models
    from portkin_training.rates.models.linear import Linear

    scaling = Scaling(np.array([2.0]), np.array([0.5]), logarithm=True)
    model = Model(PORTS[0], "linear", "22-tcp.onnx", 2, PORTS[:1], scaling, 1.0, 1.0)
    network = to_onnx(Linear(np.full((2, 1), 0.5, dtype=np.float32)), 1)
    write_models(tmp_path / "m", [(model, network)], Rules(HOUR, "UTC", trend=2), {})
    forecasts = Forecaster.load(tmp_path / "m").forecasts(PORTS[:1], np.array([[3.0], [15]]))
    np.testing.assert_allclose([[NAN], [NAN], [7]], forecasts, rtol=1e-6)


def test_bytes_that_are_no_onnx_are_refused(tmp_path):
    """onnxruntime's complaint becomes a bundle error that names the file."""
    with write_bundle(tmp_path / "m", kind=forecast.KIND, schema=forecast.SCHEMA, about={}) as folder:
        fields = {"rules": {"width": 3600, "tz": "UTC"}, "models": [entry()]}
        (folder / "models.json").write_text(json.dumps(fields))
        (folder / "x.onnx").write_bytes(b"not a model")
    with pytest.raises(BundleError, match=r"x\.onnx: onnxruntime cannot load it"):
        Forecaster.load(tmp_path / "m")


@pytest.mark.parametrize("logarithm", [False, True])
def test_what_a_network_must_not_read_has_no_forecast(tmp_path, logarithm):
    """onnxruntime's LSTM turns NaN inside a series into a finite number. So a window with a count that is no count is
    not run: live, and offline, where the windows around it are forecast as if it were not there."""
    pytest.importorskip("onnx")
    torch = pytest.importorskip("torch")
    from portkin_training.rates.models.export import to_onnx, write_models
    from portkin_training.rates.models.lstm import Lstm, LstmConfig, Network
    from portkin_training.rates.models.task import Split, Task

    torch.manual_seed(0)
    lstm = Lstm(Network(2, LstmConfig(4, (3, 2), (2, 2))).eval(), LstmConfig(4, (3, 2), (2, 2)), ())
    scaling = Scaling(np.array([3.0, 3.0]), np.ones(2), logarithm)
    model = Model(PORTS[0], "LSTM", "22-tcp.onnx", 4, PORTS[:2], scaling, 1.0, 1.0)
    write_models(tmp_path / "m", [(model, to_onnx(lstm, 2))], Rules(HOUR, "UTC", trend=3), {})
    models = Forecaster.load(tmp_path / "m")
    counts = np.full((60, 2), 20.0)
    counts[30, 1] = np.inf
    found = models.forecasts(PORTS[:2], counts)[:, 0]
    assert list(range(4)) + list(range(31, 35)) == np.flatnonzero(np.isnan(found)).tolist()
    (score,) = models.score(PORTS[:2], counts[:32])
    assert np.isnan(score.forecast) and np.isnan(score.e) and np.isnan(score.ahead)
    task = Task(counts, HOUR, Split.of(60), logarithm)
    task.__dict__["scaling"] = scaling
    np.testing.assert_allclose(found[:-1], task.forecasts(lstm), rtol=1e-5)
