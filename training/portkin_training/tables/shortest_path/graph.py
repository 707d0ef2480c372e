"""The scan graph of paper 1 (Evrard, François, Colin, IM 2019, III-D and III-E): an equation, a function.

G = (N, E, omega): a node per port, an edge e_ij where port j was probed after port i, omega(e_ij) how
often. The weights are rescaled by their interquartile range, shifted to start at zero and swapped, so that
what often follows lies near: omega' is the length of an edge, and a shortest path of such edges the
dissimilarity of two ports (1).

The three steps together are omega'_ij = (max omega - omega_ij) / (Q3 - Q1): Q1 and lambda cancel, the
heaviest edge has length 0, and the interquartile range is only the unit of the lengths.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from portkin_training.tables.scans import Transitions

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Graph:
    """A directed weighted graph in compressed sparse rows.

    ``ports`` uint16 (n,), the port of each node, increasing; ``indptr`` int64 (n + 1,): the edges of node i
    are ``indptr[i]:indptr[i + 1]``; ``targets`` int32 (m,), the node each edge leads to, increasing within
    a row; ``weights`` int64 (m,), omega.
    """

    ports: NDArray[np.uint16]
    indptr: NDArray[np.int64]
    targets: NDArray[np.int32]
    weights: NDArray[np.int64]

    @property
    def sources(self) -> NDArray[np.int32]:
        """The node each edge leaves, int32 (m,)."""
        return np.repeat(np.arange(len(self.ports), dtype=np.int32), np.diff(self.indptr))


def build_graph(transitions: Transitions) -> Graph:
    """G = (N, E, omega) of paper 1, III-D, from counted transitions in any order.

    N are the ports that any transition leaves or reaches. ValueError for a pair that appears twice or leads
    to itself, or a count below 1.
    """
    source, target, weights = transitions.source, transitions.target, transitions.count
    edges = source.astype(np.int64) << 16 | target
    if (edges[1:] < edges[:-1]).any():
        order = np.argsort(edges, kind="stable")
        source, target, weights, edges = source[order], target[order], weights[order], edges[order]
    if (edges[1:] == edges[:-1]).any() or (source == target).any() or (weights < 1).any():
        raise ValueError("transitions must be distinct pairs of different ports with counts of 1 or more")
    # A mark per port number, rather than sorting two ports an edge: there are only 65,536 of them.
    known = np.zeros(1 << 16, bool)
    known[source] = True
    known[target] = True
    ports = np.flatnonzero(known)
    node = np.cumsum(known) - 1
    indptr = np.searchsorted(edges, np.append(ports, 1 << 16) << 16)
    return Graph(ports.astype(np.uint16), indptr, node[target].astype(np.int32), weights.astype(np.int64))


def quartiles(weights: ArrayLike) -> tuple[float, float]:
    """Q1(theta) and Q3(theta) of the weights theta = {omega_ij}, (m,); (0, 0) where there are none.

    The paper does not say how a quartile between two values is taken; here by linear interpolation (type 7 of
    Hyndman and Fan 1996, numpy's default).
    """
    theta = np.asarray(weights)
    if not theta.size:
        return 0.0, 0.0
    q1, q3 = np.quantile(theta, (0.25, 0.75), method="linear")
    return float(q1), float(q3)


def unit(weights: ArrayLike) -> float:
    """Q3(theta) - Q1(theta), the denominator of omega^iqr; 1 where it is zero.

    It is zero when all weights, or the middle half of them, are equal, as in any small recording, where most
    transitions are seen once. The rescaling is then undefined; with 1 in its place lengths are counted in
    transitions. No order of distances changes by this, since all lengths share the denominator.
    """
    q1, q3 = quartiles(weights)
    return q3 - q1 or 1.0


def rescale(weights: ArrayLike) -> Floats:
    """omega^iqr_ij = (omega_ij - Q1(theta)) / (Q3(theta) - Q1(theta)); paper 1, III-E.

    (m,) -> (m,); the equation has no number.
    Where Q3 = Q1, see `unit`.
    """
    omega = np.asarray(weights, np.float64)
    return (omega - quartiles(omega)[0]) / unit(omega)


def shift(rescaled: ArrayLike) -> Floats:
    """omega^iqr_ij - lambda with lambda = min_ij omega^iqr_ij; paper 1, III-E.

    (m,) -> (m,), >= 0; the equation has no number.
    """
    omega = np.asarray(rescaled, np.float64)
    return omega - omega.min() if omega.size else omega


def swap(rescaled: ArrayLike) -> Floats:
    """omega'_ij = (max_ij omega^iqr_ij - lambda) - (omega^iqr_ij - lambda); paper 1, III-E.

    (m,) -> (m,), >= 0; the heaviest edge gets length 0. The equation has no number.
    """
    shifted = shift(rescaled)
    return shifted.max() - shifted if shifted.size else shifted


def lengths(weights: ArrayLike) -> Floats:
    """omega' of the edges from their omega, (m,) -> (m,): `rescale`, `shift` and `swap`.

    Of four weights with the quartiles 2.5 and 5.5, the heaviest, 7, has the length 0, and 1 has (7 - 1) / (5.5 - 2.5):

    >>> lengths([1, 3, 5, 7]).round(3).tolist()
    [2.0, 1.333, 0.667, 0.0]
    """
    return swap(rescale(weights))


def whole_lengths(weights: ArrayLike) -> Floats:
    """omega' in whole transitions, max omega - omega_ij, (m,) -> (m,); `lengths` is this divided by `unit`.

    Whole numbers add up without rounding (below 2^53), so two paths of equal length tie exactly and the
    order of neighbors never hangs on the last bit of a sum. Paths are summed in these, and divided by the
    unit at the end.
    """
    return np.rint(lengths(weights) * unit(weights))
