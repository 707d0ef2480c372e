"""What came of fitting one model to one port: kept in a file, and compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from portkin.net.ports import Port
from portkin_training.rates.models.task import Floats, ForecastScores
from portkin_training.rates.work_folder import fields_of, save


@dataclass(frozen=True, eq=False)
class Result:
    """One model's outcome: forecasts (n,), and figures on the choosing and the reported part.

    `about` holds what was chosen on the way; `seconds` is what the fit took, which several models may share.
    """

    port: Port
    model: str
    forecast: Floats
    choosing: ForecastScores
    reported: ForecastScores
    seconds: float
    features: tuple[Port, ...]
    about: Mapping[str, Any] = field(default_factory=dict)


def save_result(file: Path, result: Result) -> None:
    """Write a result, whole or not at all."""
    fields = {
        "port": str(result.port),
        "model": result.model,
        "choosing": asdict(result.choosing),
        "reported": asdict(result.reported),
        "seconds": result.seconds,
        "features": [str(port) for port in result.features],
        "about": result.about,
    }
    save(file, fields, forecast=result.forecast)


def load_result(file: Path) -> Result:
    """Read what `save_result` wrote."""
    with np.load(file) as held:
        fields = fields_of(held)
        return Result(
            Port.parse(fields["port"]),
            fields["model"],
            held["forecast"],
            ForecastScores(**fields["choosing"]),
            ForecastScores(**fields["reported"]),
            fields["seconds"],
            tuple(Port.parse(text) for text in fields["features"]),
            fields["about"],
        )


def winner(results: Sequence[Result]) -> Result:
    """Of one port's results the one with the best R2 on the reported part: the bold figure of Tables IV and V.

    Where nothing varies there is no R2: then the one with the least error.
    """

    def key(result: Result) -> tuple[float, float]:
        known = result.reported.r2 == result.reported.r2
        return result.reported.r2 if known else -np.inf, -result.reported.mae

    return max(results, key=key)
