"""What came of fitting one model to one port: kept in a file, and compared."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from portkin.files import replacing
from portkin.net.ports import Port
from portkin_training.rates.models.task import Floats, ForecastScores


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
    """Write a result aside and rename it into place, so that a file is whole or absent."""
    fields = {
        "port": str(result.port),
        "model": result.model,
        "choosing": asdict(result.choosing),
        "reported": asdict(result.reported),
        "seconds": result.seconds,
        "features": [str(port) for port in result.features],
        "about": result.about,
    }
    with replacing(file) as aside:
        np.savez(
            aside,
            forecast=result.forecast,
            fields=np.frombuffer(json.dumps(fields).encode(), dtype=np.uint8),
        )


def load_result(file: Path) -> Result:
    """Read what `save_result` wrote."""
    with np.load(file) as held:
        fields = json.loads(held["fields"].tobytes())
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
