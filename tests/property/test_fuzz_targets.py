"""Every fuzz target runs on its seeds and on bytes made out of them, so that none of them rots between two runs."""

from __future__ import annotations

import random

import pytest

from fuzz.harness import mutated
from fuzz.targets import TARGETS

CHANGED = 200
"""Changed inputs for each target."""


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_target_holds_for_its_seeds_and_for_changed_ones(tmp_path, name):
    """Always the same inputs; `make fuzz` tries others."""
    one, draw = TARGETS[name], random.Random(name)
    seeds = [*one.seeds()]
    tried = [*draw.sample(seeds, min(len(seeds), 40))]
    tried += [mutated(draw.choice(seeds), draw, draw.choice(seeds)) for _ in range(CHANGED)]
    for data in tried:
        one.check(tmp_path, data)
