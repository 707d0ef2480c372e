"""The curves of a replay over K and T, as SVG."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib
import matplotlib.ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from portkin_training.core.pages import svg_of
from portkin_training.evaluation.cells import MEANING, span, with_cases
from portkin_training.evaluation.results import ReplayResults
from portkin_training.replay.frontier import ORACLE, Point


class Drawing(NamedTuple):
    """An SVG element, and the plain text below it."""

    svg: str
    caption: str


def drawn_curves(results: ReplayResults, best: float | None) -> list[Drawing]:
    """The figures over T, one drawing each, then the new-port recall of every predictor over K."""
    first = next(iter(results.counts))
    curves = results.curves(first)
    drawn = [_over_windows(results, first, name, curves[name]) for name in curves]
    return [*drawn, _over_k(results, best)]


def _over_windows(results: ReplayResults, name: str, figure: str, lines: dict[int, list[float]]) -> Drawing:
    canvas, axes = _axes("T", MEANING[figure])
    at = range(len(results.sweep.windows))
    wanted = sorted({k for k in (0, 1, 2, 3, 5, 10, 16) if k in lines} | {results.sweep.headline[0]})
    for place, k in enumerate(wanted):
        shade = matplotlib.colormaps["viridis"](place / max(1, len(wanted)))
        label = "MySelf" if k == 0 else f"K = {k}"
        axes.plot(at, [100 * x for x in lines[k]], marker="o", markersize=3, color=shade, label=label)
    axes.set_xticks(list(at), [span(window) for window in results.sweep.windows])
    _legend(canvas, axes)
    return _drawing(canvas, f"{MEANING[figure]} of {name}, over the time a block holds")


def _over_k(results: ReplayResults, best: float | None) -> Drawing:
    canvas, axes = _axes("K", MEANING["new_port_recall"])
    window = results.sweep.windows.index(results.sweep.headline[1])
    for name in results.counts:
        if name != "MySelf":
            lines = results.curves(name)["new_port_recall"]
            axes.plot(
                list(lines), [100 * line[window] for line in lines.values()], marker="o", markersize=3, label=name
            )
    if best is not None:
        axes.plot([results.sweep.headline[0]], [100 * best], "k*", label="best table in hindsight")
    _legend(canvas, axes)
    return _drawing(canvas, f"New-port recall of every predictor, blocks of {span(results.sweep.headline[1])}")


def drawn_frontier(frontiers: Mapping[str, Sequence[Point]], window: float) -> Drawing:
    """New-port recall of every predictor against the blocks it issues."""
    return _against_blocks(frontiers, "recall", MEANING["new_port_recall"], window)


def drawn_usefulness(frontiers: Mapping[str, Sequence[Point]], window: float) -> Drawing:
    """Usefulness of every predictor's blocks against how many it issues."""
    return _against_blocks(frontiers, "usefulness", MEANING["usefulness"], window)


def _against_blocks(frontiers: Mapping[str, Sequence[Point]], figure: str, meaning: str, window: float) -> Drawing:
    canvas, axes = _axes("blocks", meaning)
    for place, (name, points) in enumerate(frontiers.items()):
        ordered = sorted(points, key=lambda point: point.blocks)
        style = "k:" if name == ORACLE else f"C{place}-"
        axes.plot(
            [point.blocks for point in ordered], [100 * getattr(point, figure) for point in ordered], style,
            marker="o", markersize=2.5, label=name, linewidth=1.8 if place == 0 else 1,
        )  # fmt: skip
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5))  # more do not fit beside each other
    axes.xaxis.set_major_formatter("{x:,.0f}")
    _legend(canvas, axes)
    return _drawing(canvas, f"{meaning[:1].upper()}{meaning[1:]} against blocks, blocks of {span(window)}")


def drawn_reliability(curve: Sequence[Mapping[str, float]]) -> Drawing:
    """Observed against stated chance, in equal bins of chance, on logarithmic axes; on the line they agree."""
    canvas, axes = _axes("stated chance, %", "observed")
    shown = [bin_ for bin_ in with_cases(curve) if bin_["observed"] > 0]
    axes.loglog([1e-2, 100], [1e-2, 100], "k:", linewidth=1)
    axes.loglog([100 * bin_["stated"] for bin_ in shown], [100 * bin_["observed"] for bin_ in shown], "o")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    return _drawing(canvas, "Observed against stated chance, in equal bins of chance")


def _legend(canvas: Canvas, axes: Axes) -> None:
    """Names of the curves, above the axes: within, they cover curves."""
    handles, labels = axes.get_legend_handles_labels()
    canvas.legend(handles, labels, loc="outside upper left", ncols=3, frameon=False)


def _axes(x: str, y: str) -> tuple[Canvas, Axes]:
    canvas = Canvas(figsize=(5, 3.8), layout="constrained")
    axes = canvas.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(f"{y}, %")
    axes.grid(alpha=0.3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return canvas, axes


def _drawing(canvas: Canvas, caption: str) -> Drawing:
    svg = svg_of(canvas)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    # Ids are made unique: several drawings share one page.
    salt = f"f{zlib.crc32(caption.encode()):x}-"
    svg = re.sub(r'id="', f'id="{salt}', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{salt}", svg)
    return Drawing(svg, caption)
