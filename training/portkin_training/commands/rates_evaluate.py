"""``portkin rates evaluate``: all models on the same bins, or a shipped bundle on bins it has not seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from portkin.commands.stopping import ending_with_children
from portkin.errors import InputError
from portkin.wording import amount
from portkin_training.commands.engine_options import engine_options
from portkin_training.commands.rates_options import FOLDER, json_option, label_of, series_and_models
from portkin_training.commands.rates_run import prepare, progress, run_options

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from portkin_training.rates.held_out import PortScores

WIDTH = 500
"""Characters that tables may take off a terminal, so that no column is cut off; they take what they need."""
SCORES = 96
"""Characters of the table of a bundle's scores, on whatever terminal."""

CAPTION = (
    "E (observed above forecast) and W (forecast above trend): alarms that began; stated: what `train --alarms` stands "
    "for in these bins; ratio: alarms over stated, and its 95 % interval of counting noise"
)
"""What the columns of a bundle's scores are."""


@click.command()
@run_options
@engine_options
@click.option("--with", "bundle", type=FOLDER, help="Score this bundle on the bins of SERIES after its training, "
              "without fitting anything.")  # fmt: skip
@click.option("--figure", type=click.Choice(["r2", "mae", "mase", "skill"]), multiple=True, default=("r2", "skill"),
              show_default=True, help="Figures to print.")  # fmt: skip
@click.option("--paper", is_flag=True, help="Only the paper's seven models, without --model, and R2 printed as its "
              "Tables IV and V print it: a port a row.")  # fmt: skip
@json_option
@ending_with_children()
def evaluate(bundle: Path | None, figure: tuple[str, ...], paper: bool, as_json: bool, **options: Any) -> None:
    """Compare all models on the last 25 % of SERIES, port by port (the paper's Tables IV and V).

    R2 is the paper's figure; skill is 1 - MAE / MAE of the seasonal naive forecast: below 0, a model is worse than
    repeating what was seen a day (hours) or a week (days) before. With --with, a bundle that `rates train` wrote is
    scored as it stands, and its alarms are counted against the stated rate.
    """
    if bundle is not None:
        _refuse_beside_with(click.get_current_context())
        _with(bundle, options["series"], as_json)
        return
    if options["work"] is None:
        raise click.UsageError("give --work, a folder for results, or --with, a bundle to score without fitting")
    from portkin.timeseries.bins import DAY
    from portkin_training.rates import evaluate as judging
    from portkin_training.rates import report
    from portkin_training.rates.models.registry import MODELS, PAPER
    from portkin_training.rates.models.task import Split
    from portkin_training.rates.warnings_report import judged

    run = prepare(lambda bins: Split.of(bins).fit, PAPER if paper else MODELS, **options)
    results = []
    with progress(len(run.targets) * len(run.models), options["work"]) as shown:
        for result in judging.evaluate(
            run.rates,
            run.affinities,
            run.profile,
            targets=run.targets,
            models=run.models,
            searched=shown.searched,
            **run.options,
        ):
            results.append(result)
            shown.fitted(result)
    warnings = judged(run.rates, results)
    if as_json:
        told = {port: worth.about() for port, worth in warnings.items()}
        click.echo(json.dumps(report.as_json(results) | {"warnings": report.without_nan(told)}))
        return
    console = _console()
    if paper:
        ahead = "1 day" if run.rates.width >= DAY else "1 hour"
        console.print(report.paper_table(results, ahead, synthetic=run.rates.synthetic))
    for name in () if paper else figure:
        console.print(report.table(results, name, synthetic=run.rates.synthetic))
    for port, found in report.as_json(results)["ports"].items():
        first, told = found["winner"], found["models"][found["winner"]]["reported"]
        if told["mae"] is None:
            console.print(f"{port}: nothing is known of it in the last 25 %", soft_wrap=True)
            continue
        best = "least error" if told["r2"] is None else "best R2"
        console.print(f"{port}: {best} {first}; W of it: {warnings[port]}", soft_wrap=True)
    console.print(f"W, all ports: {warnings['pooled']}", soft_wrap=True)
    for result in results:
        if "unfit" in result.about:
            click.echo(f"{result.port}: {result.model} could not be fitted: {result.about['unfit']}", err=True)


def _refuse_beside_with(context: click.Context) -> None:
    """UsageError where --with is given with an option that says what to fit, or how to print it."""
    own = ("series", "bundle", "as_json")
    beside = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name not in own
        and context.get_parameter_source(str(parameter.name)) is click.core.ParameterSource.COMMANDLINE
    ]
    if beside:
        raise click.UsageError(f"--with scores a bundle as it is, all of its ports: leave out {', '.join(beside)}")


def _console() -> Console:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, WIDTH)
    return console


def _with(bundle: Path, series: Path, as_json: bool) -> None:
    from portkin_training.rates import held_out
    from portkin_training.rates.report import without_nan

    loaded, models = series_and_models(series, bundle)
    try:
        found = held_out.score(models, loaded)
    except InputError as error:
        raise InputError(f"{series}: {error}") from None
    if as_json:
        click.echo(json.dumps(without_nan(held_out.as_json(found))))
        return
    console = _console()
    console.width = max(console.width, SCORES)
    console.print(_table(found, f"{bundle} on the bins after its training{label_of(loaded)}"))
    for one in found:
        console.print(f"{one.port}: {one.model}; W: {one.worth}{_passed(one)}{_silent(one)}", soft_wrap=True)
    together = held_out.pool(found)
    alarms = together["alarms"]
    console.print(f"{amount(alarms.raised, 'alarm')} began, over {amount(alarms.bins, 'bin')} in all", soft_wrap=True)
    console.print(f"W, all ports: {together['worth']}", soft_wrap=True)


def _passed(one: PortScores) -> str:
    """What the figures leave out."""
    if one.passed:
        before = "the one before is" if one.reads == 1 else f"the {one.reads} before them are"
        return (
            f"; {one.passed} of {one.bins + one.passed} known bins have no forecast, as {before} not in the series, or "
            "unknown"
        )
    return "" if one.bins else "; nothing is known of it after training"


def _silent(one: PortScores) -> str:
    return "; nobody probed it, so no E could begin an alarm, and none is stated" if one.silent else ""


def _table(found: list[PortScores], title: str) -> Table:
    from rich.table import Table

    from portkin_training.rates import held_out
    from portkin_training.rates.report import figure_text

    made = Table(title=title, caption=CAPTION, caption_justify="left")
    made.add_column("port", no_wrap=True)
    for name in ("bins", "MAE", "MASE", "R2", "skill", "E", "W", "stated", "ratio", "95 %"):
        made.add_column(name, justify="right", no_wrap=True)

    def row(name: str, bins: int, figures: tuple[float, ...], e: int, w: int, alarms: held_out.Alarms) -> None:
        interval = " to ".join(map(figure_text, alarms.interval)) if alarms.stated else "-"
        told = (*map(figure_text, figures), str(e), str(w), f"{alarms.stated:.1f}", figure_text(alarms.ratio))
        made.add_row(name, str(bins), *told, interval)

    for one in found:
        figures = (one.mae, one.mase, one.r2, one.skill)
        row(str(one.port), one.bins, figures, one.anomalies.raised, one.warnings.raised, one.alarms)
    all_ = held_out.pool(found)
    figures = (all_["mae"], all_["mase"], all_["r2"], all_["skill"])
    row("all", all_["bins"], figures, all_["anomalies"].raised, all_["warnings"].raised, all_["alarms"])
    return made
