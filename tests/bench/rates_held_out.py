"""What `rates train` ships, on time that it did not see: forecasts against hindsight's best, alarms, planted bursts.

python tests/bench/rates_held_out.py series SERIES [--probes PROBES] [--cheap] [--train "OPTIONS"]
python tests/bench/rates_held_out.py bursts [--seeds 101,102] [--hours 6000] [--ports 4] [--cheap] [--train "OPTIONS"]

`series` trains on the first 75 % of a series as the command does, scores the bundle on the rest as
`rates evaluate --with` does, and beside it the six peers, fitted to the same 75 %. `bursts` does so on SYNTHETIC
telescopes, and says how many of the planted bursts raised an alarm. `--cheap` tries neither LightGBM nor the LSTM.
"""

from __future__ import annotations

import argparse
import hashlib
import shlex
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

PEERS = ("median", "last value", "seasonal naive", "EWMA", "ridge", "VAR Rank. (T&S)")
SHARE = 0.75
LIVE = 0.1
"""A port lives if so large a share of the bins held out has any probe."""


def cheap() -> list[str]:
    """Options for `rates train`: only models that are fitted in moments."""
    from portkin_training.rates.models.registry import EXPENSIVE, KINDS, TRIED

    return [word for name in TRIED if KINDS[name].cost < EXPENSIVE for word in ("--model", name)]


def trained(rates, cut: int, folder: Path, options: list[str]):
    """The bundle that `rates train` makes of the first ``cut`` bins, and the processor seconds it took here."""
    from click.testing import CliRunner

    from portkin.bundles.forecast import Forecaster
    from portkin_training.commands.rates_train import train
    from portkin_training.rates.series import rate_series

    first = replace(rates, starts=rates.starts[:cut], counts=rates.counts[:cut])
    rate_series.save(folder / "series", first)
    began = time.process_time()
    told = CliRunner().invoke(
        train,
        [str(folder / "series"), "--work", str(folder / "work"), "-o", str(folder / "models"), "--jobs", "1", *options],
        catch_exceptions=False,
    )
    if told.exit_code:
        raise SystemExit(told.output)
    return first, Forecaster.load(folder / "models"), time.process_time() - began


def peer_errors(rates, first, port, rows) -> dict[str, float]:
    """The mean absolute error of each peer, fitted to the bins of ``first``, on these rows of ``rates``."""
    from portkin_training.rates.affinity.feature_ports import Affinities, default_lags
    from portkin_training.rates.evaluate import plan
    from portkin_training.rates.models.registry import fit, profile
    from portkin_training.rates.models.task import Unfit
    from portkin_training.rates.rolling import cuts, filled, task_of

    used, cut = profile("small", rates.width), len(first.starts)
    affinities = Affinities.of(first, default_lags(rates.width), None, 0, cuts(cut)[0])
    found = {}
    for job in plan(first, affinities, used, [(rates.column(port), name) for name in PEERS], 1):
        try:
            model, _ = fit(job.kind, task_of(rates, job, cut), used, 0, "cpu")
        except Unfit:
            continue
        forecast = filled(rates, port, task_of(rates, job, cut).forecasts(model))
        error = float(np.abs(rates.counts[rows, rates.column(port)] - forecast[rows]).mean())
        found |= dict.fromkeys(job.models, error)
    return found


def series(path: Path, probes: Path | None, options: list[str], work: Path) -> None:
    """One series: a line per port, and the ports together."""
    from portkin_training.rates import held_out
    from portkin_training.rates.series import rate_series

    rates = rate_series.load(path)
    cut = round(len(rates.starts) * SHARE)
    more = ["--probes", str(probes)] if probes else []
    first, models, took = trained(rates, cut, work, [*more, *options])
    found = held_out.score(models, rates)
    print(f"{path.name}: {len(rates.ports)} ports, {len(rates.starts)} bins; trained on {cut} in {took:.0f} s of CPU")
    forecast = models.forecasts(rates.ports, rates.counts)
    ratios, pooled, bins = [], dict.fromkeys(("shipped", *PEERS), 0.0), 0
    for number, one in enumerate(found):
        observed = rates.counts[:, rates.column(one.port)]
        rows = np.flatnonzero(
            (np.arange(len(observed)) >= cut) & ~np.isnan(observed) & ~np.isnan(forecast[:-1, number])
        )
        errors = peer_errors(rates, first, one.port, rows)
        best = min(errors, key=lambda name: errors[name])
        live = (observed[rows] > 0).mean() >= LIVE
        ratio = one.mae / errors[best] if errors[best] else float("nan")
        print(f"  {one.port}: {one.model}: MAE {one.mae:.3f}, best peer {best} {errors[best]:.3f}, ratio {ratio:.3f}"
              f"{'' if live else ' (does not live)'}; alarms {one.alarms.raised} of {one.alarms.stated:.1f}",
              flush=True)  # fmt: skip
        if live:
            ratios.append(ratio)
            bins += len(rows)
            pooled["shipped"] += one.mae * len(rows)
            for name, error in errors.items():
                pooled[name] += error * len(rows)
    print(f"  live ports: {len(ratios)}; ratio to hindsight's best: median {np.median(ratios):.3f}, "
          f"worst {max(ratios):.3f}")  # fmt: skip
    print("  pooled MAE: " + ", ".join(f"{name} {total / bins:.3f}" for name, total in pooled.items()))
    alarms = held_out.pool(found)["alarms"]
    low, high = alarms.interval
    print(f"  alarms: {alarms.raised} began (over {alarms.bins} bins) where {alarms.stated:.1f} are stated, ratio "
          f"{alarms.ratio:.2f} ({low:.2f} to {high:.2f})", flush=True)  # fmt: skip


def bursts(seeds: list[int], hours: int, ports: int, options: list[str], work: Path) -> None:
    """SYNTHETIC: how many planted bursts raise an alarm of E, with thresholds as a user gets them."""
    from portkin.timeseries.calibration import MONTH, begun
    from portkin_training.rates.calibrate import detection
    from portkin_training.rates.series.simulate import Telescope, simulate

    planted_in_all = found_in_all = 0
    for seed in seeds:
        made = simulate(Telescope(hours=hours), seed)
        rates, cut = made.rates, round(hours * SHARE)
        columns = np.linspace(0, len(rates.ports) - 1, ports).astype(int)
        chosen = [option for at in columns for option in ("--port", str(rates.ports[at]))]
        _, models, took = trained(rates, cut, work / str(seed), [*chosen, *options])
        scored = models.score_all(rates.ports, rates.counts)
        limits, _ = models.thresholds_all(rates.starts, rates.ports, rates.counts, scored)
        own = [rates.column(port) for port in models.targets]
        new = np.broadcast_to((np.arange(hours) >= cut)[:, None], limits.shape) & ~np.isnan(rates.counts[:, own])
        told = detection(scored[1] > limits, made.bursts[:, own], new, rates.width)
        planted_in_all, found_in_all = planted_in_all + told.planted, found_in_all + told.found
        raised, bins = int(begun(scored[1] > limits)[new].sum()), int((scored[1] > limits)[new].sum())
        print(f"seed {seed}: recall {told.found} of {told.planted}, {told.false_per_port_month:.2f} false alarms per "
              f"port and month, {raised} alarms (over {bins} bins) in {new.sum() * rates.width / MONTH:.1f} port "
              f"months; {took:.0f} s of CPU", flush=True)  # fmt: skip
    print(f"SYNTHETIC, all seeds: recall {found_in_all} of {planted_in_all}, {found_in_all / planted_in_all:.2f}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["series", "bursts"])
    parser.add_argument("path", type=Path, nargs="?")
    parser.add_argument("--probes", type=Path)
    parser.add_argument("--seeds", default="101,102,103,104,105")
    parser.add_argument("--hours", type=int, default=6_000)
    parser.add_argument("--ports", type=int, default=4)
    parser.add_argument("--train", default="", help="more options of `rates train`")
    parser.add_argument("--cheap", action="store_true", help="neither LightGBM nor the LSTM")
    parser.add_argument("--work", type=Path, help="keeps what was fitted")
    args = parser.parse_args()
    options = [*(cheap() if args.cheap else []), *shlex.split(args.train)]
    with tempfile.TemporaryDirectory() as scratch:
        named = hashlib.sha256(shlex.join(options).encode()).hexdigest()[:8]
        work = Path(scratch) if args.work is None else args.work / named
        work.mkdir(parents=True, exist_ok=True)
        if args.what == "bursts":
            bursts([int(seed) for seed in args.seeds.split(",")], args.hours, args.ports, options, work)
        elif args.path is None:
            parser.error("name a series")
        else:
            series(args.path, args.probes, options, work)


if __name__ == "__main__":
    main()
