"""Who is akin to whom, and so which rates a model of a port reads (Zakroum et al. 2022, V)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portkin.timeseries.bins import DAY, HOUR
from portkin_training.rates.affinity import affinity, clusters, ranking
from portkin_training.rates.models import regression
from portkin_training.rates.models.registry import Reads
from portkin_training.rates.models.task import Floats, Split, Task, Unfit
from portkin_training.rates.series.rate_series import Rates


@dataclass(frozen=True, eq=False)
class Affinities:
    """Who is akin to whom, from the bins before the choosing part only.

    `temporal` (p, p) by equation 1; `both` (p, p) by equation 7, which is `temporal` where the probes are not known
    one by one; `clusters_t`, `clusters_ts` by equation 11, None for fewer than four ports. `fitted` is how many
    bins, from the first on, may be looked at.
    """

    temporal: Floats
    both: Floats
    clusters_t: clusters.Clusters | None
    clusters_ts: clusters.Clusters | None
    semantic: bool
    fitted: int

    @classmethod
    def of(
        cls,
        rates: Rates,
        lags: int,
        sequential: tuple[NDArray[np.integer], int] | None,
        seed: int,
        until: int | None = None,
    ) -> Affinities:
        """Affinities of all ports of the rates; `sequential`, sums (p, p) and sources, as from
        `affinity.sequential_sources`.

        From the first `until` bins, without it from those that `Split.of` fits on.
        """
        fitted = until or Split.of(len(rates.starts)).fit
        known = rates.counts[:fitted]
        temporal = affinity.temporal_similarity(known, min(lags, len(known) // 2))
        by_time = clusters.choose(temporal, seed=seed) if len(rates.ports) >= 4 else None
        if sequential is None:
            return cls(temporal, temporal, by_time, by_time, semantic=False, fitted=fitted)
        both = affinity.harmonic_affinity(temporal, affinity.semantic_similarity(*sequential))
        by_both = clusters.choose(both, seed=seed) if len(rates.ports) >= 4 else None
        return cls(temporal, both, by_time, by_both, semantic=True, fitted=fitted)


def features(
    rates: Rates, affinities: Affinities, target: int, reads: Reads, most: int, *, logarithm: bool = False
) -> tuple[NDArray[np.int64], dict[str, Any]]:
    """The columns (m,) that a model of a target reads, the target first, at most so many; and how they were chosen.

    The threshold of the ranking is that of counts, or with `logarithm` of log(1 + count).
    """
    matrix = affinities.temporal if reads in ("rank T", "cluster T", "nearest") else affinities.both
    if len(rates.ports) == 1:
        return np.array([target]), {}
    if reads.startswith("rank"):
        split = Split(affinities.fitted, affinities.fitted, len(rates.starts))
        length = min(7 if rates.width >= DAY else 24, split.fit // 4)

        def score(chosen: NDArray[np.int64]) -> float:
            task = Task(rates.counts[:, chosen], rates.width, split, logarithm)
            try:
                return regression.cross_validated_r2(task, length)
            except Unfit:  # then the target alone, which the highest threshold leaves
                return -np.inf

        ranked = ranking.choose(matrix[target], target, score, most)
        return ranked.features, {"tau": ranked.tau, "tried": ranked.tried}
    if reads.startswith("cluster"):
        found = affinities.clusters_t if reads == "cluster T" else affinities.clusters_ts
        members = found.members(target) if found else np.array([target])
        order = np.argsort(-matrix[target, members[1:]], kind="stable")
        return np.concatenate([[target], members[1:][order]])[:most], {"k": found.k if found else 1}
    if reads == "nearest":
        others = np.argsort(-matrix[target], kind="stable")
        return np.concatenate([[target], others[others != target]])[: 4 * most], {}
    return np.array([target]), {}


def default_lags(width: int) -> int:
    """L of equation 1: a week of hours, a month of days."""
    return affinity.LAGS.get(width, affinity.LAGS[HOUR if width < DAY else DAY])
