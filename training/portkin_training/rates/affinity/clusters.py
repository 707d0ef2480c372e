"""Port clustering: spectral clustering with the number of clusters by silhouette (Zakroum et al. 2022, V-D1).

Notes
-----
Two sentences of the paper cannot be taken literally together with the rest of it. It gives the graph the
weights 1 - A and calls them affinities, but spectral clustering cuts where weights are small, so akin ports
would be put apart. And its silhouettes average A where equation 8 needs distances, so that they would
reward bad clusters. Here the graph has the weights A and the silhouettes the distances 1 - A, which is what
both must mean. `literal=True` takes the printed quantities in both places; it runs, and the two errors do
not cancel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_samples
from threadpoolctl import threadpool_limits

MANY = 200
"""Ports from which on k-means begins once for each k instead of four times: what one k misses its neighbours find."""

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]


def graph_weights(affinity: Floats, *, literal: bool = False) -> Floats:
    """The weights of the port graph (V-D1): A, or 1 - A as printed; the diagonal is 0. Shape (p, p)."""
    weights = 1 - affinity if literal else affinity.copy()
    np.fill_diagonal(weights, 0.0)
    return weights


def spectral_embedding(weights: Floats, dimensions: int) -> Floats:
    """The leading eigenvectors of D^-1/2 W D^-1/2, by falling eigenvalue: (p, dimensions) (reference 23).

    Computed once; the embedding for k clusters is its first k columns. A port without any edge gets zeros.
    """
    degree = weights.sum(axis=1)
    scale = np.divide(1.0, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
    _, vectors = np.linalg.eigh(scale[:, None] * weights * scale[None, :])
    return vectors[:, ::-1][:, :dimensions]


def partition(embedding: Floats, k: int, seed: int) -> NDArray[np.int32]:
    """k clusters of the rows of the first k eigenvectors, each row at unit length (reference 23): (p,)."""
    rows = embedding[:, :k]
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = np.divide(rows, length, out=np.zeros_like(rows), where=length > 1e-12)
    labels: NDArray[np.int32] = KMeans(k, n_init=1 if len(rows) >= MANY else 4, random_state=seed).fit(rows).labels_
    return labels


def silhouettes(distance: Floats, labels: Ints) -> Floats:
    """Equations 8 to 10: (b - a) / max(b, a) per port: (p,); 0 for a port alone in its cluster.

    a (equation 9) is the mean distance to the rest of its own cluster, b (equation 10) the smallest mean
    distance to another cluster. The diagonal of `distance` (p, p) must be 0.
    """
    if len(np.unique(labels)) < 2:  # scikit-learn refuses what has no other cluster
        return np.zeros(len(labels))
    found: Floats = silhouette_samples(distance, labels, metric="precomputed")
    return found


def mean_silhouette(distance: Floats, labels: Ints) -> float:
    """What equation 11 maximizes: the mean over clusters of the mean silhouette of a cluster's ports.

    `distance` (p, p), `labels` (p,).
    """
    found = silhouettes(distance, labels)
    return float(np.mean([found[labels == label].mean() for label in np.unique(labels)]))


@dataclass(frozen=True, eq=False)
class Clusters:
    """`labels` (p,); the chosen `k`; `scores`, the value of equation 11 for every k tried."""

    labels: NDArray[np.int32]
    k: int
    scores: dict[int, float]

    def members(self, target: int) -> NDArray[np.int64]:
        """The columns (m,) of the target's cluster, the target first."""
        others = np.setdiff1d(np.flatnonzero(self.labels == self.labels[target]), [target])
        return np.concatenate([[target], others]).astype(np.int64)


def choose(affinity: Floats, *, seed: int, most: int | None = None, literal: bool = False) -> Clusters:
    """Equation 11: the clustering with 2 <= k <= p / 2 (or `most`) whose mean silhouette is the largest.

    `affinity` is (p, p). Raises ValueError where there are fewer than four ports, which have no such k.
    """
    p = len(affinity)
    highest = min(p // 2, most or p)
    if highest < 2:
        raise ValueError(f"{p} ports cannot be clustered: at least 4 are needed (2 <= k <= p / 2)")
    embedding = spectral_embedding(graph_weights(affinity, literal=literal), highest)
    distance = graph_weights(affinity, literal=not literal)
    best: tuple[float, int, NDArray[np.int32]] | None = None
    scores = {}
    # The problems are small and many: on several threads k-means mostly waits for itself.
    with threadpool_limits(1):
        for k in range(2, highest + 1):
            labels = partition(embedding, k, seed)
            scores[k] = mean_silhouette(distance, labels)
            if best is None or scores[k] > best[0]:
                best = scores[k], k, labels
    assert best is not None  # noqa: S101  the range above is never empty
    return Clusters(best[2], best[1], scores)
