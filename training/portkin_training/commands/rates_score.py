"""``portkin rates score`` and ``plot``: a bundle's models over a series."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from portkin.errors import InputError
from portkin.net.ports import Port
from portkin_training.commands.rates_options import FOLDER, PortType, json_option, label_of, series_and_models

if TYPE_CHECKING:
    from portkin.bundles.forecast import Forecaster
    from portkin_training.rates.alarms import Scores
    from portkin_training.rates.series.rate_series import Rates


@click.command()
@click.argument("bundle", type=FOLDER)
@click.argument("series", type=FOLDER)
@json_option
def score(bundle: Path, series: Path, as_json: bool) -> None:
    """Score every bin of SERIES with the models of BUNDLE, as the sidecar would have, and list the alarms.

    E is of the bin, W of the next one, whose forecast and trend are shown. Thresholds are those when training ended,
    and follow the bins after it.
    """
    from dataclasses import asdict

    from portkin_training.rates.alarms import alarms_of, scores_of

    loaded, models = series_and_models(series, bundle)
    scores = scores_of(models, loaded)
    _tell_unscored(loaded, models, scores, series)
    for alarm in alarms_of(models, loaded, scores):
        if as_json:
            # JSON has neither NaN nor infinity: what could not be said is null
            row = asdict(alarm) | {"port": str(alarm.port)}
            click.echo(json.dumps({key: _plain(value) for key, value in row.items()}))
            continue
        for sentence in alarm.sentences():
            click.echo(sentence)


def _tell_unscored(loaded: Rates, models: Forecaster, scores: Scores, series: Path) -> None:
    """Where no bin could be scored, say so: no alarm would look like good news."""
    if (scores.e != scores.e).all():
        click.echo(
            f"{series}: none of its {len(loaded.starts)} bins could be scored: the models read the {models.history} "
            "bins up to each, at least half of them known",
            err=True,
        )


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


@click.command()
@click.argument("bundle", type=FOLDER)
@click.argument("series", type=FOLDER)
@click.option("-o", "--output", type=FOLDER, required=True, help="A file (.html for a report, .svg or .png for one "
              "port).")  # fmt: skip
@click.option("--port", "ports", type=PortType(), multiple=True, help="Ports to draw. Default: all of the bundle.")
@click.option("--last", type=click.IntRange(2), help="Only this many bins, the latest.")
def plot(bundle: Path, series: Path, output: Path, ports: tuple[Port, ...], last: int | None) -> None:
    """Draw observed and forecast rates, E (above forecast) and W (forecast above trend) over time, and list the alarms.

    Where there are too many bins to tell apart, lines are means of several, in a band from their least to their most.
    """
    from portkin_training.rates import plots
    from portkin_training.rates.alarms import alarms_of, scores_of
    from portkin_training.rates.report import named

    loaded, models = series_and_models(series, bundle)
    chosen = ports or models.targets
    for port in chosen:
        if port not in models.targets:
            raise InputError(f"{port}: {bundle} has no model of it; it has {', '.join(map(str, models.targets))}")
    scores = scores_of(models, loaded)
    _tell_unscored(loaded, models, scores, series)
    if output.suffix == ".html":
        from portkin_training.rates.page import save_page

        ends = [plots.bin_name(loaded, at) for at in (0, -1)]
        facts = {
            "series": f"{series}{label_of(loaded)}",
            "recorded": f"{len(loaded.starts):,} bins from {ends[0]} to {ends[1]}",
            "models": f"{models.id}, of {bundle}",
        }
        alarms = [alarm for alarm in alarms_of(models, loaded, scores) if alarm.port in chosen]
        drawn = {named(port): plots.panels(loaded, scores, models, port, last=last) for port in chosen}
        save_page(output, facts, drawn, alarms)
    elif len(chosen) > 1:
        raise click.UsageError(f"{len(chosen)} ports: name one with --port, or write an .html report")
    elif output.suffix not in (".svg", ".png"):
        raise click.UsageError(f"{output}: give a name that ends in .html, .svg or .png")
    else:
        plots.save(output, plots.panels(loaded, scores, models, chosen[0], last=last))
    click.echo(str(output))
