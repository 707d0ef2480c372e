"""Builds the rates service from the settings."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from portkin.logs import Log
from portkin.net.ports import Port
from portkin.rates.closing import Closing
from portkin.rates.config import RatesConfig, closing_of, rates_database_path
from portkin.rates.metrics import RatesMetrics
from portkin.rates.reload import ModelFolder
from portkin.rates.scorer import MAX_AHEAD, RateScorer
from portkin.rates.service import RatesService
from portkin.rates.store import RateStore
from portkin.sqlite import open_or_set_aside
from portkin.timeseries.bins import label

if TYPE_CHECKING:
    from portkin.bundles.forecast import Forecaster

LATE_BINS = 48
"""Bins kept beyond those the models read, for reports that come late."""


def make_store(config: RatesConfig, models: Forecaster, *, now: float, known: bool = False) -> tuple[RateStore, str]:
    """The rates database of these models, and what was wrong with the file. Raises StorageError.

    ``known``: it was ours when it was opened before.
    """
    return open_store(
        rates_database_path(config),
        now,
        width=models.rules.width,
        tz=models.rules.tz,
        ports=models.ports,
        bins=models.history + LATE_BINS,
        closing=closing_of(config),
        known=known,
    )


def open_store(
    path: Path,
    now: float,
    *,
    width: int,
    tz: str,
    ports: Sequence[Port],
    bins: int,
    closing: Closing,
    known: bool = False,
) -> tuple[RateStore, str]:
    """The database at ``path``, and what was wrong with it; see `portkin.sqlite.open_or_set_aside`."""

    def opened() -> RateStore:
        path.parent.mkdir(parents=True, exist_ok=True)
        return RateStore(path, width=width, tz=tz, ports=ports, bins=bins, closing=closing, known=known)

    refused = "the rates database cannot be opened ({}); set rates.database to a file that can be written"
    return open_or_set_aside(path, now, opened, refused)


def make_rates(
    config: RatesConfig,
    *,
    registry: CollectorRegistry,
    log: Log,
    clock: Callable[[], float] = time.monotonic,
    wall_clock: Callable[[], float] = time.time,
) -> tuple[RatesService, ModelFolder | None]:
    """The part of the service that scores rates, and the watch of its models' folder, if one is set.

    Raises BundleError for models that cannot be used.
    """
    metrics = RatesMetrics(registry)

    def make(models: Forecaster, before: RateScorer | None) -> RateScorer:
        known = before is not None and not before.gone()
        store, wrong = make_store(config, models, now=wall_clock(), known=known)
        if wrong:
            log.error("the rates database is recreated", reason=wrong)
        opened = store.open
        if opened is not None and opened > wall_clock() + MAX_AHEAD:
            # Not deleted here: it may be our clock that is wrong, and then the file is worth keeping.
            log.error(
                "nothing is scored before the open bin of the rates database; set the clock, "
                "or, where it is right, move this file away while portkin is stopped",
                file=str(store.path),
                bin=label(opened, store.width, store.tz),
            )
        if before is None:
            return RateScorer(store, models, metrics=metrics, log=log, wall_clock=wall_clock)
        before.replace(store, models)
        return before

    if config.model is None:
        return RatesService(None, make, queue=config.queue, metrics=metrics, log=log, clock=clock), None
    from portkin.bundles.forecast import Forecaster  # onnxruntime is not small

    models = Forecaster.load(config.model)
    rates = RatesService(models, make, queue=config.queue, metrics=metrics, log=log, clock=clock)
    return rates, ModelFolder(config.model, models, rates.set_models, metrics=metrics, log=log)
