"""How often the enforcer does its regular work."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Intervals:
    """How often regular work is done, in seconds."""

    check: float = 5.0
    """Whether the backend lost its blocks, and whether the machine's addresses changed."""
    count: float = 60.0
    """What each block has dropped."""
    prune: float = 60.0
    """Whether the database holds what is too old."""
    retention: float = 30 * 86_400.0
    """How long the database keeps blocks that have ended."""
