"""Real Zeek and a real sidecar with a model of sources decide as the twin does."""

from __future__ import annotations

from math import log
from pathlib import Path

import numpy as np
import pytest

from portkin.bundles.source_features import FEATURES
from portkin.bundles.source_model import LearntFromSources
from portkin.bundles.source_trees import Trees
from portkin_training.twin.decisions import DecisionConfig
from portkin_training.twin.real_zeek import decision_records, run_zeek
from portkin_training.twin.run import decide_capture
from support.source_models import STRIDE, learnt_by_hand, table_by_source
from support.timed_packets import write_syns

SCRIPTS = Path(__file__).resolve().parents[2] / "zeek-scripts"
PACE = FEATURES.index("log seconds per port")
# On a busy machine, too, an answer comes before nobody waits for it any more.
PATIENT = {"Portkin::request_timeout": "30sec"}

pytestmark = pytest.mark.zeek


def learnt_by_pace() -> LearntFromSources:
    """A step of the source is gone on with, but not by one that takes more than a second and a half for a port."""
    trees = Trees(
        -2.0, np.array([[STRIDE, PACE]]), np.array([[0.5, log(1.5)]]), np.array([[0.0, 5.0], [0.0, -6.0]])
    )  # fmt: skip
    return LearntFromSources(trees, np.empty((0, 2)), learnt_by_hand().drawn)


@pytest.fixture
def steps(tmp_path):
    """A source that steps from 22 on by 3, eight ports and faster than one in 1.5 s, and then by 5 and slower.

    It is a scanner by the time of the fifth; what came before is part of its history. Ports come back between.
    """
    ports = [22, 25, 28, 31, 34, 37, 22, 40, 43, 50, 55, 60, 55, 65, 70]
    times = [1.1171 * n for n in range(9)] + [13.000003 + 4.7 * n for n in range(6)]
    path = tmp_path / "steps.pcap"
    write_syns(path, [(when, port, "192.0.2.10") for when, port in zip(times, ports, strict=True)])
    return path


def test_zeek_and_replay_decide_alike_by_source(zeek, steps, tmp_path):
    """Decision by decision, with a history that says to the microsecond how fast the source is; and without one."""
    folder = tmp_path / "table"
    table = table_by_source(folder, learnt_by_pace())
    ours = decision_records(decide_capture(steps, table))
    theirs = run_zeek(zeek, steps, SCRIPTS, table=folder, options=PATIENT)
    assert ours == theirs.decisions
    assert "and a model of sources" in theirs.messages
    # Its first port is predicted by the table; a step at a good pace leads on, and none does later.
    assert [False] + [True] * (len(ours) - 1) == [one.by_source for one in ours]
    assert {True, False} == {bool(one.predicted) for one in ours if one.by_source}
    by_port = decision_records(decide_capture(steps, table, decision=DecisionConfig(by_source=False)))
    assert (
        by_port
        == run_zeek(zeek, steps, SCRIPTS, table=folder, options={**PATIENT, "Portkin::by_source": "F"}).decisions
    )
    assert {False} == {one.by_source for one in by_port}
