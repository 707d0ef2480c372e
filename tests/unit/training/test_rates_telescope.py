"""The simulated telescope: what is planted is in it, and is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from portkin_training.rates.affinity import affinity, clusters
from portkin_training.rates.affinity.feature_ports import Affinities
from portkin_training.rates.models.task import Split
from portkin_training.rates.series.simulate import Telescope, simulate

SKY = Telescope(hours=800, groups=4, group_size=(3, 4), alone=2, level=(100, 400))


@pytest.fixture(scope="module")
def sky():
    return simulate(SKY, 3)


def test_telescope_repeats_with_its_seed(sky):
    """The same seed makes the same series; another seed another one; both are labelled synthetic."""
    again, other = simulate(SKY, 3), simulate(SKY, 4)
    assert sky.rates.counts.tobytes() == again.rates.counts.tobytes()
    assert sky.rates.counts.tobytes() != other.rates.counts.tobytes()
    assert sky.rates.synthetic


def test_telescope_plants_what_it_says(sky):
    """Bursts stand out of their port's level, outages blind all ports at once, a group's first port has lag 0."""
    counts = sky.rates.counts
    unknown = np.isnan(counts)
    assert unknown.any() and (unknown.all(axis=1) == unknown.any(axis=1)).all()
    ratio = counts / np.nanmedian(counts, axis=0)
    assert np.nanmedian(ratio[sky.bursts]) > 2 * np.nanmedian(ratio[~sky.bursts])
    assert [0] * 4 == [sky.lags[sky.groups == group].min() for group in range(4)]


def test_groups_of_the_telescope_are_found(sky):
    """Clusters by affinity (T&S) agree with the planted groups."""
    temporal = affinity.temporal_similarity(sky.rates.counts, 48)
    both = affinity.harmonic_affinity(temporal, affinity.semantic_similarity(sky.sequential, sky.days))
    grouped = sky.groups >= 0
    found = clusters.choose(both, seed=0)
    assert adjusted_rand_score(sky.groups[grouped], found.labels[grouped]) > 0.8


def test_kin_are_sought_before_the_choosing_part_only(sky):
    """What comes after the fitted bins changes no affinity."""
    cut = Split.of(len(sky.rates.starts)).fit
    changed = sky.rates.counts.copy()
    changed[cut:] = 1
    other = Affinities.of(replace(sky.rates, counts=changed), 48, (sky.sequential, sky.days), 0)
    same = Affinities.of(sky.rates, 48, (sky.sequential, sky.days), 0)
    assert same.both.tobytes() == other.both.tobytes()
