"""Blocks nothing: the same limits, the same database, and no packet is dropped."""

from __future__ import annotations

from collections.abc import Mapping

from portkin.blocking.backends.backend import Batch, Uncounted
from portkin.blocking.block import BlockKey, Mode


class Shadow(Uncounted):
    """A `Backend` that does nothing, and never fails."""

    mode: Mode = "shadow"

    def setup(self, room: int = 0) -> None:
        pass

    def join(self) -> bool:
        return True

    def apply(self, batch: Batch) -> Mapping[BlockKey, str]:
        return {}

    def lost_blocks(self) -> bool:
        return False

    def ipv6_fault(self) -> str:
        return ""

    def close(self) -> None:
        pass
