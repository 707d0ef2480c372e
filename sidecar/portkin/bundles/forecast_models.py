"""The description of forecast models in a bundle, models.json: features, scaling, thresholds, and common rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from portkin.net.ports import Port
from portkin.timeseries.calibration import MOST
from portkin.timeseries.indicators import FLOOR, SIGMAS, TREND
from portkin.timeseries.scaling import Scaling

KIND = "portkin-rates"
SCHEMA = 5
"""1 had no `logarithm` per model, 2 thresholds that stayed as they were, 3 thresholds for which every bin counted, 4 no
level of bursts."""
MODELS = "models.json"


@dataclass(frozen=True, eq=False)
class Model:
    """One target's model: what it reads, how that is scaled, and when its indicators are alarms.

    `features` begin with the target itself; `scaling` has one mean and deviation per feature. The thresholds are those
    when training ended; they are followed for `alarms_e` and `alarms_w` alarms per 30 days (`timeseries.calibration`),
    and stay as they are where that is 0. `least_e` is what E is above, where it is not zero, in nearly all bins;
    an E above `burst_e` is a burst.
    """

    port: Port
    kind: str
    file: str
    length: int
    features: tuple[Port, ...]
    scaling: Scaling
    threshold_e: float
    threshold_w: float
    alarms_e: float = 0.0
    alarms_w: float = 0.0
    least_e: float = 0.0
    burst_e: float = MOST

    @classmethod
    def read(cls, fields: dict[str, Any]) -> Model:
        """From its entry in models.json. Raises KeyError, TypeError or ValueError for a damaged one."""
        model = cls(
            Port.parse(fields["port"]),
            str(fields["kind"]),
            str(fields["file"]),
            int(fields["length"]),
            tuple(Port.parse(text) for text in fields["features"]),
            Scaling(
                np.array(fields["mean"], dtype=float),
                np.array(fields["std"], dtype=float),
                _flag(fields["logarithm"]),
            ),
            _limit(fields["threshold_e"]),
            _limit(fields["threshold_w"]),
            _number(fields, "alarms_e"),
            _number(fields, "alarms_w"),
            _number(fields, "least_e"),
            _number(fields, "burst_e"),
        )
        size = (len(model.features),)
        if model.length < 1 or model.scaling.mean.shape != size or model.scaling.std.shape != size:
            raise ValueError(f"{model.port}: length or scaling does not fit its {size[0]} features")
        if not (np.isfinite(model.scaling.mean).all() and (model.scaling.std > 0).all()):
            raise ValueError(f"{model.port}: its scaling is not finite and positive")
        if model.features[0] != model.port:
            raise ValueError(f"{model.port}: its first feature is {model.features[0]}, not itself")
        return model

    def write(self) -> dict[str, Any]:
        """Its entry in models.json."""
        return {
            "port": str(self.port),
            "kind": self.kind,
            "file": self.file,
            "length": self.length,
            "features": [str(port) for port in self.features],
            "mean": self.scaling.mean.tolist(),
            "std": self.scaling.std.tolist(),
            "logarithm": self.scaling.logarithm,
            # JSON has no infinity: null is a threshold that nothing exceeds
            "threshold_e": self.threshold_e if np.isfinite(self.threshold_e) else None,
            "threshold_w": self.threshold_w if np.isfinite(self.threshold_w) else None,
            "alarms_e": self.alarms_e,
            "alarms_w": self.alarms_w,
            "least_e": self.least_e,
            "burst_e": self.burst_e,
        }


@dataclass(frozen=True)
class Rules:
    """Common to all models of a bundle: bins, trend window, the guards of the indicators, and until when it knows."""

    width: int
    tz: str
    trend: int = TREND
    floor: float = FLOOR
    sigmas: float = SIGMAS
    synthetic: bool = False
    until: int = 0
    """The start of the last bin that thresholds were calibrated on; they follow the bins after it."""


def _number(fields: dict[str, Any], name: str) -> float:
    """A finite number of models.json that is not negative. Raises ValueError for another."""
    value = float(fields[name])
    if not (np.isfinite(value) and value >= 0):
        raise ValueError(f"{name} is {value}")
    return value


def _limit(value: float | None) -> float:
    """A threshold as models.json has it."""
    return float("inf") if value is None else float(value)


def _flag(value: Any) -> bool:
    """A boolean of models.json. Raises TypeError for anything else, which would scale rates wrongly."""
    if not isinstance(value, bool):
        raise TypeError(f"logarithm is {value!r}, not true or false")
    return value
