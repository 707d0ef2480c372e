"""What turns the kin of ISO 8601 into it, as text; `stamps` says which forms there are."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_CLF = r"^(?P<day>\d\d)/(?P<month>[A-Z][a-z]{2})/(?P<year>\d{4})[: ](?P<time>\d\d:\d\d:\d\d)(?P<zone>[+-]\d{4})?$"
_TIDY = (
    (r"^[\s\"\[]+|[\s\"\]]+$", ""),
    (r"^([A-Za-z]{3})/(\d\d)/(\d{4}) ", r"\1 \2 \3 "),
    (r"^([a-z]{3})/(\d\d) ", r"\1 \2 "),
    (r"^([A-Z][a-z]{2}) (\d\d?), (\d{4})(?: @|,)? ", r"\1 \2 \3 "),
    (r"^(\d{4}) +([A-Z][a-z]{2}) +(\d\d?) ", r"\2 \3 \1 "),
    (r"^(?:[A-Z][a-z]{2},? )?(\d\d?)[ -]([A-Z][a-z]{2})[ -](\d{4}) ", r"\2 \1 \3 "),
    (r"^[A-Z][a-z]{2} (\d{4}-)", r"\1"),
    (r"^(\d{4})[/.](\d\d)[/.](\d\d)", r"\1-\2-\3"),
    (r"^(\d{4})(\d\d)(\d\d)[Tt](\d\d)(\d\d)(\d\d)", r"\1-\2-\3T\4:\5:\6"),
    (r"^(\d{4}-\d\d-\d\d)[:_.t-](\d\d:)", r"\1T\2"),
    (r"^(.*\d),(\d)", r"\1.\2"),
    (r"(:\d\d\.\d{6})\d+", r"\1"),
    (r"^([A-Z][a-z]{2}.*\d) (?:UTC|GMT)( \d{4})$", r"\1\2Z"),
    (r" ?(?:UTC|GMT|z)$", "Z"),
    (r"(\d) +(Z|[+-]\d\d:?\d\d)$", r"\1\2"),
)
"""What turns the kin of ISO 8601 into it."""
MONTHS = {
    name: at
    for at, name in enumerate(["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1)
}
"""Short name of a month -> its number."""


def tidied(column: pa.Array) -> pa.Array:
    """The texts (n,) without what programs put around a time, and with its parts in the order of ISO 8601, but for
    those of syslog, which may lack a year."""
    for pattern, plain in _TIDY:
        column = pc.replace_substring_regex(column, pattern, plain)
    return _iso_of_clf(column)


def _iso_of_clf(column: pa.Array) -> pa.Array:
    parts = pc.extract_regex(column, _CLF)
    if parts.null_count == len(parts):
        return column
    day, month, year, time, zone = parts.flatten()
    coded = month.dictionary_encode()
    numbers = [f"{MONTHS[name]:02d}" if name in MONTHS else None for name in coded.dictionary.to_pylist()]
    number = pa.array([*numbers, None], pa.string()).take(pc.fill_null(coded.indices, len(numbers)))
    date = pc.binary_join_element_wise(year, number, day, "-")
    return pc.coalesce(pc.binary_join_element_wise(pc.binary_join_element_wise(date, time, "T"), zone, ""), column)
