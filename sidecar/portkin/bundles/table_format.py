"""What is known of tables without reading one. By itself: command lines name these, and few of them need numpy."""

from __future__ import annotations

from pathlib import Path

KIND = "portkin-table"
SCHEMA = 3
DEFAULT_K = 32
"""Neighbors stored per port by default."""
UNCUT = 3
"""How many of the nearest ports are predicted where no cut-off is known: paper 1's trade-off (VI-C)."""
RECENT = 8
"""The most ports of a source's history that what is predicted of it depends on."""


def default_path() -> Path:
    """Where the table that ships with the package lies."""
    return Path(__file__).parents[1] / "data" / "default-table"
