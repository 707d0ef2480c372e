"""Probes from tables: CSV and Parquet with columns of any name, mapped by options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from portkin.errors import ConfigError, InputError
from portkin_training.core.probes import Probes
from portkin_training.ingest.logs import text_blocks
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.tables import column_values

FIELDS = ("ts", "src", "dst", "sport", "dport", "proto")
"""The columns of a probe; sport may be missing."""


@dataclass(frozen=True)
class ColumnMap:
    """Which column holds which field.

    Attributes:
        columns: field -> name of its column; a field not named here is a column of its own name.
        proto: protocol of every row, "tcp" or "udp", where no column says so.
        dst: destination of every row, where no column says so.
        names: host names are allowed as addresses; see `column_values.name_address`.
        unit: unit of numeric stamps: "s", "ms", "us" or "ns".
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    proto: str | None = None
    dst: str | None = None
    names: bool = False
    unit: str = "s"

    def __post_init__(self) -> None:
        """Raise ConfigError, with the remedy, for a map that cannot be used."""
        for name in self.columns:
            if name not in FIELDS:
                raise ConfigError(f"{name!r} is no field of a probe; map one of {', '.join(FIELDS)}")
        if self.proto not in (None, "tcp", "udp"):
            raise ConfigError(f"protocol {self.proto!r}: tcp or udp is needed")
        if self.unit not in column_values.MICROSECONDS:
            raise ConfigError(f"stamp unit {self.unit!r}: one of {', '.join(column_values.MICROSECONDS)} is needed")

    def resolve(self, path: Path, names: list[str]) -> dict[str, str]:
        """Field -> column, of a file with columns of these names.

        Raises:
            InputError: a column is missing; the message shows which there are and how to map them.
        """
        chosen = {}
        for name in FIELDS:
            if (name == "proto" and self.proto) or (name == "dst" and self.dst):
                continue
            column = self.columns.get(name, name)
            if column in names:
                chosen[name] = column
            elif name != "sport" or name in self.columns:
                other = {"proto": " (or --proto tcp)", "dst": " (or --dst ADDRESS)"}.get(name, "")
                raise InputError(
                    f"{path}: no column {column!r} for the field {name}; there are {', '.join(names)}; "
                    f"name it with `portkin ingest --column {name}=COLUMN`{other}"
                )
        return chosen

    def probes(
        self, columns: Mapping[str, pa.Array], where: NDArray[np.int64], what: str, seq: int, reading: Reading
    ) -> Probes:
        """The probes among rows; those that are none or make no sense are counted in ``reading``.

        Args:
            columns: field -> (n,) values.
            where: (n,) number of each row, for people.
            what: what that number counts, "line" or "row".
            seq: place of the first probe in the recording.
        """
        n = len(where)
        constant = {"proto": self.proto, "dst": self.dst}
        columns = {**{k: pa.array([v] * n) for k, v in constant.items() if v}, **columns}
        proto = column_values.protos(columns["proto"])
        wanted = proto != 0
        if not wanted.all():
            reading.skipped["neither TCP nor UDP"] += int(n - wanted.sum())
        ts, bad_ts = column_values.stamps(columns["ts"], unit=self.unit)
        src, bad_src = column_values.addresses(columns["src"], names=self.names)
        dst, bad_dst = column_values.addresses(columns["dst"], names=self.names)
        sport, bad_sport = (
            column_values.ports(columns["sport"], optional=True)
            if "sport" in columns
            else (np.zeros(n, np.uint16), np.zeros(n, np.bool_))
        )
        dport, bad_dport = column_values.ports(columns["dport"])
        bad = {"ts": bad_ts, "src": bad_src, "dst": bad_dst, "sport": bad_sport, "dport": bad_dport}
        remedy = "" if self.names else "; --names takes host names as addresses"
        expected = {
            "ts": "no time",
            "src": f"no address{remedy}",
            "dst": f"no address{remedy}",
            "sport": "no port from 0 to 65535",
            "dport": "no port from 0 to 65535",
        }
        for row in np.flatnonzero(wanted & np.logical_or.reduce([*bad.values()])):
            name = next(name for name, mask in bad.items() if mask[row])
            value = columns[name][int(row)].as_py()
            reading.bad_row(f"{what} {where[row]}", f"{name} {value!r} is {expected[name]}")
            wanted[row] = False
        reading.read += n
        count = int(wanted.sum())
        return Probes(
            ts=ts[wanted],
            seq=np.arange(seq, seq + count),
            src=src[wanted],
            dst=dst[wanted],
            sport=sport[wanted],
            dport=dport[wanted],
            proto=proto[wanted],
            flags=np.zeros(count, np.uint8),
        )


def read_csv(path: Path, columns: ColumnMap, reading: Reading | None = None) -> Iterator[Probes]:
    """The probes of a CSV file with a header line; plain, .gz, .xz or .zst. Values hold no line breaks.

    The delimiter is whichever of , ; tab | the header holds most of.

    Raises:
        InputError: no such file, or a column is missing.
    """
    path = Path(path)
    reading = Reading(str(path)) if reading is None else reading
    reading.kind = "csv"
    chosen, names, delimiter, seq = None, [], ",", 0
    for first, block in text_blocks.blocks(path, reading):
        if chosen is None:
            head, _, block = block.partition(b"\n")
            first += 1
            text = head.decode("utf-8-sig", "replace").rstrip("\r")
            delimiter = max(",;\t|", key=text.count)
            names = [name.strip().strip('"') for name in text.split(delimiter)]
            chosen = columns.resolve(path, names)
            if not block:
                continue
        found, where = text_blocks.parse_delimited(block, first, names, delimiter, quoted=True, reading=reading)
        probes = columns.probes({name: found[column] for name, column in chosen.items()}, where, "line", seq, reading)
        seq += len(probes)
        yield probes


def read_parquet(path: Path, columns: ColumnMap, reading: Reading | None = None) -> Iterator[Probes]:
    """The probes of a Parquet file.

    Raises:
        InputError: no such file, not Parquet, or a column is missing.
    """
    path = Path(path)
    reading = Reading(str(path)) if reading is None else reading
    reading.kind = "parquet"
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as Parquet ({error})") from error
    with file:
        chosen = columns.resolve(path, file.schema_arrow.names)
        row = seq = 0
        batches = file.iter_batches(1 << 17, columns=[*dict.fromkeys(chosen.values())])
        while True:
            try:
                batch = next(batches, None)
            except (OSError, pa.ArrowException) as error:
                reading.problem(f"after row {row}", f"the file is damaged ({error}); the rest is kept")
                return
            if batch is None:
                return
            found = {name: batch.column(column) for name, column in chosen.items()}
            where = np.arange(row + 1, row + 1 + len(batch))
            probes = columns.probes(found, where, "row", seq, reading)
            row, seq = row + len(batch), seq + len(probes)
            yield probes
