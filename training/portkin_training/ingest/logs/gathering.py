"""Rows of several blocks taken together: blocks stay in the cache, calls for columns are worth their time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

ROWS = 1 << 14
"""Rows that are taken together, or more."""

Chunk = tuple[dict[str, pa.Array], NDArray[np.int64]]
"""Columns of n rows, and the number of each: (n,) each."""


def gathered(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """The rows of the chunks, `ROWS` or more at a time as long as their columns have the same names."""
    held: list[Chunk] = []
    rows = 0
    for chunk in chunks:
        if held and held[0][0].keys() != chunk[0].keys():
            yield _one(held)
            held, rows = [], 0
        held.append(chunk)
        rows += len(chunk[1])
        if rows >= ROWS:
            yield _one(held)
            held, rows = [], 0
    if held:
        yield _one(held)


def _one(chunks: list[Chunk]) -> Chunk:
    if len(chunks) == 1:
        return chunks[0]
    columns = {name: pa.concat_arrays([found[name] for found, _ in chunks]) for name in chunks[0][0]}
    return columns, np.concatenate([where for _, where in chunks])
