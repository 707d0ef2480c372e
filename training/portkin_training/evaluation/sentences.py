"""What a replay found, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from portkin_training.evaluation.cells import percent

if TYPE_CHECKING:
    from portkin_training.evaluation.results import ReplayResults
    from portkin_training.replay.metrics import ReplayFigures

SAME_PROBES = (
    "The table was learnt from these very probes: what it predicts of them says nothing about other probes. --held-out "
    "tries the method on probes it has not seen."
)
"""A note on the results of a table that has seen what it is tried on."""
FEW = 30
"""Probes of new ports below which a verdict says that they are few: a share of so many is known to some 18 points."""


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
    found = f"{percent(ours)} of the new ports against {percent(theirs)}"
    if SAME_PROBES in results.notes:
        return f"The table was learnt from these very probes, so this is no proof: it finds {found}, {among} {other}."
    few = f" Only {figures.new} probes were of a new port: too few to rely on." if figures.new < FEW else ""
    if ours > theirs:
        return f"{name} predicts better than the best of the others: {found}, {among} {other}.{few}"
    return f"{name} does not predict better than the others here: {found}, {among} {other}.{few}"


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


def recommended(chosen: Mapping[str, Any]) -> str:
    """The recommended cut-off and what is expected of it, in a sentence."""
    expected, wanted = chosen["expected"], chosen["usefulness_wanted"]
    found = (
        f"of the new ports {expected['recall']:.1%} found, by {expected['blocks']:,} blocks, "
        f"{expected['usefulness']:.1%} of them useful (held-out probes)"
    )
    if chosen["reached"]:
        return f"a chance of {chosen['min_chance']:g}: {found}"
    asked = (
        f"reaches {wanted:.1%} useful blocks"
        if wanted is not None
        else f"keeps within {chosen['blocks_allowed']:,} blocks"
    )
    return f"no cut-off {asked}; the closest is a chance of {chosen['min_chance']:g}: {found}"
