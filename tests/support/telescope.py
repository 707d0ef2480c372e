"""A small telescope whose every count is known: a capture of days, made in a moment, and models of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from portkin.bundles.forecast_models import Model, Rules
from portkin.net.ports import Port
from portkin.timeseries.bins import HOUR
from portkin.timeseries.scaling import Scaling
from support.captures import ipv4, pcap, tcp, udp

BEGIN = 1_700_000_000 - 1_700_000_000 % HOUR
"""2023-11-14 22:00 UTC."""
SSH, TELNET, HTTP, DNS = (Port.parse(text) for text in ("22/tcp", "23/tcp", "80/tcp", "53/udp"))
PORTS = (SSH, TELNET, HTTP, DNS)
USUAL = {SSH: 30, TELNET: 20, HTTP: 60, DNS: 10}
"""Probes per hour."""


def hours(number: int, changes: Mapping[tuple[int, Port], int]) -> dict[Port, list[int]]:
    """Counts per port and hour: always the same, but for the changes."""
    return {port: [changes.get((hour, port), USUAL[port]) for hour in range(number)] for port in PORTS}


def packets(counts: Mapping[Port, Sequence[int]], begin: int, width: int) -> list[tuple[int, bytes]]:
    """First packets, each from a source of its own, spread over their bin; (stamp in us, packet) in order."""
    made = []
    for port, row in counts.items():
        for hour, count in enumerate(row):
            for n in range(count):
                us = (begin + hour * width) * 1_000_000 + round((n + 0.5) / count * width * 1e6) + port.number
                source = f"198.{18 + n % 2}.{hour % 250}.{1 + n // 2 % 250}"
                send = tcp(20_000 + n, port.number) if port.proto == "tcp" else udp(20_000 + n, port.number)
                made.append((us, ipv4(source, "192.0.2.1", 6 if port.proto == "tcp" else 17, send)))
    return sorted(made)


def write_capture(path: Path, counts: Mapping[Port, Sequence[int]], begin: int = BEGIN, width: int = HOUR) -> Path:
    """The capture of these hours, and a first and a last packet at their very ends."""
    inside = packets(counts, begin, width)
    edges = [(begin * 1_000_000, 1), ((begin + width * max(map(len, counts.values()))) * 1_000_000 + 1, 2)]
    ends = [(us, ipv4("203.0.113.9", "192.0.2.1", 6, tcp(40_000 + n, 9))) for us, n in edges]
    path.write_bytes(pcap(sorted([*inside, *ends])))
    return path


def write_means(
    path: Path, ports: Sequence[Port] = PORTS, *, length: int = 3, width: int = HOUR, kind: str = "mean"
) -> Path:
    """Models, called `kind`, that forecast each port by the mean of its latest bins; E and W are alarms above 1."""
    from portkin_training.rates.models.export import to_onnx, write_models
    from portkin_training.rates.models.linear import Linear

    network = to_onnx(Linear(np.full((length, 1), 1 / length, dtype=np.float32)), 1)
    models = [
        (
            Model(port, kind, f"{port.number}-{port.proto}.onnx", length, (port,), _scaling(port), 1.0, 1.0),
            network,
        )
        for port in ports
    ]
    write_models(path, models, Rules(width, "UTC", trend=3), {"made": "by a test"})
    return path


def _scaling(port: Port) -> Scaling:
    return Scaling(np.array([float(USUAL.get(port, 10))]), np.array([7.0]))
