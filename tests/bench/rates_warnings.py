"""What predicts a high bin? W, and signals that might do better, each against chance.

python tests/bench/rates_warnings.py SERIES [--probes PROBES] [--work WORK]

Forecasts are those by rolling origins of what `rates train` would choose of the cheap models. Each signal, at the
close of a bin that is not high, warns of the next; its threshold begins at the quantile of the third quarter of the
bins, goes on as the sidecar's, at ten times the stated rate, and is judged on the last quarter. A bin is high above the
95 % quantile of the 30 days before it. AUC is the chance that a bin before a high one has the larger signal.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from rates_held_out import cheap


def chosen(rates, probes: Path | None, work: Path):
    """What `rates train` would choose of the cheap models: a Choice per port; and the affinities (p, p)."""
    from portkin_training.commands.rates_options import counted_sequential
    from portkin_training.core.engine import DUCKDB
    from portkin_training.rates import rolling
    from portkin_training.rates.affinity.feature_ports import Affinities, default_lags
    from portkin_training.rates.choice import choose
    from portkin_training.rates.models.registry import profile

    begin = rolling.cuts(len(rates.starts))[0]
    counted = counted_sequential(rates, probes, None, 1.0, 0, until=int(rates.starts[begin]), engine=DUCKDB)
    kin = Affinities.of(rates, default_lags(rates.width), counted, 0, begin)
    found = {}
    for trial in rolling.trials(
        rates,
        kin,
        profile("small", rates.width),
        folder=work,
        seed=0,
        targets=rates.ports,
        models=cheap()[1::2],
        jobs=1,
    ):
        found.setdefault(trial.port, []).append(trial)
    return {port: choose(rates, trials) for port, trials in found.items()}, kin.both


def distinct_sources(rates, probes: Path):
    """How many sources probed each port in each bin: (n, p)."""
    from portkin_training.core.dataset import open_probes
    from portkin_training.core.protocols import PROTO_NUMBERS
    from portkin_training.core.time_bins import seconds

    table = open_probes(probes)
    named = table.mutate(bin=(seconds(table) // rates.width).cast("int64"))
    once = named.select("bin", "proto", "dport", "src_hi", "src_lo").distinct()
    rows = once.group_by(["bin", "proto", "dport"]).aggregate(n=once.count()).to_pyarrow().to_pylist()
    place = {(PROTO_NUMBERS[port.proto], port.number): column for column, port in enumerate(rates.ports)}
    number = {int(start): at for at, start in enumerate(rates.starts)}
    found = np.zeros(rates.counts.shape)
    for row in rows:
        at, column = number.get(row["bin"] * rates.width), place.get((row["proto"], row["dport"]))
        if at is not None and column is not None:
            found[at, column] = row["n"]
    return np.where(np.isnan(rates.counts), np.nan, found)


def before(values, bins: int, of):
    """`of` the `bins` values up to and with each: (n,)."""
    return np.array([of(values[max(0, t - bins + 1) : t + 1]) for t in range(len(values))])


def rise(values, season: int):
    """Each value beside the mean of the season before it; both with one added: (n,)."""
    mean = np.append(np.nan, before(values, season, np.nanmean)[:-1])
    return (values + 1) / (mean + 1)


def signals(rates, column: int, forecast, kin, sources):
    """Each signal's values (n,), larger where a high next bin is more likely, about 1 where nothing is up."""
    from portkin.bundles.forecast_models import Rules
    from portkin.timeseries.calibration import MONTH
    from portkin_training.rates.calibrate import indicators
    from portkin_training.rates.models.task import season_of
    from portkin_training.rates.warnings_worth import HIGH

    observed, season = rates.counts[:, column], season_of(rates.width)
    month = MONTH // rates.width
    ahead = np.append(forecast[1:], np.nan)
    usual = before(observed, month, lambda part: np.nanquantile(part, HIGH) if (~np.isnan(part)).any() else np.nan)
    error = np.log1p(observed) - np.log1p(forecast)
    spread = before(error, month, lambda part: np.nanstd(part) if (~np.isnan(part)).any() else np.nan)
    order = [other for other in np.argsort(-kin[column], kind="stable") if other != column][:5]
    others = np.nanmean([np.log(rise(rates.counts[:, other], season)) for other in order], axis=0) if order else None
    found = {
        "W (eq. 21)": indicators(observed, forecast, Rules(rates.width, rates.tz)).w,
        "the forecast beside what is high": (ahead + 1) / (usual + 1),
        "the forecast's interval": np.exp((np.log1p(ahead) - np.log1p(usual)) / np.maximum(spread, 0.05)),
        "growth of packets": rise(observed, season),
    }
    if others is not None:
        found["kin ports rising"] = np.exp(others)
    if sources is not None:
        found["growth of sources"] = rise(sources[:, column], season)
    return found


def together(found, high, known, edges):
    """A logistic regression on the logarithms of all signals, fitted to the third quarter: its odds over chance's."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    x = np.stack([np.log(values + 0.01) for values in found.values()], axis=1)
    ahead = np.append(high[1:], False)
    rows = np.arange(len(x))
    able = np.isfinite(x).all(axis=1) & known
    fitted = able & ~high & (rows >= edges[0]) & (rows < edges[1] - 1)
    odds = np.full(len(x), np.nan)
    if ahead[fitted].sum() < 5:
        return odds
    scaler = StandardScaler().fit(x[fitted])
    model = LogisticRegression().fit(scaler.transform(x[fitted]), ahead[fitted])
    odds[able] = model.predict_proba(scaler.transform(x[able]))[:, 1] / ahead[fitted].mean()
    return odds


def warned(signal, edges, alpha: float):
    """Where a signal (n,) is above its threshold from the last quarter on."""
    from portkin.timeseries.calibration import Stated, Thresholds, followed_all
    from portkin.timeseries.indicators import Indicators
    from portkin_training.rates.calibrate import COLUMN, first_threshold

    begin = first_threshold(signal[edges[0] : edges[1]], alpha)
    nothing = np.zeros(len(signal))
    said = Indicators(nothing, signal, nothing).at(COLUMN)
    first = Thresholds.of(np.array([np.inf]), np.array([begin]))
    moves = np.arange(len(signal)) >= edges[1]
    _, limits, _ = followed_all(first, said, Stated.warnings(np.array([alpha])), moves)
    return (signal > limits[:, 0]) & moves


def main() -> None:
    """Read the command line; a line per signal."""
    from sklearn.metrics import roc_auc_score

    from portkin.timeseries.calibration import MONTH
    from portkin_training.rates.calibrate import WARNINGS
    from portkin_training.rates.series import rate_series
    from portkin_training.rates.warnings_worth import high_bins, pooled, worth

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--probes", type=Path)
    parser.add_argument("--work", type=Path, help="keeps what was fitted")
    args = parser.parse_args()
    rates = rate_series.load(args.path)
    n = len(rates.starts)
    edges, alpha = (n // 2, n * 3 // 4), min(WARNINGS * rates.width / MONTH, 0.1)
    choices, kin = chosen(rates, args.probes, args.work or Path(tempfile.mkdtemp()))
    sources = None if args.probes is None else distinct_sources(rates, args.probes)
    told: dict[str, list] = {}
    ranks: dict[str, list] = {}
    for port, choice in choices.items():
        column = rates.column(port)
        observed = rates.counts[:, column]
        if np.nanmean(observed[edges[0] :] > 0) < 0.01:
            continue
        known, high = ~np.isnan(observed), high_bins(observed, MONTH // rates.width)
        with np.errstate(all="ignore"):
            found = signals(rates, column, choice.forecast, kin, sources)
        found["all of them, logistic"] = together(found, high, known, edges)
        rows = np.arange(edges[1], n - 1)
        rows = rows[known[rows] & known[rows + 1] & ~high[rows]]
        for name, signal in found.items():
            told.setdefault(name, []).append(worth(warned(signal, edges, alpha), high, known, edges[1]))
            able = rows[~np.isnan(signal[rows])]
            if 0 < high[able + 1].sum() < len(able):
                ranks.setdefault(name, []).append(roc_auc_score(high[able + 1], signal[able]))
    print(f"{args.path.name}: {len(next(iter(told.values())))} ports, the last {n - edges[1]} of {n} bins")
    for name, each in told.items():
        print(f"  {name}: {pooled(each, [1] * len(each))}; AUC {np.mean(ranks.get(name, [np.nan])):.2f}; better than "
              f"chance on {sum(one.earned for one in each)} ports")  # fmt: skip


if __name__ == "__main__":
    main()
