"""The ``rates:`` section of the settings."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from portkin.config.loading import setting
from portkin.rates.store import Closing


@dataclass(frozen=True)
class RatesConfig:
    """Probing rates, scored live."""

    model: Path | None = None
    """The bundle that ``portkin rates train`` wrote; null scores nothing."""
    books: Path | None = None
    """The SQLite file with the latest bins; null is /var/lib/portkin/rates.sqlite for root, ~/.local/state/portkin/
    for others."""
    grace: float = setting(120.0, low=0.0, high=3600.0)
    """Seconds after a bin's end for which missing reports are waited for: Zeek sends one a minute."""
    coverage: float = setting(0.9, low=0.0, high=1.0)
    """The share of a bin that each node must have watched; a Zeek that restarts misses less."""
    memory: float = setting(24.0, low=1.0, high=720.0)
    """Hours for which a node that is silent is still missed; then it counts as taken away."""
    absent: Literal["unknown", "zero"] = "unknown"
    """What a bin is in which nobody saw any probe: on a darknet a cut cable."""
    queue: int = setting(10_000, low=1, high=1_000_000)
    """Reports that may wait; what is beyond is not answered, and sent again by Zeek."""


def window_path(config: RatesConfig) -> Path:
    """Where the window is."""
    if config.books is not None:
        return config.books
    if os.geteuid() == 0:
        return Path("/var/lib/portkin/rates.sqlite")
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "portkin" / "rates.sqlite"


def closing_of(config: RatesConfig) -> Closing:
    """When bins are closed."""
    return Closing(config.grace, config.coverage, config.memory * 3600, config.absent)
