"""From settings to live rates: which models, which file."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from portkin.logs import Log
from portkin.rates.config import RatesConfig, closing_of, window_path
from portkin.rates.metrics import RatesMetrics
from portkin.rates.reload import ModelFolder
from portkin.rates.scorer import AHEAD, Keeper
from portkin.rates.service import LiveRates
from portkin.rates.store import Window, open_window
from portkin.timeseries.windows import label

if TYPE_CHECKING:
    from portkin.bundles.forecast import Forecaster

SPARE = 48
"""Bins kept beyond what the models read, for reports that come late."""


def make_window(config: RatesConfig, models: Forecaster, *, now: float) -> tuple[Window, str]:
    """The window of these models, and what was wrong with its file. Raises BooksError."""
    return open_window(
        window_path(config),
        now,
        width=models.rules.width,
        tz=models.rules.tz,
        ports=models.ports,
        bins=models.history + SPARE,
        closing=closing_of(config),
    )


def make_rates(
    config: RatesConfig,
    *,
    registry: CollectorRegistry,
    log: Log,
    clock: Callable[[], float] = time.monotonic,
    wall: Callable[[], float] = time.time,
) -> tuple[LiveRates, ModelFolder | None]:
    """The part of the service that scores rates, and what follows the folder of its models, if one is set.

    Raises BundleError for models that cannot be used.
    """
    metrics = RatesMetrics(registry)

    def make(models: Forecaster, before: Keeper | None) -> Keeper:
        window, wrong = make_window(config, models, now=wall())
        if wrong:
            log.error("the window of rates begins anew", reason=wrong)
        opened = window.open
        if opened is not None and opened > wall() + AHEAD:
            # Not put right here: it may be our clock that is wrong, and then the window is worth keeping.
            log.error(
                "nothing is scored before the bin at which the window of rates is; set the clock, "
                "or, where it is right, move this file away while portkin is ended",
                file=str(window.path),
                bin=label(opened, window.width, window.tz),
            )
        if before is None:
            return Keeper(window, models, metrics=metrics, log=log, wall=wall)
        before.replace(window, models)
        return before

    if config.model is None:
        return LiveRates(None, make, queue=config.queue, metrics=metrics, log=log, clock=clock), None
    from portkin.bundles.forecast import Forecaster  # onnxruntime is not small

    models = Forecaster.load(config.model)
    rates = LiveRates(models, make, queue=config.queue, metrics=metrics, log=log, clock=clock)
    return rates, ModelFolder(config.model, models, rates.replace, metrics=metrics, log=log)
