"""Lines and columns found many bytes at a time are those that Python's own functions find."""

import csv
import gzip

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from portkin_training.ingest.logs import text_blocks
from portkin_training.ingest.logs.delimited_lines import parse_delimited
from portkin_training.ingest.logs.line_ends import line_breaks, line_ends, odd_bytes
from portkin_training.ingest.logs.spans import NOT_THERE, text_columns
from portkin_training.ingest.reading import Reading

SETTINGS = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
PIECES = st.sampled_from([b"\n", b"\r", b"x" * 63, b"\x1b", b"\0", b"\xff", b"ab"])
BYTES = st.one_of(st.binary(max_size=300), st.lists(PIECES, max_size=12).map(b"".join))


@SETTINGS
@given(BYTES)
@example(b"x" * 63 + b"\n")
@example(b"x" * 64 + b"\n" + b"y" * 63)
def test_line_ends_are_where_pythons_are(block):
    lines = block.split(b"\n")
    begins = [0]
    for line in lines[:-1]:
        begins.append(begins[-1] + len(line) + 1)
    assert (begins if block[-1:] in (b"\n", b"") else [*begins, len(block)]) == line_ends(block).tolist()
    assert len(lines) - 1 == line_breaks(block)


@SETTINGS
@given(BYTES)
@example(b"x" * 64 + b"\x7f")
@example(b"x" * 100 + b"\x80" + b"x" * 100)
def test_bytes_that_need_care_are_noticed(block):
    assert (any(byte in block for byte in b"\0\r\x1b"), not block.isascii()) == odd_bytes(block)


@SETTINGS
@given(st.binary(max_size=120), st.data())
def test_spans_become_their_texts(block, data):
    begins = data.draw(st.lists(st.integers(0, len(block)), min_size=1, max_size=8))
    lengths = [data.draw(st.one_of(st.just(NOT_THERE), st.integers(0, len(block) - begin))) for begin in begins]
    block = block.decode("latin-1").translate(dict.fromkeys(range(128, 256), 63)).encode()
    spans = np.array([begins, [0] * len(begins)], np.int32), np.array([lengths, [NOT_THERE] * len(begins)], np.int32)
    expected = [
        None if length < 0 else block[begin : begin + length].decode()
        for begin, length in zip(begins, lengths, strict=True)
    ]
    found, nothing = text_columns(np.frombuffer(block, np.uint8), *spans)
    assert (expected, [None] * len(begins)) == (found.to_pylist(), nothing.to_pylist())
    found.validate(full=True)


@SETTINGS
@given(st.lists(st.lists(st.text("ab -,;é", max_size=40), min_size=1, max_size=5), max_size=6), st.sampled_from("\t|,"))
def test_columns_without_quotes_are_those_of_split(rows, delimiter):
    rows = [[value.replace(delimiter, "") for value in row] for row in rows]
    lines = [delimiter.join(row) for row in rows]
    names = ["one", "two", "three"]
    reading = Reading("a log")
    found, where = parse_delimited(
        "\n".join(lines).encode(),
        10,
        names,
        ["three", "one"],
        delimiter,
        quoted=False,
        reading=reading,
        nulls=["-", ""],
    )
    good = [(at, row) for at, row in enumerate(rows, 10) if len(row) == 3]
    assert [at for at, _ in good] == where.tolist()
    for place, name in ((2, "three"), (0, "one")):
        assert [None if row[place] in ("-", "") else row[place] for _, row in good] == found[name].to_pylist()
    bad = sum(1 for row, line in zip(rows, lines, strict=True) if len(row) != 3 and line)
    assert (bad, bad) == (reading.bad, reading.read)


@SETTINGS
@given(
    st.lists(
        st.one_of(
            st.lists(st.text('ab" ,é', max_size=6), min_size=3, max_size=3),
            st.lists(st.text("ab", max_size=3), min_size=1, max_size=5),
        ),
        max_size=6,
    )
)
@example([["a", 'b"', "c"], ["a"], ["", "", ""]])
def test_columns_with_quotes_are_those_of_the_csv_module(rows):
    lines = ["".join(_written(row)) for row in rows]
    reading = Reading("a log")
    found, where = parse_delimited(
        "".join(lines).encode(), 1, ["one", "two", "one"], ["one", "two"], ",", quoted=True, reading=reading
    )
    read = [next(csv.reader([line]), []) for line in lines]
    assert [at for at, row in enumerate(read, 1) if len(row) == 3] == where.tolist()
    assert [row[:2] for row in read if len(row) == 3] == [
        list(row) for row in zip(found["one"].to_pylist(), found["two"].to_pylist(), strict=True)
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_quote_without_its_pair_in_the_last_line_takes_no_line_end_along(end):
    lines = ['"a,b"\tc', "\t", 'd\t"e""', 'f\t"g']
    found, where = parse_delimited(
        "".join(line + end for line in lines).encode(),
        1,
        ["x", "y"],
        ["x", "y"],
        "\t",
        quoted=True,
        reading=Reading("a"),
    )
    assert ([1, 2, 3, 4], ["a,b", "", "d", "f"]) == (where.tolist(), found["x"].to_pylist())
    assert ["c", "", 'e"', "g"] == found["y"].to_pylist()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_columns_without_values_are_columns_beside_quotes_too(end):
    block = ('"a"\tb' + end + "\t" + end + end).encode()
    found, where = parse_delimited(block, 1, ["x", "y"], ["x", "y"], "\t", quoted=True, reading=Reading("a"))
    assert ([1, 2], ["a", ""], ["b", ""]) == (where.tolist(), found["x"].to_pylist(), found["y"].to_pylist())


def _written(row: list[str]) -> list[str]:
    """A row as the csv module writes it."""

    class Out(list):
        write = list.append

    out: list[str] = Out()
    csv.writer(out, lineterminator="\n").writerow(row)  # type: ignore[arg-type]
    return out


@SETTINGS
@given(BYTES, st.integers(1, 80))
@example(b"\xef\xbb\xbfa\nb", 80)
def test_blocks_of_any_size_hold_the_lines_of_the_file(tmp_path, monkeypatch, content, size):
    if b"\r" in content[:size] and b"\n" not in content[:size]:
        content = b"\n" + content
    path = tmp_path / "log"
    path.write_bytes(content)
    monkeypatch.setattr(text_blocks, "BLOCK", size)
    if content[:size].startswith((b"\xff\xfe", b"\xfe\xff")):
        return
    found = [*text_blocks.blocks(path, Reading(str(path)))]
    numbers = 1
    for first, block in found:
        assert numbers == first
        numbers += line_breaks(block)
        assert block.endswith(b"\n") or block is found[-1][1]
    expected = content.removeprefix(b"\xef\xbb\xbf" if size >= 3 else b"").count(b"\n")
    assert expected == sum(line_breaks(block) for _, block in found)


@pytest.mark.parametrize("lines", [0, 1, 40_000])
def test_a_cut_file_is_reported_once_and_keeps_what_came_before(tmp_path, lines):
    whole = gzip.compress(b"".join(b"line %d\n" % at for at in range(200_000)))
    path = tmp_path / "log.gz"
    path.write_bytes(whole[: 20 + len(whole) * lines // 200_000])
    reading = Reading(str(path))
    blocks = [*text_blocks.blocks(path, reading)]
    assert 1 == len(reading.problems)
    count = sum(line_breaks(block) for _, block in blocks)
    assert (lines == 40_000) <= (20_000 < count < 80_000)
    assert [f"line {at}".encode() for at in range(count)] == b"".join(block for _, block in blocks).split(b"\n")[:count]


@pytest.mark.parametrize(
    ("before", "begin", "end", "after"),
    [
        ([b"one"], b"", b"", []),
        ([], b"", b"\n", [b"two"]),
        ([b"one"], b"", b"\r\n", [b"two"]),
        ([b"one"], b"\r", b"", []),
    ],
)
def test_a_line_that_is_too_long_is_counted_once_wherever_it_stands(tmp_path, before, begin, end, after):
    """At the beginning, in the middle, and at the end without a line end; a piece of it may look like another file."""
    path = tmp_path / "log"
    mark = b"\xff\xfe\r\xef\xbb\xbf"
    path.write_bytes(
        b"".join(line + b"\n" for line in before) + begin + mark.rjust(1 << 19) * 5 + end + b"\n".join(after)
    )
    if not before:
        path.write_bytes(b" " * (1 << 19) + (b"\r" + b" " * ((1 << 19) - 1)) * 4 + end + b"\n".join(after))
    reading = Reading(str(path))
    found = b"".join(block for _, block in text_blocks.blocks(path, reading))
    assert [line for line in found.split(b"\n") if line.strip()] == [*before, *after]
    assert (1, [f"{path}: line {len(before) + 1}: longer than 1,048,576 bytes"]) == (reading.bad, reading.problems)
