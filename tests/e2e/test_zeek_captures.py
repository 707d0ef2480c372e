"""Real Zeek and its twin take the same decisions behind every link layer and in every tunnel that Zeek reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from portkin.bundles.table import default_table
from portkin_training.core.context import describe
from portkin_training.ingest.captures.options import CaptureOptions
from portkin_training.twin.real_zeek import DecisionRecord, decision_records, run_zeek
from portkin_training.twin.run import decide_capture
from support import captures as by_hand
from support.captures import ACK, BEGIN, RST, ipv4, tcp
from support.encapsulations import FRAMES, LINKS, TUNNELS, Wrap

ROOT = Path(__file__).resolve().parents[2]
TARGET = "192.0.2.10"
PORTS = (22, 80, 443, 3389, 8080, 5900)
NOT_IN_ZEEK = {"mpls, pseudowire"}
FEW = ("cooked, vlan", "nflog", "radiotap")
"""Link types that are always tried; the others take a run of Zeek each."""
MORE = ("802.11", "cooked", "cooked 2", "cooked 2, vlan", "fddi", "null", "ppp", "ppp hdlc", "radiotap, qos", "raw")

pytestmark = pytest.mark.zeek


def refused(source: str, wrap: Wrap) -> list[bytes]:
    """Six SYNs and the RSTs that answer them."""
    return [
        wrap(packet)
        for n, port in enumerate(PORTS)
        for packet in (
            ipv4(source, TARGET, 6, tcp(40000 + n, port)),
            ipv4(TARGET, source, 6, tcp(port, 40000 + n, RST | ACK)),
        )
    ]


def alike(zeek: str, path: Path, captures: CaptureOptions = CaptureOptions()) -> list[DecisionRecord]:  # noqa: B008
    """The decisions that both take about a capture."""
    ours = decision_records(decide_capture(path, default_table(), captures=captures))
    assert ours == run_zeek(zeek, path, ROOT / "zeek-scripts", captures=captures).decisions
    return ours


def write(path: Path, frames: list[bytes], link: int = 1) -> Path:
    path.write_bytes(by_hand.pcap([(BEGIN + n * 10_000, frame) for n, frame in enumerate(frames)], link=link))
    return path


def test_tunnels_and_frames_of_ethernet(zeek, tmp_path):
    """A scanner in each tunnel and behind each tag: each of its six probes is a decision, of both, alike."""
    wraps = [wrap for name, wrap in (FRAMES | TUNNELS).items() if name not in NOT_IN_ZEEK]
    frames = [frame for n, wrap in enumerate(wraps) for frame in refused(f"198.51.100.{n + 1}", wrap)]
    assert 6 * len(wraps) == len(alike(zeek, write(tmp_path / "a.pcap", frames)))


@pytest.mark.parametrize("name", [*FEW, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)])
def test_link_types(zeek, tmp_path, name):
    """Six probes behind each link type that Zeek reads are six decisions."""
    link, wrap = LINKS[name]
    assert 6 == len(alike(zeek, write(tmp_path / "a.pcap", refused("198.51.100.7", wrap), link)))


def test_the_same_address_in_two_vlans_is_two_hosts(zeek):
    """With VLANs in the connection key, the scanner in VLAN 10 is found beside the client of its address in VLAN 20."""
    found = alike(zeek, ROOT / "tests" / "captures" / "vlans.pcap", CaptureOptions(context="vlan"))
    assert {"198.51.100.10 (vlan=10)"} == {describe(record.src) for record in found}
    assert [] == alike(zeek, ROOT / "tests" / "captures" / "vlans.pcap")
