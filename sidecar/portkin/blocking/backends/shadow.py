"""Blocks nothing: the same limits, the same books, and no packet is touched."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from portkin.blocking.backends.backend import Batch, Dropped, Held
from portkin.blocking.block import Mode, Pair


class Shadow:
    """A `Backend` that does nothing, at once and without fail."""

    mode: Mode = "shadow"

    def setup(self) -> None:
        pass

    def apply(self, batch: Batch) -> Collection[Pair]:
        return ()

    def held(self) -> Mapping[Pair, Held] | None:
        return None

    def dropped(self) -> Dropped | None:
        return None

    def forgot(self) -> bool:
        return False

    def close(self) -> None:
        pass
