"""Single values: what one becomes does not depend on those beside it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fuzz.harness import choice, noticed, target
from portkin_training.ingest.values.addresses import addresses, no_address
from portkin_training.ingest.values.stamps import Clock, no_time
from portkin_training.ingest.values.text_numbers import ipv4_numbers, whole_numbers
from portkin_training.ingest.values.transport import no_protocols, ports, protos, tcp_flags

LATEST = 1_767_312_000_000_000
"""Of the stamps without a year, us: 2026-01-02."""
_STAMPS = (
    "2026-01-01T00:00:00.5+0100", "2026/01/01 00:00:00", "Jan  1 00:00:00", "Thu Jan  1 00:00:00 2026",
    "01/Jan/2026:00:00:00 +0000", "1767225600.25", "1767225600250", "Jan 1, 2026 @ 00:00:00.000", "20260101T000000Z",
    "2026-01-01 00:00:00,123", "1 Jan 2026 00:00:00", "jan/01/2026 00:00:00", "2026 Jan  1 00:00:00",
)  # fmt: skip
_ENDS = ("192.0.2.1", "2001:db8::1", "3325256711", "[::1]", "fe80::1%eth0", "host.example", "192.000.002.001")
_OTHERS = ("443", "22/tcp", "0x16", "ssh", "6", "tcp", "UDP", "6.0", "SYN ACK", "......S.", "0x12", "FSRPAUECW")


@target(lambda: ["\n".join(texts).encode() for texts in (_STAMPS, _ENDS, _OTHERS, _STAMPS[:2], _STAMPS[5:7])])
def values(folder: Path, data: bytes) -> None:
    """Stamps, addresses, ports, protocols and flags: the same alone as among others, and in their ranges."""
    texts = [text if text != "null" else None for text in data.decode("utf-8", "replace").split("\n")[:40]]
    tz = choice(data, ("UTC", "Europe/Berlin", "America/St_Johns"))
    unit = choice(data, ("auto", "auto", "s", "ms", "us", "ns"), 1)
    names = choice(data, (False, True), 2)

    def stamps(column: pa.Array) -> Any:
        return Clock(unit, tz, latest=LATEST).stamps(column)

    readers: tuple[Callable[[pa.Array], Any], ...] = (
        stamps, partial(addresses, names=names), ports, partial(ports, optional=True), protos, no_protocols, tcp_flags,
        whole_numbers, ipv4_numbers,
    )  # fmt: skip
    for reader in readers:
        found = _columns(reader(pa.array(texts, pa.string())))
        apart = [_columns(reader(pa.array([text], pa.string()))) for text in texts]
        for at, column in enumerate(found):
            one_by_one = [values[at][0] for values in apart]
            assert column == one_by_one, [(texts[row], column[row], one_by_one[row]) for row in range(len(texts))
                                          if column[row] != one_by_one[row]]  # fmt: skip
        noticed(readers.index(reader), found[-1])
    for text in texts:
        no_time(text or "")
        no_address(text or "")


def _columns(read: Any) -> list[list[Any]]:
    """What a reader returns as lists; values whose mask says that there are none are left out."""
    if isinstance(read, np.ndarray):
        return [read.tolist()]
    found, bad = read
    return [[None if wrong else value for value, wrong in zip(found.tolist(), bad.tolist(), strict=True)]]
