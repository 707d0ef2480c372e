"""Tables with columns of any name: CSV and Parquet become probes by options alone."""

import csv
import gzip
import hashlib
import ipaddress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from portkin.errors import ConfigError, InputError
from portkin_training.core.probes import Probes
from portkin_training.ingest.captures.packets import IPV4_MAPPED
from portkin_training.ingest.inputs import InputOptions, read_input
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.tables.columns import ColumnMap
from portkin_training.ingest.values.stamps import Clock

HEAD = "ts,src,dst,sport,dport,proto\n"


def read(path: Path, text: str | bytes, columns: ColumnMap | None = None) -> tuple[Probes, Reading]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    reading = Reading(str(path))
    return table(path, columns or ColumnMap(), reading), reading


def table(path: Path, columns: ColumnMap, reading: Reading | None = None, kind: str = "csv") -> Probes:
    """The probes of a CSV or Parquet file."""
    return Probes.concat(read_input(path, reading, InputOptions(kind, columns)))


def mapped(text: str) -> list[int]:
    return [0, IPV4_MAPPED | int(ipaddress.IPv4Address(text))]


def test_columns_of_their_own_names_need_no_map(tmp_path):
    """A file whose columns are named as the fields are is read without options."""
    probes, reading = read(tmp_path / "a", HEAD + "1.5,1.2.3.4,5.6.7.8,9,443,tcp\n2,::1,fe80::2,0,53,17\n")
    assert [1_500_000, 2_000_000] == probes.ts.tolist()
    assert [mapped("1.2.3.4"), [0, 1]] == probes.src.tolist()
    assert [(9, 443, 6), (0, 53, 17)] == [*zip(probes.sport, probes.dport, probes.proto, strict=True)]
    assert ("csv", 2, 0) == (reading.kind, reading.read, reading.bad)


def test_map_constants_and_missing_source_port(tmp_path):
    """Columns of other names, a protocol and a destination for all rows, and no source port."""
    columns = ColumnMap({"ts": "when", "src": "who", "dport": "what"}, proto="udp", dst="192.0.2.7")
    probes, _ = read(tmp_path / "a", "when;who;what;junk\n2020-01-26 16:39:30;1.2.3.4;161;x\n", columns)
    assert [datetime(2020, 1, 26, 16, 39, 30, tzinfo=UTC).timestamp() * 1e6] == probes.ts.tolist()
    assert [mapped("192.0.2.7")] == probes.dst.tolist()
    assert [(0, 161, 17)] == [*zip(probes.sport, probes.dport, probes.proto, strict=True)]


def test_address_as_integer(tmp_path):
    """Digits alone are an IPv4 address as one integer."""
    probes, _ = read(tmp_path / "a", HEAD + f"1,{0x01020304},{0xFFFFFFFF},1,2,tcp\n")
    assert [mapped("1.2.3.4")] == probes.src.tolist()
    assert [mapped("255.255.255.255")] == probes.dst.tolist()


def test_host_names_become_stable_addresses(tmp_path):
    """A host name becomes the address of its hash in fd00::/8 where that is allowed, and a bad row elsewhere."""
    text = HEAD + "1,1.2.3.4,groucho-oregon,1,2,tcp\n"
    probes, _ = read(tmp_path / "a", text, ColumnMap(names=True))
    # fd, then the first 120 bits of the name's sha256
    packed = b"\xfd" + hashlib.sha256(b"groucho-oregon").digest()[:15]
    assert ipaddress.IPv6Address(packed) in ipaddress.IPv6Network("fd00::/8")
    assert [np.frombuffer(packed, ">i8").tolist()] == probes.dst.tolist()
    probes, reading = read(tmp_path / "a", text)
    assert (0, 1) == (len(probes), reading.bad)
    assert "line 2: dst 'groucho-oregon' is no address; --names" in reading.problems[0]
    _, reading = read(tmp_path / "a", HEAD + "1,1.2.3.4,-,1,2,tcp\n", ColumnMap(names=True))
    assert 1 == reading.bad


def test_other_protocols_are_skipped_and_may_lack_ports(tmp_path):
    """A row of ICMP is no probe and no bad row."""
    probes, reading = read(tmp_path / "a", HEAD + "1,1.2.3.4,5.6.7.8,,,ICMP\n1,1.2.3.4,5.6.7.8,,80,TCP\n")
    assert (1, 0, {"neither TCP nor UDP": 1}) == (len(probes), reading.bad, dict(reading.skipped))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("soon,1.2.3.4,5.6.7.8,1,2,tcp", "ts 'soon' is no time"),
        (",1.2.3.4,5.6.7.8,1,2,tcp", "ts '' is no time"),
        ("-1,1.2.3.4,5.6.7.8,1,2,tcp", "ts '-1' is no time"),
        ("1e30,1.2.3.4,5.6.7.8,1,2,tcp", "ts '1e30' is no time"),
        ("1,1.2.3,5.6.7.8,1,2,tcp", "src '1.2.3' is no address"),
        ("1,4294967296,5.6.7.8,1,2,tcp", "src '4294967296' is no address"),
        ("1,1.2.3.4,,1,2,tcp", "dst '' is no address"),
        ("1,1.2.3.4,5.6.7.8,x,2,tcp", "sport 'x' is no port"),
        ("1,1.2.3.4,5.6.7.8,1,65536,tcp", "dport '65536' is no port"),
        ("1,1.2.3.4,5.6.7.8,1,-2,tcp", "dport '-2' is no port"),
        ("1,1.2.3.4,5.6.7.8,1,,tcp", "dport '' is no port"),
        ("1,1.2.3.4,5.6.7.8,1,2,tcp,more", "7 columns where the header has 6"),
        ("1,\udcff,5.6.7.8,1,2,tcp", "src '\ufffd' is no address"),
    ],
)
def test_bad_rows_are_named_by_line_and_the_rest_is_kept(tmp_path, row, said):
    """A row that makes no sense is counted and named by its line; the rows around it stay."""
    good = "1,1.2.3.4,5.6.7.8,1,2,tcp\n"
    text = (HEAD + good + row + "\n" + good).encode(errors="surrogateescape")
    probes, reading = read(tmp_path / "a.csv", text)
    assert (2, 1) == (len(probes), reading.bad)
    assert f"a.csv: line 3: {said}" in reading.problems[0]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_quotes_and_byte_order_mark(tmp_path, delimiter):
    """The delimiter is found, quotes are taken off, a byte-order mark and carriage returns are no values."""
    cells = ['"ts"', '"src"', "dst", "sport", "dport", "proto"], ['"1"', '"1.2.3.4"', "5.6.7.8", "1", '"2"', "tcp"]
    text = "\ufeff" + "".join(delimiter.join(row) + "\r\n" for row in cells)
    probes, reading = read(tmp_path / "a", text)
    assert (1, 0) == (len(probes), reading.bad)


def test_stamps():
    """Stamps are read from numbers in any unit, ISO text with or without zone, and timestamps."""
    expected = 1_580_056_770_123_456
    for column, unit in (
        (pa.array([1_580_056_770.123456]), "s"),
        (pa.array([1_580_056_770_123.456]), "ms"),
        (pa.array([expected]), "us"),
        (pa.array([expected * 1000 + 40]), "ns"),
        (pa.array(["1580056770.123456"]), "s"),
        (pa.array(["2020-01-26 16:39:30.123456"]), "s"),
        (pa.array(["2020-01-26T16:39:30.123456Z"]), "s"),
        (pa.array(["2020-01-26T17:39:30.123456+01:00"]), "s"),
        (pa.array([expected], pa.timestamp("us")), "s"),
        (pa.array([expected * 1000 + 40], pa.timestamp("ns", "Europe/Paris")), "s"),
    ):
        found, bad = Clock(unit).stamps(column)
        assert ([expected], [False]) == (found.tolist(), bad.tolist()), column.type
    found, bad = Clock().stamps(pa.array(["2020-01-26", "1580056770", "2020-01-26T00:00:00Z", "no", None]))
    assert [False, False, False, True, True] == bad.tolist()
    assert [1_579_996_800_000_000, 1_580_056_770_000_000, 1_579_996_800_000_000] == found[:3].tolist()


def test_parquet_of_other_types(tmp_path):
    """A Parquet file with integers, timestamps and nulls is read; bad rows are named by row."""
    rows = pa.table(
        {
            "time": pa.array([1_000_000, None], pa.timestamp("us", "UTC")),
            "src": pa.array([0x01020304, 1], pa.uint32()),
            "dst": pa.array(["::1", "::2"], pa.large_string()),
            "dport": pa.array([443, 80], pa.uint16()),
            "proto": pa.array([6, 6], pa.int8()),
        }
    )
    pq.write_table(rows, tmp_path / "a.parquet")
    reading = Reading("a.parquet")
    probes = table(tmp_path / "a.parquet", ColumnMap({"ts": "time"}), reading, "parquet")
    assert [(1_000_000, 443, 6, 0)] == [*zip(probes.ts, probes.dport, probes.proto, probes.sport, strict=True)]
    assert (2, 1) == (reading.read, reading.bad)
    assert reading.problems[0].startswith("a.parquet: row 2: ts None is no time; it is missing")


def test_missing_column_is_refused_with_those_there_are(tmp_path):
    """A field without a column is refused; the message lists the columns and how to name one."""
    with pytest.raises(
        InputError,
        match=r"no column 'ts', 'src', 'dst', 'dport', 'proto'; there are a, b; name each .*=COLUMN or --dst ADDRESS",
    ):
        read(tmp_path / "a", "a,b\n1,2\n")
    with pytest.raises(InputError, match="no column 'sp' for sport"):
        read(tmp_path / "a", HEAD, ColumnMap({"sport": "sp"}))
    with pytest.raises(InputError, match="=COLUMN or --proto tcp"):
        read(tmp_path / "a", "ts,src,dst,dport\n")


def test_a_wide_or_binary_header_leaves_room_for_the_remedy(tmp_path):
    """Of many columns the first are named, of long ones the beginning; what is no text is called binary."""
    names = ["x" * 50, *(f"c{number}" for number in range(1, 200))]
    with pytest.raises(InputError, match=rf"there are {'x' * 40}\.\.\., c1, .*, c19, \.\.\. \(200 in all\); name each"):
        read(tmp_path / "a", ",".join(names) + "\n")
    with pytest.raises(InputError, match="binary, and no CSV; name the right file"):
        read(tmp_path / "a", "\x7fELF,\0\0,x\n1,2,3\n")


def test_impossible_maps_are_refused():
    """A field that is none, a protocol or unit that is none: refused with what there is."""
    for arguments, said in (
        ({"columns": {"port": "x"}}, "'port' is no field"),
        ({"proto": "icmp"}, "tcp or udp"),
        ({"unit": "h"}, "one of auto, s, ms, us, ns"),
    ):
        with pytest.raises(ConfigError, match=said):
            ColumnMap(**arguments)


def test_file_that_is_no_parquet_is_refused(tmp_path):
    """A file that only pretends is refused by name."""
    (tmp_path / "a").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        table(tmp_path / "a", ColumnMap(), kind="parquet")


def plain(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt") as opened:
        return [*csv.DictReader(opened)]


@pytest.mark.data
def test_cloud_honeypots(shared_data):
    """The recording with datetime text, integer sources and host names loads by options alone, row by row."""
    path = shared_data / "probes" / "aws-honeypots-2013.csv.gz"
    columns = ColumnMap({"ts": "datetime", "dst": "host", "sport": "spt", "dport": "dpt"}, names=True)
    reading = Reading(str(path))
    probes = table(path, columns, reading)
    rows = [row for row in plain(path) if row["proto"] in ("TCP", "UDP")]
    assert (323_217, len(rows), 0) == (reading.read, len(probes), reading.bad)
    assert [int(row["dpt"]) for row in rows] == probes.dport.tolist()
    assert [IPV4_MAPPED | int(row["src"]) for row in rows] == probes.src[:, 1].tolist()
    begun = [datetime.fromisoformat(row["datetime"] + "+00:00").timestamp() for row in rows]
    assert [round(second * 1_000_000) for second in begun] == probes.ts.tolist()
    assert len({row["host"] for row in rows}) == len(np.unique(probes.dst, axis=0)) == 9


@pytest.mark.data
def test_tpot(shared_data):
    """The recording without protocol loads with one given for all rows."""
    path = shared_data / "probes" / "tpot-p0f-syn-2020.csv.gz"
    reading = Reading(str(path))
    probes = table(path, ColumnMap({"ts": "ts_utc"}, proto="tcp"), reading)
    rows = plain(path)
    assert (198_969, 198_969, 0) == (reading.read, len(probes), reading.bad)
    assert [int(row["sport"]) for row in rows] == probes.sport.tolist()
    assert [IPV4_MAPPED | int(ipaddress.IPv4Address(row["src"])) for row in rows] == probes.src[:, 1].tolist()
