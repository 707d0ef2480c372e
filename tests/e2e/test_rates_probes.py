"""What Zeek counts for the rates is what `portkin ingest` takes for probes."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from support.first_packets import probes_from_packets
from support.zeek_process import SCRIPTS

ROOT = Path(__file__).resolve().parents[2]
CAPTURES = ROOT / "tests" / "captures"
OURS = sorted(path.name for path in CAPTURES.glob("*.pcap"))
SHARED = ["nmap.pcapng", "masscan.pcapng", "zmap.pcapng", "synscan.pcap"]

pytestmark = pytest.mark.zeek


def counted(zeek: str, capture: Path, folder: Path) -> Counter[str]:
    scripts = [str(SCRIPTS), str(SCRIPTS / "rates.zeek"), str(ROOT / "tests" / "support" / "counted.zeek")]
    ran = subprocess.run(
        [zeek, "-C", "-r", str(capture), *scripts],
        cwd=folder,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=100,
    )
    assert 0 == ran.returncode, ran.stderr
    lines = [line.split() for line in ran.stdout.splitlines() if line.count("/") == 1]
    return Counter({port: int(count) for port, count in lines})


def ingested(capture: Path) -> Counter[str]:
    from portkin_training.core.protocols import TCP
    from portkin_training.ingest.captures.pcap import read_capture

    found: Counter[str] = Counter()
    for chunk in probes_from_packets(read_capture(capture)):
        for port, proto in zip(chunk.dport.tolist(), chunk.proto.tolist(), strict=True):
            found[f"{port}/{'tcp' if proto == TCP else 'udp'}"] += 1
    return found


@pytest.mark.parametrize("name", OURS)
def test_our_captures_are_counted_alike(zeek, name, tmp_path):
    """Port by port: scans, backscatter, browsing, retransmissions, one direction only."""
    assert ingested(CAPTURES / name) == counted(zeek, CAPTURES / name, tmp_path)


@pytest.mark.data
@pytest.mark.parametrize("name", SHARED)
def test_scans_of_others_are_counted_alike(zeek, shared_data, name, tmp_path):
    """Scans by nmap, masscan, zmap and synscan."""
    capture = shared_data / "pcaps" / name
    assert ingested(capture) == counted(zeek, capture, tmp_path)


@pytest.mark.data
def test_ordinary_connections_are_counted_alike(zeek, shared_data, tmp_path):
    """82,582 packets of short benign connections."""
    capture = tmp_path / "benign.pcap"
    with gzip.open(shared_data / "pcaps" / "benign-echo-connections.pcap.gz") as packed, capture.open("wb") as plain:
        shutil.copyfileobj(packed, plain)
    assert ingested(capture) == counted(zeek, capture, tmp_path)
