"""Probing rates: how many probes each port got per bin of time (Zakroum et al. 2022, III and V-A).

A bin that nobody watched is unknown (NaN); a bin that was watched and stayed empty is zero. Which of them an
absent row means is a fact about the recorder, so it is always asked for (`Absent`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import ibis
import numpy as np
from numpy.typing import NDArray

from portkin.bundles.bundle_reader import open_bundle
from portkin.bundles.bundle_writer import write_bundle
from portkin.errors import BundleError, InputError
from portkin.net.ports import Port
from portkin.timeseries.bins import DAY, bin_start, bin_starts
from portkin_training.core.doubtful_times import doubtful_times
from portkin_training.core.protocols import PROTO_NUMBERS, port_of
from portkin_training.core.time_bins import seconds
from portkin_training.rates.series.csv_counts import read_counts
from portkin_training.rates.series.queries import bin_counts, port_totals, watched_bins

KIND = "portkin-series"
SCHEMA = 1
QUARTER = 900
"""Local midnights, in every zone in use, lie on quarters of an hour of UTC."""

Absent = Literal["unknown", "zero"]
"""What a bin means in which the recording has nothing at all, on any port."""


@dataclass(frozen=True, eq=False)
class Rates:
    """Counts per port and bin.

    `starts` int64 (n,), seconds since the epoch; `counts` float64 (n, p), NaN where unknown; `width` seconds;
    `tz` the zone whose midnights begin the days; `synthetic` where a simulator made them.
    """

    ports: tuple[Port, ...]
    starts: NDArray[np.int64]
    counts: NDArray[np.float64]
    width: int
    tz: str = "UTC"
    synthetic: bool = False

    def __post_init__(self) -> None:
        """ValueError for counts of another shape."""
        if self.counts.shape != (len(self.starts), len(self.ports)):
            raise ValueError(f"counts are {self.counts.shape}, not {len(self.starts)} bins x {len(self.ports)} ports")

    def column(self, port: Port) -> int:
        """The column of a port; InputError where the series do not have it."""
        try:
            return self.ports.index(port)
        except ValueError:
            raise InputError(
                f"{port}: these series have no such port; they have {', '.join(map(str, self.ports[:8]))}"
                + (", ..." if len(self.ports) > 8 else "")
            ) from None

    def select(self, ports: Sequence[Port]) -> Rates:
        """The same bins of these ports, in this order."""
        columns = [self.column(port) for port in ports]
        return Rates(tuple(ports), self.starts, self.counts[:, columns], self.width, self.tz, self.synthetic)


def most_targeted(totals: NDArray[np.integer], share: float) -> NDArray[np.int64]:
    """Indices of the fewest ports that together got at least `share` of all probes, most targeted first.

    The paper takes 0.5, which is 1,074 ports of its telescope (III, Fig. 2). Equal totals keep their order.
    `totals` (p,) -> indices (at most p,). Raises ValueError for a share outside (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(f"share {share} is not in (0, 1]")
    order = np.argsort(-totals, kind="stable")
    reached = np.cumsum(totals[order]) >= share * totals.sum() * (1 - 1e-12)
    return order[: int(np.argmax(reached)) + 1]


def from_probes(
    probes: ibis.Table,
    *,
    width: int,
    tz: str = "UTC",
    share: float = 0.5,
    ports: Sequence[Port] | None = None,
    absent: Absent = "unknown",
    before: float | None = None,
    source: str = "the recording",
    tell: Callable[[str], None] = lambda _: None,
) -> Rates:
    """Counts per port and bin of a table with the columns of `portkin_training.core.probes.SCHEMA`.

    The first and the last bin of the recording are left out: it began and ended inside them. Probes from `before` on,
    in seconds since the epoch, are left out too. `tell` gets what is doubtful about its times, and how many ports
    `share` leaves out. Raises InputError, about `source`, where nothing is left.
    """
    if before is not None:
        probes = _of_before(probes, before, source, tell)
    # Days of a zone are put together from quarters of an hour, which no zone's midnight cuts.
    unit = width if width < DAY or tz == "UTC" else QUARTER
    totals = port_totals(probes).to_pyarrow()
    if totals.num_rows == 0:
        raise InputError(f"{source} holds no probes: nothing to count")
    number, proto, dport = (totals[name].to_numpy() for name in ("n", "proto", "dport"))
    if ports is None:
        chosen = most_targeted(number, share)
        ports = [port_of(int(dport[i]), int(proto[i])) for i in chosen]
        if len(ports) < len(number):
            got = number[chosen].sum() / number.sum()
            tell(
                f"{source}: {len(ports):,} of {len(number):,} ports are counted, the most targeted, with {got:.0%} of "
                "the probes"
            )
    code = {(PROTO_NUMBERS[port.proto], port.number): column for column, port in enumerate(ports)}

    alive = watched_bins(probes, unit).to_pyarrow()["bin"].to_numpy()
    for sentence in doubtful_times(Counter((alive * unit // DAY).tolist()), "bins with probes"):
        tell(f"{source}: {sentence}; the series spans all that time")
    starts = bin_starts(alive.min() * unit, alive.max() * unit, width, tz)
    counted = bin_counts(probes, [port.number for port in ports], unit).to_pyarrow()
    rows = np.searchsorted(starts, counted["bin"].to_numpy() * unit, side="right") - 1
    keys = zip(counted["proto"].to_pylist(), counted["dport"].to_pylist(), strict=True)
    columns = np.array([code.get(key, -1) for key in keys], dtype=np.int64)
    counts = np.zeros((len(starts), len(ports)))
    kept = columns >= 0
    np.add.at(counts, (rows[kept], columns[kept]), counted["n"].to_numpy()[kept])
    if absent == "unknown":
        watched = np.zeros(len(starts), dtype=bool)
        watched[np.searchsorted(starts, alive * unit, side="right") - 1] = True
        counts[~watched] = np.nan
    if len(starts) < 3:
        raise InputError(
            f"{source} spans {len(starts)} bins of {width} s, the first and last of them in part; "
            "give a longer one or narrower bins"
        )
    return Rates(tuple(ports), starts[1:-1], counts[1:-1], width, tz)


def _of_before(probes: ibis.Table, until: float, source: str, tell: Callable[[str], None]) -> ibis.Table:
    """The probes before `until`, s; `tell` gets how many are not, and InputError says so where all are."""
    late = seconds(probes) >= int(until)
    future = probes.filter(late).count().to_pyarrow().as_py()
    if not future:
        return probes
    said = f"{future:,} probes of {source} are dated in the future"
    if future == probes.count().to_pyarrow().as_py():
        raise InputError(f"{said}, which is all of them; were clock and zone right where they were recorded?")
    tell(f"{said} and are left out")
    return probes.filter(~late)


def from_csv(
    path: Path,
    *,
    width: int,
    tz: str = "UTC",
    absent: Absent,
    share: float = 1.0,
    tell: Callable[[str], None] = lambda _: None,
) -> Rates:
    """Ready-made counts: a CSV of rows (port, bin, count), in any order of columns.

    The column of ports is `port` or `dst_port` ("22", "53/udp"), of bins `hour`, `day`, `bin` or `time`
    (ISO 8601, in `tz` where it names no zone), of counts `requests`, `connections`, `packets`, `probes` or
    `count`. With `absent="unknown"` a bin in which no port has a row is unknown; a port without a row in a
    bin where another has one is zero. A bin covered by several rows of a port is their sum. InputError, with the
    line, for a row that cannot be read, and for a local time whose bin the change of clocks leaves open; `tell` gets
    what should be known about the others.
    """
    when, named, number = read_counts(path, width, tz, tell)
    starts = bin_starts(when.min(), when.max(), width, tz)
    ports = sorted(set(named), key=lambda port: (port.proto, port.number))
    place = {port: column for column, port in enumerate(ports)}
    rows = np.searchsorted(starts, when, side="right") - 1
    counts = np.zeros((len(starts), len(ports)))
    np.add.at(counts, (rows, np.array([place[port] for port in named])), number)
    if absent == "unknown":
        counts[np.setdiff1d(np.arange(len(starts)), rows)] = np.nan
    chosen = most_targeted(np.nansum(counts, axis=0), share)
    return Rates(tuple(ports[i] for i in chosen), starts, counts[:, chosen], width, tz)


def coarser(rates: Rates, width: int) -> Rates:
    """The same counts in wider bins; a bin with an unknown part is unknown; incomplete ends are left out.

    Raises ValueError for a width that is no multiple of theirs.
    """
    if width % rates.width:
        raise ValueError(f"bins of {width} s cannot be put together from bins of {rates.width} s")
    starts = np.array([bin_start(float(start), width, rates.tz) for start in rates.starts], dtype=np.int64)
    first = np.unique(starts, return_index=True)[1]
    ends = np.append(first[1:], len(starts))
    counts = np.add.reduceat(rates.counts, first, axis=0)
    span = rates.starts[ends - 1] + rates.width - rates.starts[first]
    whole = (rates.starts[first] == starts[first]) & (span >= width - 2 * 3600)  # a day may have 23 hours
    return Rates(rates.ports, starts[first][whole], counts[whole], width, rates.tz, rates.synthetic)


def save(path: Path, rates: Rates) -> None:
    """Write the series as a verified bundle."""
    about = {
        "bins": len(rates.starts),
        "unknown_bins": int(np.isnan(rates.counts).all(axis=1).sum()),
        "synthetic": rates.synthetic,
    }
    with write_bundle(path, kind=KIND, schema=SCHEMA, about=about) as folder:
        np.save(folder / "starts.npy", rates.starts)
        np.save(folder / "counts.npy", rates.counts)
        fields = {
            "ports": [str(port) for port in rates.ports],
            "width": rates.width,
            "tz": rates.tz,
            "synthetic": rates.synthetic,
        }
        (folder / "series.json").write_text(json.dumps(fields, indent=1), encoding="utf-8")


def load(path: Path) -> Rates:
    """Read what `save` wrote; BundleError where it is missing, damaged or something else, InputError for a file."""
    if path.is_file():
        raise InputError(
            f"{path}: a file, not a series; count it first: portkin rates series {path} -o FOLDER --absent unknown|zero"
        )
    bundle = open_bundle(path, kind=KIND, schema=SCHEMA)
    fields = bundle.fields("series.json")
    try:
        ports = tuple(Port.parse(text) for text in fields["ports"])
        return Rates(
            ports,
            bundle.array("starts.npy"),
            bundle.array("counts.npy"),
            fields["width"],
            fields["tz"],
            fields["synthetic"],
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{path}: not usable ({error!r}); count the series again") from None
