"""A results as one HTML file: tables and curves, no network needed, readable on a phone."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterable, Sequence
from html import escape
from statistics import fmean

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from portkin import __version__
from portkin_training.evaluation.results import ReplayResults
from portkin_training.evaluation.text import MEANING, percent, shown, span, traffic, with_interval
from portkin_training.replay.mawi.scan_labels import LABEL_RULES

STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:0 1rem 4rem}
h1{font-size:1.5rem;line-height:1.25}h2{font-size:1.15rem;margin-top:2.2rem}
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.92rem}
th,td{padding:.3rem .6rem;text-align:right;border-bottom:1px solid #8884;white-space:nowrap}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:Canvas}
tbody tr:first-child td{font-weight:600}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem .8rem}dt{opacity:.7}dd{margin:0;overflow-wrap:anywhere}
figure{margin:1rem 0;background:#fff;border-radius:.4rem;padding:.3rem}svg{width:100%;height:auto;display:block}
p.small,figcaption{font-size:.88rem;opacity:.8}figcaption{color:#333}
"""


def render(results: ReplayResults) -> str:
    """The whole page."""
    k, window = results.sweep.headline
    rows = results.at()
    first, under_study = next(iter(rows.items()))
    best = results.best_table(rows)
    parts = [
        f"<h1>What would have been blocked: {escape(first)}</h1>",
        "<dl>"
        + "".join(f"<dt>{escape(str(a))}</dt><dd>{escape(str(b))}</dd>" for a, b in results.settings.items())
        + "</dl>",
        f"<h2>K = {k}, T = {span(window)}</h2>",
        _table(
            ["predictor", *(MEANING[name] for name in shown(rows)), "blocks"],
            (
                [
                    label,
                    *(
                        with_interval(getattr(row, name))
                        if name == "new_port_recall"
                        else percent(getattr(row, name).value)
                        for name in shown(rows)
                    ),
                    f"{row.blocks:,}",
                ]
                for label, row in rows.items()
            ),
        ),
        f"<p>{escape(traffic(results, under_study))}</p>",
        f"<p>The limit: {percent(under_study.ceiling.value)} of the new ports were reached while the source's latest "
        f"probe was less than {span(window)} old"
        + (
            f"; the best table of {k} ports, known only afterwards, would have foretold {percent(best)}."
            if best is not None
            else "."
        )
        + "</p>",
        '<p class="small">blocked: probes already blocked when they came. useful: blocks that were probed while they '
        "held. new-port recall: of the probes by which a source seen before reaches a port new to it, the share "
        "already blocked (95 % bootstrap interval). hit@K, MRR: is the next distinct port among the K nearest of the "
        "last one, and how far up. FPR: benign traffic blocked.</p>",
        *(f'<p class="small">{escape(note)}</p>' for note in results.notes),
    ]
    if results.units:
        parts += _table_ii(results)
    if len(results.sweep.windows) > 1:
        parts += _curves(results, best)
    parts += _ports(results)
    if results.units:
        parts += _mapping()
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>portkin replay</title><style>{STYLE}</style></head><body>{''.join(parts)}"
        f'<p class="small">portkin {__version__}</p></body></html>\n'
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    return f'<div class="wide"><table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table></div>'


def _table_ii(results: ReplayResults) -> list[str]:
    parts = []
    for title, new_ports in (("as the paper counts", False), ("new ports alone", True)):
        columns = [[x for x in column if x == x] for column in zip(*results.days(new_ports=new_ports), strict=True)]
        parts.append(f"<h2>Table II, {title}</h2>")
        parts.append(
            _table(
                ["", "TPR", "FPR", "usefulness"],
                (
                    [name, *(f"{100 * over(column):.4g} %" if column else "-" for column in columns)]
                    for name, over in (("Minimum", min), ("Mean", fmean), ("Maximum", max))
                ),
            )
        )
    return [
        *parts,
        f'<p class="small">Over {len(results.units)} trace(s): {escape(", ".join(results.units.values()))}.</p>',
    ]


def _curves(results: ReplayResults, best: float | None) -> list[str]:
    first = next(iter(results.counts))
    curves = results.curves(first)
    drawn = [_over_windows(results, first, name, curves[name]) for name in curves]
    return ["<h2>Over K and T</h2>", *drawn, _over_k(results, best)]


def _over_windows(results: ReplayResults, name: str, figure: str, lines: dict[int, list[float]]) -> str:
    canvas, axes = _axes("T", MEANING[figure])
    at = range(len(results.sweep.windows))
    wanted = sorted({k for k in (0, 1, 2, 3, 5, 10, 16) if k in lines} | {results.sweep.headline[0]})
    for place, k in enumerate(wanted):
        shade = matplotlib.colormaps["viridis"](place / max(1, len(wanted)))
        label = "MySelf" if k == 0 else f"K = {k}"
        axes.plot(at, [100 * x for x in lines[k]], marker="o", markersize=3, color=shade, label=label)
    axes.set_xticks(list(at), [span(window) for window in results.sweep.windows], fontsize=8)
    axes.legend(fontsize=8, frameon=False, ncols=2)
    return _figure(canvas, f"{MEANING[figure]} of {name}, over the time a block holds")


def _over_k(results: ReplayResults, best: float | None) -> str:
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
    return _figure(canvas, f"New-port recall of every predictor, blocks of {span(results.sweep.headline[1])}")


def _axes(x: str, y: str) -> tuple[Canvas, Axes]:
    canvas = Canvas(figsize=(6, 3.6), layout="constrained")
    axes = canvas.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(f"{y}, %")
    axes.grid(alpha=0.3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return canvas, axes


def _figure(canvas: Canvas, caption: str) -> str:
    out = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "portkin"}):
        canvas.savefig(out, format="svg", metadata={"Date": None})
    svg = out.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    # Ids are made unique: several drawings share one page.
    salt = f"f{zlib.crc32(caption.encode()):x}-"
    svg = re.sub(r'id="', f'id="{salt}', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{salt}", svg)
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def _ports(results: ReplayResults) -> list[str]:
    head = [
        "port",
        "probes",
        "blocked",
        "missed",
        "new",
        "new, blocked",
        "blocks",
        "useful",
        "useless",
        "benign",
        "benign blocked",
    ]
    rows = (
        [
            row["port"],
            *(
                f"{n:,}"
                for n in (
                    row["probes"],
                    row["blocked"],
                    row["probes"] - row["blocked"],
                    row["new"],
                    row["new_blocked"],
                    row["blocks"],
                    row["useful"],
                    row["blocks"] - row["useful"],
                    row["benign"],
                    row["benign_blocked"],
                )
            ),
        ]
        for row in results.ports()
    )
    return ["<h2>Confusion by port</h2>", _table(head, rows)]


def _mapping() -> list[str]:
    rows = (
        [
            rule.taxonomy,
            "any" if rule.heuristic is None else str(rule.heuristic),
            "scan" if rule.scan else "-",
            rule.why,
        ]
        for rule in LABEL_RULES
    )
    return ["<h2>Which labels mean a scan</h2>", _table(["taxonomy", "heuristic", "", "why"], rows)]
