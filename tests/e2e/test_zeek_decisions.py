"""Real Zeek with a real sidecar decides as the twin does."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from portkin.bundles.table import default_table
from portkin.net.addresses import Nets
from portkin_training.twin.decisions import DecisionConfig
from portkin_training.twin.detector import DetectorConfig
from portkin_training.twin.real_zeek import decision_records, run_zeek
from portkin_training.twin.run import decide_capture

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "zeek-scripts"
CAPTURES = ROOT / "tests" / "captures"
OURS = sorted(path.name for path in CAPTURES.glob("*.pcap"))
SHARED = ["nmap.pcapng", "masscan.pcapng", "zmap.pcapng", "synscan.pcap"]

pytestmark = pytest.mark.zeek


def assert_alike(zeek: str, capture: Path) -> int:
    ours = decision_records(decide_capture(capture, default_table()))
    theirs = run_zeek(zeek, capture, SCRIPTS)
    assert ours == theirs.decisions
    return len(ours)


@pytest.mark.parametrize("name", OURS)
def test_zeek_and_replay_decide_alike_about_our_captures(zeek, name):
    """Decision by decision: time, source, port, evidence, prediction, vetoes, probes and hits."""
    assert_alike(zeek, CAPTURES / name)


@pytest.mark.data
@pytest.mark.parametrize("name", SHARED)
def test_zeek_and_replay_decide_alike_about_scans_of_others(zeek, shared_data, name):
    """Scans by nmap, masscan, zmap and synscan are found by both, and answered alike."""
    assert assert_alike(zeek, shared_data / "pcaps" / name) > 0


@pytest.mark.data
def test_ordinary_connections_raise_nothing(zeek, shared_data, tmp_path):
    """82,582 packets of short benign connections: no decision by either."""
    capture = tmp_path / "benign.pcap"
    with gzip.open(shared_data / "pcaps" / "benign-echo-connections.pcap.gz") as packed, capture.open("wb") as plain:
        shutil.copyfileobj(packed, plain)
    assert 0 == assert_alike(zeek, capture)


def test_options_mean_the_same_to_both(zeek):
    """Every option of the detector and of the decisions that both have, away from its default."""
    detector = DetectorConfig(
        protected_nets=Nets(["192.0.2.0/24"]),
        darknets=Nets(["203.0.113.0/28", "203.0.113.16/30"]),
        exempt_nets=Nets(["198.51.100.40"]),
        exempt_ports=frozenset({(445, 6)}),
        trw_false_positive=0.1,
        failed_threshold=5,
        answer_timeout=0.3,
    )
    decision = DecisionConfig(k=5, never_block_nets=Nets(["198.51.100.20"]), block_open_services=True)
    ours = decision_records(decide_capture(CAPTURES / "scans.pcap", default_table(), detector, decision))
    theirs = run_zeek(
        zeek,
        CAPTURES / "scans.pcap",
        SCRIPTS,
        options={
            "Portkin::protected_nets": "{192.0.2.0/24}",
            "Portkin::darknets": "{203.0.113.0/28,203.0.113.16/30}",
            "Portkin::exempt_nets": "{198.51.100.40/32}",
            "Portkin::exempt_ports": "{445/tcp}",
            "Portkin::trw_false_positive": "0.1",
            "Portkin::failed_threshold": "5",
            "Portkin::answer_timeout": "0.3sec",
            "Portkin::k": "5",
            "Portkin::never_block_nets": "{198.51.100.20/32}",
            "Portkin::block_open_services": "T",
        },
    )
    assert ours == theirs.decisions
    assert {"DARKNET", "TRW"} <= {one.evidence for one in ours}
