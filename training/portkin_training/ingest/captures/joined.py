"""Captures that stand behind each other in one file, as ``cat`` joins them: where each begins, and in which order."""

from __future__ import annotations

from datetime import UTC, datetime

from portkin_training.ingest.captures.packets import Packets
from portkin_training.ingest.captures.records import begins_capture
from portkin_training.ingest.reading import Reading

_OVERLAP = 60_000_000
"""us by which a capture may begin before the one before it ends: within it, order decides nothing about probes."""


class Joined:
    """The captures found in one file."""

    def __init__(self) -> None:
        self._begins = [0]
        self._latest: int | None = None
        self._first = True
        self._back: tuple[str, str] | None = None

    def begins(self, head: bytes, offset: int) -> bool:
        """Whether another capture than the one that is being read begins with ``head``, at byte ``offset``."""
        return offset != self._begins[-1] and begins_capture(head)

    def begin(self, offset: int) -> None:
        """From this byte on another capture is read."""
        self._begins.append(offset)
        self._first = True

    def look_at(self, packets: Packets) -> None:
        """The next packets, at least one, of the capture that is being read."""
        first = int(packets.ts[0])
        if self._first and self._latest is not None and first < self._latest - _OVERLAP and not self._back:
            self._back = (
                f"byte {self._begins[-1]}",
                f"another capture begins here, of {_when(first)}, when the one before ends at {_when(self._latest)}; "
                f"join them by time (`mergecap -w all.pcap FILES`)",
            )
        self._latest, self._first = int(packets.ts[-1]), False

    def tell(self, reading: Reading) -> None:
        """Say what was found."""
        if len(self._begins) > 1:
            places = ", ".join(f"{at:,}" for at in self._begins[:4]) + (", ..." if len(self._begins) > 4 else "")
            reading.note(f"{len(self._begins):,} captures, one behind the other; they begin at byte {places}")
        if self._back:
            reading.problem(*self._back)


def _when(us: int) -> str:
    return f"{datetime.fromtimestamp(us / 1e6, UTC):%Y-%m-%d %H:%M:%SZ}"
