"""The results of a replay as one HTML file: tables and curves, no network needed, readable on a phone."""

from __future__ import annotations

from pathlib import Path

from portkin import __version__
from portkin_training.core.pages import page
from portkin_training.evaluation.cells import (
    LABEL_RULES_HEAD,
    MEANING,
    RELIABILITY_HEAD,
    TABLE_II_HEAD,
    best_rows,
    equal_blocks_head,
    equal_blocks_rows,
    figure_cells,
    label_rule_rows,
    percent,
    reliability_rows,
    shown,
    span,
    table_ii_rows,
)
from portkin_training.evaluation.curves import drawn_curves, drawn_frontier, drawn_reliability, drawn_usefulness
from portkin_training.evaluation.results import ReplayResults
from portkin_training.evaluation.sentences import traffic, verdict

PORT_HEAD = (
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
)


def render(results: ReplayResults) -> str:
    """The whole page; every text is escaped by the template."""
    k, window = results.sweep.headline
    rows = results.at()
    predictor, under_study = next(iter(rows.items()))
    best = results.best_table(rows)
    names = shown(rows)
    return page(
        Path(__file__).with_name("report.html.j2"),
        version=__version__,
        predictor=predictor,
        settings=results.settings,
        verdict=verdict(results),
        k=k,
        window=span(window),
        summary_head=["predictor", *(MEANING[name] for name in names), "blocks"],
        summary=[[label, *figure_cells(row, names)] for label, row in rows.items()],
        best_rows=best_rows(rows, names),
        traffic=traffic(results, under_study),
        ceiling=percent(under_study.ceiling.value),
        best=None if best is None else percent(best),
        notes=results.notes,
        table_ii_head=TABLE_II_HEAD,
        table_ii=[
            (title, table_ii_rows(results.days(new_ports=new_ports)))
            for title, new_ports in (("as the paper counts", False), ("new ports alone", True))
            if results.units
        ],
        traces=list(results.units.values()),
        drawings=drawn_curves(results, best) if len(results.sweep.windows) > 1 else [],
        equal_blocks_head=equal_blocks_head(results.equal_blocks()),
        equal_blocks=equal_blocks_rows(results.equal_blocks()),
        frontier=[drawn_frontier(results.frontiers, window), drawn_usefulness(results.frontiers, window)]
        if results.frontiers
        else [],
        reliability_head=RELIABILITY_HEAD,
        reliability_on=results.reliability_on,
        reliability=reliability_rows(results.reliability),
        reliability_drawing=drawn_reliability(results.reliability) if results.reliability else None,
        reliability_by_source=reliability_rows(results.reliability_by_source),
        port_head=PORT_HEAD,
        ports=_port_rows(results),
        ports_seen=results.ports_seen,
        probes_elsewhere=results.probes_elsewhere(),
        label_rules_head=LABEL_RULES_HEAD,
        label_rules=label_rule_rows(),
    )


def _port_rows(results: ReplayResults) -> list[list[str]]:
    """What became of the most probed ports: the cells below `PORT_HEAD`."""
    found = []
    for row in results.ports():
        probes, blocked, blocks, useful = (row[name] for name in ("probes", "blocked", "blocks", "useful"))
        counts = (
            probes,
            blocked,
            probes - blocked,
            row["new"],
            row["new_blocked"],
            blocks,
            useful,
            blocks - useful,
            row["benign"],
            row["benign_blocked"],
        )
        found.append([row["port"], *(f"{count:,}" for count in counts)])
    return found
