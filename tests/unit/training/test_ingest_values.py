"""Values as other programs write them: protocols, addresses, ports, times; and what stands around columns of CSV."""

import json

import pytest

from portkin_training.ingest.inputs import InputOptions, read_input
from portkin_training.ingest.tables.columns import ColumnMap
from support.recorded_lines import DIONAEA, HEAD, ONE, A, B, read, row


@pytest.mark.parametrize(
    "text",
    ["tcp4", "TCPv6", "ipv4-tcp", "ip6/tcp", "TCP/IP", "tcp (6)", "6 (tcp)", "6/tcp", "0x06", "006.00", "6,0", "T",
     "'tcp'", "proto-6", "IPPROTO_TCP"],
)  # fmt: skip
def test_protocols_as_programs_write_them(tmp_path, text):
    """TCP is TCP however it is written."""
    assert ONE == read(tmp_path / "a.csv", HEAD + row(proto=text))[0]


@pytest.mark.parametrize("text", ["six", "", "tc", "tcp-syn", "256", "6e0", "tc\ufffd"])
def test_what_is_no_protocol_is_a_bad_row(tmp_path, text):
    """A protocol that there is not is named with its line and the remedy; rows of real other ones are left out."""
    found, _, reading = read(tmp_path / "a.csv", HEAD + row() + row(proto=text) + row(proto="icmp") + row(proto="47"))
    assert (ONE, 1, {"neither TCP nor UDP": 2}, 4) == (found, reading.bad, dict(reading.skipped), reading.read)
    assert f"line 3: proto {text!r} is no protocol; write tcp, udp, or its number" in reading.problems[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("198.51.100.7:40000", "it has a port; put that into a column of its own"),
        ("[2001:db8::7]:40000", "it has a port; put that into a column of its own"),
        ("198.51.100.0/24", "it is a network"),
        ("scanner.example", "--names takes host names as addresses"),
        ("-", "it is missing"),
        ("n/a", "it is missing"),
        ("0xc6336407", "write it as 192.0.2.1 or 2001:db8::1"),
        ("198.51.100.256", "write it as 192.0.2.1 or 2001:db8::1"),
        ("2001:db8:::7", "write it as 192.0.2.1 or 2001:db8::1"),
        ("tcp://198.51.100.7", "write it as 192.0.2.1 or 2001:db8::1"),
    ],
)
def test_what_is_no_address_has_its_own_remedy(tmp_path, text, said):
    """Host names are offered for what can be one alone; other texts are named for what they are."""
    found, _, reading = read(tmp_path / "a.csv", HEAD + row(src=text) + row())
    assert (ONE, 1) == (found, reading.bad)
    assert f"line 2: src {text!r} is no address; {said}" in reading.problems[0]
    assert ("--names" in said) == ("--names" in reading.problems[0])


@pytest.mark.parametrize(
    "text", ["::ffff:198.051.100.007", "3325256711.0", "'198.51.100.7'", "[198.51.100.7]", " 3325256711"]
)
def test_addresses_as_programs_write_them(tmp_path, text):
    """An IPv4 address is the same with zeros before its octets, as a number, in quotes or brackets."""
    path = tmp_path / "a.csv"
    path.write_text(HEAD + row(src=text))
    (chunk,) = read_input(path)
    assert [0xFFFF_0000_0000 | 0xC6336407] == chunk.src[:, 1].tolist()


def test_no_damaged_address_becomes_a_host_name(tmp_path):
    """With --names a host name is words between dots; a broken IPv6 address or a network is none."""
    text = HEAD + row(src="honeypot-1.example") + row(src="2001:db8:::7") + row(src="2001:db8::/32") + row(src="null")
    found, _, reading = read(tmp_path / "a.csv", text, InputOptions(columns=ColumnMap(names=True)))
    assert (1, 3) == (len(found), reading.bad)


@pytest.mark.parametrize("text", ["SSH", "22/tcp", "tcp/22", "ssh(22)", "0x16", "22.0", "022"])
def test_ports_as_programs_write_them(tmp_path, text):
    """A port is the same by name in any case, with its protocol, or as another number."""
    assert ONE == read(tmp_path / "a.csv", HEAD + row(dport=text))[0]


def test_missing_source_ports_are_none_and_missing_ports_are_bad(tmp_path):
    """Words that say there is no value are port 0 of a source; a probe needs the port that it asks."""
    text = (
        HEAD + "".join(row(sport=text) for text in ("-", "N/A", "null", "*")) + row(dport="null") + row(dport="nosuch")
    )
    found, _, reading = read(tmp_path / "a.csv", text)
    assert ([0, 0, 0, 0], 2) == ([sport for _, sport, *_ in found], reading.bad)
    assert "line 7: dport 'nosuch' is no port from 0 to 65535, nor a service of this system" in reading.problems[1]


@pytest.mark.parametrize(
    "text",
    ["20260101T000000Z", "2026-01-01t00:00:00z", "Thu, 01 Jan 2026 00:00:00 GMT", "Thu Jan  1 00:00:00 UTC 2026",
     "Jan 1, 2026 @ 00:00:00.000", "1-Jan-2026 00:00:00", "2026/01/01.00:00:00", "Thu 2026-01-01 00:00:00 UTC",
     "2026 Jan  1 00:00:00", "jan/01/2026 00:00:00", "2026-01-01T00:00:00,000000+00:00"],
)  # fmt: skip
def test_times_as_programs_write_them(tmp_path, text):
    """RFC 2822 and 3339, ISO 8601 without signs, Kibana, argus, journald, RouterOS, util-linux: one time."""
    assert ONE == read(tmp_path / "a.csv", HEAD + row(ts=text))[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("00:00:00", "it has no date"),
        ("2026-01-01 00:00:00 CET", "a day and time that there are, as 2026-01-01T00:00:00Z"),
        ("2026-02-30 00:00:00", "a day and time that there are, as 2026-01-01T00:00:00Z"),
        ("01/02/2026 00:00:00", "its day and month can mean two dates"),
        ("-1", "seconds, milliseconds, microseconds or nanoseconds since 1970 are needed"),
        ("", "it is missing"),
    ],
)
def test_what_is_no_time_has_its_own_remedy(tmp_path, text, said):
    """The message about each kind of bad time says what is wrong with it."""
    found, _, reading = read(tmp_path / "a.csv", HEAD + row() + row(ts=text))
    assert (ONE, 1) == (found, reading.bad)
    assert f"line 3: ts {text!r} is no time; {said}" in reading.problems[0]


@pytest.mark.parametrize(
    "before",
    ["# exported by hand, for a friend\n", "sep=,\n", "\n\n", "#\n# two\n", "\0" * 64],
)
def test_what_stands_before_the_header_of_csv(tmp_path, before):
    """Comments, Excel's delimiter, empty lines and null bytes before it do not matter; lines keep their numbers."""
    found, kind, reading = read(tmp_path / "a.csv", before + HEAD + row() + row(dport="x"))
    assert ("csv", ONE, 1) == (kind, found, reading.bad)
    assert f"line {before.count(chr(10)) + 3}: dport 'x'" in reading.problems[0]


def test_a_header_in_a_comment_and_headers_between_rows(tmp_path):
    """A comment that names columns is the header; files put together repeat it."""
    found, _, reading = read(tmp_path / "a.csv", "#" + HEAD + row() + HEAD + row(dport="23"))
    assert ([22, 23], 0, 1) == (
        [dport for _, _, dport, _ in found],
        reading.bad,
        reading.skipped["repeated header lines"],
    )


def test_date_and_time_in_two_columns(tmp_path):
    """Date and time that stand apart are one time, by their usual names or by -c ts=DATE+TIME."""
    text = "date,time,src,dst,dport,proto\n2026-01-01,00:00:05,198.51.100.7,192.0.2.10,22,tcp\n"
    found, _, reading = read(tmp_path / "a.csv", text)
    assert [(5.0, 0, 22, 6)] == found
    assert any("ts=date+time" in note for note in reading.notes)
    by_name = InputOptions(columns=ColumnMap({"ts": "d+t"}))
    found, *_ = read(tmp_path / "b.csv", text.replace("date,time", "d,t"), by_name)
    assert [(5.0, 0, 22, 6)] == found


def test_columns_that_say_what_came_of_a_row_are_named(tmp_path):
    """Every row of a table is a probe; a column that may say otherwise is reported."""
    *_, reading = read(tmp_path / "a.csv", HEAD.strip() + ",action\n" + row().strip() + ",ACCEPT\n")
    assert any("every row is taken for a probe, whatever action says" in note for note in reading.notes)


def test_what_honeypots_say_of_transport(tmp_path):
    """TLS is TCP, opencanary's port scans of UDP are UDP, and what dionaea itself connects to is no probe."""
    kinds = [("accept", "tls"), ("connect", "tcp"), ("connect", "udp"), ("accept", "dtls")]
    text = "".join(
        json.dumps(DIONAEA | {"src_port": at, "connection": {"type": kind, "transport": transport, "protocol": "x"}})
        + "\n"
        for at, (kind, transport) in enumerate(kinds, 1)
    )
    found, _, reading = read(tmp_path / "dionaea.json", text)
    assert [(0.0, 1, 22, 6), (0.0, 3, 22, 17), (0.0, 4, 22, 17)] == found
    assert 1 == reading.skipped["connections of the honeypot itself"]
    scan = {"dst_host": B, "dst_port": "161", "src_host": A, "src_port": "40000", "logtype": 5001, "node_id": "c",
            "utc_time": "2026-01-01 00:00:00", "logdata": {"PROTO": "UDP"}}  # fmt: skip
    assert [(0.0, 40000, 161, 17)] == read(tmp_path / "canary.log", json.dumps(scan) + "\n")[0]
