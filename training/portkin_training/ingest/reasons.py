"""Why rows of an input are no probes: a code for each row, and what the codes mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

WITHOUT_PORTS = "a line that is cut, or a fragment, without ports"
"""Why a line of TCP or UDP without ports is no probe."""


class Reasons:
    """For each of n rows why it is no probe, or nothing; of several reasons the first counts.

    Attributes:
        codes: (n,) int64, place in ``texts``.
        texts: what the codes mean; the first is "".
        wrong: texts of rows that are no good records, and are to be named with their places.
    """

    def __init__(self, n: int) -> None:
        """No row has a reason yet."""
        self.codes: NDArray[np.int64] = np.zeros(n, np.int64)
        self.texts = [""]
        self.wrong: set[str] = set()

    @classmethod
    def by_value(cls, column: pa.Array, reason: Callable[[str], str]) -> Reasons:
        """The reason of each text (n,), asked once for each different text; null is asked as ""."""
        coded = pc.fill_null(column, "").dictionary_encode()
        found = cls(len(column))
        found.texts = ["", *(reason(text) for text in coded.dictionary.to_pylist())]
        found.codes = coded.indices.to_numpy().astype(np.int64) + 1
        found.codes[~np.array([bool(text) for text in found.texts])[found.codes]] = 0
        return found

    def mark(self, rows: NDArray[np.bool_], text: str, *, wrong: bool = False) -> None:
        """Give the rows of a mask (n,) a reason, where they have none. ``wrong``: they are no good records."""
        self.codes[rows & (self.codes == 0)] = len(self.texts)
        self.texts.append(text)
        if wrong:
            self.wrong.add(text)

    @property
    def kept(self) -> NDArray[np.bool_]:
        """(n,) the rows that have none."""
        kept: NDArray[np.bool_] = self.codes == 0
        return kept

    def counted(self) -> Counter[str]:
        """Reason -> rows."""
        found: Counter[str] = Counter()
        for text, count in zip(self.texts, np.bincount(self.codes, minlength=len(self.texts)), strict=True):
            if text and count:
                found[text] += int(count)
        return found

    @property
    def faulty(self) -> NDArray[np.bool_]:
        """(n,) the rows that are no good records."""
        found: NDArray[np.bool_] = np.array([text in self.wrong for text in self.texts])[self.codes]
        return found

    def tolist(self) -> list[str]:
        """The reason of each row."""
        return [self.texts[code] for code in self.codes.tolist()]
