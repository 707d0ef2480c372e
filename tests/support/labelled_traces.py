"""Captures with MAWILab labels, drawn from a seed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from support.captures import SYN, ipv4, pcap, tcp, udp

HEAD = "anomalyID, srcIP, srcPort, dstIP, dstPort, taxonomy, heuristic, distance, nbDetectors, label\n"
SCANNERS = ("198.51.100.1", "198.51.100.2", "198.51.100.3")
FIRST = datetime(2015, 9, 2, 14, tzinfo=UTC)


def write_traces(folder: Path) -> Path:
    """Four captures of a quarter of an hour, a day apart, with their labels: scanners that come back, of whom some are
    labelled on other days only, benign packets before and after, late packets, and segments that come twice."""
    rng = np.random.default_rng(7)
    for day in range(4):
        at = FIRST + timedelta(days=day)
        name = f"{at:%Y%m%d}"
        begin, n = int(at.timestamp()) * 1_000_000, 2000
        stamps = begin + np.sort(rng.integers(0, 900_000_000, n))
        stamps[rng.integers(1, n, 50)] -= 5_000_000  # late
        packets = []
        for stamp in stamps.tolist():
            source = SCANNERS[rng.integers(3)] if rng.random() < 0.5 else f"192.0.2.{rng.integers(1, 30)}"
            port = int(rng.choice([22, 23, 80, 443, 445, 2222, 3389, 8080, 5000 + rng.integers(20)]))
            body = (17, udp(4000, port)) if rng.random() < 0.2 else (6, tcp(4000, port, int(rng.choice([SYN, 16]))))
            packet = (stamp, ipv4(source, f"203.0.113.{rng.integers(1, 4)}", *body))
            packets += [packet] * (2 if rng.random() < 0.1 else 1)
        (folder / f"{name}1400.pcap").write_bytes(pcap(packets))
        named = [SCANNERS[(day + number) % 3] for number in range(day % 3 + 1)]
        labelled = [f"{number},{source},,,,ntscSYN,0.1,3,anomalous\n" for number, source in enumerate(named)]
        other = "9,192.0.2.7,,,,ptmpHTTP,0.1,3,suspicious\n"
        (folder / f"{name}_anomalous_suspicious.csv").write_text(HEAD + "".join(labelled) + other)
    return folder
