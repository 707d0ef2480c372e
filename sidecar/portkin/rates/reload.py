"""Reloads the models when their folder changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from portkin.errors import BundleError
from portkin.logs import Log
from portkin.rates.metrics import RatesMetrics
from portkin.watch import Watch

if TYPE_CHECKING:
    from portkin.bundles.forecast import Forecaster


class ModelFolder(Watch):
    """Reloads the models when their folder holds others, or on `look`, and passes them to ``replace``."""

    def __init__(
        self,
        path: Path,
        models: Forecaster,
        replace: Callable[[Forecaster], None],
        *,
        metrics: RatesMetrics,
        log: Log,
    ) -> None:
        self._path = path
        self._models = models
        self._replace = replace
        self._metrics = metrics
        self._log = log
        super().__init__(path)
        self._serve("scoring rates")

    async def changed(self) -> None:
        """Load in a thread; bins are scored meanwhile, each by the old models or by the new."""
        try:
            models = await asyncio.to_thread(type(self._models).load, self._path)
        except BundleError as error:
            self._metrics.reloaded("refused")
            self._log.error("new models rejected, the old ones stay", reason=str(error), model=self._models.id)
            return
        if models.id == self._models.id:
            self._metrics.reloaded("same")
            return
        rules, before = models.rules, self._models.rules
        if (rules.width, rules.tz) != (before.width, before.tz):
            self._log.warning("the new models read other bins: the rates database is emptied", width=rules.width)
        self._models = models
        self._replace(models)
        self._metrics.reloaded("changed")
        self._serve("models of rates reloaded")

    def _serve(self, event: str) -> None:
        models = self._models
        self._metrics.serving(models.id, len(models.targets))
        self._log.info(event, model=models.id, ports=len(models.targets), width=models.rules.width)
        if models.rules.synthetic:
            self._log.warning("these models were trained on synthetic rates", model=models.id)
