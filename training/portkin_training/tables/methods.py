"""The methods by which a table learns from probes which ports are near which."""

from __future__ import annotations

from collections.abc import Callable

from portkin.net.ports import Proto
from portkin_training.tables.next_port.method import next_port
from portkin_training.tables.protocol_rows import ProtocolRows
from portkin_training.tables.shortest_path.method import shortest_path

WITH_CHANCES = frozenset(["kin"])
"""The methods whose distances are -log P of a chance; they also take ``ports``, the codes that rows are wanted of."""
METHODS: dict[str, Callable[..., dict[Proto, ProtocolRows]]] = {"shortest-path": shortest_path, "kin": next_port}
"""Each learns from probes, an Ibis table, under `scans.ScanOptions`, the so many nearest ports of every port."""
