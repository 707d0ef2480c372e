"""What a method learns of one protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from portkin.bundles.table import Rows


@dataclass(frozen=True, eq=False)
class ProtocolRows:
    """The rows of one protocol and what was counted on the way (JSON)."""

    rows: Rows
    counts: Mapping[str, Any]
