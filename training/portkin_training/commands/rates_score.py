"""``portkin rates score`` and ``plot``: a bundle's models over a series."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import click

from portkin.errors import InputError
from portkin.net.ports import Port
from portkin_training.commands.rates_options import FOLDER, PortType, json_option, label_of


@click.command()
@click.argument("bundle", type=FOLDER)
@click.argument("series", type=FOLDER)
@json_option
def score(bundle: Path, series: Path, as_json: bool) -> None:
    """Score every bin of SERIES with the models of BUNDLE, as the sidecar would have, and list the alarms.

    E is of the bin, W of the next one, whose forecast and trend are shown. Thresholds are those when training ended,
    and follow the bins after it.
    """
    import numpy as np

    from portkin.bundles.forecast import Forecaster
    from portkin.timeseries.bins import label, next_start
    from portkin_training.rates.series import rate_series

    loaded, models = rate_series.load(series), Forecaster.load(bundle)
    if loaded.width != models.rules.width:
        raise InputError(
            f"{series}: bins of {loaded.width} s, but the models of {bundle} read bins of {models.rules.width} s; "
            "count with the other --bin"
        )
    scored = models.score_all(loaded.ports, loaded.counts)
    forecast, e, w = scored
    limits_e, limits_w = models.thresholds_all(loaded.starts, loaded.ports, loaded.counts, scored)
    trend = models.trends(loaded.ports, loaded.counts)
    starts = [*map(int, loaded.starts), next_start(int(loaded.starts[-1]), loaded.width, loaded.tz)]
    names = [label(start, loaded.width, loaded.tz) for start in starts]
    for number, model in enumerate(models.models):
        column = loaded.column(model.port)
        over_e, over_w = e[:, number] > limits_e[:, number], w[:, number] > limits_w[:, number]
        for t in np.flatnonzero(over_e | over_w):
            row: dict[str, Any] = {
                "port": str(model.port),
                "bin": names[t],
                "observed": float(loaded.counts[t, column]),
                "forecast": float(forecast[t, number]),
                "e": float(e[t, number]),
                "threshold_e": float(limits_e[t, number]),
                "anomaly": bool(over_e[t]),
                "next_bin": names[t + 1],
                "next_forecast": float(forecast[t + 1, number]),
                "next_trend": float(trend[t, number]),
                "w": float(w[t, number]),
                "threshold_w": float(limits_w[t, number]),
                "warning": bool(over_w[t]),
            }
            if as_json:
                # JSON has neither NaN nor infinity: what could not be said is null
                click.echo(json.dumps({key: _plain(value) for key, value in row.items()}))
                continue
            if row["anomaly"]:
                click.echo(
                    f"{row['bin']} {row['port']} anomaly: observed {row['observed']:.0f}, forecast "
                    f"{row['forecast']:.1f}, E {row['e']:.2f} above {row['threshold_e']:.2f}"
                )
            if row["warning"]:
                click.echo(
                    f"{row['bin']} {row['port']} warning of {row['next_bin']}: forecast {row['next_forecast']:.1f}, "
                    f"trend {max(row['next_trend'], 0.0):.1f}, W {row['w']:.2f} above {row['threshold_w']:.2f}"
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
    """Draw observed and forecast rates, E and W over time (as the paper's Figs. 6, 10 and 11)."""
    from portkin.bundles.forecast import Forecaster
    from portkin_training.rates import plots
    from portkin_training.rates.series import rate_series

    loaded, models = rate_series.load(series), Forecaster.load(bundle)
    chosen = ports or models.targets
    for port in chosen:
        if port not in models.targets:
            raise InputError(f"{port}: {bundle} has no model of it; it has {', '.join(map(str, models.targets))}")
    if output.suffix == ".html":
        drawn = [(str(port), plots.panels(loaded, models, port, last=last)) for port in chosen]
        notes = [f"Model bundle {models.id}, series {series}{label_of(loaded)}. Times are UTC."]
        plots.save_html(output, "Probing rates", drawn, notes)
    elif len(chosen) > 1:
        raise click.UsageError(f"{len(chosen)} ports: name one with --port, or write an .html report")
    elif output.suffix not in (".svg", ".png"):
        raise click.UsageError(f"{output}: give a name that ends in .html, .svg or .png")
    else:
        plots.save(output, plots.panels(loaded, models, chosen[0], last=last))
    click.echo(str(output))
