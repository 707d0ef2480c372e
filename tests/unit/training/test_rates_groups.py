"""Ranking and clustering of ports: equations 8 to 14."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from portkin_training.rates.affinity import clusters, ranking


def blocks(sizes: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """An affinity matrix with groups of ports of these sizes, and the groups."""
    truth = np.repeat(np.arange(len(sizes)), sizes)
    noise = np.random.default_rng(seed).uniform(0, 0.15, (len(truth),) * 2)
    affinity = np.where(truth[:, None] == truth, 0.8, 0.1) + (noise + noise.T) / 2
    np.fill_diagonal(affinity, 1)
    return affinity, truth


ROW = np.array([1.0, 0.1, 0.2, 0.3, 0.8])  # target 0


def test_equations_13_and_14():
    """Over the other four: mean 1.4 / 4 = .35; squares .0625 + .0225 + .0025 + .2025 = .29; root of .29 / 4."""
    assert 0.35 == pytest.approx(ranking.mean_affinity(ROW, 0))
    assert np.sqrt(0.0725) == pytest.approx(ranking.std_affinity(ROW, 0))


def test_thresholds_go_from_the_mean_to_the_maximum():
    """.35, .35 + .26926, and the maximum .8: .35 + 2 * .26926 = .8885 is beyond it."""
    np.testing.assert_allclose([0.35, 0.61926, 0.8], ranking.thresholds(ROW, 0), atol=1e-5)
    assert [0.5] == ranking.thresholds(np.array([1, 0.5, 0.5]), 0).tolist()


def test_equation_12_keeps_the_target_first_and_the_most_akin_next():
    """Affinity above tau; the target always."""
    assert [0, 4, 3] == ranking.features(ROW, 0, 0.25).tolist()
    assert [0, 4] == ranking.features(ROW, 0, 0.25, most=2).tolist()
    assert [0] == ranking.features(ROW, 0, 0.8).tolist()


def test_threshold_with_the_best_score_is_chosen_and_each_set_scored_once():
    """Two thresholds leave the same features: one scoring; of equal scores the smaller set wins."""
    asked = []

    def score(chosen):
        asked.append(chosen.tolist())
        return 0.5

    found = ranking.choose(ROW, 0, score)
    assert [[0, 4], [0]] == asked
    assert ([0], 3) == (found.features.tolist(), len(found.tried))
    assert [0, 4] == ranking.choose(ROW, 0, len).features.tolist()


def test_silhouettes_are_those_of_equations_8_to_10():
    """By the equations, port for port; 0 for a port alone in its cluster, and where there is one cluster alone."""
    affinity, truth = blocks((4, 3, 1, 5))
    distance = clusters.graph_weights(affinity, literal=True)
    expected = []
    for port in range(len(truth)):
        mates = [other for other in np.flatnonzero(truth == truth[port]) if other != port]
        if not mates:
            expected.append(0.0)
            continue
        a = np.mean([distance[port, other] for other in mates])
        b = min(distance[port, truth == other].mean() for other in set(truth) - {truth[port]})
        expected.append((b - a) / max(a, b))
    np.testing.assert_allclose(expected, clusters.silhouettes(distance, truth))
    assert not clusters.silhouettes(distance, np.zeros(len(truth), int)).any()
    # equation 11 weighs clusters, not ports
    assert np.mean([np.array(expected)[truth == g].mean() for g in range(4)]) == pytest.approx(
        clusters.mean_silhouette(distance, truth)
    )


def test_groups_are_found():
    """Clear groups and their number come out exactly."""
    affinity, truth = blocks((6, 9, 4, 7, 5))
    found = clusters.choose(affinity, seed=0)
    assert 5 == found.k
    assert 1.0 == adjusted_rand_score(truth, found.labels)
    assert truth[20] == 3 and set(found.members(20)) == set(np.flatnonzero(truth == 3))
    assert 20 == found.members(20)[0]


def test_literal_reading_runs_and_puts_akin_ports_apart():
    """With 1 - A as a similarity the groups are not found: what the module's notes say."""
    affinity, truth = blocks((6, 9, 4, 7, 5))
    assert adjusted_rand_score(truth, clusters.choose(affinity, seed=0, literal=True).labels) < 0.5


def test_port_without_any_edge_does_not_break_the_embedding():
    """A port akin to none is put somewhere; nothing is divided by zero."""
    affinity, _ = blocks((5, 5))
    affinity[0, 1:] = affinity[1:, 0] = 0
    assert np.isfinite(clusters.spectral_embedding(clusters.graph_weights(affinity), 5)).all()
    assert 10 == len(clusters.choose(affinity, seed=0).labels)


def test_too_few_ports_are_refused():
    """Three ports have no k with 2 <= k <= p / 2."""
    with pytest.raises(ValueError, match="3 ports"):
        clusters.choose(np.eye(3), seed=0)
