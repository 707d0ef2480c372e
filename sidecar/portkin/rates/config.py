"""The ``rates:`` section of the settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from portkin.config.loading import setting
from portkin.config.state_paths import state_path
from portkin.rates.closing import Closing


@dataclass(frozen=True)
class RatesConfig:
    """Probing rates, scored live."""

    model: Path | None = None
    """The bundle that ``portkin rates train`` wrote; null scores nothing."""
    database: Path | None = None
    """The SQLite file with the latest bins; null is /var/lib/portkin/rates.sqlite for root, ~/.local/state/portkin/
    for others."""
    grace: float = setting(120.0, low=0.0, high=3600.0)
    """Seconds to wait for missing reports after a bin's end: Zeek sends one a minute."""
    coverage: float = setting(0.9, low=0.0, high=1.0)
    """The share of a bin that each node must have watched; a Zeek that restarts misses less."""
    memory: float = setting(24.0, low=1.0, high=720.0)
    """Hours for which reports of a silent node are expected; after that the node counts as removed."""
    absent: Literal["unknown", "zero"] = "unknown"
    """How to count a bin without any probe: unknown (on a darknet probably a cut cable) or zero."""
    queue: int = setting(10_000, low=1, high=1_000_000)
    """Reports that may wait; further ones are not answered, and Zeek sends them again."""


def rates_database_path(config: RatesConfig) -> Path:
    """Where the rates database is."""
    return state_path(config.database, "rates.sqlite")


def closing_of(config: RatesConfig) -> Closing:
    """When bins are closed."""
    return Closing(config.grace, config.coverage, config.memory * 3600, config.absent)
