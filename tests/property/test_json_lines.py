"""The fast scan of JSON lines reads what it takes as the json module does, and leaves alone what it cannot read."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from portkin_training.ingest.logs.json_lines import JsonPaths
from portkin_training.ingest.logs.json_scan import PathTree, scan
from portkin_training.ingest.logs.json_shape import Shape
from portkin_training.ingest.logs.line_ends import line_ends
from portkin_training.ingest.reading import Reading

SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PATHS = [("a",), ("b", "c"), ("b", "d"), ("é",), ("ab",)]
KEYS = st.sampled_from(["a", "b", "c", "d", "é", "ab", "aa", "", 'q"', "x" * 64, "x" * 65, "a" + "b" * 64])
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8), st.sampled_from(["\\", '"', "\u2028", "a\tb", "\U0001f600"]),
)  # fmt: skip
FLAT = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(KEYS, SCALARS, max_size=3))
VALUES = st.one_of(FLAT, st.lists(FLAT, max_size=2), st.dictionaries(KEYS, FLAT, max_size=3))
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=6)
FORMS = st.sampled_from([{}, {"separators": (",", ":")}, {"ensure_ascii": False}, {"separators": (" ,\t", " : ")}])
NOISE = st.sampled_from(
    [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b" ", b"\r", b"0", b"-", b".", b"e", b"null", b'"a":1,']
)


def scanned(line: bytes) -> list[str | None] | None:
    """The values that the scan finds in a line; None where it does not take it.

    They are the same where the line is the last thing that can be read, where much stands behind it, and where a line
    of the same shape stands before it.
    """
    whole = line if line.endswith(b"\n") else line + b"\n"
    behind = b"x" * 200 + b"\n"
    alone, *_ = by_scan(line)
    if b"\n" not in whole[:-1]:
        with_more, _ = by_scan(whole + behind)
        assert [alone] * 4 == [with_more, *by_scan(whole * 3 + behind)[:3]]
    return alone


def by_scan(block: bytes) -> list[list[str | None] | None]:
    """The values that the scan finds in each line."""
    tree = PathTree.of(PATHS)
    assert tree is not None
    ends = line_ends(block)
    begins, lengths = np.zeros((2, len(PATHS), len(ends) - 1), np.int32)
    simple = np.zeros(len(ends) - 1, np.bool_)
    scan(np.frombuffer(block, np.uint8), ends, tree.arrays(), Shape().arrays(), begins, lengths, simple)
    found: list[list[str | None] | None] = []
    for row, taken in enumerate(simple):
        spans = zip(begins[:, row].tolist(), lengths[:, row].tolist(), strict=True)
        values = [None if length < 0 else block[begin : begin + length].decode() for begin, length in spans]
        found.append(values if taken else None)
    return found or [None]


def looked_up(line: bytes) -> list[object]:
    """The values by the json module; ValueError where the line is no object or has equal keys."""

    def refuse(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len({key for key, _ in pairs}) < len(pairs):
            pairs = [*dict(reversed(pairs)).items()]  # the first of equal ones counts
        return dict(pairs)

    def no_constant(text: str) -> float:
        raise ValueError(text)

    found = json.loads(line, object_pairs_hook=refuse, parse_int=str, parse_float=str, parse_constant=no_constant)
    if not isinstance(found, dict):
        raise ValueError("no object")
    values = []
    for path in PATHS:
        value: object = found
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        values.append(str(value).lower() if isinstance(value, bool) else value)
    return values


@SETTINGS
@given(OBJECTS, FORMS)
@example({"a": 1.5, "b": {"c": "x", "d": None}, "é": True}, {"ensure_ascii": False})
def test_values_of_simple_json_lines_are_those_of_the_json_module(found, form):
    line = json.dumps(found, **form).encode("utf-8", "replace")
    values = scanned(line)
    if values is not None:
        assert looked_up(line) == values


@SETTINGS
@given(OBJECTS, FORMS, st.integers(0, 400), st.integers(0, 6), NOISE)
def test_damaged_json_lines_are_read_as_the_json_module_reads_them_or_not_at_all(found, form, at, gone, noise):
    line = json.dumps(found, **form).encode("utf-8", "replace")
    at %= len(line) + 1
    # What is no UTF-8 is replaced before lines are scanned.
    line = (line[:at] + noise + line[at + gone :]).decode(errors="replace").encode()
    values = scanned(line)
    if values is not None:
        assert looked_up(line) == values


@SETTINGS
@given(st.lists(st.tuples(OBJECTS, FORMS, st.integers(1, 12)), min_size=1, max_size=6), NOISE, st.integers(0, 2000))
def test_what_a_line_says_does_not_depend_on_those_before_it(records, noise, at):
    """Lines of several shapes in turn, a byte or two of one of them damaged."""
    lines = [
        json.dumps(found, **form).encode("utf-8", "replace") + b"\n"
        for found, form, times in records
        for _ in range(times)
    ]
    at %= len(lines)
    place = at % len(lines[at])
    lines[at] = (lines[at][:place] + noise + lines[at][place + 1 :]).decode(errors="replace").encode()
    lines[at] = lines[at].replace(b"\n", b"") + b"\n"
    assert [by_scan(line)[0] for line in lines] == by_scan(b"".join([*lines, b"x" * 3000 + b"\n"]))[:-1]


@pytest.mark.parametrize(
    "line",
    [
        b'{"a": 1, "b": {"c": "2026-01-01", "d": 7}, "others": [1, {"a": [true, null, -0.5]}, "\\u00e9\\n"]}\n',
        b'{"a":"","\xc3\xa9":false}\r\n',
        b"{}",
        b'{"deep": ' + b"[" * 31 + b"]" * 31 + b"}",
    ],
)
def test_usual_json_lines_are_simple(line):
    assert looked_up(line) == scanned(line)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"[]",
        b"{",
        b'{"a": 1}}',
        b'{"a": 1,}',
        b'{"a": 01}',
        b'{"a": 1e3}',
        b'{"a": "\\u0041"}',
        b'{"a": NaN}',
        b'{"a": 1, "a": 2}',
        b'{"a": [1]}',
        b'{"a": {}}',
        b'{"a": -0}',
        b'{"a": "x',
        b'{"z": "\\ud800"}',
        b'{"z": "\t"}',
        b'{"a" 1}',
        b'{"b": 5, "b": {"c": 1}}',
        b'{"a": tru}',
        b'{"deep": ' + b"[" * 33 + b"]" * 33 + b"}",
    ],
)
def test_what_only_a_whole_parser_can_judge_is_left_to_it(line):
    assert scanned(line) is None


def test_lines_of_both_kinds_keep_their_order_and_their_faults():
    """Simple lines, lines for the whole parser, and lines that are no JSON, in one block."""
    lines = [b'{"a": 1}', b'{"a": "\\u0032"}', b"oops", b'{"a": 3}', b'{"a": ', b"", b'{"a": 1e1, "z": 0}', b'{"z": 5}']
    reading = Reading("log")
    values, where = JsonPaths({"one": "/a"}).columns(b"\n".join(lines), 10, reading)
    assert ["1", "2", "3", "10.0", None] == values["one"].to_pylist()
    assert [10, 11, 13, 16, 17] == where.tolist()
    assert ["log: line 12", "log: line 14"] == [problem[:12] for problem in reading.problems]
