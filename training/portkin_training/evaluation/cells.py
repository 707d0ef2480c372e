"""The figures of a replay as the cells of tables: what its text and its HTML page share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # What counts takes long to load, and `portkin table info` counts nothing.
    from portkin_training.replay.metrics import Estimate, ReplayFigures

MEANING = {
    "blocking_ratio": "blocked",
    "usefulness": "useful",
    "new_port_recall": "new-port recall",
    "hit_at_k": "hit@K",
    "mrr": "MRR",
    "packet_fpr": "FPR",
    "connection_fpr": "FPR, connections",
    "ceiling": "ceiling",
}
"""What a figure is called in a table."""
RELIABILITY_HEAD = ("chance", "cases", "stated", "observed", "observed / stated")
LABEL_RULES_HEAD = ("taxonomy", "heuristic", "", "why")
TABLE_II_HEAD = ("", "TPR", "FPR", "usefulness")


def percent(value: float | None) -> str:
    """A ratio in per cent, with as many places as a small one needs; "-" where it is undefined (NaN, null in JSON)."""
    if value is None or value != value:
        return "-"
    return f"{value:.1%}" if value >= 0.001 or value == 0 else f"{100 * value:.2g}%".replace("e-0", "e-")


def with_interval(figure: Estimate) -> str:
    """A ratio and its 95 % interval."""
    if figure.value != figure.value:
        return "-"
    if figure.low != figure.low:
        return f"{figure.value:.1%}"
    return f"{figure.value:.1%} ({100 * figure.low:.1f}-{100 * figure.high:.1f})"


def span(seconds: float) -> str:
    """A time span as people say it."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def shown(rows: Mapping[str, ReplayFigures]) -> list[str]:
    """The figures worth a column: without benign traffic there is no false-positive rate."""
    names = ["blocking_ratio", "usefulness", "new_port_recall", "hit_at_k", "mrr"]
    if any(figures.benign for figures in rows.values()):
        names.append("packet_fpr")
    return names


def figure_cells(figures: ReplayFigures, names: Sequence[str]) -> list[str]:
    """The figures of these names and the number of blocks, as cells of a table."""
    cells = [
        with_interval(getattr(figures, name)) if name == "new_port_recall" else percent(getattr(figures, name).value)
        for name in names
    ]
    return [*cells, f"{figures.blocks:,}"]


def best_rows(rows: Mapping[str, ReplayFigures], names: Sequence[str]) -> dict[int, list[int]]:
    """The rows with the best figure of each column, as `figure_cells` has them, the name's column being 0."""
    found = {}
    for column, name in enumerate(names, start=1):
        values = [getattr(figures, name).value for figures in rows.values()]
        known = [value for value in values if value == value]
        if len(set(known)) > 1:
            best = min(known) if name.endswith("fpr") else max(known)
            found[column] = [row for row, value in enumerate(values) if value == best]
    return found


def table_ii_rows(days: Sequence[tuple[float, float, float]]) -> list[list[str]]:
    """Table II of paper 1: minimum, mean and maximum over the days of (TPR, FPR, usefulness), below `TABLE_II_HEAD`."""
    columns = [[x for x in column if x == x] for column in zip(*days, strict=True)]
    return [
        [name, *(f"{100 * over(column):.4g} %" if column else "-" for column in columns)]
        for name, over in (("Minimum", min), ("Mean", fmean), ("Maximum", max))
    ]


def equal_blocks_head(compared: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of the columns of `equal_blocks_rows`."""
    by_source = ["by source"] if any("by_source" in row for row in compared) else []
    return ["with the blocks of", "blocks", "finds", *by_source, "the other", "ratio", "best in hindsight"]


def equal_blocks_rows(compared: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The cells below `equal_blocks_head`."""
    return [
        [
            f"{row['over']}, K = {row['k']}",
            f"{row['blocks']:,}",
            *(percent(row[name]) for name in ("recall", "by_source", "theirs") if name in row),
            "-" if row["ratio"] is None else f"{row['ratio']:.2f}",
            percent(row["limit"]),
        ]
        for row in compared
    ]


def reliability_rows(curve: Sequence[Mapping[str, float]]) -> list[list[str]]:
    """The cells below `RELIABILITY_HEAD`, a row a bin `with_cases`."""
    return [
        [
            f"{bin_['from']:.1f} - {bin_['to']:.1f}",
            f"{bin_['cases']:,.0f}",
            *(percent(bin_[name]) for name in ("stated", "observed")),
            f"{bin_['observed'] / bin_['stated']:.2f}" if bin_["stated"] else "-",
        ]
        for bin_ in with_cases(curve)
    ]


def with_cases(curve: Sequence[Mapping[str, float]]) -> list[Mapping[str, float]]:
    """The bins of a reliability curve with a case in them: the shares of one that is sampled say nothing."""
    return [bin_ for bin_ in curve if round(bin_["cases"])]


def label_rule_rows() -> list[list[str]]:
    """Which labels mean a scan, the first rule that fits: the cells below `LABEL_RULES_HEAD`."""
    from portkin_training.replay.mawi.scan_labels import LABEL_RULES

    return [
        [
            rule.taxonomy,
            "any" if rule.heuristic is None else str(rule.heuristic),
            "scan" if rule.scan else "-",
            rule.why,
        ]
        for rule in LABEL_RULES
    ]
