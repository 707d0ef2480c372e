"""What `portkin replay` prints: tables for a terminal, and what is said between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table as Grid

from portkin.net.ports import Port
from portkin_training.evaluation.cells import (
    LABEL_RULES_HEAD,
    MEANING,
    RELIABILITY_HEAD,
    TABLE_II_HEAD,
    equal_blocks_head,
    equal_blocks_rows,
    figure_cells,
    label_rule_rows,
    percent,
    reliability_rows,
    shown,
    span,
    table_ii_rows,
    with_cases,
)
from portkin_training.evaluation.sentences import traffic

if TYPE_CHECKING:
    # What counts takes long to load, and `portkin table info` counts nothing.
    from portkin_training.evaluation.results import ReplayResults
    from portkin_training.replay.metrics import ReplayFigures
    from portkin_training.twin.decisions import ProbeDecision

BARS = (("-", "stated"), ("#", "observed"))
"""How a reliability curve is drawn in text."""


def pages(results: ReplayResults) -> Iterator[Grid | str]:
    """All that is printed of a replay, in order."""
    k, window = results.sweep.headline
    rows = results.at()
    under_study = next(iter(rows.values()))
    settings, best = results.settings, results.best_table(rows)
    if results.frontiers:
        yield equal_blocks(results.equal_blocks(), f"New-port recall at equal blocks, T = {span(window)}")
    yield summary(
        rows, f"K = {k}, T = {span(window)}, detector {settings['detector']}, blocked by {settings['blocked by']}"
    )
    yield traffic(results, under_study)
    if under_study.new:
        yield (
            f"The limit: {percent(under_study.ceiling.value)} of those came less than {span(window)} after the "
            "source's latest probe"
            + (f"; the best table of {k} ports, in hindsight, predicts {percent(best)}." if best is not None else ".")
        )
    if results.reliability:
        yield reliability(results.reliability, f"the chances on {results.reliability_on}")
    if results.reliability_by_source:
        yield reliability(results.reliability_by_source, f"the chances by source on {results.reliability_on}")
    yield from results.notes
    if results.units:
        yield table_ii(results.days(new_ports=False), "Table II, as the paper counts (the probed port included)")
        yield table_ii(results.days(new_ports=True), "Table II, new ports alone")
        yield mapping()


def summary(rows: Mapping[str, ReplayFigures], title: str) -> Grid:
    """One row per predictor, the figures side by side."""
    grid = _grid(title)
    grid.add_column("predictor", no_wrap=True)
    names = shown(rows)
    for name in names:
        grid.add_column(MEANING[name], justify="right", no_wrap=name in ("packet_fpr", "new_port_recall"))
    grid.add_column("blocks", justify="right", no_wrap=True)
    for label, figures in rows.items():
        grid.add_row(label, *figure_cells(figures, names))
    return grid


def table_ii(days: Sequence[tuple[float, float, float]], title: str) -> Grid:
    """Table II of paper 1: minimum, mean and maximum over the days of (TPR, FPR, usefulness)."""
    grid = _grid(title)
    for name in TABLE_II_HEAD:
        grid.add_column(name, justify="right" if name else "left")
    for row in table_ii_rows(days):
        grid.add_row(*row)
    return grid


def equal_blocks(compared: Sequence[Mapping[str, Any]], title: str) -> Grid:
    """What a table finds with the blocks that each baseline issues; `compared` as `frontier.at_equal_blocks` has it."""
    grid = _grid(title)
    for place, name in enumerate(equal_blocks_head(compared)):
        grid.add_column(name, justify="right" if place else "left", no_wrap=not place)
    for row in equal_blocks_rows(compared):
        grid.add_row(*row)
    return grid


def reliability(curve: Sequence[Mapping[str, float]], of_what: str) -> Grid:
    """A reliability curve, drawn: of each bin of chance, what is stated, what was observed, and both as bars."""
    grid = _grid(f"Reliability of {of_what}: stated (-) and observed (#)")
    for name in RELIABILITY_HEAD:
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("", no_wrap=True)
    for cells, bin_ in zip(reliability_rows(curve), with_cases(curve), strict=True):
        grid.add_row(*cells, "\n".join(mark * max(1, round(20 * bin_[of])) for mark, of in BARS))
    return grid


def mapping() -> Grid:
    """Which labels mean a scan: the first rule that fits."""
    grid = _grid("Labels that mean a scan: the first rule that fits")
    for name in LABEL_RULES_HEAD:
        grid.add_column(name)
    for row in label_rule_rows():
        grid.add_row(*map(escape, row))
    return grid


def decisions(taken: Sequence[ProbeDecision], limit: int) -> Grid:
    """One row per decision: what was probed, what was predicted, what is blocked and what is vetoed and why.

    Ports predicted are of the probed port's protocol. *came*: how many of them the source probed afterwards.
    """
    from portkin_training.core.context import describe

    left_out = f", the first {limit:,} of {len(taken):,}" if len(taken) > limit else ""
    day = f" from {datetime.fromtimestamp(taken[0].ts / 1e6, UTC):%Y-%m-%d}" if taken else ""
    grid = _grid(f"Decisions{day}{left_out} (UTC)")
    for name in ("time", "source", "probed", "why", "predicted", "blocked", "vetoed", "came"):
        # A heading is never cut short, whatever the terminal.
        grid.add_column(name, no_wrap=name in ("time", "source", "probed", "why", "came"), min_width=len(name))
    for decision in taken[:limit]:
        grid.add_row(
            f"{datetime.fromtimestamp(decision.ts / 1e6, UTC):%H:%M:%S}",
            describe(decision.src),
            str(decision.probed),
            decision.evidence.value.lower(),
            numbers(decision.predicted),
            numbers(decision.kept),
            ", ".join(f"{port.number} {why.replace('_', ' ')}" for port, why in decision.vetoed) or "-",
            f"{decision.hits}/{len(decision.predicted)}",
        )
    return grid


def numbers(some: Sequence[Port]) -> str:
    """Port numbers in one line."""
    return " ".join(str(port.number) for port in some) or "-"


def _grid(title: str) -> Grid:
    return Grid(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
