"""Decisions for people: a line each, and what was left alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from rich.console import RenderableType
from rich.table import Table as Grid

from portkin.nets import text_of
from portkin.ports import Port
from portkin_training.replay.decisions import Decision


def listing(taken: Sequence[Decision], limit: int) -> Iterator[RenderableType]:
    """What fits 80 columns: the decisions, at most ``limit`` of them, and the vetoes summed up."""
    left_out = f" (the first {limit:,} of {len(taken):,})" if len(taken) > limit else ""
    first = f", from {_when(taken[0]):%Y-%m-%d} (UTC)" if taken else ""
    grid = Grid(title=f"Decisions{left_out}{first}", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in ("time", "source", "probed"):
        grid.add_column(name, no_wrap=True)
    for name in ("predicted", "would be blocked"):
        grid.add_column(name)
    grid.add_column("came", justify="right", no_wrap=True)
    for decision in taken[:limit]:
        grid.add_row(
            f"{_when(decision):%H:%M:%S}",
            text_of(decision.src),
            str(decision.probed),
            _numbers(decision.predicted),
            _numbers(decision.kept),
            f"{decision.hits}/{len(decision.predicted)}" if decision.predicted else "-",
        )
    yield grid
    found = {decision.src: decision.evidence.value for decision in reversed(taken)}
    if found:
        yield "\nFound by: " + ", ".join(f"{text_of(src)} {evidence}" for src, evidence in reversed(found.items()))
    vetoes = Counter(f"{port} {reason}" for decision in taken for port, reason in decision.vetoed)
    if vetoes:
        yield "Left alone: " + ", ".join(f"{what} ({times})" for what, times in vetoes.most_common())
    yield ""


def _when(decision: Decision) -> datetime:
    return datetime.fromtimestamp(decision.ts / 1e6, UTC)


def _numbers(ports: Sequence[Port]) -> str:
    """All ports of a decision share the protocol of the probed one."""
    return " ".join(str(port.number) for port in ports) or "-"
