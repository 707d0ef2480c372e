"""Rates, forecasts and indicators over time (as Figs. 6, 10 and 11), and the distance matrix of Fig. 12."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import matplotlib
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
from portkin_training.rates.alarms import Alarm
from portkin_training.rates.models.task import Floats
from portkin_training.rates.series.rate_series import Rates

MOST_POINTS = 300
"""Points of a curve: more are a smear."""
MOST_ALARMS = 100
"""Alarms that a page lists."""
STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;overflow-wrap:anywhere}"
    ".wide{overflow-x:auto}img{display:block;width:100%;max-width:48rem;min-width:26rem;height:auto}"
    "table{border-collapse:collapse;font-size:.92rem}"
    "th,td{padding:.2rem .6rem .2rem 0;text-align:left;border-bottom:1px solid #8884}td{white-space:nowrap}"
    "@media(prefers-color-scheme:dark){img{filter:invert(.9) hue-rotate(180deg)}}"
)
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

    figure, (top, middle, bottom) = plt.subplots(3, 1, figsize=(7, 6), sharex=True, height_ratios=(3, 1, 1))
    step = -(-len(when) // MOST_POINTS)
    shown_bins = f", means of {step} bins" if step > 1 else ""
    curve(top, when, own[shown], step, color=OBSERVED, name=f"observed{shown_bins}")
    curve(top, when, forecast[:-1, number][shown], step, color=FORECAST, name=f"forecast ({model.kind})", band=False)
    trend_label = f"linear trend of {models.rules.trend} bins"
    curve(top, when, np.maximum(trend[:-1], 0)[shown], step, color=TREND, name=trend_label, band=False, style=":")
    top.set_ylabel(f"probes per {'day' if rates.width >= 86_400 else 'hour'}")
    top.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False, fontsize="small", ncols=3)
    if rates.synthetic:
        top.annotate("synthetic rates", (1, 1), xycoords="axes fraction", ha="right", va="top")
    # W of bin t warns of bin t + 1, so it is drawn there, under the rate it speaks of.
    warned = np.concatenate([[np.nan], w[:-1, number]])
    for axis, values, limit, name in (
        (middle, e[:, number], model.threshold_e, "E: above\nforecast"),
        (bottom, warned, model.threshold_w, "W: forecast\nabove trend"),
    ):
        most = _by_step(np.nan_to_num(values[shown]), step).max(axis=1)
        # A line, since stretches of zeros then take two points, and a page of many ports stays small.
        axis.plot(np.array(when[::step]), most, color=OBSERVED, linewidth=1, drawstyle="steps-mid")
        if np.isfinite(limit):
            axis.axhline(limit, color=ALARM, linewidth=0.8, linestyle="--")
            over = values[shown] > limit
            axis.plot(np.array(when)[over], values[shown][over], "o", color=ALARM, markersize=3)
        axis.set_ylabel(name)
    for axis in (top, middle, bottom):
        axis.spines[["top", "right"]].set_visible(False)
    figure.autofmt_xdate()
    figure.tight_layout()
    return figure


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


def save_html(
    path: Path,
    title: str,
    figures: Sequence[tuple[str, Figure]],
    notes: Sequence[str] = (),
    alarms: Sequence[Alarm] = (),
) -> None:
    """One self-contained HTML page: notes, the latest alarms, and all figures, each under its heading."""
    parts = []
    for heading, figure in figures:
        drawn = io.StringIO()
        with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "portkin"}):
            figure.savefig(drawn, format="svg", metadata={"Date": None})
        plt.close(figure)
        small = re.sub(r"(\d\.\d)\d+", r"\1", drawn.getvalue())  # a tenth of a point is seen by nobody
        data = base64.b64encode(small.encode()).decode()
        name = html.escape(heading, quote=True)
        parts.append(
            f'<section><h2>{name}</h2><div class="wide" tabindex="0"><img alt="{name}: observed and forecast rate, E '
            f'and W" src="data:image/svg+xml;base64,{data}"></div></section>'
        )
    body = "\n".join([*(f"<p>{html.escape(note)}</p>" for note in notes), _alarms(alarms), *parts])
    with replacing(path) as aside:
        aside.write_text(
            f'<!doctype html>\n<html lang="en"><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width,initial-scale=1"><title>{html.escape(title)}</title>\n'
            f"<style>{STYLE}</style>\n<h1>{html.escape(title)}</h1>\n{body}\n</html>\n",
            encoding="utf-8",
        )


def _alarms(alarms: Sequence[Alarm]) -> str:
    """The latest alarms as a table, and how many there are."""
    if not alarms:
        return "<h2>Alarms</h2><p>None.</p>"
    latest = sorted(alarms, key=lambda alarm: alarm.bin, reverse=True)[:MOST_ALARMS]
    rows = "".join(
        f"<tr><td>{html.escape(alarm.bin)}</td><td>{html.escape(str(alarm.port))}</td><td>{html.escape(said)}</td></tr>"
        for alarm in latest
        for said in (sentence.split(" ", 2)[2] for sentence in alarm.sentences())
    )
    some = f"The latest {len(latest)} of {len(alarms):,}" if len(latest) < len(alarms) else f"{len(alarms):,}"
    head = "".join(f"<th>{name}</th>" for name in ("bin", "port", "alarm"))
    meaning = "E: how far a rate is above its forecast; W: how far the forecast of the next bin is above the trend."
    return (
        f'<h2>Alarms</h2><p>{some}. {meaning}</p><div class="wide" tabindex="0">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
