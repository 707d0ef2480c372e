"""How long the K nearest ports of all ports take, and how much faster than networkx that is.

    python tests/bench/bench_nearest.py --edges 5000000

Two graphs over all 65,536 ports: `skewed`, as probing makes them (ports as popular as Zipf's law has it, an
edge as heavy as often as it was drawn), and `uniform`, where all ports are alike, which is kinder to
networkx: it looks at every edge of a port it settles. Both sides use one core and read the same lengths.
networkx is stopped the same way: its Dijkstra ends when it settles the K-th port, which is named to it as
the target.
"""

from __future__ import annotations

import argparse
import time

import networkx as nx
import numpy as np

from portkin.ports import PORTS
from portkin_training.graph import Graph, build_graph, whole_lengths
from portkin_training.nearest import nearest
from portkin_training.scans import Transitions


def drawn_transitions(edges: int, *, skew: float, seed: int) -> Transitions:
    """``edges`` distinct pairs over all ports; port popularity falls as rank ** -skew, 0 for all alike."""
    rng = np.random.default_rng(seed)
    popularity = np.arange(1, PORTS + 1, dtype=float) ** -skew
    ports = rng.permutation(PORTS)
    pairs = np.empty(0, np.int64)
    counts = np.empty(0, np.int64)
    everyone = np.stack([ports, np.roll(ports, 1)])  # no port is left out
    drawn = [everyone[0].astype(np.int64) << 16 | everyone[1]]
    while len(pairs) < edges:
        ends = ports[rng.choice(PORTS, (2, edges), p=popularity / popularity.sum())]
        drawn.append((ends[0].astype(np.int64) << 16 | ends[1])[ends[0] != ends[1]])
        pairs, counts = np.unique(np.concatenate(drawn), return_counts=True)
    kept = np.sort(rng.permutation(len(pairs))[:edges])
    pairs, counts = pairs[kept], counts[kept]
    return Transitions((pairs >> 16).astype(np.uint16), (pairs & 0xFFFF).astype(np.uint16), counts)


def as_networkx(graph: Graph, lengths: np.ndarray) -> nx.DiGraph:
    """The same graph for networkx, its nodes numbered alike."""
    directed = nx.DiGraph()
    directed.add_nodes_from(range(len(graph.ports)))
    directed.add_weighted_edges_from(
        zip(graph.sources.tolist(), graph.targets.tolist(), lengths.tolist(), strict=True), weight="length"
    )
    return directed


class Clock:
    """Seconds of one core, and seconds on the wall, since the clock was made."""

    def __init__(self) -> None:
        self._core, self._wall = time.process_time(), time.perf_counter()

    def read(self) -> tuple[float, float]:
        """(core, wall)."""
        return time.process_time() - self._core, time.perf_counter() - self._wall


def measure(name: str, transitions: Transitions, k: int, sample: int) -> None:
    """Print the figures of one graph."""
    whole = Clock()
    graph = build_graph(transitions)
    lengths = whole_lengths(graph.weights)
    before = whole.read()
    nodes, distances = nearest(graph, lengths, k)
    (core, wall), (core_before, wall_before) = whole.read(), before
    ours = (core - core_before) / len(graph.ports)
    print(
        f"{name}: {len(graph.ports):,} ports, {len(graph.targets):,} edges, K={k}\n"
        f"  graph and lengths {core_before:.2f} s of one core ({wall_before:.2f} s on the wall), nearest "
        f"{core - core_before:.2f} s ({wall - wall_before:.2f} s), together {core:.2f} s ({wall:.2f} s)\n"
        f"  nearest {ours * 1e6:.1f} us per port",
        flush=True,
    )
    if not sample:
        return
    directed = as_networkx(graph, lengths)
    found = np.flatnonzero(nodes[:, k - 1] >= 0)
    chosen = np.random.default_rng(1).choice(found, min(sample, len(found)), replace=False)
    theirs = 0.0
    for source in chosen.tolist():
        last = int(nodes[source, k - 1])
        clock = Clock()
        distance = nx.dijkstra_path_length(directed, source, last, weight="length")
        theirs += clock.read()[0] / len(chosen)
        assert distance == distances[source, k - 1], (source, distance, distances[source, k - 1])
    print(f"  networkx {theirs * 1e6:,.0f} us per port ({len(chosen)} ports): {theirs / ours:,.0f} times as long")


def main() -> None:
    """Measure both graphs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edges", type=int, default=5_000_000)
    parser.add_argument("-k", type=int, default=16)
    parser.add_argument("--sample", type=int, default=200, help="ports that networkx searches from; 0 for none")
    parser.add_argument("--skew", type=float, default=0.8, help="exponent of the skewed graph")
    given = parser.parse_args()
    small = drawn_transitions(1000, skew=0.0, seed=0)
    compiling = time.perf_counter()
    nearest(build_graph(small), whole_lengths(small.count), given.k)
    print(f"compiling or loading the kernel: {time.perf_counter() - compiling:.2f} s, not counted below")
    for name, skew in (("skewed", given.skew), ("uniform", 0.0)):
        transitions = drawn_transitions(given.edges, skew=skew, seed=2019)
        measure(name, transitions, given.k, given.sample)


if __name__ == "__main__":
    main()
