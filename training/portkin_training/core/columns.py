"""What the columnar values share: a frozen dataclass of numpy arrays, one row across them each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray


class Columns:
    """Base of dataclasses whose fields are arrays of equal length, the first dimension being the row."""

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]]  # of every dataclass, its fields

    def __len__(self) -> int:
        return len(getattr(self, self.__match_args__[0]))

    def __getitem__(self, rows: slice | NDArray[Any]) -> Self:
        """The rows a slice, a mask or an index array picks."""
        return type(self)(*(column[rows] for column in self.columns()))

    def columns(self) -> tuple[NDArray[Any], ...]:
        """The columns in the order of the fields, (n, ...) each."""
        return tuple([getattr(self, name) for name in self.__match_args__])

    @classmethod
    def none(cls) -> Self:
        """A value without rows."""
        raise NotImplementedError

    @classmethod
    def concat(cls, chunks: Iterable[Self]) -> Self:
        """One value out of many, in order."""
        chunks = [*chunks] or [cls.none()]
        return cls(*(np.concatenate(parts) for parts in zip(*(chunk.columns() for chunk in chunks), strict=True)))
