"""Rows from tables: CSV and Parquet with columns of any name, mapped by options or known by usual names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from portkin.errors import ConfigError, InputError
from portkin_training.ingest.logs import text_blocks
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.records import FIELDS, Decoder, Rows
from portkin_training.ingest.tables.column_names import usual_column
from portkin_training.ingest.values.stamps import Clock


@dataclass(frozen=True)
class ColumnMap:
    """Which column holds which field.

    Attributes:
        columns: field -> name of its column; a field not named here is a column of its own name or of a usual one.
        proto: protocol of every row, "tcp" or "udp", where no column says so.
        dst: destination of every row, where no column says so.
        names: host names are allowed as addresses; see `values.addresses.name_address`.
        unit, tz, year: see `values.stamps.Clock`.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    proto: str | None = None
    dst: str | None = None
    names: bool = False
    unit: str = "auto"
    tz: str = "UTC"
    year: int | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError, with the remedy, for a map that cannot be used."""
        for name in self.columns:
            if name not in FIELDS:
                raise ConfigError(f"{name!r} is no field of a probe; map one of {', '.join(FIELDS)}")
        if self.proto not in (None, "tcp", "udp"):
            raise ConfigError(f"protocol {self.proto!r}: tcp or udp is needed")
        Clock(self.unit, self.tz)

    def resolve(self, path: Path, names: Sequence[str], reading: Reading | None = None) -> dict[str, str]:
        """Field -> column, of a file with columns of these names; guesses are noted in ``reading``.

        Raises:
            InputError: a column is missing; the message shows which there are and how to map them.
        """
        chosen = {}
        guessed = []
        missing = []
        for name in FIELDS:
            if (name == "proto" and self.proto) or (name == "dst" and self.dst):
                continue
            column = self.columns.get(name, name)
            if column in names:
                chosen[name] = column
                continue
            usual = None if name in self.columns else usual_column(name, names)
            if usual is not None:
                chosen[name] = usual
                guessed.append(f"{name}={usual}")
            elif name != "sport" or name in self.columns:
                missing.append(name)
        if missing:
            others = {"proto": "--proto tcp", "dst": "--dst ADDRESS"}
            options = ", ".join(
                f"--column {name}=COLUMN{f' or {others[name]}' if name in others else ''}" for name in missing
            )
            columns = ", ".join(
                f"{self.columns[name]!r} for {name}" if name in self.columns else repr(name) for name in missing
            )
            raise InputError(
                f"{path}: no column {columns}; there are {', '.join(names)}; name each with `portkin ingest`: {options}"
            )
        if guessed and reading is not None:
            reading.note(f"columns were guessed by their names: {', '.join(guessed)} (--column names others)")
        return chosen

    def decoder(self, reading: Reading, *, latest: int | None = None) -> Decoder:
        """What makes probes of rows by these options; ``latest`` as for `Clock`."""
        constants = {name: value for name, value in (("proto", self.proto), ("dst", self.dst)) if value}
        return Decoder(reading, Clock(self.unit, self.tz, self.year, latest), self.names, constants)


def csv_rows(path: Path, columns: ColumnMap, reading: Reading) -> Iterator[Rows]:
    """The rows of a CSV file with a header line; plain, .gz, .xz or .zst. Values hold no line breaks.

    The delimiter is whichever of , ; tab | the header holds most of.

    Raises:
        InputError: no such file, or a column is missing.
    """
    reading.kind = "csv"
    chosen, names, delimiter = None, [], ","
    for first, block in text_blocks.blocks(path, reading):
        if chosen is None:
            head, _, block = block.partition(b"\n")
            first += 1
            text = head.decode("utf-8", "replace").rstrip("\r").removeprefix("#")
            delimiter = max(",;\t|", key=text.count)
            names = [name.strip().strip('"').strip() for name in text.split(delimiter)]
            chosen = columns.resolve(path, names, reading)
            if not block:
                continue
        found, where = text_blocks.parse_delimited(block, first, names, delimiter, quoted=True, reading=reading)
        yield Rows({name: found[column] for name, column in chosen.items()}, where)


def parquet_rows(path: Path, columns: ColumnMap, reading: Reading) -> Iterator[Rows]:
    """The rows of a Parquet file.

    Raises:
        InputError: no such file, not Parquet, or a column is missing.
    """
    reading.kind = "parquet"
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as Parquet ({error})") from error
    with file:
        chosen = columns.resolve(path, file.schema_arrow.names, reading)
        row = 0
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
            yield Rows(found, np.arange(row + 1, row + 1 + len(batch)), what="row")
            row += len(batch)
