"""Blocks of probes in the columns of `SCHEMA`: what a row group of Parquet is written from, without a further copy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from portkin_training.core.probes import SCHEMA, Probes

SELDOM = ("src_hi", "dst_hi", "proto", "flags")
"""Columns of few different values; a block often holds one alone."""
_DTYPES: dict[str, Any] = {
    field.name: np.int64 if field.name == "ts" else field.type.to_pandas_dtype() for field in SCHEMA
}


class ColumnBlock:
    """Room for a number of probes, filled from the front and used again after `clear`.

    Attributes:
        rows: how many probes it holds.
    """

    def __init__(self, room: int) -> None:
        """Room for so many probes; memory is taken as it is filled."""
        self.rows = 0
        self._room = room
        self._columns: dict[str, NDArray[Any]] = {name: np.empty(room, dtype) for name, dtype in _DTYPES.items()}
        self._constant = set(SELDOM)

    @property
    def full(self) -> bool:
        return self.rows == self._room

    def add(self, probes: Probes) -> int:
        """Put in the first of the probes, as many as there is room for; returns how many."""
        begin, end = self.rows, min(self.rows + len(probes), self._room)
        taken = end - begin
        columns: dict[str, NDArray[Any]] = {
            "ts": probes.ts,
            "seq": probes.seq,
            "src_hi": probes.src[:, 0],
            "src_lo": probes.src[:, 1],
            "dst_hi": probes.dst[:, 0],
            "dst_lo": probes.dst[:, 1],
            "sport": probes.sport,
            "dport": probes.dport,
            "proto": probes.proto,
            "flags": probes.flags,
        }
        for name, values in columns.items():
            self._columns[name][begin:end] = values[:taken]
        self._constant -= {name for name in self._constant if np.any(columns[name][:taken] != self._columns[name][0])}
        self.rows = end
        return taken

    def constant(self) -> frozenset[str]:
        """Those of the columns `SELDOM` that hold one value alone."""
        return frozenset(self._constant)

    def table(self) -> pa.Table:
        """The rows as a table of `SCHEMA`, in the block's own memory: valid until it is cleared."""
        arrays = [  # `pa.array` would load pandas
            pa.Array.from_buffers(field.type, self.rows, [None, pa.py_buffer(self._columns[field.name])])
            for field in SCHEMA
        ]
        return pa.table(arrays, schema=SCHEMA)

    def clear(self) -> None:
        """Hold nothing."""
        self.rows = 0
        self._constant = set(SELDOM)
