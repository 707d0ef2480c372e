"""When a bin of probing rates is closed, and what is then known of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Closing:
    """When a bin is closed, and when it is known."""

    grace: float = 120.0
    """Seconds to wait for missing reports after a bin's end."""
    coverage: float = 0.9
    """The share of a bin that each node must have watched."""
    memory: float = 86_400.0
    """Seconds for which reports of a silent node are expected."""
    absent: Literal["unknown", "zero"] = "unknown"
    """How to count a bin without any probe on any port."""


@dataclass(frozen=True)
class Closed:
    """A bin that was closed. ``missed`` are the nodes that watched too little of it.

    ``outage``: it is unknown, and the bin before it was not.
    """

    start: int
    known: bool
    missed: tuple[str, ...]
    outage: bool
