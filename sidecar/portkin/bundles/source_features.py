"""What a model of sources knows of a question: the ports that a source may come to next, and features of each.

A question is what Zeek knows of a source by itself: its latest ports, how many it has probed, for how long. Training
and the live service compute features by the one function here, `candidates`, so that they cannot drift apart. Questions
of one protocol are taken together, since no table leads from one protocol to the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portkin.bundles.table_format import RECENT
from portkin.net.ports import PORTS

ROWS = 3
"""Of so many latest ports the table's rows are candidates."""
AROUND = np.array([-4, -3, -2, -1, 1, 2, 3, 4])
"""Steps from the latest port to numbers near it, which are candidates too."""
NO_CHANCE = -12.0
"""The log chance of what no row holds."""
FEATURES = (
    "log chance after the latest port",
    "log chance after the one before",
    "log chance after the one before that",
    "log chance after any of the three",
    "rank in the row of the latest port",
    "log share of sources that came to the port",
    "log2 of the step",
    "step is up",
    "step is the last one",
    "how many of the last steps were this one",
    "log number of ports probed",
    "log seconds per port",
    "largest log chance after the latest port",
    "log2 of the distance to the nearest recent port",
    "whether the last steps went its way",
    "mean log2 of the last steps",
    "log share of sources that came to the latest port",
    "whether it lies beyond the recent ports, in the way of the last steps",
    "how far the step is from the mean of the last ones, in log2",
)
"""What each row of a matrix of features is, in its order."""
_NOTHING = PORTS
"""Stands for a port where there is none; a key is question << _BITS | port."""
_BITS = 17
_LOW_BITS = (1 << _BITS) - 1
_EACH_ROW = np.arange(ROWS)[:, None]
_ONCE_AND_TWICE = np.array([1, 2])
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SourceRows:
    """What the features of one protocol are computed from.

    `neighbors` uint16 (n, k) and `distances` float32 (n, k) are rows of a table, distances -log of a chance;
    `row_of` int32 (65537,) says where the row of a port is, -1 where it has none, as the last one says of no port;
    `drawn` float32 (65536,) is the log of the share of sources that came to a port.
    """

    neighbors: NDArray[np.uint16]
    distances: NDArray[np.float32]
    row_of: NDArray[np.int32]
    drawn: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        ports: NDArray[np.uint16],
        neighbors: NDArray[np.uint16],
        distances: NDArray[np.float32],
        drawn: NDArray[np.float32],
    ) -> SourceRows:
        """Of the rows of `ports` (n,); ValueError where `drawn` is not one finite number for each of all ports."""
        if drawn.shape != (PORTS,) or not np.isfinite(drawn).all():
            raise ValueError(f"shape {drawn.shape}: there is not a finite share of sources for each of {PORTS} ports")
        row_of = np.full(PORTS + 1, -1, np.int32)
        row_of[ports] = np.arange(len(ports), dtype=np.int32)
        return cls(neighbors, distances, row_of, drawn)

    @property
    def k(self) -> int:
        """Neighbors in a row."""
        return int(self.neighbors.shape[1])


@dataclass(frozen=True, eq=False)
class Questions:
    """Questions of one protocol.

    `recent` int64 (m, `RECENT`): the latest different ports of each source, latest first, -1 where there are fewer, at
    least one; `probed` (m,): how many it has probed in all, of either protocol; `elapsed` float64 (m,): seconds since
    its first probe.
    """

    recent: Ints
    probed: Ints
    elapsed: Floats


@dataclass(frozen=True, eq=False)
class Candidates:
    """Ports that sources may come to, by question and number, none of which is recent: `question` int64 (r,), `port`
    int64 (r,) and `features` float32 (len(`FEATURES`), r)."""

    question: Ints
    port: Ints
    features: NDArray[np.float32]

    @property
    def fresh(self) -> NDArray[np.bool_]:
        """Which of them, bool (r,), no row of the ports before the latest one holds, so that they were hardly predicted
        before."""
        found: NDArray[np.bool_] = self.features[1:ROWS].max(axis=0) == NO_CHANCE
        return found


def candidates(known: SourceRows, asked: Questions) -> Candidates:
    """The rows of the last `ROWS` ports, the step of the source once and twice more, and the numbers around."""
    recent, k = asked.recent, known.k
    codes, chances = _considered(known, recent)
    # Each port once for each question, and where it is among the considered ones.
    keys = (codes + (np.arange(len(recent)) << _BITS)[:, None]).ravel()
    order = keys.argsort()
    ordered = keys[order]
    fresh = np.empty(len(keys), bool)
    fresh[0], fresh[1:] = True, ordered[1:] != ordered[:-1]
    place = np.empty(codes.shape, np.int64)
    place.ravel()[order] = fresh.cumsum() - 1
    found = ordered[fresh]
    logs = np.empty((ROWS, len(found)), np.float32)
    logs.fill(NO_CHANCE)
    logs[_EACH_ROW, place[:, : ROWS * k].reshape(-1, ROWS, k)] = chances
    rank = np.empty(len(found))
    rank.fill(k)
    rank[place[:, :k]] = np.arange(k)
    wanted = np.ones(len(found), bool)
    wanted[place[:, -RECENT - 1 :]] = False  # what was probed, and what is no port
    (kept,) = wanted.nonzero()
    found, logs, rank = found.take(kept), logs.take(kept, axis=1), rank.take(kept)
    question, port = found >> _BITS, found & _LOW_BITS
    return Candidates(question, port, _features(known, asked, question, port, logs, rank, chances[:, 0].max(axis=1)))


def _considered(known: SourceRows, recent: Ints) -> tuple[Ints, NDArray[np.float32]]:
    """Ports (m, ROWS * k + steps + RECENT + 1), `_NOTHING` or more in place of none: the rows, what steps lead to, and
    at last what is not to be predicted; and log chances (m, ROWS, k) of the rows."""
    m, k = len(recent), known.k
    codes = np.empty((m, ROWS * k + len(AROUND) + 2 + RECENT + 1), np.int64)
    codes.fill(_NOTHING)
    # Where there is no port or no row of it, some row stands in, and is not looked at.
    row = known.row_of[recent[:, :ROWS]]
    distances = known.distances[row]
    distances[row < 0] = np.inf
    there = np.isfinite(distances).reshape(m, -1)
    np.copyto(codes[:, : ROWS * k], known.neighbors[row].reshape(m, -1), where=there)
    steps = codes[:, ROWS * k : -RECENT - 1]
    steps[:, :-2] = recent[:, :1] + AROUND
    stride = np.where(recent[:, 1] < 0, PORTS, recent[:, 0] - recent[:, 1])
    steps[:, -2:] = recent[:, :1] + stride[:, None] * _ONCE_AND_TWICE
    steps[steps.view(np.uint64) >= PORTS] = _NOTHING  # negative ones too
    codes[:, -RECENT - 1 : -1] = recent & _LOW_BITS  # of none this is more than any port
    return codes, np.maximum(-distances, np.float32(NO_CHANCE))


def _features(
    known: SourceRows,
    asked: Questions,
    question: Ints,
    port: Ints,
    logs: NDArray[np.float32],
    rank: Floats,
    largest: NDArray[np.float32],
) -> NDArray[np.float32]:
    """The features (len(FEATURES), r) of the ports (r,), from the log chances (ROWS, r), the ranks (r,), and the
    largest log chance in the row of the latest port (m,)."""
    recent = asked.recent
    here = recent >= 0
    steps = np.where(here[:, 1:], recent[:, :-1] - recent[:, 1:], 0)
    # What is of the question, in a row for each of its ports. One answer is about a hundred ports, so that what counts
    # is how many steps numpy takes, not how many numbers it meets.
    of_steps = np.empty((3, *steps.shape))
    np.log2(1 + np.abs(steps), out=of_steps[0])
    of_steps[1], of_steps[2] = np.sign(steps), here[:, 1:]
    size, direction, number = of_steps.sum(axis=2)
    of_question = np.empty((8, len(recent)))
    of_question[0] = asked.probed
    np.divide(asked.elapsed + 1, asked.probed, out=of_question[1])
    np.log(of_question[:2], out=of_question[:2])
    of_question[2] = largest
    number = np.maximum(number, 1)
    of_question[3], of_question[6] = size / number, direction / number
    of_question[4] = known.drawn[recent[:, 0]]
    of_question[5] = recent.max(axis=1)
    of_question[7] = recent.view(np.uint64).min(axis=1)  # of none this is more than any port
    each = of_question.take(question, axis=1)
    scale, upper, way, lower = each[3], each[5], each[6], each[7]
    from_recent = port - np.where(here, recent, -PORTS).T.take(question, axis=1)
    apart = np.abs(from_recent)
    apart.min(axis=0, out=apart[1])
    step = from_recent[0]
    alike = (steps.T.take(question, axis=1) == step).view(np.uint8)
    missed = 1 - np.minimum(np.exp(logs), np.float32(0.999))
    found = np.empty((len(FEATURES), len(port)), np.float32)
    found[:ROWS] = logs
    np.log(np.maximum(1 - missed.prod(axis=0), np.float32(1e-6)), out=found[3])
    found[4] = rank
    found[5] = known.drawn.take(port)
    np.log2(apart[:2], out=found[6:14:7])
    found[7] = step > 0
    found[8] = alike[0]
    found[9] = alike.sum(axis=0, dtype=np.uint8)
    found[10:13] = each[:3]
    np.multiply(way, np.sign(step), out=found[14])
    found[15:17] = each[3:5]
    found[17] = way * ((port > upper).view(np.int8) - (port < lower).view(np.int8))
    np.abs(found[6] - scale, out=found[18])
    return found
