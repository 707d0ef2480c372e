"""The table: for every port, the ports that are probed next to it, nearest first.

Per protocol a table bundle holds three arrays: ``<proto>-ports.npy`` uint16 (n,), the known ports in order;
``<proto>-steps.npy`` uint16 (n, K), what must be added to each, modulo 65536, to reach its nearest ports;
``<proto>-distances.npy`` float32 (n, K), how far each of these is, +inf (and step 0) where a port has fewer than K.
The latter two are compressed: most ports are seen seldom or never, and the steps from there are much alike, so that
a table of every port takes a few megabytes instead of twenty-five.

A table with chances holds -log P as the distance: P is the chance that a source now at the port probes the other, new
to it, within the horizon that the manifest names under ``chances``. What is acted upon is a decision, not a part of the
table: the entries that reach a cut-off. The manifest recommends one under ``cutoff``.

A table may hold a model of sources as well, which ranks by what a source did before: see `source_model`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portkin.bundles.bundle_reader import open_bundle
from portkin.bundles.manifest import Manifest, content_id
from portkin.bundles.source_model import LearntFromSources, SourceModel, files_of_the_table, read_source_model
from portkin.bundles.table_format import KIND, SCHEMA, UNCUT, default_path
from portkin.errors import BundleError, CutoffError
from portkin.net.ports import PORTS, PROTOS, Port, Proto


def checked_chance(value: float) -> float:
    """A cut-off; CutoffError for one outside 0..1."""
    if not 0 <= value <= 1:
        raise CutoffError(f"a cut-off (min_chance) of {value:g}: a chance lies between 0 (nothing is cut) and 1")
    return value


@dataclass(frozen=True)
class Neighbors:
    """The nearest ports of one port, nearest first, their distances, and their chances: none where the table has no
    chances."""

    ports: tuple[Port, ...]
    distances: tuple[float, ...]
    chances: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Rows:
    """The nearest ports of all known ports of one protocol.

    ``ports`` uint16 (n,) strictly increasing; ``neighbors`` uint16 (n, K); ``distances`` float32 (n, K), each
    row nondecreasing, +inf (and neighbor 0) where the port has no further neighbor.
    """

    ports: NDArray[np.uint16]
    neighbors: NDArray[np.uint16]
    distances: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Raise ValueError, naming what is wrong, for arrays that are no such rows."""
        n = len(self.ports)
        wanted = np.dtype(np.uint16), np.dtype(np.uint16), np.dtype(np.float32)
        if (self.ports.dtype, self.neighbors.dtype, self.distances.dtype) != wanted:
            raise ValueError(
                f"dtypes {self.ports.dtype}, {self.neighbors.dtype}, {self.distances.dtype} "
                "are not uint16, uint16, float32"
            )
        if self.ports.ndim != 1 or self.neighbors.ndim != 2 or self.neighbors.shape != self.distances.shape:
            raise ValueError(
                f"shapes {self.ports.shape}, {self.neighbors.shape}, {self.distances.shape} "
                "are not (n,), (n, K), (n, K)"
            )
        if self.neighbors.shape[0] != n:
            raise ValueError(f"{n} ports but {self.neighbors.shape[0]} rows of neighbors")
        if not (self.ports[1:] > self.ports[:-1]).all():
            raise ValueError("the ports are not strictly increasing")
        # A NaN fails every one of these comparisons.
        if not ((self.distances >= 0).all() and (self.distances[:, 1:] >= self.distances[:, :-1]).all()):
            raise ValueError("a row of distances is negative, unordered or not a number")
        padding = np.isinf(self.distances)
        if self.neighbors[padding].any():
            raise ValueError("a neighbor stands at distance +inf")
        if ((self.neighbors == self.ports[:, None]) & ~padding).any():
            raise ValueError("a port is its own neighbor")

    @classmethod
    def reached(cls, ports: NDArray[np.uint16], steps: NDArray[np.uint16], distances: NDArray[np.float32]) -> Rows:
        """The rows by the steps (n, K) that a bundle stores; ValueError for arrays that are not such rows."""
        if ports.ndim != 1 or steps.ndim != 2 or len(ports) != len(steps):
            raise ValueError(f"shapes {ports.shape}, {steps.shape}: there is not a row of steps for each port")
        neighbors = ports[:, None] + steps
        if neighbors.shape == distances.shape:
            neighbors[np.isinf(distances)] = 0
        return cls(ports, neighbors, distances)

    def steps(self) -> NDArray[np.uint16]:
        """How far each neighbor's number lies from its port's, modulo 65536: (n, K); 0 where there is none."""
        return np.where(np.isinf(self.distances), np.uint16(0), self.neighbors - self.ports[:, None])

    @property
    def k(self) -> int:
        """Neighbors per port at most."""
        return int(self.neighbors.shape[1])


@dataclass(frozen=True, eq=False)
class Table:
    """A loaded table. It is in memory: replacing the bundle does not affect it."""

    manifest: Manifest
    rows: Mapping[Proto, Rows]
    source_model: SourceModel | None = None

    @classmethod
    def load(cls, path: Path | str, protos: Collection[Proto] = PROTOS) -> Table:
        """Read and verify the table bundle at ``path``, and unpack what it has of these protocols.

        Raises BundleError, which says what is wrong and what to do.
        """
        bundle = open_bundle(Path(path), kind=KIND, schema=SCHEMA)
        rows: dict[Proto, Rows] = {}
        held = [proto for proto in PROTOS if f"{proto}-ports.npy" in bundle.files]
        for proto in held:
            if proto not in protos:
                continue
            ports, steps, distances = (bundle.array(f"{proto}-{part}.npy") for part in ("ports", "steps", "distances"))
            try:
                rows[proto] = Rows.reached(ports, steps, distances)
            except (TypeError, ValueError) as error:
                raise BundleError(f"{path}: the {proto} table is not usable ({error}); build it again") from None
        model = read_source_model(
            bundle, {proto: (part.ports, part.neighbors, part.distances) for proto, part in rows.items()}
        )
        try:
            table = cls(bundle.manifest, rows, model)
            wanted = (table.k, table.method, table.known, table.horizon, checked_chance(table.cutoff or 0.0))
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError, CutoffError) as error:
            raise BundleError(f"{path}: the manifest lacks what a table needs ({error!r}); build it again") from None
        if not held or any(part.k != wanted[0] for part in rows.values()):
            raise BundleError(f"{path}: the arrays do not fit the manifest's k = {wanted[0]}; build the table again")
        return table

    @property
    def id(self) -> str:
        """12 hex digits of the sha256 of the content."""
        return self.manifest.id

    @property
    def created(self) -> datetime:
        """When the table was built, UTC."""
        return self.manifest.created

    @cached_property
    def k(self) -> int:
        """Neighbors stored per port."""
        return int(self.manifest.about["k"])

    @cached_property
    def known(self) -> dict[Proto, int]:
        """How many ports of each protocol the table knows, of those too that were not unpacked."""
        counts: Mapping[str, int] = self.manifest.about["ports"]
        return {proto: int(counts[proto]) for proto in PROTOS if proto in counts}

    @cached_property
    def method(self) -> str:
        """The dissimilarity the table was built with, as ``shortest-path``."""
        return str(self.manifest.about["method"])

    @cached_property
    def horizon(self) -> float | None:
        """Seconds for which the chances hold; None for a table without chances, such as one by shortest-path."""
        chances = self.manifest.about.get("chances")
        return None if chances is None else float(chances["horizon"])

    @cached_property
    def cutoff(self) -> float | None:
        """The cut-off that the table recommends; None where it was not tried on held-out probes, or has no chances."""
        chosen = self.manifest.about.get("cutoff")
        return None if chosen is None else float(chosen["min_chance"])

    def __contains__(self, port: Port) -> bool:
        """Whether the table knows the port, even if it has no neighbors."""
        return self._place(port) is not None

    def nearest(self, port: Port, k: int | None = None) -> Neighbors:
        """The ``k`` nearest ports of ``port``, nearest first; all stored ones where None or too many.

        Never holds the port itself; empty for a port that was never seen. ValueError for a negative ``k``.
        """
        if k is not None and k < 0:
            raise ValueError(f"k = {k}: ask for 0 neighbors or more")
        at = self._place(port)
        if at is None:
            return Neighbors((), ())
        rows = self.rows[port.proto]
        distances = [d for d in rows.distances[at, :k].tolist() if d != np.inf]
        neighbors = rows.neighbors[at, : len(distances)].tolist()
        chances = () if self.horizon is None else tuple(exp(-d) for d in distances)
        return Neighbors(tuple(Port(number, port.proto) for number in neighbors), tuple(distances), chances)

    def predicted(self, port: Port, k: int, min_chance: float | None = None) -> Neighbors:
        """What is predicted after a probe of ``port``: of its ``k`` nearest ports, those that reach the cut-off.

        None stands for the cut-off that the table recommends; where it has none, the first `UNCUT` are predicted.
        CutoffError where the cut-off is out of range or, above 0, the table has no chances.
        """
        most, cutoff = self.cut(k, min_chance)
        near = self.nearest(port, most)
        if not cutoff:
            return near
        kept = sum(chance >= cutoff for chance in near.chances)
        return Neighbors(near.ports[:kept], near.distances[:kept], near.chances[:kept])

    def above(self, min_chance: float) -> Table:
        """The same table with the entries alone that reach the cut-off; CutoffError as from `predicted`."""
        if not self.cut(self.k, min_chance)[1]:
            return self
        rows = {}
        for proto, part in self.rows.items():
            cut = np.exp(-part.distances.astype(np.float64)) < min_chance
            distances = np.where(cut, np.float32(np.inf), part.distances)
            rows[proto] = Rows(part.ports, np.where(cut, np.uint16(0), part.neighbors), distances)
        return Table(self.manifest, rows, self.source_model)

    def cut(self, k: int, min_chance: float | None = None) -> tuple[int, float]:
        """How many of the nearest ports are predicted at most, and the chance they must reach; see `predicted`.

        CutoffError where the cut-off is out of range or, above 0, the table has no chances.
        """
        if min_chance is None:
            return (min(k, UNCUT), 0.0) if self.cutoff is None else (k, self.cutoff)
        if checked_chance(min_chance) and self.horizon is None:
            raise CutoffError(
                f"table {self.id} ({self.method}) has no chances, so nothing can be cut by {min_chance:g}; use a "
                f"table built with --method kin, or choose by number alone"
            )
        return k, min_chance

    def _place(self, port: Port) -> int | None:
        """The row of the port; None where it is not known."""
        rows = self.rows.get(port.proto)
        if rows is None:
            return None
        # A scalar of the array's own type: any other would make searchsorted convert the whole array.
        at = int(np.searchsorted(rows.ports, np.uint16(port.number)))
        return at if at < len(rows.ports) and rows.ports[at] == port.number else None

    def matrix(self, proto: Proto) -> NDArray[np.int32]:
        """All neighbors by port number, for kernels: a new int32 (65536, K), -1 where there is none."""
        dense = np.full((PORTS, self.k), -1, np.int32)
        rows = self.rows.get(proto)
        if rows is not None:
            dense[rows.ports] = np.where(np.isinf(rows.distances), -1, rows.neighbors.astype(np.int32))
        return dense


def default_table() -> Table:
    """The table that ships with the package."""
    return Table.load(default_path())


def write_table(
    path: Path | str,
    rows: Mapping[Proto, Rows],
    *,
    method: str,
    about: Mapping[str, Any] | None = None,
    by_source: LearntFromSources | None = None,
    created: datetime | None = None,
) -> Table:
    """Write a table bundle at ``path`` and return it as loaded back.

    All ``rows`` have the same K (ValueError otherwise); ``about`` (JSON) records what the table was computed
    from, with which options, and what was counted. With ``by_source`` the table has a model of sources; its cut-off
    is in ``about``.
    """
    # Which reading a table does not need.
    from portkin.bundles.bundle_writer import entries_of, save_packed, write_bundle

    sizes = {part.k for part in rows.values()}
    if len(sizes) != 1:
        raise ValueError(f"the protocols have different or no K: {sorted(sizes)}")
    known = {proto: len(part.ports) for proto, part in rows.items()}
    described = {**(about or {}), "k": sizes.pop(), "method": method, "ports": known}
    with write_bundle(Path(path), kind=KIND, schema=SCHEMA, about=described, created=created) as folder:
        for proto, part in rows.items():
            np.save(folder / f"{proto}-ports.npy", part.ports, allow_pickle=False)
            save_packed(folder / f"{proto}-steps.npy", part.steps())
            save_packed(folder / f"{proto}-distances.npy", part.distances)
        if by_source is not None:
            by_source.write(folder, save_packed, content_id(files_of_the_table(entries_of(folder))))
    return Table.load(path)
