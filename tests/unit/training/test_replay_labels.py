"""``portkin replay`` of labelled captures."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from portkin_training.commands.replay import replay as command
from support.running import output_of

CAPTURES = Path(__file__).resolve().parents[2] / "captures"
LABELS = "anomalyID, srcIP, srcPort, dstIP, dstPort, taxonomy, heuristic, distance, nbDetectors, label\n"
run = partial(output_of, command)
"""What the command prints; its errors are raised."""


def test_labels(tmp_path):
    """With labels the scan's packets are the probes, all others benign; Table II is printed twice, with the mapping."""
    (tmp_path / "labels.csv").write_text(LABELS + "0,198.51.100.10,,,,ntscSYN,0.1,3,anomalous\n")

    said = run(CAPTURES / "scans.pcap", "--labels", tmp_path / "labels.csv", "-t", 15)

    assert 2 == said.count("Table II")
    assert "network scan, SYN" in said
    assert "benign packets" in said


def test_labels_in_memory(tmp_path):
    """Packet by packet or contact by contact, the scans that labels name are the same ports of the same source."""
    (tmp_path / "labels.csv").write_text(LABELS + "0,198.51.100.10,,,,ntscSYN,0.1,3,anomalous\n")
    told = (CAPTURES / "scans.pcap", "--labels", tmp_path / "labels.csv", "-t", 15, "--json")

    streamed, contacts = json.loads(run(*told)), json.loads(run(*told, "--detector", "zeek"))

    new = [next(iter(said["predictors"].values()))["new"] for said in (streamed, contacts)]
    assert new[0] == new[1] > 0


def test_labels_of_other_traffic(tmp_path):
    """Labels that cover nothing here are reported, not passed over."""
    (tmp_path / "labels.csv").write_text(LABELS + "0,192.0.2.200,,,,ntscSYN,0.1,3,anomalous\n")

    said = " ".join(run(CAPTURES / "scans.pcap", "--labels", tmp_path / "labels.csv").split())

    assert "Nothing here is covered by a label that means a scan (1 of 1 filters read do)" in said


def test_labels_without_a_detector_block_scans_alone(tmp_path):
    """Of records, as of packets, only those of labelled scans are acted upon."""
    (tmp_path / "labels.csv").write_text(LABELS + "0,198.51.100.10,,,,ntscSYN,0.1,3,anomalous\n")
    told = ("--labels", tmp_path / "labels.csv", "-t", 15, "--json")

    streamed = json.loads(run(CAPTURES / "scans.pcap", *told))
    together = json.loads(run(CAPTURES / "scans.pcap", CAPTURES / "browsing.pcap", *told[:-1], "--json"))

    first, second = (next(iter(said["predictors"].values())) for said in (streamed, together))
    assert first["blocks"] == second["blocks"] > 0


def test_table_ii_of_new_ports(tmp_path):
    """Usefulness of new ports alone is a share of blocks, whatever of them was begun by a prediction."""
    (tmp_path / "labels.csv").write_text(LABELS + "0,198.51.100.10,,,,ntscSYN,0.1,3,anomalous\n")

    said = json.loads(run(CAPTURES / "scans.pcap", "--labels", tmp_path / "labels.csv", "-k", 1, "-t", 15, "--json"))

    (row,) = said["table_ii"]["new ports only"]
    assert 0 < row["usefulness"] <= 1


def test_traces_in_order_of_time(tmp_path):
    """Captures are replayed in the order that their names tell, however they are given."""
    for day in ("20150902", "20150903"):
        (tmp_path / f"{day}1400.pcap").write_bytes((CAPTURES / "scans.pcap").read_bytes())
        (tmp_path / f"{day}_labels.csv").write_text(LABELS + "0,198.51.100.10,,,,ntscSYN,0.1,3,anomalous\n")
    first, second = sorted(tmp_path.glob("*.pcap"))

    one = json.loads(run(first, second, "--labels", tmp_path, "--json"))
    other = json.loads(run(second, first, "--labels", tmp_path, "--json"))

    assert one["table_ii"] == other["table_ii"]
    # The second trace, of the same stamps, begins no block of its own: what it proves are blocks of the first.
    assert [None] == [row["usefulness"] for row in one["table_ii"]["with the probed port"][1:]]
