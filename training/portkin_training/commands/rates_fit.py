"""``portkin rates evaluate`` and ``train``: compare models, and write those that earn it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from portkin.errors import InputError
from portkin.net.ports import Port
from portkin_training.commands.engine_options import engine_options
from portkin_training.commands.rates_options import (
    FOLDER,
    PortType,
    counted_sequential,
    json_option,
    output_option,
    seed_option,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from portkin_training.core.engine import Engine
    from portkin_training.rates.results import Result
    from portkin_training.rates.series.rate_series import Rates


def run_options(command: Any) -> Any:
    """What evaluate and train share: which rates, which ports and models, how much to spend."""
    for option in reversed(
        [
            click.argument("series", type=FOLDER),
            click.option("--probes", type=FOLDER, help="The probes the series were counted from: ports probed in "
                         "sequence by the same sources are then akin (T&S); without, only ports probed at the same "
                         "times (T)."),
            click.option("--sequential", type=FOLDER, help="The same, counted before (`rates simulate` writes one)."),
            click.option("--sample", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True,
                         help="Share of the sources to draw; of very many, 0.05 is enough."),
            click.option("--port", "ports", type=PortType(), multiple=True, help="A port to forecast; repeat for "
                         "several. Default: all of the series, as many as --most."),
            click.option("--most", type=click.IntRange(1), default=13, show_default=True,
                         help="Without --port: this many, the most targeted."),
            click.option("--model", "models", multiple=True, metavar="NAME",
                         help="A model to try; repeat for several. Default: all."),
            click.option("--profile", "profile_name", type=click.Choice(["small", "network", "paper"]),
                         default="small", show_default=True, help="small: minutes on a CPU; network: the paper's "
                         "network without its grid; paper: all of it, days on a GPU."),
            click.option("--lags", type=click.IntRange(1), help="Largest lag of the temporal similarity, in bins. "
                         "Default: a week of hours, a month of days."),
            click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Processes."),
            click.option("--device", default="auto", show_default=True, help="Where networks train: cpu, cuda, or "
                         "auto, which is cuda where torch sees it."),
            seed_option,
            click.option("--work", type=FOLDER, required=True, help="Results of every port and model are kept here; "
                         "a run that was killed goes on from them."),
        ]
    ):  # fmt: skip
        command = option(command)
    return command


@click.command()
@run_options
@engine_options
@click.option("--figure", type=click.Choice(["r2", "mae", "mase", "skill"]), multiple=True, default=("r2", "skill"),
              show_default=True, help="Figures to print.")  # fmt: skip
@json_option
def evaluate(figure: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Compare all models on the last 25 % of SERIES, port by port (the paper's Tables IV and V).

    R2 is the paper's figure; skill is 1 - MAE / MAE of the seasonal naive forecast: below 0, a model is worse than
    repeating what was seen a day (hours) or a week (days) before.
    """
    from rich.console import Console

    from portkin_training.rates import report

    loaded, results, _ = _run(**options)
    if as_json:
        click.echo(json.dumps(report.as_json(results)))
        return
    console = Console()
    for name in figure:
        console.print(report.table(results, name, synthetic=loaded.synthetic))
    for port, found in report.as_json(results)["ports"].items():
        console.print(f"{port}: best R2 {found['winner']}; would ship {found['ships']}")


@click.command()
@run_options
@engine_options
@output_option
@click.option("--auto/--best", default=True, show_default=True, help="The cheapest model that is close to the best, or "
              "the best whatever it costs.")  # fmt: skip
@click.option("--alarms", type=click.FloatRange(0), default=1.0, show_default=True,
              help="Alarms per port and 30 days that normal traffic may raise; thresholds follow.")  # fmt: skip
@click.option("--abnormal", type=FOLDER, help="A CSV of rows port,start (seconds): bins that are not normal, left out "
              "of the thresholds.")  # fmt: skip
def train(output: Path, auto: bool, alarms: float, abnormal: Path | None, **options: Any) -> None:
    """Fit models to SERIES and write the bundle that the sidecar scores with.

    Per port the cheapest model ships whose error on held-out bins is close to the best one's, so an LSTM ships only
    where it earns it; the manifest says what was tried. With --model, only those are tried.
    """
    from portkin.bundles.forecast import Rules
    from portkin_training.rates import report, ship
    from portkin_training.rates.results import TOLERANCE

    loaded, results, used = _run(**options)
    chosen = ship.ship(
        output,
        loaded,
        report.by_port(results),
        rules=Rules(loaded.width, loaded.tz, synthetic=loaded.synthetic),
        alarms_per_month=alarms,
        abnormal=None if abnormal is None else _abnormal(abnormal, loaded),
        tolerance=TOLERANCE if auto else 0.0,
        about={"series": str(options["series"]), "profile": used, "seed": options["seed"]},
    )
    for port, result in chosen.items():
        click.echo(
            f"{port}: {result.model}, R2 {result.reported.r2:.2f}, skill {result.reported.skill:.2f} on the last 25 %"
        )
    click.echo(f"{output}: {len(chosen)} models")


def _run(
    *,
    series: Path,
    probes: Path | None,
    sequential: Path | None,
    sample: float,
    ports: tuple[Port, ...],
    most: int,
    models: tuple[str, ...],
    profile_name: str,
    lags: int | None,
    jobs: int,
    device: str,
    seed: int,
    work: Path,
    engine: Engine,
) -> tuple[Rates, Sequence[Result], str]:
    """Evaluate with a progress bar: the rates, all results, and the profile's name."""
    import numpy as np
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from portkin_training.rates import evaluate as judging
    from portkin_training.rates.affinity.feature_ports import Affinities, default_lags
    from portkin_training.rates.models.registry import MODELS, profile
    from portkin_training.rates.models.task import Split
    from portkin_training.rates.series import rate_series

    unknown = [name for name in models if name not in MODELS]
    if unknown:
        raise click.UsageError(f"--model {unknown[0]!r}: choose of {', '.join(MODELS)}")
    loaded = rate_series.load(series)
    totals = np.nansum(loaded.counts, axis=0)
    targets = ports or tuple(loaded.ports[i] for i in np.argsort(-totals, kind="stable")[:most])
    for port in targets:
        loaded.column(port)
    try:
        until = int(loaded.starts[Split.of(len(loaded.starts)).fit])
    except ValueError as error:
        raise InputError(f"{series}: {error}") from None
    console = Console(stderr=True)
    with console.status("Looking for affinities"):
        counted = counted_sequential(loaded, probes, sequential, sample, seed, until=until, engine=engine)
        affinities = Affinities.of(loaded, lags or default_lags(loaded.width), counted, seed)
    if not affinities.semantic:
        console.print("Neither --probes nor --sequential: (T&S) is the same as (T) here.")
    names = models or MODELS
    results = []
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    )  # fmt: skip
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("Fitting", total=len(targets) * len(names))
        for result in judging.evaluate(
            loaded,
            affinities,
            profile(profile_name, loaded.width),
            folder=work,
            seed=seed,
            targets=targets,
            models=names,
            jobs=jobs,
            device=device,
            engine=engine,
        ):
            results.append(result)
            progress.update(bar, advance=1, description=f"{result.port} {result.model}")
    return loaded, results, profile_name


def _abnormal(path: Path, loaded: Rates) -> NDArray[np.bool_]:
    import csv

    import numpy as np

    found = np.zeros(loaded.counts.shape, dtype=bool)
    with path.open(newline="", encoding="utf-8") as opened:
        for row in csv.DictReader(opened):
            try:
                start, port = int(row["start"]), Port.parse(row["port"])
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(f"{path}: a row is not port,start with whole seconds ({error})") from None
            found[loaded.starts == start, loaded.column(port)] = True
    return found
