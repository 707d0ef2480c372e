"""Rates, forecasts and alarms as one HTML file: no network needed, readable on a phone and in the dark."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from matplotlib import pyplot
from matplotlib.figure import Figure

from portkin import __version__
from portkin.files import replacing
from portkin.wording import amount
from portkin_training.core.pages import page, svg_of
from portkin_training.rates.alarms import Alarm
from portkin_training.rates.plots import MOST_TIMES

FIRST_ALARMS = 10
"""Alarms that are seen without opening the list."""
MOST_ALARMS = 100
"""Alarms that a page lists."""
HEAD = ("bin", "port", "what", "rate", "expected", "above by", "alarm above")


def save_page(path: Path, facts: Mapping[str, str], figures: Mapping[str, Figure], alarms: Sequence[Alarm]) -> None:
    """Write the page: a verdict, ``facts`` by name, the latest alarms, and the figure of each port, by its name."""
    latest = [row for alarm in sorted(alarms, key=lambda alarm: alarm.bin, reverse=True) for row in _rows(alarm)]
    rendered = page(
        Path(__file__).with_name("page.html.j2"),
        version=__version__,
        verdict=verdict(alarms, len(figures)),
        facts=facts,
        head=HEAD,
        first=latest[:FIRST_ALARMS],
        others=latest[FIRST_ALARMS:MOST_ALARMS],
        left_out=max(0, len(latest) - MOST_ALARMS),
        most=f"{MOST_TIMES:+,.0%}",
        drawings={name: _data(figure) for name, figure in figures.items()},
    )
    with replacing(path) as aside:
        aside.write_text(rendered, encoding="utf-8")


def verdict(alarms: Sequence[Alarm], ports: int) -> str:
    """How many alarms there are, of which kind, and which is the latest, in a sentence or two."""
    of_ports = amount(ports, "port")
    if not alarms:
        return f"No alarm on {of_ports}."
    anomalies, warnings = sum(alarm.anomaly for alarm in alarms), sum(alarm.warning for alarm in alarms)
    latest = max(alarms, key=lambda alarm: alarm.bin)
    what = f"{anomalies:,} of rates above their forecast, {warnings:,} of forecasts above the trend"
    return f"Alarms on {of_ports}: {what}. The latest: {latest.port}, {latest.bin}."


def _rows(alarm: Alarm) -> Iterator[list[str]]:
    """The cells below `HEAD` of the anomaly and of the warning."""
    if alarm.anomaly:
        numbers = (alarm.observed, alarm.forecast, alarm.e, alarm.threshold_e)
        yield [alarm.bin, str(alarm.port), "above forecast", *_cells(*numbers)]
    if alarm.warning:
        numbers = (alarm.next_forecast, max(alarm.next_trend, 0.0), alarm.w, alarm.threshold_w)
        yield [alarm.bin, str(alarm.port), "next above trend", *_cells(*numbers)]


def _cells(rate: float, expected: float, above: float, limit: float) -> list[str]:
    return [*(f"{number:,.0f}" if number >= 10 else f"{number:.1f}" for number in (rate, expected)),
            *(f"{times:+,.0%}" for times in (above, limit))]  # fmt: skip


def _data(figure: Figure) -> str:
    """The figure as an SVG in a URL: within an image it takes no ids and no colours from the page."""
    drawn = svg_of(figure)
    pyplot.close(figure)
    small = re.sub(r"(\d\.\d)\d+", r"\1", drawn)  # a tenth of a point is seen by nobody
    return f"data:image/svg+xml;base64,{base64.b64encode(small.encode()).decode()}"
