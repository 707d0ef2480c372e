"""No bytes of a log make its reader crash, and every record is a row, has a reason, or is bad: none is lost silently."""

# ruff: noqa: E501

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portkin.errors import InputError
from portkin_training.ingest.formats.names import KINDS
from portkin_training.ingest.formats.registry import BY_NAME
from portkin_training.ingest.inputs import InputOptions, detect, read_input
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.tables.columns import ColumnMap
from support.format_records import RECORDS, B

JUNK = [b"", b"\n", b"\r", b"\0", b"\xff", b'"', b",", b"{", b"}", b"[", b"|", b"\t", b"#", b"\x1b[31m", b"\\", b"9" * 30,
        b"-1", b"nan", "\u0666".encode(), b"%eth0", b" " * 300]  # fmt: skip


def test_every_format_is_here():
    """A format that is added is tried too, and whatever is named is registered."""
    assert {*KINDS} - {"pcap", "parquet"} == {*RECORDS}
    assert {*KINDS} - {"pcap", "parquet", "json", "csv"} == {*BY_NAME}


@pytest.mark.parametrize("kind", sorted(RECORDS))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_every_record_is_accounted_for(tmp_path, kind, data):
    """Whatever is put in place of bytes of a log, whole or cut: what was read is rows, reasons and bad rows together."""
    head, _, record = RECORDS[kind].rpartition("\n") if kind not in ("nfdump-json",) else ("", "", RECORDS[kind])
    whole = bytearray((head + "\n" + (record + "\n") * 3).lstrip("\n").encode())
    for _ in range(data.draw(st.integers(0, 5), label="edits")):
        at = data.draw(st.integers(0, len(whole)), label="at")
        whole[at : at + data.draw(st.integers(0, 6), label="out")] = data.draw(st.sampled_from(JUNK), label="in")
    path = tmp_path / "log"
    path.write_bytes(bytes(whole[: data.draw(st.integers(0, len(whole)), label="cut")]))
    reading = Reading(str(path))
    try:
        detect(path)
    except InputError as error:
        assert str(path) in str(error)
    try:
        rows = sum(
            map(
                len,
                read_input(path, reading, InputOptions(kind, ColumnMap(dst=B) if kind == "endlessh" else ColumnMap())),
            )
        )
    except InputError as error:
        assert str(path) in str(error)
        return
    assert reading.read == rows + sum(reading.skipped.values()) + reading.bad
    assert reading.bad == sum(reading.bad_reasons.values())
    assert reading.bad == 0 or reading.problems
