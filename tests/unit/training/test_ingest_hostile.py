"""What inputs do to their readers: other things before the first record, cut records, other forms of formats."""

import json
import struct

import pytest

from portkin.errors import InputError
from portkin_training.ingest.inputs import InputOptions
from portkin_training.ingest.tables.columns import ColumnMap
from support.recorded_lines import AWS, AWS_NAMES, BEGIN, FORTI, KERNEL, NFDUMP, ONE, ZEEK, A, B, read

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
    ("kind", "text", "missing", "remedy"),
    [
        ("nfdump", "firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,flows\n"
                   f"2026-01-01 00:00:00.000,0.000,TCP,{A},40000,{B},22,1,40,1\n", "flg", "have nfdump write JSON"),
        ("silk", f"sIP|dIP|sPort|dPort|pro|sTime\n{A}|{B}|40000|22|6|2026/01/01T00:00:00\n", "flags",
                 "have the program write it"),
        ("argus", f"StartTime,Proto,SrcAddr,Sport,DstAddr,Dport\n{BEGIN},tcp,{A},40000,{B},22\n", "state",
                  "have the program write it"),
    ],
)  # fmt: skip
def test_flows_without_what_judges_them_are_refused(tmp_path, kind, text, missing, remedy):
    """Without TCP flags or a state, used flows would be taken for probes; --any-state takes every flow."""
    path = tmp_path / "flows"
    with pytest.raises(InputError, match=f"line 1: no column {missing}; there are .*; {remedy}"):
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


def test_two_formats_in_one_file_are_reported(tmp_path):
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


def test_a_log_that_was_emptied_far_into_the_file(tmp_path):
    """What goes on being written at a log's old end has null bytes before it, more than are looked at first."""
    found, kind, _ = read(tmp_path / "kern.log", b"\0" * 600_000 + f"Jan  1 00:00:00 fw kernel: {KERNEL}\n".encode())
    assert ("netfilter", ONE) == (kind, found)


@pytest.mark.parametrize("between", ["", " ", ", "])
def test_objects_behind_each_other_on_one_line(tmp_path, between):
    """As collectors put them together: each is a record, also one that holds such a text."""
    values = {"src_ip": A, "dst_ip": B, "src_port": 40000, "proto": "tcp", "ts": BEGIN, "note": "} {"}
    text = between.join(json.dumps({**values, "dst_port": port}) for port in (22, 23, 24))
    found, kind, reading = read(tmp_path / "log", text)
    assert ("json", [22, 23, 24], 0) == (kind, [port for _, _, port, _ in found], reading.bad)


def test_endlessh_by_syslog_has_the_time_of_syslog(tmp_path):
    """With -s endlessh writes no time of its own."""
    text = f"Jan  1 00:00:00 pot endlessh[1]: ACCEPT host={A} port=40000 fd=4 n=1/4096\n"
    found, kind, _ = read(tmp_path / "endlessh.log", text, InputOptions(columns=ColumnMap(dst=B)))
    assert ("endlessh", ONE) == (kind, found)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"PK\x03\x04" + b"\0" * 30, "a ZIP archive; unpack it"),
        (
            b"kern.log".ljust(257, b"\0")
            + b"ustar  \0".ljust(255, b"\0")
            + f"Jan  1 00:00:00 fw kernel: {KERNEL}\n".encode(),
            "a tar",
        ),
        (b"BZh91AY&SY", "compressed with bzip2; decompress it"),
        (b"\x0c\xa5\x01\x00", "a file of nfcapd; have nfdump print it"),
        (b"LPKSHHRH\0\0", "a binary file of journald; have journalctl print it"),
        (b"Date first seen          Duration Proto\n2026-01-01 00:00:00.000 0.000 TCP\n", "have it print JSON"),
        (b"ts,src\r1,2\r", "lines end with carriage returns alone"),
        (b"[\n]\n", "JSON without an object that holds a value"),
        (f"__CURSOR=s=1\n__REALTIME_TIMESTAMP=1767225600250000\nMESSAGE={KERNEL}\n\n".encode(), "journalctl -o json"),
        (
            b"01/01/2026-00:00:00.0  [**] [1:1:1] X [**] [Priority: 3] {TCP} 198.51.100.7:1 -> 192.0.2.10:22\n",
            "eve.json",
        ),
        ("ts,src,dst\n1,2,3\n".encode("utf-16-le"), "text in UTF-16; convert it with `iconv -f UTF-16LE"),
        (
            f"Jan  1 00:00:00 fw CEF:0|Fortinet|Fortigate|v7|13|deny|3|src={A} dst={B} dpt=22\n".encode(),
            "CEF or LEEF, .* own",
        ),
        (f"{BEGIN},{A},{B},40000,22,6\n".encode(), r"line 1: values \(198.51.100.7\) and no names of columns"),
        (f"{BEGIN}\t2001:db8::7\tsshd, failed\n".encode(), r"line 1: values \(2001:db8::7\) and no names"),
        (f"12:00:00 IP {A}.4 > {B}.22: Flags [S], seq 1, win 1, length 0\n".encode(), "line 1: values"),
        (json.dumps({"hits": {"hits": [{"_source": {"src_ip": A}}]}}), "have jq take them out of it"),
        (
            json.dumps({"log": json.dumps({"eventid": "x"}) + "\n", "stream": "stdout"}),
            r"have jq .* \(`jq -r '.log'`\)",
        ),
        (json.dumps({"result": {"_raw": json.dumps({"eventid": "x"})}}), r"`jq -r '.result._raw'`"),
        (json.dumps({"_index": "a", "_source": {"src_ip": A, "dest_ip": B}}), "have jq take them out of it"),
    ],
)
def test_files_of_other_kinds_are_named_with_the_remedy(tmp_path, data, said):
    """What people name by mistake is refused with what it is, and what to do."""
    with pytest.raises(InputError, match=said):
        read(tmp_path / "a", data)


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (struct.pack(">HHIII", 5, 1, 1000, BEGIN, 0), "NetFlow v5"),
        (struct.pack(">HHIII", 9, 1, 1000, BEGIN, 0), "NetFlow v9"),
        (struct.pack(">HHIII", 10, 16, BEGIN, 0, 0), "IPFIX"),
    ],
)
def test_export_packets_are_named_with_what_reads_them(tmp_path, head, said):
    """IPFIX begins with a zero and a line feed, which would be an empty line of a text."""
    with pytest.raises(InputError, match=f"export packets of {said} .*nfcapd and `nfdump -o json`"):
        read(tmp_path / "flows", head + b"a,b\n" * 20)
