"""CSV files as spreadsheets write them: with commas, or where these stand in numbers, with other delimiters."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import chain
from typing import TextIO

DELIMITERS = ",;\t|"


def delimiter_of(header: str) -> str:
    """Whichever of `DELIMITERS` the line with the names of columns holds most of."""
    return max(DELIMITERS, key=header.count)


def is_separator_line(line: str) -> bool:
    """Whether Excel alone reads a line, ``sep=;``, before the names of columns."""
    return line.lower().startswith("sep=")


def open_csv(opened: TextIO) -> tuple[str, Iterator[tuple[int, list[str]]]]:
    """The delimiter of a file that was opened with ``newline=""``, and its rows, that of names first, each with the
    number of its last line. Taking rows raises csv.Error for what is no CSV."""
    before = 0
    header = opened.readline()
    if is_separator_line(header):
        before, header = 1, opened.readline()
    delimiter = delimiter_of(header)
    rows = csv.reader(chain([header], opened), delimiter=delimiter, strict=True)
    return delimiter, ((before + rows.line_num, row) for row in rows)
