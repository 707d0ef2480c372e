"""Forecasts of probing rates by the models of a bundle, and the scores computed from them.

`Forecaster` reads a model bundle and needs numpy and onnxruntime only; training and the live service score
with it, so a score has one meaning. A bundle holds ``models.json`` and one ONNX file per target port, which
turns scaled windows ``window`` float32 (batch, length, features) into the scaled rate of the bin after
each, ``forecast`` float32 (batch,).
"""

from __future__ import annotations

import contextlib
import ctypes
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from portkin.bundles.bundle_reader import Bundle, open_bundle
from portkin.bundles.forecast_models import KIND, MODELS, SCHEMA, Model, Rules
from portkin.errors import BundleError, InputError
from portkin.net.ports import Port
from portkin.timeseries.calibration import Stated, Thresholds, followed, followed_all, share
from portkin.timeseries.indicators import Indicators, early_warning, linear_trend, prediction_error
from portkin.timeseries.scaling import Floats
from portkin.timeseries.windows import predicted_rates, windows


@dataclass(frozen=True)
class Score:
    """One port at one closed bin. NaN where too much of the history is unknown.

    `observed` and `forecast` are the closed bin's, `e` (equation 20) is of these; `ahead` and `trend` are the
    next bin's, `w` (equation 21) is of those.
    """

    port: Port
    observed: float
    forecast: float
    e: float
    threshold_e: float
    ahead: float
    trend: float
    w: float
    threshold_w: float

    @property
    def anomalous(self) -> bool:
        """E above its threshold."""
        return self.e > self.threshold_e

    @property
    def warning(self) -> bool:
        """W above its threshold."""
        return self.w > self.threshold_w


class Forecaster:
    """The models of one bundle, ready to run on one core."""

    def __init__(
        self, models: Sequence[Model], rules: Rules, sessions: Sequence[onnxruntime.InferenceSession], id: str
    ) -> None:
        self.models = tuple(models)
        self.rules = rules
        self.id = id
        self._sessions = tuple(sessions)

    @classmethod
    def load(cls, path: Path) -> Forecaster:
        """Read the bundle at `path`. Raises BundleError where it is missing, damaged, foreign or inconsistent."""
        bundle = open_bundle(Path(path), kind=KIND, schema=SCHEMA)
        fields = bundle.fields(MODELS)
        try:
            rules = Rules(**fields["rules"])
            models = [Model.read(entry) for entry in fields["models"]]
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise BundleError(
                f"{path}/{MODELS}: a field is missing or wrong ({error}); train the models again"
            ) from None
        sessions = [_session(bundle, model) for model in models]
        id = bundle.manifest.id
        del bundle
        _trim()
        return cls(models, rules, sessions, id)

    @property
    def targets(self) -> tuple[Port, ...]:
        """The ports that are forecast."""
        return tuple(model.port for model in self.models)

    @property
    def ports(self) -> tuple[Port, ...]:
        """Every port whose rates are read, in order of first use."""
        return tuple(dict.fromkeys(port for model in self.models for port in model.features))

    @property
    def history(self) -> int:
        """How many closed bins `score` reads."""
        return max([self.rules.trend, *(model.length for model in self.models)]) + 1

    def columns(self, ports: Sequence[Port]) -> list[NDArray[np.intp]]:
        """Where each model's features are among `ports`: intp (features,) each. Raises BundleError for missing ones."""
        place = {port: column for column, port in enumerate(ports)}
        lacking = [port for port in self.ports if port not in place]
        if lacking:
            raise BundleError(
                f"model bundle {self.id} reads rates of {', '.join(map(str, lacking[:5]))}"
                + (f" and {len(lacking) - 5} more ports" if len(lacking) > 5 else "")
                + ", which are not counted; count them, or train without them"
            )
        return [np.array([place[port] for port in model.features], dtype=np.intp) for model in self.models]

    def run(self, number: int, window: Floats) -> Floats:
        """Rates of the bin after each window of counts (w, length, f) for model `number`: float64 (w,).

        Never negative; NaN where the target's own history is mostly unknown, or a count is impossible.
        """
        model, session = self.models[number], self._sessions[number]
        return predicted_rates(window, model.scaling, lambda scaled: session.run(None, {"window": scaled})[0])

    def forecasts(self, ports: Sequence[Port], counts: Floats) -> Floats:
        """One-step forecasts along whole series: counts (n, p) -> (n + 1, targets).

        Row t is forecast from the bins before t, so row n is of the bin after the last; rows without enough
        bins before them are NaN.
        """
        found = np.full((len(counts) + 1, len(self.models)), np.nan)
        for number, (model, columns) in enumerate(zip(self.models, self.columns(ports), strict=True)):
            found[model.length :, number] = self.run(number, windows(counts[:, columns], model.length))
        return found

    @property
    def thresholds(self) -> Thresholds:
        """Those when training ended."""
        return Thresholds.of(
            np.array([model.threshold_e for model in self.models]),
            np.array([model.threshold_w for model in self.models]),
        )

    def followed(self, thresholds: Thresholds, scores: Sequence[Score]) -> Thresholds:
        """The thresholds for the bin after the one that has these scores."""
        names = ("observed", "forecast", "ahead", "trend")
        rates = (np.array([getattr(score, name) for score in scores]) for name in names)
        found = Indicators.of(*rates, floor=self.rules.floor, sigmas=self.rules.sigmas)
        return followed(thresholds, found, self._stated())

    def indicators(self, ports: Sequence[Port], counts: Floats, forecast: Floats) -> Indicators:
        """Of counts (n, p) and the `forecasts` of them: (n, targets)."""
        own = counts[:, [columns[0] for columns in self.columns(ports)]]
        trend = self.trends(ports, counts)
        return Indicators.of(own, forecast[:-1], forecast[1:], trend, floor=self.rules.floor, sigmas=self.rules.sigmas)

    def _stated(self) -> Stated:
        """What thresholds are followed for: (targets,) each."""
        width = self.rules.width
        return Stated(
            share(np.array([model.alarms_e for model in self.models]), width),
            share(np.array([model.alarms_w for model in self.models]), width),
            np.array([model.least_e for model in self.models]),
            np.array([model.burst_e for model in self.models]),
        )

    def score(self, ports: Sequence[Port], counts: Floats, thresholds: Thresholds | None = None) -> list[Score]:
        """Score the last bin of counts (n, p), oldest first, and look one bin ahead: one Score per target.

        `thresholds` are those in force; without, those when training ended. Only the last `history` bins
        matter; InputError where there are fewer.
        """
        if len(counts) < self.history:
            raise InputError(
                f"{len(counts)} closed bins are too few for model bundle {self.id}, which reads "
                f"{self.history}; wait, or fill the history from a recording"
            )
        rules, limits = self.rules, thresholds or self.thresholds
        scores = []
        for number, (model, columns) in enumerate(zip(self.models, self.columns(ports), strict=True)):
            expected, ahead = self.run(number, windows(counts[-model.length - 1 :, columns], model.length))
            observed = counts[-1, columns[0]]
            trend = linear_trend(counts[-rules.trend :, columns[0]])
            e = prediction_error(observed, expected, floor=rules.floor, sigmas=rules.sigmas)
            w = early_warning(ahead, trend, floor=rules.floor, sigmas=rules.sigmas)
            scores.append(
                Score(
                    model.port,
                    float(observed),
                    float(expected),
                    float(e),
                    float(limits.e[number]),
                    float(ahead),
                    float(trend),
                    float(w),
                    float(limits.w[number]),
                )
            )
        return scores

    def score_all(self, ports: Sequence[Port], counts: Floats) -> tuple[Floats, Floats, Floats]:
        """E and W of every bin of whole series (n, p), as `score` computes them bin by bin.

        Returns forecasts (n + 1, targets), E (n, targets), W (n, targets; row t is the warning given at the
        close of bin t about bin t + 1).
        """
        forecast = self.forecasts(ports, counts)
        found = self.indicators(ports, counts, forecast)
        return forecast, found.e, found.w

    def trends(self, ports: Sequence[Port], counts: Floats) -> Floats:
        """The linear trend of W: counts (n, p) -> (n, targets); row t is of bin t + 1, NaN without enough bins."""
        own = counts[:, [columns[0] for columns in self.columns(ports)]]
        found = np.full(own.shape, np.nan)
        if len(own) >= self.rules.trend:
            found[self.rules.trend - 1 :] = linear_trend(windows(own, self.rules.trend).transpose(0, 2, 1))
        return found

    def thresholds_all(
        self, starts: NDArray[np.int64], ports: Sequence[Port], counts: Floats, scored: tuple[Floats, Floats, Floats]
    ) -> tuple[Floats, Floats]:
        """The thresholds of E and W in force at each bin of a series, as the sidecar would have had them.

        `scored` is what `score_all` returned of the same counts (n, p); `starts` (n,) are the bins'. Bins up to
        `rules.until` have the thresholds when training ended. Returns (n, targets) each.
        """
        found = self.indicators(ports, counts, scored[0])
        moves = (starts > self.rules.until) & ~np.isnan(counts).all(axis=1)
        limits_e, limits_w, _ = followed_all(self.thresholds, found, self._stated(), moves)
        return limits_e, limits_w


def _trim() -> None:
    """Return freed memory to the system, which glibc would keep: some 0.5 MB per LSTM."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _session(bundle: Bundle, model: Model) -> onnxruntime.InferenceSession:
    """An onnxruntime session on one thread, from the bytes that were verified."""
    if model.file not in bundle.files:
        raise BundleError(f"{bundle.path}: the bundle holds no {model.file}, the model of {model.port}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # Windows are small and models many: an arena per model would only hold memory back. Weights stay prepacked: the
    # originals are freed, and an LSTM runs three times as fast.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    try:
        # From a file, for onnxruntime keeps bytes that it was given: twice the memory here. Not the bundle's, which may
        # have changed since it was verified.
        with tempfile.NamedTemporaryFile(suffix=".onnx") as copy:
            copy.write(bundle.files[model.file])
            copy.flush()
            session = onnxruntime.InferenceSession(copy.name, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a class per fault, none of them public
        raise BundleError(
            f"{bundle.path / model.file}: onnxruntime cannot load it ({error}); train the models again"
        ) from None
    inputs, outputs = session.get_inputs(), session.get_outputs()
    expected = [model.length, len(model.features)]
    if [i.name for i in inputs] != ["window"] or inputs[0].shape[1:] != expected or len(outputs) != 1:
        raise BundleError(
            f"{bundle.path / model.file}: it reads {[(i.name, i.shape[1:]) for i in inputs]}, not 'window' "
            f"of {expected} as models.json says; train the models again"
        )
    return session
