"""What is known of tables without reading one. By itself: command lines name these, and few of them need numpy."""

from __future__ import annotations

from pathlib import Path

from portkin.bundles.manifest import Manifest

KIND = "portkin-table"
SCHEMA = 3
DEFAULT_K = 32
"""Neighbors stored per port by default."""
UNCUT = 3
"""How many of the nearest ports are predicted where no cut-off is known: paper 1's trade-off (VI-C)."""
RECOMMENDED = -1.0
"""Stands for the cut-off that the table recommends."""
BY_SOURCE = "by-source.json"
"""The file that a table with a model of sources has."""
RECENT = 8
"""The most ports of a source's history that what is predicted of it depends on."""


def default_path() -> Path:
    """Where the table that ships with the package lies."""
    return Path(__file__).parents[1] / "data" / "default-table"


def described(manifest: Manifest) -> str:
    """What a table's manifest says of it, as ``the 32 nearest ports by kin, with a model of sources``."""
    sources = ", with a model of sources" if BY_SOURCE in manifest.files else ""
    return f"the {manifest.about['k']} nearest ports by {manifest.about['method']}{sources}"
