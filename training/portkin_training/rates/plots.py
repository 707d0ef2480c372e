"""Rates, forecasts and indicators over time (as Figs. 6, 10 and 11), and the distance matrix of Fig. 12."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")  # a file is drawn, whatever display there is

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from portkin.bundles.forecast import Forecaster
from portkin.files import replacing
from portkin.net.ports import Port
from portkin.timeseries.indicators import linear_trend
from portkin.timeseries.windows import windows
from portkin_training.rates.models.task import Floats
from portkin_training.rates.report import named
from portkin_training.rates.series.rate_series import Rates

OBSERVED, FORECAST, TREND, ALARM = "#1f77b4", "#ff7f0e", "#7f7f7f", "#d62728"


def panels(rates: Rates, models: Forecaster, port: Port, *, last: int | None = None) -> Figure:
    """Observed and forecast rates with the linear trend, E and W with their thresholds, for the `last` bins."""
    number = models.targets.index(port)
    model = models.models[number]
    forecast, e, w = models.score_all(rates.ports, rates.counts)
    own = rates.counts[:, rates.column(port)]
    trend = np.full(len(own) + 1, np.nan)
    trend[models.rules.trend :] = linear_trend(windows(own[:, None], models.rules.trend)[:, :, 0])
    shown = slice(-last if last else 0, None)
    when = [datetime.fromtimestamp(int(start), UTC) for start in rates.starts[shown]]

    figure, (top, middle, bottom) = plt.subplots(3, 1, figsize=(11, 6.5), sharex=True, height_ratios=(3, 1, 1))
    top.plot(when, own[shown], color=OBSERVED, linewidth=1, label="observed")
    top.plot(when, forecast[:-1, number][shown], color=FORECAST, linewidth=1, label=f"forecast ({model.kind})")
    trend_label = f"linear trend of {models.rules.trend} bins"
    top.plot(when, np.maximum(trend[:-1], 0)[shown], color=TREND, linewidth=0.7, linestyle=":", label=trend_label)
    top.set_ylabel(f"probes per {'day' if rates.width >= 86_400 else 'hour'}")
    top.legend(loc="upper left", frameon=False, fontsize="small", ncols=3)
    top.set_title(named(port) + (" (synthetic rates)" if rates.synthetic else ""))
    # W of bin t warns of bin t + 1, so it is drawn there, under the rate it speaks of.
    warned = np.concatenate([[np.nan], w[:-1, number]])
    for axis, values, limit, name in (
        (middle, e[:, number], model.threshold_e, "E (eq. 20)"),
        (bottom, warned, model.threshold_w, "W (eq. 21)"),
    ):
        axis.fill_between(when, 0, np.nan_to_num(values[shown]), color=OBSERVED, linewidth=0, alpha=0.6, step="mid")
        if np.isfinite(limit):
            axis.axhline(limit, color=ALARM, linewidth=0.8, linestyle="--")
            over = values[shown] > limit
            axis.plot(np.array(when)[over], values[shown][over], "o", color=ALARM, markersize=3)
        axis.set_ylabel(name)
    figure.autofmt_xdate()
    figure.tight_layout()
    return figure


def matrix(values: Floats, ports: Sequence[Port]) -> Figure:
    """Fig. 12: row-scaled distances (p, p) between indicators (rows) and CVE series (columns)."""
    size = 2 + 0.6 * len(ports)
    figure, axis = plt.subplots(figsize=(size + 1, size))
    image = axis.imshow(values, cmap="viridis", vmin=0, vmax=1)
    axis.set_xticks(range(len(ports)), [f"CVE {port}" for port in ports], rotation=60, ha="right")
    axis.set_yticks(range(len(ports)), [f"E {port}" for port in ports])
    for (i, j), value in np.ndenumerate(values):
        axis.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=7, color="w" if value < 0.6 else "k")
    figure.colorbar(image, label="DTW distance, each row scaled")
    figure.tight_layout()
    return figure


def save(path: Path, figure: Figure) -> None:
    """Write the figure as SVG or PNG, by the suffix; ValueError for another."""
    if path.suffix not in (".svg", ".png"):
        raise ValueError(f"{path}: a figure is written as .svg or .png")
    with replacing(path) as aside:
        figure.savefig(aside, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def save_html(path: Path, title: str, figures: Sequence[tuple[str, Figure]], notes: Sequence[str] = ()) -> None:
    """One self-contained HTML page with all figures, each under its heading."""
    parts = []
    for heading, figure in figures:
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", dpi=120)
        plt.close(figure)
        data = base64.b64encode(drawn.getvalue()).decode()
        name = html.escape(heading, quote=True)
        parts.append(f'<section><h2>{name}</h2><img alt="{name}" src="data:image/png;base64,{data}"></section>')
    body = "\n".join([*(f"<p>{html.escape(note)}</p>" for note in notes), *parts])
    with replacing(path) as aside:
        aside.write_text(
            f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
            "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}"
            f"img{{max-width:100%}}</style>\n<h1>{html.escape(title)}</h1>\n{body}\n</html>\n",
            encoding="utf-8",
        )
