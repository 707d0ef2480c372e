"""What warnings would have been worth in an evaluation: those of the best model of each port, on the reported part."""

from __future__ import annotations

from collections.abc import Sequence

from portkin.bundles.forecast_models import Rules
from portkin_training.rates.calibrate import indicators, warning_worth
from portkin_training.rates.models.task import Split
from portkin_training.rates.report import by_port
from portkin_training.rates.results import Result, winner
from portkin_training.rates.series.rate_series import Rates
from portkin_training.rates.warnings_worth import Worth, pooled


def judged(rates: Rates, results: Sequence[Result], alarms_per_month: float = 1.0) -> dict[str, Worth]:
    """By port, and of all of them under ``pooled``."""
    rules = Rules(rates.width, rates.tz)
    begin = Split.of(len(rates.starts)).choose
    found = {}
    for port, tried in by_port(results).items():
        observed = rates.counts[:, rates.column(port)]
        told = indicators(observed, winner(tried).forecast, rules)
        found[str(port)] = warning_worth(observed, told, begin, alarms_per_month, rules)
    bins = [len(rates.starts) - begin] * len(found)
    return found | {"pooled": pooled(list(found.values()), bins)}
