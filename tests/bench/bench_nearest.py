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


def measure(name: str, transitions: Transitions, k: int, sample: int) -> None:
    """Print the figures of one graph."""
    started = time.perf_counter()
    graph = build_graph(transitions)
    lengths = whole_lengths(transitions.count)
    built = time.perf_counter()
    nodes, distances = nearest(graph, lengths, k)
    done = time.perf_counter()
    ours = (done - built) / len(graph.ports)
    print(
        f"{name}: {len(graph.ports):,} ports, {len(graph.targets):,} edges, K={k}\n"
        f"  rows and lengths {built - started:.2f} s, search {done - built:.2f} s, "
        f"together {done - started:.2f} s; {ours * 1e6:.1f} us per port",
        flush=True,
    )
    if not sample:
        return
    directed = as_networkx(graph, lengths)
    whole = np.flatnonzero(nodes[:, k - 1] >= 0)
    chosen = np.random.default_rng(1).choice(whole, min(sample, len(whole)), replace=False)
    spent = 0.0
    for source in chosen.tolist():
        last = int(nodes[source, k - 1])
        began = time.perf_counter()
        distance = nx.dijkstra_path_length(directed, source, last, weight="length")
        spent += time.perf_counter() - began
        assert distance == distances[source, k - 1], (source, distance, distances[source, k - 1])
    theirs = spent / len(chosen)
    print(f"  networkx {theirs * 1e6:,.0f} us per port ({len(chosen)}): {theirs / ours:,.0f}x as long")


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
