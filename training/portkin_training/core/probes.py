"""Probes: the one columnar value that everything offline shares.

A probe is one attempt to reach a port, as the source sent it; `portkin_training.ingest.probe_definition` says which
packets and flows are probes. Rows are in the order of the recording (`seq`), so that equal timestamps keep
their order.

Addresses are 128-bit, IPv4 as IPv4-mapped IPv6 (RFC 4291, 2.5.5.2), split into two signed 64-bit halves: the
form that numpy, Numba, DuckDB and Spark all sort, hash and group at full speed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from portkin_training.core.columns import Columns

SCHEMA = pa.schema(
    [
        pa.field("ts", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("seq", pa.int64(), nullable=False),  # place in the recording: the tie-breaker of equal stamps
        pa.field("src_hi", pa.int64(), nullable=False),
        pa.field("src_lo", pa.int64(), nullable=False),
        pa.field("dst_hi", pa.int64(), nullable=False),
        pa.field("dst_lo", pa.int64(), nullable=False),
        pa.field("sport", pa.int32(), nullable=False),  # 0 where the recording does not say
        pa.field("dport", pa.int32(), nullable=False),
        pa.field("proto", pa.int8(), nullable=False),  # IANA: 6 TCP, 17 UDP
        pa.field("flags", pa.int16(), nullable=False),  # TCP flags of the first packet; 0 where unknown or UDP
    ]
)


@dataclass(frozen=True, slots=True)
class Probes(Columns):
    """Probes in the order of the recording; n rows.

    Attributes:
        ts: (n,) int64, microseconds since the epoch, UTC.
        seq: (n,) int64, place in the recording.
        src, dst: (n, 2) int64, the high and low half of the 128-bit address.
        sport, dport: (n,) uint16; sport is 0 where the recording does not say.
        proto: (n,) uint8, 6 or 17.
        flags: (n,) uint8, TCP flags of the first packet; 0 where unknown or UDP.
    """

    ts: NDArray[np.int64]
    seq: NDArray[np.int64]
    src: NDArray[np.int64]
    dst: NDArray[np.int64]
    sport: NDArray[np.uint16]
    dport: NDArray[np.uint16]
    proto: NDArray[np.uint8]
    flags: NDArray[np.uint8]

    @classmethod
    def empty(cls, n: int) -> Probes:
        """Columns of n rows, not filled in."""
        return cls(
            ts=np.empty(n, np.int64),
            seq=np.empty(n, np.int64),
            src=np.empty((n, 2), np.int64),
            dst=np.empty((n, 2), np.int64),
            sport=np.empty(n, np.uint16),
            dport=np.empty(n, np.uint16),
            proto=np.empty(n, np.uint8),
            flags=np.empty(n, np.uint8),
        )

    @classmethod
    def none(cls) -> Probes:
        return cls.empty(0)

    @classmethod
    def from_arrow(cls, table: pa.Table) -> Probes:
        """The rows of a table that has the columns of `SCHEMA`."""

        def column(name: str, dtype: type = np.int64) -> NDArray[Any]:
            values = table.column(name)
            if name == "ts":
                values = values.cast(pa.int64())
            array: NDArray[Any] = values.to_numpy().astype(dtype, copy=False)
            return array

        return cls(
            ts=column("ts"),
            seq=column("seq"),
            src=np.column_stack((column("src_hi"), column("src_lo"))),
            dst=np.column_stack((column("dst_hi"), column("dst_lo"))),
            sport=column("sport", np.uint16),
            dport=column("dport", np.uint16),
            proto=column("proto", np.uint8),
            flags=column("flags", np.uint8),
        )
