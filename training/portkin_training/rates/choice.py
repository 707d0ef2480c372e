"""Which model of a port ships: the one whose errors, over several blocks of time, are the least."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from portkin.errors import InputError
from portkin.net.ports import Port
from portkin_training.rates.models.registry import EXPENSIVE, KINDS, LINEAR, UNSHIPPABLE
from portkin_training.rates.models.task import Floats, ForecastScores, Split, Task, judge
from portkin_training.rates.rolling import ORIGINS, REPORTED, WEIGHTS, Trial, block_errors, cuts
from portkin_training.rates.series.rate_series import Rates

TOLERANCE = 0.01
"""A cheaper model ships if its error is within this share of the best one's."""
EARNS = 0.02
"""An expensive model must be better than the best of the others by more than this share."""
CONSTANT = 0.05
"""A constant cannot follow: it must be better than the best of the others by more than this share."""
COMBINED = (2, 3, 4)
"""How many of the best weighted sums a combination is the mean of."""
BASELINES = ("median", "last value", "seasonal naive", "moving average", "moving median", "EWMA", "EWMA log")


@dataclass(frozen=True, eq=False)
class Choice:
    """What ships for a port: one model, or the mean of several, its `members`.

    `forecast` (n,) by rolling origins; `errors` (4,), the mean absolute error in each block; `refit` whether the model
    fitted to all bins ships, or the one of the last origin; `reported` are the figures, on the reported part, of what
    the same rule chooses from the blocks before it.
    """

    port: Port
    members: tuple[Trial, ...]
    forecast: Floats
    errors: Floats
    refit: bool
    reason: str
    tried: dict[str, list[float | None]]
    reported: ForecastScores
    reported_model: str

    @property
    def name(self) -> str:
        """Its model's name, or those that it is the mean of."""
        return named(self.members)

    def about(self) -> dict[str, Any]:
        """For the manifest: what was chosen, why, and how all others did."""
        return {
            "model": self.name,
            "reason": self.reason,
            "fitted_on": "all bins" if self.refit else f"the first {ORIGINS[-1]:.1%} of the bins",
            "errors": _without_nan(self.errors),
            "reported": asdict(self.reported),
            "reported_model": self.reported_model,
            "tried": self.tried,
        }


@dataclass(frozen=True, eq=False)
class _Candidate:
    members: tuple[Trial, ...]
    forecast: Floats
    older: Floats
    errors: Floats
    cost: float


def named(members: Sequence[Trial]) -> str:
    """``EWMA log``, or ``mean of EWMA log and HAR log``."""
    if len(members) == 1:
        return members[0].model
    return "mean of " + ", ".join(trial.model for trial in members[:-1]) + f" and {members[-1].model}"


def choose(rates: Rates, trials: Sequence[Trial], tolerance: float = TOLERANCE) -> Choice:
    """The model of one port that ships, out of its trials.

    InputError where none of them can ship or has a forecast.
    """
    able = [trial for trial in trials if trial.model not in UNSHIPPABLE and trial.able]
    if not able:
        why = next((str(trial.about["unfit"]) for trial in trials if "unfit" in trial.about), "")
        raise InputError(
            f"{trials[0].port}: none of the models tried can ship ({', '.join(trial.model for trial in trials)})"
            + (f": {why}" if why else "; add one of " + ", ".join(BASELINES))
        )
    blocks = list(range(len(ORIGINS)))
    singles = [_single(rates, trial) for trial in able]
    best, reason = _best(rates, singles, blocks, tolerance)
    naive = next((one for one in singles if one.members[0].model == "seasonal naive"), None)
    simple = [one for one in singles if one.members[0].model in BASELINES]
    if naive is not None and simple and _mean(best.errors) > _mean(naive.errors):
        best, _ = _best(rates, simple, blocks[REPORTED:], 0.0, combine=False)
        reason = "no model beats the seasonal naive forecast on the reported part: the best baseline ships"
    before = [one for one in singles if not np.isnan(one.errors[:REPORTED]).all()]
    honest = _best(rates, before or singles, blocks[:REPORTED] if before else blocks, tolerance)[0]
    return Choice(
        able[0].port,
        best.members,
        best.forecast,
        best.errors,
        _refit(rates, best),
        reason,
        {trial.model: _without_nan(block_errors(rates, trial.port, trial.forecast)) for trial in trials},
        report_on(rates, able[0].port, honest.forecast),
        named(honest.members),
    )


def report_on(rates: Rates, port: Port, forecast: Floats) -> ForecastScores:
    """The figures of forecasts (n,) on the reported part."""
    n = len(rates.starts)
    begin = cuts(n)[REPORTED]
    task = Task(rates.counts[:, [rates.column(port)]], rates.width, Split(begin, begin, n))
    return judge(task, forecast, begin, n)


def _single(rates: Rates, trial: Trial) -> _Candidate:
    errors = block_errors(rates, trial.port, trial.forecast)
    if KINDS[trial.model].cost >= EXPENSIVE:
        errors[:REPORTED] = np.nan
    return _Candidate((trial,), trial.forecast, trial.older, errors, KINDS[trial.model].cost)


def _best(
    rates: Rates, singles: Sequence[_Candidate], blocks: Sequence[int], tolerance: float, *, combine: bool = True
) -> tuple[_Candidate, str]:
    """The cheapest of those whose error in these blocks is close to the least, and why."""
    cheap = [one for one in singles if one.cost < EXPENSIVE]
    dear = [one for one in singles if one.cost >= EXPENSIVE]
    if cheap:
        if combine:
            cheap = [*cheap, *_combinations(rates, cheap, blocks)]
        scores = _scores(rates, cheap, blocks)
        scores += [np.log1p(CONSTANT) * any(trial.model == "median" for trial in one.members) for one in cheap]
        close = [at for at in range(len(cheap)) if scores[at] <= scores.min() + np.log1p(tolerance)]
        best, reason = cheap[min(close, key=lambda at: (cheap[at].cost, scores[at]))], "least error over the blocks"
    else:
        best, reason = dear[0], "nothing cheaper was tried"
    late = [block for block in blocks if block >= REPORTED]
    if dear and late:
        scores = _scores(rates, [best, *dear], late)
        least = int(np.argmin(scores))
        if scores[least] < scores[0] - np.log1p(EARNS) or not cheap:
            best, reason = [best, *dear][least], f"better than the others by more than {EARNS:.0%}"
    return best, reason


def _combinations(rates: Rates, singles: Sequence[_Candidate], blocks: Sequence[int]) -> list[_Candidate]:
    """Means of the best few weighted sums of logarithms, which are weighted sums again; and of counts."""
    found = []
    for logarithm in (True, False):
        able: list[_Candidate] = []
        scores = _scores(rates, singles, blocks)
        for at in np.argsort(scores, kind="stable"):
            kind = KINDS[singles[at].members[0].model]
            same = any(np.array_equal(singles[at].forecast, one.forecast, equal_nan=True) for one in able)
            if kind.logarithm == logarithm and kind.fit in LINEAR and not same:
                able.append(singles[at])
        found += [_mean_of(rates, able[:number], logarithm) for number in COMBINED if len(able) >= number]
    return found


def _mean_of(rates: Rates, singles: Sequence[_Candidate], logarithm: bool) -> _Candidate:
    def mean(forecasts: Sequence[Floats]) -> Floats:
        found: Floats = np.expm1(np.mean(np.log1p(forecasts), axis=0)) if logarithm else np.mean(forecasts, axis=0)
        return found

    members = tuple(one.members[0] for one in singles)
    forecast = mean([one.forecast for one in singles])
    return _Candidate(
        members,
        forecast,
        mean([one.older for one in singles]),
        block_errors(rates, members[0].port, forecast),
        max(one.cost for one in singles) + 0.5,
    )


def _scores(rates: Rates, candidates: Sequence[_Candidate], blocks: Sequence[int]) -> Floats:
    """The weighted mean, over blocks, of the logarithm of errors relative to the least in the block: (candidates,).

    So a block of high rates does not outweigh the others. A hundredth of the mean rate is added to every error: where
    nothing comes for a month, one probe is no disaster.
    """
    column = rates.counts[cuts(len(rates.starts))[0] :, rates.column(candidates[0].members[0].port)]
    least = 0.01 * (float(np.nanmean(column)) if not np.isnan(column).all() else 0.0) + 1e-6
    errors = np.log(np.stack([one.errors[list(blocks)] for one in candidates]) + least)
    known = ~np.isnan(errors).all(axis=0)
    weights = np.array([WEIGHTS[block] for block in blocks])[known]
    errors = errors[:, known]
    if not errors.shape[1]:
        return np.zeros(len(candidates))
    relative = np.where(np.isnan(errors), np.inf, errors - np.nanmin(errors, axis=0))
    found: Floats = relative @ weights / weights.sum()
    return found


def _refit(rates: Rates, best: _Candidate) -> bool:
    """Whether fitting again has paid: in the last block the younger of two fits was not worse."""
    if np.isnan(best.older).all():
        return True
    older = block_errors(rates, best.members[0].port, best.older)[-1]
    return bool(np.isnan(older) or best.errors[-1] <= older * (1 + EARNS))


def _mean(errors: Floats) -> float:
    late = errors[REPORTED:]
    return float(np.nanmean(late)) if not np.isnan(late).all() else 0.0


def _without_nan(errors: Floats) -> list[float | None]:
    return [None if np.isnan(error) else float(error) for error in errors]
