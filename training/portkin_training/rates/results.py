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
from portkin_training.rates.models.registry import KINDS, MODELS, UNSHIPPABLE
from portkin_training.rates.models.task import Floats, ForecastScores

TOLERANCE = 0.02
"""A cheaper model ships if its error on the choosing part is within this share of the best one's."""


@dataclass(frozen=True, eq=False)
class Result:
    """One model's outcome: forecasts (n,), figures on the choosing and the reported part, and the model as ONNX.

    `onnx` is empty for what does not ship; `about` holds what was chosen on the way; `seconds` is what the fit took,
    which several models may share.
    """

    port: Port
    model: str
    forecast: Floats
    choosing: ForecastScores
    reported: ForecastScores
    seconds: float
    features: tuple[Port, ...]
    length: int
    onnx: bytes
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
        "length": result.length,
        "about": result.about,
    }
    with replacing(file) as aside:
        np.savez(
            aside,
            forecast=result.forecast,
            onnx=np.frombuffer(result.onnx, dtype=np.uint8),
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
            fields["length"],
            held["onnx"].tobytes(),
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


def shipping(results: Sequence[Result], tolerance: float = TOLERANCE) -> Result:
    """Of one port's results the one that ships: the cheapest whose error on the choosing part is close to the least.

    Never looks at the reported part. Of equally cheap ones the better is taken.
    Raises ValueError where no model that can ship was evaluated.
    """
    able = [result for result in results if result.model not in UNSHIPPABLE and "unfit" not in result.about]
    if not able:
        raise ValueError("no model that can ship was evaluated: add one of " + ", ".join(MODELS[:5]))
    least = min(result.choosing.mae for result in able)
    close = [result for result in able if result.choosing.mae <= least * (1 + tolerance)]
    return min(close, key=lambda result: (KINDS[result.model].cost, result.choosing.mae))
