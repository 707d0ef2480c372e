"""What inputs do to their readers: other things before the first record, cut records, other programs' values."""

import json
import os
from pathlib import Path

import pytest

from portkin.errors import InputError
from portkin_training.ingest.captures.packets import Packets
from portkin_training.ingest.inputs import InputOptions, detect, read_input
from portkin_training.ingest.probe_definition import FirstPackets
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.tables.columns import ColumnMap

BEGIN = 1_767_225_600
A, B = "198.51.100.7", "192.0.2.10"
HEAD = "ts,src,dst,sport,dport,proto\n"
KERNEL = (
    f"IN=eth0 OUT= SRC={A} DST={B} LEN=60 TOS=0x00 PREC=0x00 TTL=49 ID=1 DF PROTO=TCP SPT=40000 DPT=22 WINDOW=64240 "
    "RES=0x00 SYN URGP=0"
)
FORTI = {
    "date": "2026-01-01", "time": "01:00:00", "devid": '"FGT"', "type": '"traffic"', "srcip": A, "srcport": "40000",
    "dstip": B, "dstport": "22", "proto": "6", "action": '"deny"', "rcvdbyte": "0",
}  # fmt: skip
AWS = f"2 123456789012 eni-0a1 {A} {B} 40000 22 6 1 40 {BEGIN} {BEGIN + 60}"
AWS_NAMES = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)
ZEEK = {"ts": BEGIN, "id.orig_h": A, "id.orig_p": 40000, "id.resp_h": B, "id.resp_p": 22, "proto": "tcp",
        "conn_state": "S0", "history": "S"}  # fmt: skip
NFDUMP = {"type": "FLOW", "sampled": 0, "export_sysid": 1, "first": "2026-01-01T00:00:00.250", "proto": 6,
          "tcp_flags": "......S.", "src_port": 40000, "dst_port": 22, "src4_addr": A, "dst4_addr": B}  # fmt: skip
DIONAEA = {"dst_ip": B, "dst_port": 22, "src_ip": A, "src_port": 40000, "timestamp": "2026-01-01T00:00:00"}
ONE = [(0.0, 40000, 22, 6)]


def read(path: Path, text: str | bytes, options: InputOptions | None = None):
    """(seconds after BEGIN, source port, port, protocol) of each probe, the kind of the input, and the report."""
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    os.utime(path, (BEGIN + 86_400, BEGIN + 86_400))
    reading, first, found = Reading(str(path)), FirstPackets(), []
    kind = options.kind if options and options.kind else detect(path)
    for chunk in read_input(path, reading, options):
        probes = first.of_packets(chunk, 0) if isinstance(chunk, Packets) else chunk
        columns = (probes.ts / 1e6 - BEGIN).round(6), probes.sport, probes.dport, probes.proto
        found += zip(*(column.tolist() for column in columns), strict=True)
    reading.skipped.update(first.skipped)
    return found, kind, reading


def row(**values: str) -> str:
    whole = {"ts": str(BEGIN), "src": A, "dst": B, "sport": "40000", "dport": "22", "proto": "tcp"} | values
    return ",".join(f'"{value}"' if "," in value else value for value in whole.values()) + "\n"


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
    """Host names are offered for what can be one alone; other texts are told what they are."""
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
    """Each kind of bad time is told what is wrong with it."""
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
    """Every row of a table is a probe; a column that may say otherwise is told."""
    *_, reading = read(tmp_path / "a.csv", HEAD.strip() + ",action\n" + row().strip() + ",ACCEPT\n")
    assert any("every row is taken for a probe, whatever action says" in note for note in reading.notes)


KERNEL_CASES = [
    f"Thu 2026-01-01 00:00:00 UTC fw kernel: {KERNEL}",
    f"2026-01-01T01:00:00,000000+01:00 {KERNEL}",  # dmesg --time-format iso: the zone is behind the fraction
    f"kern  :warn  : [Thu Jan  1 00:00:00 2026] {KERNEL}",
    f"\x1b[32m[Thu Jan  1 00:00:00 2026] \x1b[0m{KERNEL}",
    f"2026 Jan  1 00:00:00 fw kernel: {KERNEL}",
    f"118 <4>1 2026-01-01T00:00:00Z fw kernel - - - {KERNEL}",
    f"Jan  1 00:00:00 fw kernel: DROP{KERNEL}",  # a prefix without a blank behind it
    f"Jan  1 00:00:00 fw kernel: [IN=x OUT=y] {KERNEL}",
]


@pytest.mark.parametrize("line", KERNEL_CASES)
def test_kernel_lines_in_their_wrappings(tmp_path, line):
    """journald, dmesg, colours, syslog over TCP, and prefixes that run into the record."""
    found, kind, reading = read(tmp_path / "kern.log", line + "\n")
    assert ("netfilter", ONE, 0) == (kind, found, reading.bad)


@pytest.mark.parametrize("end", [KERNEL.index("PROTO=TCP") + 8, KERNEL.index("DPT=22") + 5, KERNEL.index("SYN") + 1,
                                 KERNEL.index("PROTO")])  # fmt: skip
def test_cut_kernel_lines_are_bad_wherever_they_are_cut(tmp_path, end):
    """A line that ends in its protocol, port or flags is named, and is no probe of half a port."""
    text = f"Jan  1 00:00:00 fw kernel: {KERNEL}\nJan  1 00:00:01 fw kernel: {KERNEL[:end]}\n"
    found, _, reading = read(tmp_path / "kern.log", text)
    assert (ONE, 1) == (found, reading.bad)
    assert "line 2: " in reading.problems[0]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"__REALTIME_TIMESTAMP": f"{BEGIN}000000", "MESSAGE": [*KERNEL.encode()]}),
        "\x1e" + json.dumps({"__REALTIME_TIMESTAMP": f"{BEGIN}000000", "MESSAGE": KERNEL}),
        "data: " + json.dumps({"__REALTIME_TIMESTAMP": f"{BEGIN}000000", "MESSAGE": KERNEL}) + "\n",
        json.dumps({"__REALTIME_TIMESTAMP": f"{BEGIN}000000", "MESSAGE": KERNEL}, indent=4),
    ],
    ids=["bytes", "json-seq", "json-sse", "json-pretty"],
)
def test_journald_in_all_its_kinds_of_json(tmp_path, text):
    """Messages that are not printable are lists of numbers; json-seq and json-sse put something before each object."""
    found, kind, reading = read(tmp_path / "journal", text + "\n")
    assert ("journal", ONE, 0) == (kind, found, reading.bad)


@pytest.mark.parametrize(
    "junk", ["Jan  1 00:00:00 pot cron[1]: ran, again\n" * 9000, "x" * 300_000 + "\n", "y" * (1 << 21) + "\n"]
)
def test_records_far_into_a_file_are_found(tmp_path, junk):
    """A syslog of other programs, or a long line, before the first record does not hide the format."""
    found, kind, reading = read(tmp_path / "messages", junk + f"Jan  1 00:00:00 fw kernel: {KERNEL}\n")
    assert ("netfilter", ONE) == (kind, found)
    assert reading.read == junk.count("\n") + 1


def test_json_behind_the_prefix_of_syslog(tmp_path):
    """EVE that Suricata hands to syslog is read as EVE."""
    flow = {"timestamp": "2026-01-01T00:00:00Z", "event_type": "flow", "src_ip": A, "src_port": 40000, "dest_ip": B,
            "dest_port": 22, "proto": "TCP", "flow": {"start": "2026-01-01T00:00:00Z", "pkts_toserver": 1,
            "pkts_toclient": 0}, "tcp": {"tcp_flags_ts": "02"}}  # fmt: skip
    for prefix in ("Jan  1 00:00:00 ids suricata[1]: ", "Jan  1 00:00:00 ids suricata[1]: @cee: "):
        found, kind, reading = read(tmp_path / "eve.log", prefix + json.dumps(flow) + "\n")
        assert ("eve", ONE, 0) == (kind, found, reading.bad)


@pytest.mark.parametrize("as_written", [json.dumps(ZEEK), json.dumps(ZEEK).replace("id.", "id_"), json.dumps(
    {name: value for name, value in ZEEK.items() if "." not in name}
    | {"id": {name[3:]: value for name, value in ZEEK.items() if "." in name}})])  # fmt: skip
def test_connections_that_a_shipper_renamed(tmp_path, as_written):
    """conn.log is judged as one when its fields are nested or have underscores: answered connections are no probes."""
    text = as_written + "\n" + as_written.replace('"S0"', '"SF"').replace('"S"', '"ShADadFf"') + "\n"
    found, kind, reading = read(tmp_path / "conn.log", text)
    assert ("zeek", ONE, {"answered or used": 1}) == (kind, found, dict(reading.skipped))


def pretty(*objects: dict) -> str:
    """As nfdump prints an array."""
    records = [
        "{\n" + ",\n".join(f'\t"{name}" : {json.dumps(value)}' for name, value in one.items()) + "\n}"
        for one in objects
    ]
    return "[\n" + ",\n".join(records) + "\n]\n"


@pytest.mark.parametrize("lines", range(5, 13))
def test_the_first_lines_of_an_nfdump_array_are_nfdumps(tmp_path, lines):
    """An array that ends in its first record is known for what it is; nothing in it is usable."""
    found, kind, reading = read(tmp_path / "flows.json", "\n".join(pretty(NFDUMP).split("\n")[:lines]) + "\n")
    assert ("nfdump-json", [], 1) == (kind, found, reading.bad)


@pytest.mark.parametrize("mark", ["\ufeff", "\0" * 32, "\n\n"])
def test_what_stands_before_a_json_array(tmp_path, mark):
    """A byte order mark, null bytes or empty lines before an array do not matter."""
    found, kind, _ = read(tmp_path / "flows.json", mark + pretty(NFDUMP))
    assert ("nfdump-json", [(0.25, 40000, 22, 6)]) == (kind, found)


def test_a_cut_object_takes_none_of_those_behind_it(tmp_path):
    """Arrays put together of which one is cut, and JSON lines of which the first is cut: all whole records are kept."""
    first, second = NFDUMP, NFDUMP | {"dst_port": 23}
    found, _, reading = read(
        tmp_path / "flows.json", pretty(first, second)[:-150] + "\n" + pretty(second) + pretty(second)
    )
    assert ([22, 23], 1) == ([dport for _, _, dport, _ in found], reading.bad)
    line = json.dumps(ZEEK)
    found, _, reading = read(tmp_path / "conn.log", line[:40] + "\n" + line + "\n")
    assert (ONE, 1, "line 1") == (found, reading.bad, reading.problems[0].split(": ")[1])


def test_flow_logs_of_aws_in_other_forms(tmp_path):
    """With commas or tabs, as Athena and Parquet name the columns, what was accepted is no probe either."""
    rows = [f"{AWS} {action} OK" for action in ("REJECT", "ACCEPT")]
    for sign, names in ((",", AWS_NAMES.replace("-", "_")), ("\t", AWS_NAMES), (" ", AWS_NAMES)):
        text = "\n".join(line.replace(" ", sign) for line in (names, *rows)) + "\n"
        found, kind, reading = read(tmp_path / "flows", text)
        assert ("aws-vpc", ONE, 1) == (kind, found, sum(reading.skipped.values()))


@pytest.mark.parametrize(
    ("kind", "text", "missing"),
    [
        ("nfdump", "firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,flows\n"
                   f"2026-01-01 00:00:00.000,0.000,TCP,{A},40000,{B},22,1,40,1\n", "flg"),
        ("silk", f"sIP|dIP|sPort|dPort|pro|sTime\n{A}|{B}|40000|22|6|2026/01/01T00:00:00\n", "flags"),
        ("argus", f"StartTime,Proto,SrcAddr,Sport,DstAddr,Dport\n{BEGIN},tcp,{A},40000,{B},22\n", "state"),
    ],
)  # fmt: skip
def test_flows_without_what_judges_them_are_refused(tmp_path, kind, text, missing):
    """Without TCP flags or a state, used flows would be taken for probes; --any-state takes every flow."""
    path = tmp_path / "flows"
    with pytest.raises(InputError, match=f"line 1: no column {missing}; there are .*; have the program write it"):
        read(path, text)
    found, *_ = read(path, text, InputOptions(kind, any_state=True))
    assert ONE == found


def test_flows_behind_a_summary_are_kept(tmp_path):
    """nfdump ends with a summary; outputs put together go on behind it, with the next header."""
    head = "ts,te,td,sa,da,sp,dp,pr,flg\n"
    rows = [f"2026-01-01 00:00:00,x,0,{A},{B},40000,{port},TCP,......S.\n" for port in (22, 23, 24)]
    end = "Summary\nflows,bytes\n1,40\n"
    text = head + rows[0] + end + head + rows[1] + end + head + rows[2].replace("24", "x")
    found, kind, reading = read(tmp_path / "flows.csv", text)
    assert ("nfdump", [22, 23], 1) == (kind, [port for _, _, port, _ in found], reading.bad)
    assert {"lines of a summary": 6, "repeated header lines": 2} == dict(reading.skipped)
    assert "line 12: dport 'x'" in reading.problems[0]


def test_columns_of_flows_between_other_signs(tmp_path):
    """rwcut and ra write any delimiter; flags may be numbers and addresses too."""
    silk = f"sIP,dIP,sPort,dPort,pro,flags,sTime\n 3325256711, {B},40000,22,6,2,2026/01/01T00:00:00\n"
    found, kind, _ = read(tmp_path / "silk", silk)
    assert ("silk", ONE) == (kind, found)
    argus = "title\n\nStartTime\tProto\tSrcAddr\tSport\tDir\tDstAddr\tDport\tState\n"
    argus += f"{BEGIN}\ttcp\t{A}\t40000\t   ->\t{B}\t22\tREQ\n"
    found, kind, reading = read(tmp_path / "argus", argus)
    assert ("argus", ONE, {"lines before the header": 1}) == (kind, found, dict(reading.skipped))


IPFIX = {"version": 10, "export_uptime": BEGIN, "obervation_domain_id": 0}
FLOW = {"sourceIPv4Address": 3325256711, "destinationIPv4Address": 3221225994, "sourceTransportPort": 40000,
        "destinationTransportPort": 22, "protocolIdentifier": 6, "tcpControlBits": 2}  # fmt: skip


def exported(*flows: dict, header: dict = IPFIX) -> str:
    return json.dumps({str(BEGIN): {"client": ["127.0.0.1", 1], "header": header, "flows": flows}}) + "\n"


@pytest.mark.parametrize(
    ("text", "at"),
    [
        (exported(FLOW | {"flowStartMilliseconds": BEGIN * 1000 + 250}), 0.25),
        (exported(FLOW | {"flowStartSeconds": BEGIN + 3}), 3.0),
        (exported(FLOW | {"flowStartDeltaMicroseconds": 1_500_000}), -1.5),
        (exported({"systemInitTimeMilliseconds": BEGIN * 1000}) + exported(FLOW | {"flowStartSysUpTime": 750}), 0.75),
        (exported({"systemInitTimeMilliseconds": BEGIN * 1000}, FLOW | {"flowStartSysUpTime": (1 << 32) - 2000}), -2.0),
        (exported({"IPV4_SRC_ADDR": A, "IPV4_DST_ADDR": B, "L4_SRC_PORT": 40000, "L4_DST_PORT": 22, "PROTOCOL": 6,
                   "TCP_FLAGS": 2, "FIRST_SWITCHED": 9000},
                  header={"version": 9, "uptime": 10_000, "timestamp": BEGIN}), -1.0),
    ],
)  # fmt: skip
def test_when_a_flow_of_netflow_began(tmp_path, text, at):
    """By its own time, or counted from the start of the exporter, which may lie behind it."""
    found, kind, reading = read(tmp_path / "flows", text)
    assert ("netflow", [(at, 40000, 22, 6)], 0) == (kind, found, reading.bad)


def test_netflow_without_a_start_and_lines_that_are_none(tmp_path):
    """A flow that counts from an untold start has no time; damaged lines are counted; IPv6 may be a number."""
    v6 = {"sourceIPv6Address": (0x20010DB8 << 96) + 7, "destinationIPv6Address": (0x20010DB8 << 96) + 1}
    other = {name: value for name, value in FLOW.items() if "Address" not in name} | v6 | {"flowStartSeconds": BEGIN}
    damaged = '{"1": {"client": [], "header": {}, "flows": [{}]}}\n{"1": {"client": ["x"], "header": 1, "flows": 2}}\n'
    text = exported(FLOW | {"flowStartSysUpTime": 5}) + damaged + "{}\n" + exported(other)
    found, kind, reading = read(tmp_path / "flows", text)
    assert ("netflow", ONE, 3) == (kind, found, reading.bad)
    assert {"ts is no time": 1, "no JSON object": 2} == dict(reading.bad_reasons)


@pytest.mark.parametrize("order", [FORTI, dict(reversed([*FORTI.items()]))], ids=["usual", "reversed"])
@pytest.mark.parametrize("form", ["{}={}", '"{}={}"'])
def test_fortigate_pairs_in_any_order(tmp_path, order, form):
    """Keys may stand in any order behind the date, quoted as pairs, and the zone of the device counts."""
    pairs = {name: value for name, value in order.items() if name not in ("date", "time")}
    whole = {"date": FORTI["date"], "time": FORTI["time"]} | pairs | {"tz": '"+0100"'}
    sign = "," if '"' in form else " "
    line = sign.join(form.format(name, value.strip('"') if sign == "," else value) for name, value in whole.items())
    found, kind, reading = read(tmp_path / "forti.log", line + "\n" + line[: len(line) * 2 // 3] + "\n")
    assert ("fortigate", ONE, 1) == (kind, found, reading.bad)


def test_routeros_with_nat_and_asa_with_names(tmp_path):
    """RouterOS names what NAT made of a connection; ASA has classes of messages, and names of ports and hosts."""
    line = f"Jan  1 00:00:00 gw DROP: in:ether1 out:x, proto TCP (SYN), {A}:40000->{B}:22, "
    found, kind, _ = read(tmp_path / "gw.log", line + f"NAT ({A}:40000->203.0.113.1:9)->{B}:22, len 60\n")
    assert ("mikrotik", ONE) == (kind, found)
    text = (
        "Jan 01 2026 00:00:00: %ASA-session-4-106023: Deny tcp src out:{}/40000 dst in:192.0.2.10/ssh by access-group"
    )
    found, kind, reading = read(tmp_path / "asa.log", text.format(A) + "\n" + text.format("scanner") + "\n")
    assert ("asa", ONE, 1) == (kind, found, reading.bad)
    assert "src 'scanner' is no address; --names" in reading.problems[0]


def test_two_formats_in_one_file_are_told(tmp_path):
    """A syslog of several firewalls is read by the format of its first record; lines of another one are named."""
    asa = f"Jan 01 2026 00:00:00: %ASA-4-106023: Deny tcp src out:{A}/40000 dst in:{B}/23 by access-group\n"
    text = f"Jan  1 00:00:00 fw kernel: {KERNEL}\nJan  1 00:00:00 fw cron[1]: ran\n{asa}{asa}"
    found, kind, reading = read(tmp_path / "all.log", text)
    assert ("netfilter", ONE, {"other lines": 3}) == (kind, found, dict(reading.skipped))
    assert any(
        "line 3 is a record of asa" in note and "--format asa --append --again" in note for note in reading.notes
    )
    found, *_ = read(tmp_path / "all.log", text, InputOptions("asa"))
    assert [(0.0, 40000, 23, 6)] == found


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


def test_endlessh_by_syslog_has_the_time_of_syslog(tmp_path):
    """With -s endlessh writes no time of its own."""
    text = f"Jan  1 00:00:00 pot endlessh[1]: ACCEPT host={A} port=40000 fd=4 n=1/4096\n"
    found, kind, _ = read(tmp_path / "endlessh.log", text, InputOptions(columns=ColumnMap(dst=B)))
    assert ("endlessh", ONE) == (kind, found)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"PK\x03\x04" + b"\0" * 30, "a ZIP archive; unpack it"),
        (b"BZh91AY&SY", "compressed with bzip2; decompress it"),
        (b"\x0c\xa5\x01\x00", "a file of nfcapd; have nfdump print it"),
        (b"LPKSHHRH\0\0", "a binary file of journald; have journalctl print it"),
        (b"Date first seen          Duration Proto\n2026-01-01 00:00:00.000 0.000 TCP\n", "have it print CSV"),
        (b"ts,src\r1,2\r", "lines end with carriage returns alone"),
        (b"[\n]\n", "JSON without an object that holds a value"),
    ],
)
def test_files_of_other_kinds_are_named_with_the_remedy(tmp_path, data, said):
    """What people name by mistake is told what it is, and what to do."""
    with pytest.raises(InputError, match=said):
        read(tmp_path / "a", data)
