"""Where the header line of a CSV file is, and what it says."""

from __future__ import annotations

import re
from collections.abc import Sequence

from portkin_training.core.csv_text import delimiter_of, is_separator_line
from portkin_training.ingest.records import FIELDS
from portkin_training.ingest.tables.column_names import usual_column

_VALUE = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]{1,4}::?(?:[0-9a-fA-F]{0,4}:){1,6}[0-9a-fA-F]{0,4})(?![\w.])"
)
"""An address, which is no name of a column."""
MOST_BEFORE = 50
"""Lines that may stand before a header, and the header."""


def split_header(line: str) -> tuple[list[str], str]:
    """The names in a header line, and the delimiter."""
    text = line.rstrip("\r").removeprefix("#")
    delimiter = delimiter_of(text)
    return [name.strip().strip("\"'").strip() for name in text.split(delimiter)], delimiter


def is_binary(data: bytes) -> bool:
    """Whether the first line of a file is none of text. A log that is emptied while it is written begins with zeros;
    UTF-16 is text, and refused as such."""
    return not data.startswith((b"\xff\xfe", b"\xfe\xff")) and b"\0" in data.lstrip(b"\0").partition(b"\n")[0]


def header_place(lines: Sequence[str]) -> int:
    """Which of the first lines is the header: the first one that is neither empty, nor a comment, nor Excel's
    ``sep=``. Where that one names no column of a probe, the comment before it may be the header."""
    comments = []
    for at, line in enumerate(lines):
        if not line.strip() or is_separator_line(line):
            continue
        if line.startswith("#"):
            comments.append(at)
            continue
        named = [one for one in comments[-1:] if likely_header(split_header(lines[one])[0])]
        return named[0] if named and not likely_header(split_header(line)[0]) else at
    return comments[-1] if comments else 0


def header_names(lines: Sequence[str]) -> list[str]:
    """The names in the header among the first lines; none where there is no line."""
    return split_header(lines[header_place(lines)])[0] if lines else []


def likely_header(names: Sequence[str]) -> bool:
    """Whether names are those of columns: at least two fields of a probe are found by theirs."""
    return sum(field in names or usual_column(field, names) is not None for field in FIELDS) > 1


def value_among(names: Sequence[str]) -> str:
    """An address among what should be names of columns: of a file without a header, or a text with some commas in it;
    "" where there is none."""
    found = next((match for name in names if (match := _VALUE.search(name))), None)
    return found[0] if found else ""
