"""Probes: the one columnar value that everything offline shares.

A probe is one attempt to reach a port, as the source sent it. `RULES` in `portkin_training.ingest.rules` say
which packets and flows are probes. A dataset is a folder of Parquet files with `SCHEMA`, rows in the order of the
recording (`seq`), so that equal stamps keep their order.

Addresses are 128-bit, IPv4 as IPv4-mapped IPv6 (RFC 4291, 2.5.5.2), split into two signed 64-bit halves: the form
that numpy, Numba, DuckDB and Spark all sort, hash and group at full speed.
"""

from __future__ import annotations

import pyarrow as pa

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
