"""Rates results as Markdown, for reports."""

from __future__ import annotations

from collections.abc import Sequence

from portkin_training.rates.report import FIGURES, by_port, means, named
from portkin_training.rates.results import Result


def markdown(results: Sequence[Result], figure: str = "r2") -> str:
    """One figure of every model and port as a Markdown table."""
    ports = by_port(results)
    values = {(result.model, result.port): getattr(result.reported, figure) for result in results}
    lines = [f"| {FIGURES[figure]} | mean | " + " | ".join(map(named, ports)) + " |", "|---" * (len(ports) + 2) + "|"]
    for name, mean in means(results, figure).items():
        cells = (f"{values[name, port]:.2f}" if (name, port) in values else "-" for port in ports)
        lines.append(f"| {name} | {mean:.2f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
