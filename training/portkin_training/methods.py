"""The methods by which a table learns from probes which ports are near which."""

from __future__ import annotations

from collections.abc import Callable

import ibis.expr.types as ir

from portkin.ports import Proto
from portkin_training.kin_table import kin
from portkin_training.scans import ScanOptions
from portkin_training.shortest_path import Built, shortest_path

Method = Callable[[ir.Table, ScanOptions, int], dict[Proto, Built]]
"""Learns from probes, under the options, the k nearest ports of every port."""
METHODS: dict[str, Method] = {"shortest-path": shortest_path, "kin": kin}
