"""From the odds of a ranking to a chance that means what it says.

The odds of `chances` are of the very next port. What a site acts on is another chance: that a source now at p probes
q, new to it, within the horizon. It is read off a later part of the training probes: isotonic regression (Ayer et al.,
1955) of what came on the odds, straight lines in log odds between its steps. A case is a source's first probe of p and
an entry of p's row that the source has not probed yet. Every source counts once in all, however many ports it
probes: one sweep over thousands of ports would else be most of what is seen. Where the recording ends before the
horizon, a case counts by the share of what comes true that was to be seen (`recorded`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numba import njit

from portkin.bundles.calibrated import calibrated
from portkin_training.core.history import History
from portkin_training.core.port_codes import CODES
from portkin_training.tables.next_port.counts import HORIZON, Floats, Ints
from portkin_training.tables.next_port.recorded import PARTS, Delays, Recorded, time_left
from portkin_training.tables.next_port.walk import GRAIN

EVIDENCE = 40.0
"""Sources that came true behind every step of the regression: with so many, a share is known to within a third (two
standard errors of a Poisson count)."""
_NEWTON = 100
"""Steps of Newton's method at most; it takes some five."""
_FAR = 30.0
"""Log odds that no ranking comes to."""
BINS = 10
"""Equal bins of chance in a reliability curve."""


@dataclass(frozen=True, eq=False)
class Cases:
    """What came of the entries of a ranking, float64 (n, k): `trials`, the sources that were at p and had not probed q,
    as far as it was recorded what came of them, and `successes`, those of them that probed it within the horizon."""

    trials: Floats
    successes: Floats

    @classmethod
    def of(
        cls, history: History, ports: Ints, codes: Ints, horizon: float = HORIZON, *, recorded: Recorded | None = None
    ) -> Cases:
        """Of a history grouped by source, each source weighing one in all; `ports` int64 (n,) ascending,
        `codes` int64 (n, k), -1 where there is no entry. Without `recorded` all of the horizon was to be seen."""
        grouped = history.by_group()
        share = np.ones(len(grouped)) if recorded is None else recorded.share(grouped.ts)
        return cls(*_counted(grouped, ports, codes, horizon, share, share, Delays()))

    @classmethod
    def of_all(
        cls, histories: Iterable[History], ports: Ints, codes: Ints, *, recorded: Recorded | None = None
    ) -> Cases:
        """As `of`, of histories that have no source in common; see `of` for the shapes."""
        trials, successes = np.zeros(codes.shape), np.zeros(codes.shape)
        for history in histories:
            found = cls.of(history, ports, codes, recorded=recorded)
            trials += found.trials
            successes += found.successes
        return cls(trials, successes)


def how_soon(histories: Iterable[History], ports: Ints, codes: Ints, ends: Ints) -> Floats:
    """The share of the entries that come true which do within each part of the horizon, as `Recorded.within` (p + 1,);
    of histories that were recorded up to the `ends` (e,), and `ports` and `codes` as in `Cases.of`."""
    delays = Delays()
    for history in histories:
        grouped = history.by_group()
        _counted(grouped, ports, codes, HORIZON, np.ones(len(grouped)), time_left(ends, grouped.ts), delays)
    return delays.within()


def _counted(
    grouped: History, ports: Ints, codes: Ints, horizon: float, share: Floats, left: Floats, delays: Delays
) -> tuple[Floats, Floats]:
    """Trials and successes (n, k), trials times the `share` (m,) of each probe; delays of the successes are added up,
    after probes of which so much of the horizon is `left` (m,)."""
    row_of = np.full(CODES, -1, np.int64)
    row_of[ports] = np.arange(len(ports))
    trials, successes = np.zeros(codes.shape), np.zeros(codes.shape)
    _count_cases(
        grouped.ts, grouped.group, grouped.code, share, left, row_of, codes, round(horizon * 1e6),
        trials, successes, delays.came, delays.seen,
    )  # fmt: skip
    return trials, successes


@njit(cache=True, nogil=True)
def _count_cases(
    ts, group, code, share, left, row_of, codes, horizon, trials, successes, came, seen
):  # pragma: no cover - compiled
    """The rows of a group lie together, in order of time."""
    first = np.empty(CODES, np.int64)  # the row at which the group at hand first probed a port
    whose = np.full(CODES, -1, np.int64)
    visited = np.empty(CODES, np.int64)
    begin, run = 0, 0
    while begin < len(ts):
        n, row = 0, begin
        while row < len(ts) and group[row] == group[begin]:
            c = code[row]
            if whose[c] != run:
                whose[c], first[c], visited[n] = run, row, c
                n += 1
            row += 1
        weight = np.round(1 / n / GRAIN) * GRAIN
        for i in range(n):
            p = visited[i]
            at = row_of[p]
            if at < 0:
                continue
            known = np.round(weight * share[first[p]] / GRAIN) * GRAIN
            for j in range(codes.shape[1]):
                q = codes[at, j]
                if q < 0 or (whose[q] == run and first[q] < first[p]):
                    continue
                trials[at, j] += known
                delay = ts[first[q]] - ts[first[p]] if whose[q] == run else horizon
                if delay < horizon:
                    successes[at, j] += weight
                    came[delay * PARTS // horizon] += weight
                    seen[max(delay * PARTS // horizon, int(left[first[p]] * PARTS))] += weight
        begin, run = row, run + 1


@dataclass(frozen=True, eq=False)
class Calibration:
    """A map from log odds to log odds, increasing: through `points` (m, 2), sorted, by straight lines. Without points
    it changes nothing."""

    points: Floats

    def chances(self, odds: Floats) -> Floats:
        """The chances of log odds, of any shape; 0 for -inf."""
        return calibrated(self.points, odds)


def calibrate(odds: Floats, cases: Cases) -> Calibration:
    """The calibration by which `odds`, of the shape of the cases, say what came of them."""
    here = cases.trials > 0
    x, trials, successes = odds[here], cases.trials[here], cases.successes[here]
    order = np.argsort(x, kind="stable")
    x, trials, successes = x[order], trials[order], successes[order]
    if not successes.any():
        return Calibration(np.empty((0, 2)))
    # From the least likely up, as many steps as there is evidence for; what is left over joins the last.
    steps = max(successes.sum() // EVIDENCE, 1)
    step = np.minimum(np.cumsum(successes) // EVIDENCE, steps - 1)
    starts = np.flatnonzero(np.concatenate([[True], step[1:] != step[:-1]]))
    parts = np.column_stack([np.add.reduceat(part, starts) for part in (successes, trials, trials * x)])
    pooled: list[Floats] = []
    for part in parts:
        pooled.append(part)
        while len(pooled) > 1 and _log_odds(*pooled[-2][:2]) >= _log_odds(*pooled[-1][:2]):
            pooled[-2:] = [pooled[-2] + pooled[-1]]
    successes, trials, x = np.array(pooled).T
    points = np.column_stack([x / trials, _log_odds(successes, trials)])
    # Straight lines in log odds state too much between the steps: what is stated in all comes to what was seen.
    stated = (Calibration(points).chances(odds[here]) * cases.trials[here]).sum()
    points[:, 1] += np.log(successes.sum() / stated)
    return Calibration(points)


def shifted(odds: Floats, cases: Cases, slope: float = 1.0) -> Calibration:
    """The calibration that multiplies `odds`, of the cases' shape, by `slope`, and adds one number to them, so that in
    all they state what came."""
    x, trials, seen = slope * odds.ravel(), cases.trials.ravel(), float(cases.successes.sum())
    shift = 0.0
    for _ in range(_NEWTON):
        chance = 1 / (1 + np.exp(-(x + shift)))
        missing = (seen - trials @ chance) / (trials @ (chance * (1 - chance)))
        shift += float(np.clip(missing, -1, 1))
        if abs(missing) < 1e-6:
            break
    return Calibration(np.array([[at, slope * at + shift] for at in (-_FAR, _FAR)]))


def _log_odds(successes: Floats, trials: Floats) -> Floats:
    """Of the share of successes, with half a case each way, so that no chance is 0 or 1."""
    found: Floats = np.log((successes + 0.5) / (np.maximum(trials - successes, 0) + 0.5))
    return found


def reliability(chance: Floats, cases: Cases) -> list[dict[str, float]]:
    """Per equal bin of chance that holds any case: where it begins and ends, its cases, the mean chance stated, and
    the share observed. `chance` has the shape of the cases."""
    place = np.minimum((chance * BINS).astype(np.int64), BINS - 1).ravel()
    trials, successes, stated = (
        np.bincount(place, part.ravel(), minlength=BINS)
        for part in (cases.trials, cases.successes, cases.trials * chance)
    )
    return [
        {
            "from": b / BINS,
            "to": (b + 1) / BINS,
            "cases": round(float(trials[b]), 2),
            "stated": round(float(stated[b] / trials[b]), 6),
            "observed": round(float(successes[b] / trials[b]), 6),
        }
        for b in range(BINS)
        if trials[b] > 0
    ]
