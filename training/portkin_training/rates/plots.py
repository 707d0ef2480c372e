"""Rates, forecasts and indicators over time (as Figs. 6, 10 and 11), and the distance matrix of Fig. 12."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import matplotlib
import matplotlib.dates
import numpy as np

matplotlib.use("Agg")  # a file is drawn, whatever display there is

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from portkin.bundles.forecast import Forecaster
from portkin.files import replacing
from portkin.net.ports import Port
from portkin.timeseries.bins import label
from portkin.timeseries.indicators import linear_trend
from portkin.timeseries.windows import windows
from portkin_training.rates.alarms import Scores
from portkin_training.rates.models.task import Floats
from portkin_training.rates.series.rate_series import Rates

MOST_POINTS = 300
"""Points of a curve: more are a smear."""
MOST_TIMES = 10.0
"""E and W are drawn up to here, eleven times what was expected: over a trend of nothing W is any number."""
LEGEND = 48
"""Characters of a line of the legend, which has room for some more."""
OBSERVED, FORECAST, TREND, ALARM = "#1f77b4", "#ff7f0e", "#7f7f7f", "#d62728"


def panels(rates: Rates, scores: Scores, models: Forecaster, port: Port, *, last: int | None = None) -> Figure:
    """Observed and forecast rates with the linear trend, E and W with their thresholds, for the `last` bins."""
    number = models.targets.index(port)
    own = rates.counts[:, rates.column(port)]
    trend = np.full(len(own) + 1, np.nan)
    trend[models.rules.trend :] = linear_trend(windows(own[:, None], models.rules.trend)[:, :, 0])
    shown = slice(-last if last else 0, None)
    when = [datetime.fromtimestamp(int(start), UTC) for start in rates.starts[shown]]

    # As wide as a phone, so that its letters can be read there; constrained, so that nothing covers anything.
    figure, (top, middle, bottom) = plt.subplots(
        3, 1, figsize=(5, 5), sharex=True, height_ratios=(3, 1, 1), layout="constrained"
    )
    step = -(-len(when) // MOST_POINTS)
    shown_bins = f", means of {step} bins" if step > 1 else ""
    curve(top, when, own[shown], step, color=OBSERVED, name=f"observed{shown_bins}")
    forecast = scores.forecast[:-1, number]
    forecast_label = textwrap.fill(f"forecast ({models.models[number].kind})", LEGEND)
    curve(top, when, forecast[shown], step, color=FORECAST, name=forecast_label, band=False)
    trend_label = f"linear trend of {models.rules.trend} bins"
    curve(top, when, np.maximum(trend[:-1], 0)[shown], step, color=TREND, name=trend_label, band=False, style=":")
    top.set_ylabel(f"probes per {'day' if rates.width >= 86_400 else 'hour'}")
    top.yaxis.set_major_formatter("{x:,.0f}")
    figure.legend(*top.get_legend_handles_labels(), loc="outside upper left", frameon=False)
    if rates.synthetic:
        top.set_title("synthetic rates", loc="right", fontsize="small")
    # W of bin t warns of bin t + 1, so it is drawn there, under the rate it speaks of.
    warned, limit_w = (np.concatenate([[np.nan], found[:-1, number]]) for found in (scores.w, scores.limits_w))
    for axis, values, limits, name in (
        (middle, scores.e[:, number], scores.limits_e[:, number], "E: above\nforecast"),
        (bottom, warned, limit_w, "W: forecast\nabove trend"),
    ):
        _indicator(axis, when, values[shown], limits[shown], step)
        axis.set_ylabel(name)
    for axis in (top, middle, bottom):
        axis.spines[["top", "right"]].set_visible(False)
    dates = matplotlib.dates.AutoDateLocator(maxticks=6)  # type: ignore[no-untyped-call]
    bottom.xaxis.set_major_locator(dates)
    bottom.xaxis.set_major_formatter(matplotlib.dates.ConciseDateFormatter(dates))  # type: ignore[no-untyped-call]
    figure.align_ylabels()
    return figure


def _indicator(axis: Axes, when: Sequence[datetime], values: Floats, limits: Floats, step: int) -> None:
    """E or W of each bin (n,), its threshold (n,), and a dot for each alarm."""
    over = values > limits
    most = _by_step(np.nan_to_num(values), step).max(axis=1)
    # A line, since stretches of zeros then take two points, and a page of many ports stays small.
    axis.plot(np.array(when[::step]), np.minimum(most, MOST_TIMES), color=OBSERVED, linewidth=1, drawstyle="steps-mid")
    if np.isfinite(limits).any():
        drawn = np.where(limits <= MOST_TIMES, limits, np.nan)[::step]
        axis.plot(np.array(when[::step]), drawn, color=ALARM, linewidth=0.8, linestyle="--")
        axis.plot(np.array(when)[over], np.minimum(values[over], MOST_TIMES), "o", color=ALARM, markersize=3)
    axis.set_ylim(bottom=0)
    axis.yaxis.set_major_formatter(lambda value, place: f"{value:+,.0%}" if value else "0")


def bin_name(rates: Rates, at: int) -> str:
    """What a bin is called."""
    return label(int(rates.starts[at]), rates.width, rates.tz)


def _by_step(values: Floats, step: int) -> Floats:
    """Values (n,) in groups of `step`, float64 (ceil(n / step), step), the last one filled with its last value."""
    return np.pad(values, (0, -len(values) % step), mode="edge").reshape(-1, step)


def curve(
    axis: Axes,
    when: Sequence[datetime],
    values: Floats,
    step: int,
    *,
    color: str,
    name: str,
    style: str = "-",
    band: bool = True,
) -> None:
    """Draw the mean of every ``step`` bins, NaN where all are unknown, in a band from the least to the most.

    ``when`` are the beginnings of the bins and ``values`` (n,) their rates.
    """
    groups = _by_step(values, step)
    known = ~np.isnan(groups)
    number = known.sum(axis=1)
    mean = np.divide(np.where(known, groups, 0).sum(axis=1), number, out=np.full(len(groups), np.nan), where=number > 0)
    axis.plot(np.array(when[::step]), mean, style, color=color, linewidth=1, label=name)
    if band and step > 1:
        least, most = (
            pick(np.where(known, groups, worst), axis=1) for pick, worst in ((np.min, np.inf), (np.max, -np.inf))
        )
        axis.fill_between(np.array(when[::step]), least, most, where=number > 0, color=color, linewidth=0, alpha=0.25)


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
