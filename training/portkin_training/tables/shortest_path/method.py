"""Tables by the metric of paper 1: scans, transitions, graph, shortest paths."""

from __future__ import annotations

from dataclasses import asdict

import ibis.expr.types as ir

from portkin.bundles.table import Rows
from portkin.net.ports import Proto
from portkin_training.tables.protocol_rows import ProtocolRows
from portkin_training.tables.scans import ScanOptions, Transitions, count_scans
from portkin_training.tables.shortest_path.graph import build_graph, quartiles, unit, whole_lengths
from portkin_training.tables.shortest_path.nearest import nearest, table_rows


def shortest_path_rows(transitions: Transitions, k: int, *, parts: int = 1) -> Rows:
    """The k nearest ports by the dissimilarity of paper 1 (III-E, eq. 1), from transitions counted in 1 / `parts`."""
    graph = build_graph(transitions)
    nodes, distances = nearest(graph, whole_lengths(graph.weights), k)
    q1, q3 = quartiles(graph.weights)
    return table_rows(graph, nodes, distances / (unit(graph.weights) if q3 > q1 else parts))


def shortest_path(probes: ir.Table, options: ScanOptions, k: int) -> dict[Proto, ProtocolRows]:
    """Paper 1: scans, transitions, graph, shortest paths."""
    scans = count_scans(probes, options)
    built = {}
    for proto, edges in scans.transitions.items():
        q1, q3 = quartiles(edges.count)
        counts = {**asdict(scans.counts[proto]), "q1": q1, "q3": q3, "unit": unit(edges.count)}
        built[proto] = ProtocolRows(shortest_path_rows(edges, k), counts)
    return built
