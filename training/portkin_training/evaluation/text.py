"""Replay's tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from statistics import fmean
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table as Grid

from portkin.net.ports import Port

if TYPE_CHECKING:
    # What counts takes long to load, and `portkin table info` counts nothing.
    from portkin_training.evaluation.results import ReplayResults
    from portkin_training.replay.metrics import Estimate, ReplayFigures
    from portkin_training.twin.decisions import ProbeDecision

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


FEW = 30
"""Probes of new ports below which a verdict says that they are few: a share of so many is known to some 18 points."""


def percent(value: float) -> str:
    """A ratio in per cent, with as many places as a small one needs; "-" where it is undefined."""
    if value != value:
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
    for name in ("", "TPR", "FPR", "usefulness"):
        grid.add_column(name, justify="right" if name else "left")
    for row in table_ii_rows(days):
        grid.add_row(*row)
    return grid


def table_ii_rows(days: Sequence[tuple[float, float, float]]) -> list[list[str]]:
    """Minimum, mean and maximum over the days of (TPR, FPR, usefulness), as cells of a table."""
    columns = [[x for x in column if x == x] for column in zip(*days, strict=True)]
    return [
        [name, *(f"{100 * over(column):.4g} %" if column else "-" for column in columns)]
        for name, over in (("Minimum", min), ("Mean", fmean), ("Maximum", max))
    ]


def numbers(some: Sequence[Port]) -> str:
    """Port numbers in one line."""
    return " ".join(str(port.number) for port in some) or "-"


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


def _grid(title: str) -> Grid:
    return Grid(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))


def traffic(results: ReplayResults, figures: ReplayFigures) -> str:
    """What was replayed, in a sentence."""
    benign = (
        f"; {figures.benign:,} benign {results.benign_traffic}, of whose connections "
        f"{percent(figures.connection_fpr.value)} were blocked at their start"
    )
    return (
        f"{figures.probes:,} probes, {figures.new:,} of them to a port new to a source seen before"
        f"{benign if figures.benign else ''}."
    )


def verdict(results: ReplayResults) -> str:
    """Whether the predictor under study is worth its blocks here, in a sentence: against the best of the others."""
    rows = results.at()
    (name, figures), others = next(iter(rows.items())), {n: r for n, r in list(rows.items())[1:] if n != "MySelf"}
    if not figures.new:
        return "No source went on to a port new to it, so this recording says nothing about predictions."
    compared = [row for row in results.equal_blocks() if row["ratio"] is not None]
    if compared:
        worst = min(compared, key=lambda row: row["ratio"])
        ours, theirs, other = worst["recall"], worst["theirs"], f"{worst['over']}, K = {worst['k']}"
        among = f"with the {worst['blocks']:,} blocks of"
    elif others:
        other = max(others, key=lambda n: others[n].new_port_recall.value)
        ours, theirs, among = figures.new_port_recall.value, others[other].new_port_recall.value, "at the same K as"
    else:
        return f"{name} finds {percent(figures.new_port_recall.value)} of the new ports; nothing to compare it with."
    found = f"{percent(_number(ours))} of the new ports against {percent(_number(theirs))}"
    few = f" Only {figures.new} probes were of a new port: too few to rely on." if figures.new < FEW else ""
    if _number(ours) > _number(theirs):
        return f"{name} predicts better than the best of the others: {found}, {among} {other}.{few}"
    return f"{name} does not predict better than the others here: {found}, {among} {other}.{few}"


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


def pages(results: ReplayResults) -> Iterator[Grid | str]:
    """All that is printed of a results."""
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
        yield reliability(results.reliability)
    if results.reliability_by_source:
        yield reliability(results.reliability_by_source, "the chances by source")
    yield from results.notes
    if results.units:
        yield table_ii(results.days(new_ports=False), "Table II, as the paper counts (the probed port included)")
        yield table_ii(results.days(new_ports=True), "Table II, new ports alone")
        yield mapping()


def equal_blocks_head(compared: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of the columns of `equal_blocks_rows`."""
    by_source = ["by source"] if any("by_source" in row for row in compared) else []
    return ["with the blocks of", "blocks", "finds", *by_source, "the other", "ratio", "best in hindsight"]


def equal_blocks(compared: Sequence[Mapping[str, Any]], title: str) -> Grid:
    """What a table finds with the blocks that each baseline issues; `compared` as `frontier.at_equal_blocks` has it."""
    grid = _grid(title)
    for place, name in enumerate(equal_blocks_head(compared)):
        grid.add_column(name, justify="right" if place else "left", no_wrap=not place)
    for row in equal_blocks_rows(compared):
        grid.add_row(*row)
    return grid


def equal_blocks_rows(compared: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The cells below `equal_blocks_head`."""
    return [
        [
            f"{row['over']}, K = {row['k']}",
            f"{row['blocks']:,}",
            *(percent(_number(row[name])) for name in ("recall", "by_source", "theirs") if name in row),
            "-" if row["ratio"] is None else f"{row['ratio']:.2f}",
            percent(_number(row["limit"])),
        ]
        for row in compared
    ]


RELIABILITY_HEAD = ("chance", "cases", "stated", "observed", "observed / stated")
BARS = (("-", "stated"), ("#", "observed"))
"""How a reliability curve is drawn in text."""


def reliability(curve: Sequence[Mapping[str, float]], of_what: str = "the chances") -> Grid:
    """A reliability curve, drawn: of each bin of chance, what is stated, what was observed, and both as bars."""
    grid = _grid(f"Reliability of {of_what} on held-out probes: stated (-) and observed (#)")
    for name in RELIABILITY_HEAD:
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("", no_wrap=True)
    for cells, bin_ in zip(reliability_rows(curve), curve, strict=True):
        grid.add_row(*cells, "\n".join(mark * max(1, round(20 * bin_[of])) for mark, of in BARS))
    return grid


def reliability_rows(curve: Sequence[Mapping[str, float]]) -> list[list[str]]:
    """The cells below `RELIABILITY_HEAD`."""
    return [
        [
            f"{bin_['from']:.1f} - {bin_['to']:.1f}",
            f"{bin_['cases']:,.0f}",
            *(percent(bin_[name]) for name in ("stated", "observed")),
            f"{bin_['observed'] / bin_['stated']:.2f}" if bin_["stated"] else "-",
        ]
        for bin_ in curve
    ]


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def mapping() -> Grid:
    """Which labels mean a scan."""
    grid = _grid("Labels that mean a scan: the first rule that fits")
    for name in ("taxonomy", "heuristic", "", "why"):
        grid.add_column(name)
    for row in label_rule_rows():
        grid.add_row(*map(escape, row))
    return grid


def label_rule_rows() -> list[list[str]]:
    """Taxonomy, heuristic, whether it is a scan, and why, of every rule, as cells of a table."""
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
