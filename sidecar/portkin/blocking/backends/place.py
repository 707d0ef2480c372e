"""Where in nftables the blocks are. By itself: reading the settings needs nothing of what speaks to the kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ELEMENTS = 2
"""Elements for each block: one that has run out stays until the kernel sweeps, about once a second."""
Hook = Literal["prerouting", "input", "forward"]


@dataclass(frozen=True)
class Place:
    """Where in the kernel: the names and numbers that an operator chooses."""

    table: str = "portkin"
    hook: Hook = "prerouting"
    priority: int = -310
    size: int = 200_000
    """Elements that one set may hold."""
