"""The curves of a replay over K and T, as SVG."""

from __future__ import annotations

import io
import re
import zlib
from typing import NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from portkin_training.evaluation.results import ReplayResults
from portkin_training.evaluation.text import MEANING, span


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
    axes.set_xticks(list(at), [span(window) for window in results.sweep.windows], fontsize=8)
    axes.legend(fontsize=8, frameon=False, ncols=2)
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
    axes.legend(fontsize=8, frameon=False)
    return _drawing(canvas, f"New-port recall of every predictor, blocks of {span(results.sweep.headline[1])}")


def _axes(x: str, y: str) -> tuple[Canvas, Axes]:
    canvas = Canvas(figsize=(6, 3.6), layout="constrained")
    axes = canvas.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(f"{y}, %")
    axes.grid(alpha=0.3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return canvas, axes


def _drawing(canvas: Canvas, caption: str) -> Drawing:
    out = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "portkin"}):
        canvas.savefig(out, format="svg", metadata={"Date": None})
    svg = out.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    # Ids are made unique: several drawings share one page.
    salt = f"f{zlib.crc32(caption.encode()):x}-"
    svg = re.sub(r'id="', f'id="{salt}', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{salt}", svg)
    return Drawing(svg, caption)
