"""Replay's tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from rich.table import Table as Grid

from portkin.nets import text_of
from portkin.ports import Port
from portkin_training.replay.decisions import Decision
from portkin_training.replay.figures import Figure, Figures

MEANING = {
    "blocking_ratio": "blocked before they came",
    "usefulness": "useful blocks",
    "new_port_recall": "new-port recall",
    "ceiling": "its ceiling at this T",
    "hit_at_k": "hit@K",
    "mrr": "MRR",
    "packet_fpr": "other packets blocked",
    "connection_fpr": "other connections blocked",
}
"""What a figure is called in a table."""


def percent(figure: Figure) -> str:
    """A ratio in per cent with its interval."""
    if figure.value != figure.value:
        return "-"
    return f"{figure.value:.1%} [{figure.low:.1%}, {figure.high:.1%}]"


def span(seconds: float) -> str:
    """A time span as people say it."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def summary(rows: Mapping[str, Figures], title: str) -> Grid:
    """One row per predictor, the figures side by side."""
    grid = Grid(title=title, title_justify="left")
    grid.add_column("predictor", no_wrap=True)
    names = [name for name in MEANING if name not in ("packet_fpr", "connection_fpr")]
    if any(figures.benign for figures in rows.values()):
        names.append("connection_fpr")
    for name in ("probes", *(MEANING[name] for name in names), "blocks"):
        grid.add_column(name, justify="right")
    for label, figures in rows.items():
        shown = [percent(getattr(figures, name)) for name in names]
        grid.add_row(label, f"{figures.probes:,}", *shown, f"{figures.blocks:,}")
    return grid


def ports(some: Sequence[Port]) -> str:
    """Ports in one line."""
    return " ".join(map(str, some)) or "-"


def decisions(taken: Sequence[Decision], limit: int) -> Grid:
    """One row per decision: what was probed, what was predicted, what is kept and what is vetoed and why."""
    left_out = f" (the first {limit:,} of {len(taken):,})" if len(taken) > limit else ""
    grid = Grid(title=f"Decisions{left_out}", title_justify="left")
    for name in ("time (UTC)", "source", "probed", "why", "predicted", "blocked", "vetoed", "came"):
        grid.add_column(name, no_wrap=name in ("time (UTC)", "source", "probed"))
    for decision in taken[:limit]:
        when = datetime.fromtimestamp(decision.ts / 1e6, UTC)
        grid.add_row(
            f"{when:%Y-%m-%d %H:%M:%S.%f}"[:-3],
            text_of(decision.src),
            str(decision.probed),
            decision.evidence.value,
            ports(decision.predicted),
            ports(decision.kept),
            " ".join(f"{port}:{why}" for port, why in decision.vetoed) or "-",
            f"{decision.hits}/{len(decision.predicted)}",
        )
    return grid
