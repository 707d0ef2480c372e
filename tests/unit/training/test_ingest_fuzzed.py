"""What fuzz targets have found in the readers of logs: each kind of fault once."""

import json
from datetime import UTC, datetime

import pyarrow as pa

from portkin_training.ingest.captures.packets import Packets
from portkin_training.ingest.inputs import InputOptions, read_input
from portkin_training.ingest.tables.columns import ColumnMap
from portkin_training.ingest.values.stamps import Clock
from portkin_training.ingest.values.transport import tcp_flags
from support.recorded_lines import BEGIN, KERNEL, ONE, ZEEK, A, B, read


def test_records_of_several_patterns_keep_the_order_of_their_lines(tmp_path):
    """A later message of another number does not come before an earlier one: windows are counted in this order."""
    lines = [
        f"Jan 01 2026 00:00:0{at}: %ASA-4-106023: Deny tcp src out:{A}/40000 dst in:{B}/{20 + at} by access-group"
        if at % 2
        else f"Jan 01 2026 00:00:0{at}: %ASA-2-106001: Inbound TCP connection denied from {A}/40000 to {B}/{20 + at} "
        "flags SYN on interface out"
        for at in range(6)
    ]
    found, kind, _ = read(tmp_path / "asa.log", "\n".join(lines) + "\n")
    assert ("asa", [(at, 40000, 20 + at, 6) for at in range(6)]) == (kind, found)


def test_a_log_of_more_than_a_year_without_years(tmp_path):
    """With the year of the first time given, the same day of the next year is of that year; also among other forms."""
    days = ["Dec 31", "Jan  1", "Jun 15", "Dec 30", "Jan  1"]
    expected = [2024, 2025, 2025, 2025, 2026]
    for others in (0, 1):
        stamps = [*(f"{day} 00:00:00" for day in days), *["2024/01/01 00:00:00"] * others]
        path = tmp_path / f"kern-{others}.log"
        path.write_text("".join(f"{stamp} fw kernel: {KERNEL}\n" for stamp in stamps))
        packets = Packets.concat(read_input(path, None, InputOptions("netfilter", ColumnMap(year=2024))))
        years = [datetime.fromtimestamp(us / 1e6, UTC).year for us in packets.ts.tolist()]
        assert expected + [2024] * others == years


def test_a_json_log_that_was_emptied_while_it_was_written(tmp_path):
    """Zeros as long as a block before the first line say nothing about its form."""
    text = b"\0" * 600_000 + json.dumps(ZEEK).encode() + b"\n"
    found, _, reading = read(tmp_path / "conn.log", text, InputOptions("zeek"))
    assert (ONE, "zeek-json", 0) == (found, reading.kind, reading.bad)


FLOW = {"sourceIPv4Address": A, "destinationIPv4Address": B, "sourceTransportPort": 40000,
        "destinationTransportPort": 22, "protocolIdentifier": 6, "tcpControlBits": 2}  # fmt: skip


def test_numbers_and_texts_that_no_column_holds(tmp_path):
    """A number beyond every float and half of a surrogate pair make bad lines; all others are kept."""
    packet = {"client": ["127.0.0.1", 1], "header": {"version": 10}, "flows": [FLOW | {"flowStartSeconds": BEGIN}]}
    good = json.dumps({str(BEGIN): packet}) + "\n"
    odd = [
        good.replace(f'"flowStartSeconds": {BEGIN}', f'"flowStartSeconds": {"9" * 400}'),
        good.replace("127.0.0.1", "\\ud800"),
        good.replace(A, "\\udfff"),
    ]
    other = good.replace('"destinationTransportPort": 22', '"destinationTransportPort": 23')
    found, kind, reading = read(tmp_path / "flows", good + "".join(odd) + other)
    assert ("netflow", [22, 23], 3) == (kind, [port for _, _, port, _ in found], reading.bad)


def test_a_message_of_bytes_that_are_none(tmp_path):
    """journald writes a message that is not printable as numbers; those that are no bytes are no text."""
    message = {"__REALTIME_TIMESTAMP": f"{BEGIN}000000", "MESSAGE": KERNEL}
    lines = [message, message | {"MESSAGE": [int("9" * 4000)]}, message | {"MESSAGE": [1, 999]}]
    found, kind, _ = read(tmp_path / "journal", "".join(json.dumps(line) + "\n" for line in lines))
    assert ("journal", ONE) == (kind, found)


def test_letters_of_flags_that_mean_the_same():
    """C and W are both CWR (128), as programs differ: together they are no more than one; a word may come twice."""
    column = pa.array(["CW", "FSRPAUECW", "SYN SYN", "x", ""])
    assert [128, 255, 2, 0, 0] == tcp_flags(column).tolist()


def test_a_number_is_the_same_time_beside_texts():
    """A fraction without a digit before it too: alone a column of numbers is read in one step."""
    numbers = ["1767225600.25", ".25", "1.5e9", "5."]
    expected = [1_767_225_600_250_000, 250_000, 1_500_000_000_000_000, 5_000_000]
    for others in ([], ["2026-01-01T00:00:00Z"]):
        found, bad = Clock().stamps(pa.array(numbers + others))
        assert (expected, False) == (found[:4].tolist(), bad.any())
