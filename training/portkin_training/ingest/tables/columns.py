"""Rows from tables: CSV and Parquet with columns of any name, mapped by options or known by usual names."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from portkin.errors import ConfigError, InputError, listed
from portkin_training.ingest.logs import text_blocks
from portkin_training.ingest.logs.delimited_lines import parse_delimited
from portkin_training.ingest.logs.gathering import Chunk, gathered
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.reasons import Reasons
from portkin_training.ingest.records import FIELDS, Decoder, Rows
from portkin_training.ingest.tables.column_names import date_and_time, usual_column, verdict
from portkin_training.ingest.tables.csv_header import (
    MOST_BEFORE,
    header_place,
    likely_header,
    split_header,
    value_among,
)
from portkin_training.ingest.values.stamps import Clock


@dataclass(frozen=True)
class ColumnMap:
    """Which column holds which field.

    Attributes:
        columns: field -> name of its column; a field not named here is a column of its own name or of a usual one.
        proto: protocol of every row, "tcp" or "udp", where no column says so.
        dst: destination of every row, where no column says so.
        names: host names are allowed as addresses; see `values.addresses.name_address`.
        unit, tz, year, month: see `values.stamps.Clock`.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    proto: str | None = None
    dst: str | None = None
    names: bool = False
    unit: str = "auto"
    tz: str = "UTC"
    year: int | None = None
    month: int = 0

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
            if all(one in names for one in parts_of(column, names)):
                chosen[name] = column
                continue
            usual = None if name in self.columns else usual_column(name, names)
            if name == "ts" and usual is not None:
                usual = date_and_time(names) or usual
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
                f"{path}: no column {columns}; there are {listed(names)}; name each with `portkin ingest`: {options}"
            )
        if reading is not None:
            if guessed:
                reading.note(f"columns were guessed by their names: {', '.join(guessed)} (--column names others)")
            if judged := [name for name in names if verdict(name)]:
                reading.note(
                    f"every row is taken for a probe, whatever {', '.join(judged)} says; leave out rows of connections "
                    f"that were answered, or ingest the log of the program that wrote them"
                )
        return chosen

    def decoder(self, reading: Reading, *, latest: int | None = None) -> Decoder:
        """What makes probes of rows by these options; ``latest`` as for `Clock`."""
        constants = {name: value for name, value in (("proto", self.proto), ("dst", self.dst)) if value}
        return Decoder(reading, Clock(self.unit, self.tz, self.year, self.month, latest), self.names, constants)


def csv_rows(path: Path, columns: ColumnMap, reading: Reading) -> Iterator[Rows]:
    """The rows of a CSV file with a header line; plain, .gz, .xz or .zst. Values hold no line breaks.

    Header and delimiter: see `csv_header`.

    Raises:
        InputError: no such file, or a column is missing.
    """
    reading.kind = "csv"
    chosen: dict[str, str] = {}
    for found, where in gathered(_csv_chunks(path, columns, reading, chosen)):
        yield Rows(taken(found, chosen), where, _header_lines(found, chosen))


def _csv_chunks(path: Path, columns: ColumnMap, reading: Reading, chosen: dict[str, str]) -> Iterator[Chunk]:
    """The rows of each block; ``chosen`` gets the column of each field."""
    names: list[str] = []
    delimiter = ","
    for first, block in text_blocks.blocks(path, reading):
        if not names:
            lines = block.split(b"\n", MOST_BEFORE)[:MOST_BEFORE]
            texts = [line.decode("utf-8", "replace") for line in lines]
            at = header_place(texts)
            names, delimiter = split_header(texts[at])
            if not likely_header(names) and not columns.columns and (value := value_among(names)):
                raise InputError(
                    f"{path}: line {first + at}: values ({value}) and no names of columns; name the right file or its "
                    f"--format, or put the names before the first row, as ts,src,dst,sport,dport,proto"
                )
            chosen.update(columns.resolve(path, names, reading))
            block = block[sum(len(line) + 1 for line in lines[: at + 1]) :]
            first += at + 1
            if not block:
                continue
        wanted = [*dict.fromkeys(one for column in chosen.values() for one in parts_of(column, names))]
        yield parse_delimited(block, first, names, wanted, delimiter, quoted=True, reading=reading)


def parquet_rows(path: Path, columns: ColumnMap, reading: Reading) -> Iterator[Rows]:
    """The rows of a Parquet file.

    Raises:
        InputError: no such file, not Parquet, or a column is missing.
    """
    reading.kind = "parquet"
    try:
        file = pq.ParquetFile(path)
        schema = file.schema_arrow
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as Parquet ({error})") from error
    with file:
        chosen = columns.resolve(path, schema.names, reading)
        _refuse_nested(path, chosen, schema)
        row = 0
        needed = [one for column in chosen.values() for one in parts_of(column, schema.names)]
        batches = file.iter_batches(1 << 17, columns=[*dict.fromkeys(needed)])
        while True:
            try:
                batch = next(batches, None)
            except (OSError, ValueError, pa.ArrowException) as error:
                reading.problem(f"after row {row}", f"the file is damaged ({error}); the rest is kept")
                return
            if batch is None:
                return
            found: dict[str, pa.Array] = {}
            for name, column in zip(batch.schema.names, batch.columns, strict=True):  # of equal names the first counts
                found.setdefault(name, plain(column))
            yield Rows(taken(found, chosen), np.arange(row + 1, row + 1 + len(batch)), what="row")
            row += len(batch)


def _refuse_nested(path: Path, chosen: Mapping[str, str], schema: pa.Schema) -> None:
    """Raise InputError where a chosen column holds no single values."""
    for field_name, column in chosen.items():
        for one in parts_of(column, schema.names):
            kind = schema.types[schema.names.index(one)]
            if pa.types.is_nested(kind) or pa.types.is_duration(kind) or pa.types.is_interval(kind):
                raise InputError(
                    f"{path}: column {one!r} is of type {str(kind)[:80]}, which holds no {field_name}; name another "
                    f"one with --column {field_name}=COLUMN, or write the values into a column of their own"
                )


def plain(column: pa.Array) -> pa.Array:
    """The values (n,) of a column of a file as text, numbers, timestamps or dates; what is no UTF-8 is replaced."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return plain(column.dictionary_decode())
    if isinstance(column, pa.ExtensionArray):
        return plain(column.storage)
    if pa.types.is_float16(kind):
        return pc.cast(column, pa.float32())
    if pa.types.is_boolean(kind) or pa.types.is_time(kind) or pa.types.is_null(kind):
        return pc.cast(column, pa.string())
    if any(of(kind) for of in _TEXTS):
        column = pc.cast(column, pa.binary())
        try:
            return pc.cast(column, pa.string())
        except pa.ArrowInvalid:
            texts = [None if value is None else value.decode(errors="replace") for value in column.to_pylist()]
            return pa.array(texts, pa.string())
    return column


_TEXTS = (
    pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_binary, pa.types.is_large_binary,
    pa.types.is_binary_view, pa.types.is_fixed_size_binary,
)  # fmt: skip


def parts_of(column: str, names: Container[str]) -> list[str]:
    """The columns of which a value is put together: of ``date+time`` two, where no column is called so."""
    return [column] if column in names else column.split("+")


def taken(found: Mapping[str, pa.Array], chosen: Mapping[str, str]) -> dict[str, pa.Array]:
    """Field -> its values (n,); those of ``date+time`` with a blank between them."""
    values = {}
    for name, column in chosen.items():
        several = [found[one] for one in parts_of(column, found)]
        if len(several) > 1:
            several = [pc.binary_join_element_wise(*(pc.cast(one, pa.string()) for one in several), " ")]
        values[name] = several[0]
    return values


def _header_lines(found: Mapping[str, pa.Array], chosen: Mapping[str, str]) -> Reasons:
    """Which rows repeat the header, as files put together have them."""
    reasons = Reasons(len(next(iter(found.values()))))
    column = chosen.get("dport", "")
    if column in found:
        reasons.mark(pc.equal(found[column], column).to_numpy(zero_copy_only=False), "repeated header lines")
    return reasons
