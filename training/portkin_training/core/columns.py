"""What the columnar values share: a frozen dataclass of numpy arrays, one row across them each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


class Columns:
    """Base of dataclasses whose fields are arrays of equal length, the first dimension being the row."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self.columns()[0])

    def __getitem__(self, rows: slice | NDArray[Any]) -> Self:
        """The rows a slice, a mask or an index array picks."""
        return type(self)(*(column[rows] for column in self.columns()))

    def columns(self) -> tuple[NDArray[Any], ...]:
        """The columns in the order of the fields, (n, ...) each."""
        return tuple(getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]  # subclasses are dataclasses

    @classmethod
    def none(cls) -> Self:
        """A value without rows."""
        raise NotImplementedError

    @classmethod
    def concat(cls, chunks: Iterable[Self]) -> Self:
        """One value out of many, in order."""
        chunks = [*chunks] or [cls.none()]
        return cls(*(np.concatenate(parts) for parts in zip(*(chunk.columns() for chunk in chunks), strict=True)))
