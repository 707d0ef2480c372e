"""The methods by which a table learns from probes which ports are near which."""

from __future__ import annotations

from collections.abc import Callable

import ibis.expr.types as ir

from portkin.net.ports import Proto
from portkin_training.tables.next_port.method import next_port
from portkin_training.tables.protocol_rows import ProtocolRows
from portkin_training.tables.scans import ScanOptions
from portkin_training.tables.shortest_path.method import shortest_path

Method = Callable[[ir.Table, ScanOptions, int], dict[Proto, ProtocolRows]]
"""Learns from probes, under the options, the k nearest ports of every port."""
WITH_CHANCES = frozenset(["kin"])
"""The methods whose distances are -log P of a chance."""
METHODS: dict[str, Method] = {"shortest-path": shortest_path, "kin": next_port}
