"""Text inputs in blocks of whole lines, so that an invalid line can be named by its number."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from portkin_training.ingest.reading import Reading
from portkin_training.ingest.streams import BROKEN_STREAM, open_stream

BLOCK = 1 << 23


def blocks(path: Path, reading: Reading) -> Iterator[tuple[int, bytes]]:
    """(number of the first line, whole lines) of a file, in blocks of about 8 MiB; the first line is 1.

    Where a compressed file is cut, the lines before the cut are yielded and the reading reports it.
    """
    line, carried, ended = 1, b"", False
    with open_stream(path, reading) as stream:
        while not ended:
            pieces, size = [carried], 0
            while size < BLOCK and not ended:
                try:
                    piece = stream.read(BLOCK) or b""
                except BROKEN_STREAM as error:
                    reading.problem("the end", f"the file is cut or damaged ({error}); what came before is kept")
                    piece = b""
                pieces.append(piece)
                size += len(piece)
                ended = not piece
            block = b"".join(pieces)
            end = len(block) if ended else block.rfind(b"\n") + 1
            if end:
                yield line, _utf8(block[:end])
                line += block.count(b"\n", 0, end)
            carried = block[end:]


def _utf8(block: bytes) -> bytes:
    """The block with what is no UTF-8 replaced, so that it is a bad value and not a failure."""
    try:
        block.decode()
    except UnicodeDecodeError:
        return block.decode(errors="replace").encode()
    return block


def parse_delimited(
    block: bytes, first: int, names: Sequence[str], delimiter: str, *, quoted: bool, reading: Reading
) -> tuple[dict[str, pa.Array], NDArray[np.int64]]:
    """The text columns of delimited lines, and the line number of each row; lines of another width are bad.

    Args:
        block: whole lines.
        first: number of the first one.
        names: of the columns; of equal ones the first counts.
        quoted: whether "..." quotes a value.
    """
    wrong: list[int] = []

    def skip(row: pa_csv.InvalidRow) -> str:
        wrong.append(row.number)
        reading.read += 1
        reading.bad_row(
            f"line {first + row.number - 1}",
            f"{row.actual_columns} columns where the header has {row.expected_columns}",
        )
        return "skip"

    unique = [name if names.index(name) == at else f"{name} #{at}" for at, name in enumerate(names)]
    table = pa_csv.read_csv(
        io.BytesIO(block),
        read_options=pa_csv.ReadOptions(column_names=unique, use_threads=False, block_size=len(block) + 1),
        parse_options=pa_csv.ParseOptions(
            delimiter=delimiter,
            quote_char='"' if quoted else False,
            ignore_empty_lines=False,
            invalid_row_handler=skip,
        ),
        convert_options=pa_csv.ConvertOptions(
            column_types={name: pa.string() for name in unique}, strings_can_be_null=False, check_utf8=False
        ),
    )
    table = table.combine_chunks()
    lines = np.delete(np.arange(first, first + len(table) + len(wrong)), np.array(wrong, np.int64) - 1)
    columns = {name: table.column(name).combine_chunks() for name in unique}
    return columns, lines
