"""``portkin rates train``: choose a model per port, calibrate its alarms, write the bundle that the sidecar reads."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from portkin.commands.stopping import ending_with_children
from portkin.errors import InputError
from portkin.net.ports import Port
from portkin.wording import amount
from portkin_training.commands.engine_options import engine_options
from portkin_training.commands.rates_options import FOLDER, output_option
from portkin_training.commands.rates_run import prepare, progress, run_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from portkin_training.rates.calibrate import Calibrated
    from portkin_training.rates.choice import Choice
    from portkin_training.rates.series.rate_series import Rates


@click.command()
@run_options
@engine_options
@output_option
@click.option("--auto/--best", default=True, show_default=True, help="The cheapest model that is close to the best, or "
              "the best whatever it costs.")  # fmt: skip
@click.option("--alarms", type=click.FloatRange(0), default=1.0, show_default=True,
              help="Alarms per port and 30 days, E and W together, that are raised in the long run.")  # fmt: skip
@click.option("--abnormal", type=FOLDER, help="A CSV of rows port,start (seconds): bins that are not normal, left out "
              "of the calibration of alarms.")  # fmt: skip
@ending_with_children()
def train(output: Path, auto: bool, alarms: float, abnormal: Path | None, **options: Any) -> None:
    """Fit models to SERIES and write the bundle that the sidecar scores with.

    Models are fitted at several times and judged on what came after each; the latest weigh most. Per port the cheapest
    ships whose error is close to the least, or the mean of the best few, fitted again to all of SERIES; the manifest
    says what was tried. With --model, only those are tried. Figures are on the last 25 %, of what would have been
    chosen before them.
    """
    if options["work"] is None:
        raise click.UsageError("give --work, a folder for results; a run that was killed resumes from them")
    from portkin.bundles.bundle_writer import refuse_foreign
    from portkin.bundles.forecast_models import KIND, Rules
    from portkin_training.rates import rolling, ship
    from portkin_training.rates.choice import BASELINES, TOLERANCE, choose
    from portkin_training.rates.models.registry import TRIED, UNSHIPPABLE

    if options["models"] and UNSHIPPABLE.issuperset(options["models"]):
        raise InputError(
            f"--model {' and '.join(options['models'])}: evaluated, but cannot ship, as no window holds what it reads; "
            f"add one of {', '.join(BASELINES)}"
        )
    refuse_foreign(output.resolve(), KIND)
    run = prepare(lambda bins: rolling.cuts(bins)[0], TRIED, **options)
    _check_alarms(alarms, run.rates.width)
    flags = None if abnormal is None else read_abnormal(abnormal, run.rates)
    tried: dict[Port, list[rolling.Trial]] = {port: [] for port in run.targets}
    with progress(len(run.targets) * len(run.models), options["work"]) as shown:
        for trial in rolling.trials(
            run.rates, run.affinities, run.profile, targets=run.targets, models=run.models, **run.options
        ):
            tried[trial.port].append(trial)
            shown.fitted(trial)
    order = {name: place for place, name in enumerate(run.models)}
    for found in tried.values():
        found.sort(key=lambda trial: order[trial.model])

    def best(port: Port) -> Choice:
        return choose(run.rates, tried[port], TOLERANCE if auto else 0.0)

    def instead(choice: Choice, why: str) -> Choice | None:
        click.echo(f"{choice.port}: {choice.name} could not be fitted to ship: {why}; taking the next best", err=True)
        failed = {trial.model for trial in choice.members}
        tried[choice.port] = [trial for trial in tried[choice.port] if trial.model not in failed]
        try:
            return best(choice.port) if tried[choice.port] else None
        except InputError:
            return None

    choices: dict[Port, Choice] = {}
    refused = []
    for port in run.targets:
        try:
            choices[port] = best(port)
        except InputError as error:  # the other ports ship
            refused.append(str(error))
    if not choices:
        raise InputError(refused[0])
    for reason in refused:
        click.echo(f"{reason}; the port is left out", err=True)
    click.echo(f"fitting to all bins what ships, {amount(len(choices), 'model')}", err=True)
    shipped = ship.ship(
        output,
        run.rates,
        choices,
        run.profile,
        rules=Rules(run.rates.width, run.rates.tz, synthetic=run.rates.synthetic),
        alarms_per_month=alarms,
        seed=run.options["seed"],
        abnormal=flags,
        about={"series": str(options["series"]), "profile": run.profile.name, "seed": options["seed"]},
        jobs=run.options["jobs"],
        device=run.options["device"],
        engine=run.options["engine"],
        instead=instead,
    )
    for found in tried.values():
        for trial in found:
            if "unfit" in trial.about:
                click.echo(f"{trial.port}: {trial.model} could not be fitted: {trial.about['unfit']}", err=True)
    for choice, alarms_of_it in shipped.values():
        _tell(choice, alarms_of_it)
    click.echo(f"{output}: {amount(len(shipped), 'model')}")


def _check_alarms(alarms: float, width: int) -> None:
    """UsageError for more alarms than may begin: one that goes on is the same, so every second bin."""
    from portkin.timeseries.calibration import MONTH

    most = MONTH // width // 2
    if not alarms <= most:
        raise click.UsageError(f"--alarms {alarms:g}: in 30 days of such bins at most {most} alarms can begin")


def _tell(choice: Choice, alarms: Calibrated) -> None:
    """What a person should know about one port's model and alarms."""
    from portkin_training.rates.report import figure_text

    r2, skill = figure_text(choice.reported.r2), figure_text(choice.reported.skill)
    click.echo(
        f"{choice.port}: {choice.name}, R2 {r2}, skill {skill} on the last 25 %"
        + ("" if choice.name == choice.reported_model else f" (chosen before them: {choice.reported_model})")
        + ("" if choice.reason.startswith("least") else f"; {choice.reason}")
    )
    if not alarms.alarms_e:
        click.echo("  E: no alarms, as none are asked for (--alarms 0)")
        return
    left_out = f", {amount(alarms.bursts, 'burst')} left out" if alarms.bursts else ""
    click.echo(
        f"  E above {alarms.threshold_e:.2f}, from {amount(alarms.bins, 'bin')}{left_out}; the later half raised "
        f"{amount(alarms.raised, 'alarm')} where {alarms.stated:.1f} are stated"
        + ("; the least threshold there is, so fewer come than stated" if alarms.least else "")
    )
    why = "; no better than chance" if alarms.worth.warnings else ""
    raised = f"; above {alarms.threshold_w:.2f}" if alarms.alarms_w else f"{why}, so it raises no alarms"
    click.echo(f"  W: {alarms.worth}{raised}")


def read_abnormal(path: Path, loaded: Rates) -> NDArray[np.bool_]:
    """The bins (n, p) that a CSV of rows port,start names. InputError for a row that names no bin or no port of the
    series."""
    import numpy as np

    from portkin.timeseries.bins import bin_start

    found = np.zeros(loaded.counts.shape, dtype=bool)
    for where, row in _abnormal_rows(path):
        try:
            start, port = int(row["start"]), Port.parse(row["port"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{where}: not port,start with whole seconds ({error})") from None
        at = np.flatnonzero(loaded.starts == start)
        if not len(at):
            begins = bin_start(start, loaded.width, loaded.tz) if start >= 0 else start
            hint = f"; the bin that holds it starts at {begins}" if begins in loaded.starts else ""
            raise InputError(f"{where}: {start} is not the start of a bin of the series{hint}")
        try:
            found[at, loaded.column(port)] = True
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
    return found


def _abnormal_rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Each row, and where it is. InputError for what is no such CSV."""
    from portkin_training.core.csv_text import open_csv

    try:
        with path.open(newline="", encoding="utf-8-sig") as opened:
            _, rows = open_csv(opened)
            names = [name.strip() for name in next(rows, (0, []))[1]]
            if not {"port", "start"}.issubset(names):
                raise InputError(f"{path}, line 1: not the header port,start")
            for line, row in rows:
                if row:
                    yield f"{path}, line {line}", dict(zip(names, row, strict=False))
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a CSV file in UTF-8 ({error})") from None
