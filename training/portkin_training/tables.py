"""From probes to a table: the methods by which nearness is learnt, and what the manifest says of it."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import ibis.expr.types as ir

from portkin.ports import Proto
from portkin.table import Rows
from portkin_training.graph import build_graph, quartiles, unit, whole_lengths
from portkin_training.nearest import nearest, table_rows
from portkin_training.scans import ScanOptions, Transitions, count_scans, count_transitions


@dataclass(frozen=True, eq=False)
class Built:
    """The rows of one protocol and what was counted on the way (JSON)."""

    rows: Rows
    counts: Mapping[str, Any]


Method = Callable[[ir.Table, ScanOptions, int], dict[Proto, Built]]
"""Learns from probes, under the options, the k nearest ports of every port."""


def shortest_path_rows(transitions: Transitions, k: int) -> Rows:
    """The k nearest ports by the dissimilarity of paper 1 (III-E, eq. 1), from counted transitions."""
    graph = build_graph(transitions)
    nodes, distances = nearest(graph, whole_lengths(graph.weights), k)
    return table_rows(graph, nodes, distances / unit(graph.weights))


def shortest_path(probes: ir.Table, options: ScanOptions, k: int) -> dict[Proto, Built]:
    """Paper 1: scans, transitions, graph, shortest paths."""
    transitions = count_transitions(probes, options)
    counts = count_scans(probes, options, transitions)
    built = {}
    for proto, edges in transitions.items():
        q1, q3 = quartiles(edges.count)
        told = {**asdict(counts[proto]), "q1": q1, "q3": q3, "unit": unit(edges.count)}
        built[proto] = Built(shortest_path_rows(edges, k), told)
    return built


METHODS: dict[str, Method] = {"shortest-path": shortest_path}


def describe(built: Mapping[Proto, Built], options: ScanOptions, source: Mapping[str, Any]) -> dict[str, Any]:
    """What the manifest of a built table says: input, options, counts, and the versions that made it."""
    packages = ("portkin", "numpy", "numba", "ibis-framework", "duckdb")
    return {
        "input": dict(source),
        "options": asdict(options),
        "counts": {proto: dict(part.counts) for proto, part in built.items()},
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
    }
