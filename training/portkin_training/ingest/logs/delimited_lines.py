"""Lines with delimited columns: those without quotes are split by `delimited_scan`, others are read by Arrow's
reader of CSV, and one by one where their quotes do not match."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from portkin_training.ingest.logs.delimited_scan import split
from portkin_training.ingest.logs.line_ends import line_ends
from portkin_training.ingest.reading import Reading


def parse_delimited(
    block: bytes,
    first: int,
    names: Sequence[str],
    wanted: Sequence[str],
    delimiter: str,
    *,
    quoted: bool,
    reading: Reading,
    nulls: Sequence[str] = (),
) -> tuple[dict[str, pa.Array], NDArray[np.int64]]:
    """The text of the wanted columns of delimited lines, and the line number of each row: (n,) each. Lines of another
    width are bad; empty ones are no rows.

    Args:
        block: whole lines.
        first: number of the first one.
        names: of the columns; of equal ones the first counts.
        wanted: those of them that are read, each once.
        quoted: whether "..." quotes a value.
        nulls: texts that stand for no value, where nothing is quoted.
    """
    block = block if block.endswith(b"\n") else block + b"\n"
    found = _quoted(block, names, wanted, delimiter) if quoted and b'"' in block else None
    if found is None and quoted and b'"' in block:  # a quote without its pair took lines together
        block, delimiter = _requoted(block, delimiter), "\x1f"
    columns, widths = found or split(block, names, wanted, delimiter, nulls)
    for at in np.flatnonzero((widths != len(names)) & (widths != 0)):
        reading.read += 1
        reading.bad_row(
            f"line {first + at}",
            f"{widths[at]} columns where the header has {len(names)}",
            "another number of columns than the header has",
        )
    return columns, first + np.flatnonzero(widths == len(names))


def _quoted(
    block: bytes, names: Sequence[str], wanted: Sequence[str], delimiter: str
) -> tuple[dict[str, pa.Array], NDArray[np.int64]] | None:
    """What `split` finds, in lines that may have quotes; None where a quote takes lines together."""
    widths = np.full(len(line_ends(block)) - 1, len(names))
    wrong: dict[int, int] = {}

    def skip(row: pa_csv.InvalidRow) -> str:
        wrong[row.number] = row.actual_columns
        return "skip"

    unique = [name if names.index(name) == at else f"{name} #{at}" for at, name in enumerate(names)]
    table = pa_csv.read_csv(
        io.BytesIO(block),
        read_options=pa_csv.ReadOptions(column_names=unique, use_threads=False, block_size=len(block) + 1),
        parse_options=pa_csv.ParseOptions(delimiter=delimiter, ignore_empty_lines=False, invalid_row_handler=skip),
        convert_options=pa_csv.ConvertOptions(
            column_types={name: pa.string() for name in wanted},
            include_columns=[*wanted],
            strings_can_be_null=False,
            check_utf8=False,
        ),
    )
    if len(table) + len(wrong) != len(widths):
        return None
    for number, width in wrong.items():
        widths[number - 1] = width
    columns = {name: table.column(name).combine_chunks() for name in wanted}
    if any(str(column[-1]).endswith("\n") for column in columns.values() if len(column)):
        return None  # a quote without its pair in the last line, which takes no other one along
    widths[_empty(block)] = 0
    if (kept := widths[np.delete(np.arange(len(widths)), np.array([*wrong], np.int64) - 1)] > 0).all():
        return columns, widths
    return {name: column.filter(pa.array(kept)) for name, column in columns.items()}, widths


def _empty(block: bytes) -> NDArray[np.int64]:
    """The places of lines without anything in them."""
    ends = line_ends(block)
    short = np.flatnonzero(np.diff(ends) <= 2)
    return np.array([at for at in short if not block[ends[at] : ends[at + 1]].strip(b"\r\n")], np.int64)


def _requoted(block: bytes, delimiter: str) -> bytes:
    """The block with the unit separator for a delimiter and without quotes, each line by itself."""
    lines = block.decode().split("\n")
    if not lines[-1]:
        lines.pop()
    rows = (_values(line.rstrip("\r"), delimiter) for line in lines)
    return "".join(
        "\x1f".join(value.replace("\x1f", " ").replace("\n", " ") for value in row) + "\n" for row in rows
    ).encode()


def _values(line: str, delimiter: str) -> list[str]:
    """The values of one line; none where they cannot be separated, as in one longer than the csv module takes."""
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []
