"""Events: what the replay reads, one row per packet or probe, in time order.

A port of a protocol is one number, its *code*: TCP port p is p, UDP port p is 65536 + p. A *group* is who gets
blocked: a source (as in Evrard et al. 2019, section VI), or a source at one destination.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from portkin_training.core.history import History
from portkin_training.core.time_bins import DAY_US

BENIGN, SCAN, UNCOUNTED = range(3)

Over = Literal["days", "sources"]
"""What the bootstrap draws."""


@dataclass(frozen=True)
class Events:
    """Rows of equal length n, in the order of the recording.

    `truth` is what a row is, as far as that is known (in a darknet every row is SCAN). BENIGN rows serve the
    false-positive rate. An UNCOUNTED row is neither: traffic of another anomaly, or no packet at all but the moment
    at which a detector blocks for an earlier one. `act` marks the rows upon which something is blocked: what a
    detector noticed.
    """

    ts: np.ndarray  # int64 (n,), microseconds since 1970
    group: np.ndarray  # int64 (n,), who is blocked: 0, 1, 2 ...
    code: np.ndarray  # int32 (n,)
    act: np.ndarray  # bool (n,)
    truth: np.ndarray  # uint8 (n,), BENIGN, SCAN or UNCOUNTED
    opens: np.ndarray  # bool (n,), the first row of its connection
    unit: np.ndarray  # int32 (n,), what the bootstrap draws: a day, or a bucket of groups

    def __len__(self) -> int:
        return len(self.ts)

    def __getitem__(self, rows: slice) -> Events:
        return Events(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    @classmethod
    def concat(cls, parts: Sequence[Events]) -> Events:
        """The rows of all parts, one part after the other."""
        empty = (np.empty(0, kind) for kind in (np.int64, np.int64, np.int32, bool, np.uint8, bool, np.int32))
        columns = zip(cls.__dataclass_fields__, empty, strict=True)
        return cls(*(np.concatenate([none, *(getattr(part, name) for part in parts)]) for name, none in columns))


BUCKETS = 512
"""Groups fall into this many buckets where the bootstrap draws sources: sums of independent sources stay
independent, and the counts stay small."""


def units_of(ts: np.ndarray, group: np.ndarray, over: Over) -> np.ndarray:
    """The bootstrap unit of each row, int32 (n,): its day since 1970, or the bucket of its group."""
    if over == "days":
        return (ts // DAY_US).astype(np.int32)
    return (group % BUCKETS).astype(np.int32)


def darknet_events(history: History) -> Events:
    """A history as the replay reads it: every probe is a scan's, and acted upon."""
    every = np.ones(len(history), bool)
    return Events(
        ts=history.ts,
        group=history.group,
        code=history.code.astype(np.int32),
        act=every,
        truth=np.full(len(history), SCAN, np.uint8),
        opens=every,
        unit=np.zeros(len(history), np.int32),
    )


def probes_of(events: Events) -> History:
    """The probes among the rows; a stamp before an earlier one counts as that moment."""
    probes = events.truth == SCAN
    return History(np.maximum.accumulate(events.ts[probes]), events.group[probes], events.code[probes].astype(np.int64))
