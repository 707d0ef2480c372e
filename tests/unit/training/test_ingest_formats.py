"""Logs of firewalls, flows, clouds and honeypots: each is recognised, and says what its format means.

Times are of 2026-01-01T00:00:00Z (1767225600) and the seconds after it, addresses those of documentation. Lines are
made by the programs where Debian or PyPI has them, and from the makers' documentation elsewhere; see docs/formats.md.
"""

# ruff: noqa: E501  # lines as programs write them

import json
import os
from pathlib import Path

import pytest

from portkin_training.core.probes import Probes
from portkin_training.ingest.captures.packets import Packets
from portkin_training.ingest.inputs import InputOptions, detect, read_input
from portkin_training.ingest.probe_definition import FirstPackets
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.tables.columns import ColumnMap

BEGIN = 1_767_225_600
A, B = "198.51.100.7", "192.0.2.10"
A4, B4 = (0xFFFF_0000_0000 | 0xC6336407, 0xFFFF_0000_0000 | 0xC000020A)
Row = tuple[float, int, int, int, int, int]


def read(path: Path, options: InputOptions | None = None) -> tuple[list[Row], Reading]:
    """(seconds after BEGIN, src, dst, sport, dport, proto) of each probe, by the rules for the input's kind."""
    os.utime(path, (BEGIN + 86_400, BEGIN + 86_400))
    reading, first, found = Reading(str(path)), FirstPackets(), []
    for chunk in read_input(path, reading, options):
        assert isinstance(chunk, Packets | Probes)
        probes = first.of_packets(chunk, 0) if isinstance(chunk, Packets) else chunk
        found += zip(
            ((probes.ts / 1e6) - BEGIN).round(6).tolist(), probes.src[:, 1].tolist(), probes.dst[:, 1].tolist(),
            probes.sport.tolist(), probes.dport.tolist(), probes.proto.tolist(), strict=True,
        )  # fmt: skip
    reading.skipped.update(first.skipped)
    return found, reading


def row(at: float = 0, sport: int = 40000, dport: int = 22, proto: int = 6) -> Row:
    return at, A4, B4, sport, dport, proto


SYN = "IN=eth0 OUT= MAC=02:00:00:00:00:01:02:00:00:00:00:02:08:00 SRC=198.51.100.7 DST=192.0.2.10 LEN=60 TOS=0x00 " \
      "PREC=0x00 TTL=49 ID=1 DF PROTO=TCP SPT=40000 DPT=22 WINDOW=64240 RES=0x00 SYN URGP=0"  # fmt: skip
ACK = SYN.replace("SYN URGP", "ACK URGP")
SYN_SEQ = SYN.replace("WINDOW", "SEQ=1 ACK=0 WINDOW")
DATAGRAM = "IN=eth0 OUT= SRC=198.51.100.7 DST=192.0.2.10 LEN=40 TOS=0x00 PREC=0x00 TTL=49 ID=1 PROTO=UDP SPT=40000 " \
           "DPT=161 LEN=20"  # fmt: skip
ICMP = "IN=eth0 OUT= SRC=198.51.100.7 DST=192.0.2.10 LEN=84 PROTO=ICMP TYPE=8 CODE=0 ID=1 SEQ=1"
QUOTING = (
    f"IN=eth0 OUT= SRC={A} DST={B} LEN=84 PROTO=ICMP TYPE=3 CODE=3 [SRC={B} DST={A} LEN=40 PROTO=UDP SPT=1 DPT=2 ] "
)
OWN = SYN.replace("IN=eth0 OUT=", "IN= OUT=eth0")


def eve(event: str, flags: str | None = None, **flow) -> str:
    """A record of EVE, as Suricata 7.0.10 writes it."""
    found = {"timestamp": "2026-01-01T00:00:09.000000+0000", "flow_id": 1, "event_type": event, "src_ip": A,
             "src_port": 40000, "dest_ip": B, "dest_port": 22, "proto": "TCP"}  # fmt: skip
    if event == "flow":
        start = {"start": "2026-01-01T01:00:00.000000+0100", "state": "closed"}
        found["flow"] = {"pkts_toserver": 1, "pkts_toclient": 0, **start, **flow}
        if flags:
            found["tcp"] = {"tcp_flags": flags, "tcp_flags_ts": flags, "tcp_flags_tc": "14"}
    else:
        found[event] = flow
    return json.dumps(found)


def flat(**values) -> str:
    return json.dumps(values)


FILTERLOG = (
    "4,,,1000000103,igb0,match,block,in,4,0x0,,64,1,0,none,6,tcp,60,198.51.100.7,192.0.2.10,40000,22,0,S,1,,64240,,mss"
)
FILTERLOG6 = (
    "4,,,1000000105,igb0,match,block,in,6,0x00,0x0,255,tcp,6,40,2001:db8::7,2001:db8::1,40000,22,0,S,1,,64240,,"
)
FORTI = 'date=2026-01-01 time=01:00:00 devname="FGT" devid="FG1" eventtime={event} tz="+0100" logid="0000000013" ' \
        'type="traffic" subtype="forward" level="notice" vd="root" srcip=198.51.100.7 srcport=40000 srcintf="wan1" ' \
        'dstip=192.0.2.10 dstport=22 dstintf="lan" sessionid=1 proto=6 action="{action}" policyid=0 service="SSH" ' \
        'sentbyte=60 rcvdbyte={back} sentpkt=1'  # fmt: skip
PALO = "<14>Jan  1 00:00:00 pa 1,2026/01/01 00:00:00,0123,TRAFFIC,{kind},2562,2026/01/01 00:00:00,198.51.100.7,192.0.2.10,0.0.0.0," \
       '0.0.0.0,"deny, all",,,not-applicable,vsys1,out,in,ae1,,fwd,2026/01/01 00:00:00,0,1,40000,22,0,0,0x0,tcp,{action},' \
       "60,60,{back},1,2026/01/01 00:00:00,0,any"  # fmt: skip
MIKROTIK = "firewall,info DROP input: in:ether1 out:(unknown 0), connection-state:new src-mac 02:00:00:00:00:01, " \
           "proto TCP (SYN), 198.51.100.7:40000->192.0.2.10:22, len 60"  # fmt: skip
NFDUMP = "ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt\n"
NFDUMP_ROW = "2026-01-01 00:00:00,2026-01-01 00:00:00,0.000,{a},{b},{sp},{dp},{pr},{flg},0,0,1,40,0,0\n"
AWS = "2 123456789012 eni-0a1 198.51.100.7 192.0.2.10 40000 22 6 1 40 1767225600 1767225660 {} OK"
AZURE = {"records": [{"time": "2026-01-01T00:00:00Z", "properties": {"Version": 2, "flows": [{"rule": "r", "flows": [
    {"mac": "02", "flowTuples": ["1767225600,198.51.100.7,192.0.2.10,40000,22,T,I,D,B,,,,",
                                 "1767225600,198.51.100.7,192.0.2.10,40000,161,U,I,D",
                                 "1767225600,198.51.100.7,192.0.2.10,40001,80,T,I,A,E,9,99,9,99",
                                 "1767225600,192.0.2.10,198.51.100.7,40001,80,T,O,D,B,,,,"]}]}]}}]}  # fmt: skip
WINDOWS = (
    "#Version: 1.5\r\n#Software: Microsoft Windows Firewall\r\n#Time Format: Local\r\n#Fields: date time action protocol "
    "src-ip dst-ip src-port dst-port size tcpflags tcpsyn tcpack tcpwin icmptype icmpcode info path\r\n\r\n"
)
DROP = f"2026-01-01 00:00:00 DROP TCP {A} {B} 40000 22"
ASA = "Jan 01 2026 00:00:00: %ASA-4-"
CASES = [
    ("eve", eve("flow", "02"), [row()]),
    ("eve", eve("flow", "02", pkts_toclient=1), [row()]),  # refused: a RST came back
    ("eve", eve("flow", "1b", pkts_toclient=5), []),  # SYN, ACK, PSH, FIN: used
    ("eve", eve("flow", "16", pkts_toclient=1), [row()]),  # SYN, ACK, RST without data: half-open
    ("eve", eve("flow", "10"), []),  # begun before
    ("eve", eve("drop", syn=True, ack=False), [row(9)]),
    ("eve", eve("drop", syn=False, ack=True), []),
    ("eve", eve("alert") + "\n" + eve("flow", "02"), [row()]),
    ("netfilter", f"Jan  1 00:00:00 fw kernel: [  12.345678] [UFW BLOCK] {SYN}\n", [row()]),
    ("netfilter", f"<4>1 2026-01-01T01:00:00.250000+01:00 fw kernel - - - [  12.3] DROP {SYN}\n", [row(0.25)]),
    ("netfilter", f"2026-01-01T00:00:00+0000 fw kernel: FINAL_REJECT: {SYN}\n", [row()]),
    ("netfilter", f"[Thu Jan  1 00:00:00 2026] nft {SYN_SEQ}\n", [row()]),
    ("netfilter", f"Jan  1 00:00:01 2026 fw kernel: {DATAGRAM}\n", [row(1, dport=161, proto=17)]),
    ("netfilter", "\n".join(f"Jan  1 00:00:00 fw kernel: {it}" for it in (ACK, ICMP, QUOTING, OWN, SYN, SYN)), [row()]),
    ("netfilter", f"Jan  1 00:00:00 fw sshd[1]: Failed\nDec 31 23:59:59 fw kernel: {SYN}\n", [row(-1)]),
    ("journal", flat(__REALTIME_TIMESTAMP="1767225600250000", MESSAGE=f"DROP {SYN}", SYSLOG_IDENTIFIER="kernel")
     + "\n" + flat(__REALTIME_TIMESTAMP="1767225600250000", MESSAGE=[1, 2]), [row(0.25)]),
    ("ulogd", json.dumps({"timestamp": "2026-01-01T00:00:00.5+0000", "dvc": "Netfilter", "oob.prefix": "", "oob.in": "eth0",
                          "oob.out": "", "src_ip": A, "dest_ip": B, "ip.protocol": 6, "src_port": 40000, "dest_port": 22,
                          "tcp.syn": 1, "tcp.seq": 1}), [row(0.5)]),
    ("filterlog", f"Jan  1 00:00:00 pf filterlog[123]: {FILTERLOG}\n", [row()]),
    ("filterlog", f"<134>1 2026-01-01T00:00:00+00:00 pf filterlog 123 - [meta sequenceId=\"1\"] {FILTERLOG}\n", [row()]),
    ("filterlog", f"Jan  1 00:00:00 pf filterlog: {FILTERLOG.replace(',S,', ',SA,')}\n", []),
    ("filterlog", f"Jan  1 00:00:00 pf filterlog: {FILTERLOG.replace(',in,', ',out,')}\n", []),
    ("filterlog", f"Jan  1 00:00:00 pf filterlog[1]: {FILTERLOG6}\n", [(0, 7, 1, 40000, 22, 6)]),
    ("mikrotik", f"Jan  1 00:00:00 gw {MIKROTIK}\n", [row()]),
    ("mikrotik", f"jan/01/2026 00:00:00 {MIKROTIK}\n2026-01-01 00:00:00 {MIKROTIK}\n", [row()]),
    ("mikrotik", MIKROTIK.replace("TCP (SYN)", "ICMP (type 8, code 0)").replace(":40000", "").replace(":22", ""), []),
    ("windows", f"{WINDOWS}{DROP} 52 S 1 0 64240 - - - RECEIVE\n", [row()]),
    ("windows", f"{WINDOWS}{DROP} 52 S 1 0 64240 - - - RECEIVE 1234\n", [row()]),  # Windows 11: a process
    ("windows", f"{DROP} 52 S 1 0 64240 - - - RECEIVE\n", [row()]),
    ("windows", f"{WINDOWS}{DROP} 0 - 0 0 0 - - - RECEIVE\n", [row()]),
    ("windows", f"{WINDOWS}{DROP} 52 SA 1 1 64240 - - - RECEIVE\n", []),
    ("windows", f"{WINDOWS}{DROP} 52 S 1 0 64240 - - - SEND\n", []),
    ("windows", f"{WINDOWS}{DROP.replace('TCP', 'UDP')} 76 - - - - - - - RECEIVE\n", [row(proto=17)]),
    ("windows", f"{WINDOWS}{DROP.replace('DROP', 'ALLOW')} 0 - 0 0 0 - - - RECEIVE\n", []),
    ("windows", f"{WINDOWS}{DROP.replace('DROP', 'OPEN-INBOUND')} - - - - - - - - -\n", []),
    ("windows", f"{WINDOWS}{DROP.replace('DROP', 'CLOSE')} - - - - - - - - -\n", []),
    ("windows", f"{WINDOWS}2026-01-01 00:00:00 INFO-EVENTS-LOST - - - - - - - - - - - - 5 -\n", []),
    ("windows", f"{WINDOWS}2026-01-01 00:00:00 DROP ICMP {A} {B} - - 60 - - - - 8 0 - RECEIVE\n", []),
    ("windows", f"{WINDOWS}2026-01-01 00:00:00 DROP UDP 2001:db8::7 2001:db8::1 40000 22 76 - - - - - - - RECEIVE\n",
     [(0, 7, 1, 40000, 22, 17)]),
    ("asa", f"{ASA}106023: Deny tcp src outside:{A}/40000 dst inside:{B}/22 by access-group \"acl\" [0x0, 0x0]", [row()]),
    ("asa", f"{ASA}106001: Inbound TCP connection denied from {A}/40000 to {B}/22 flags SYN  on interface outside", [row()]),
    ("asa", f"{ASA}106015: Deny TCP (no connection) from {A}/40000 to {B}/22 flags RST  on interface outside", []),
    ("asa", f"{ASA}106006: Deny inbound UDP from {A}/40000 to {B}/161 on interface outside", [row(dport=161, proto=17)]),
    ("asa", f"{ASA}106100: access-list acl denied tcp outside/{A}(40000) -> inside/{B}(22) hit-cnt 3 300-second interval [0x1, 0x2]", [row()]),
    ("asa", f"{ASA}106100: access-list acl permitted tcp outside/{A}(40000) -> inside/{B}(22) hit-cnt 1 first hit", []),
    ("asa", f"{ASA}106100: access-list acl est-allowed tcp outside/{A}(40000) -> inside/{B}(22) hit-cnt 1 first hit", []),
    ("asa", f"{ASA}106103: access-list vpn denied tcp for user 'jo' outside/{A}(40000) -> inside/{B}(22) hit-cnt 1 first hit", [row()]),
    ("asa", f"{ASA}106007: Deny inbound UDP from {A}/40000 to {B}/161 due to DNS Query", [row(dport=161, proto=17)]),
    ("asa", f"<166>:Jan 01 00:00:00 UTC: %FTD-3-710003: TCP access denied by ACL from {A}/40000 to outside:{B}/22", [row()]),
    ("asa", f"{ASA}302013: Built inbound TCP connection 1 for outside:{A}/40000 ({A}/40000) to in:{B}/22 ({B}/22)", []),
    ("fortigate", FORTI.format(event=BEGIN * 10**9, action="deny", back=0), [row()]),
    ("fortigate", FORTI.format(event=BEGIN, action="close", back=900), []),
    ("fortigate", FORTI.format(event=BEGIN, action="timeout", back=0), [row()]),
    ("fortigate", FORTI.format(event=BEGIN, action="deny", back=0).replace("date=2026-01-01 ", ""), [row()]),
    ("paloalto", PALO.format(kind="drop", action="deny", back=0), [row()]),
    ("paloalto", PALO.format(kind="end", action="allow", back=900), []),
    ("paloalto", PALO.format(kind="end", action="allow", back=0), [row()]),
    ("paloalto", PALO.format(kind="end", action="allow", back=0).replace("60,0,1,2026/01/01 00:00:00", "60,0,1,2025/12/31 23:59:30"), [row(-30)]),
    ("aws-vpc", AWS.format("REJECT") + "\n" + AWS.format("ACCEPT"), [row()]),
    ("aws-vpc", "2 123456789012 eni-0a1 - - - - - - - 1767225600 1767225660 - NODATA\n" + AWS.format("REJECT"), [row()]),
    ("aws-vpc", "srcaddr dstaddr srcport dstport protocol start tcp-flags action\n"
                f"{A} {B} 40000 22 6 {BEGIN} 2 ACCEPT\n{A} {B} 40000 23 6 {BEGIN} 3 ACCEPT\n", [row()]),
    ("aws-vpc", "".join(flat(version=5, interface_id="eni-0a1", srcaddr=A, dstaddr=B, srcport=40000.0, dstport=port, protocol=6.0,
                             start=BEGIN, action=action, log_status=status, tcp_flags=flags) + "\n"
                        for port, action, status, flags in ((22, "REJECT", "OK", 2.0), (23, "ACCEPT", "OK", 2.0), (24, "ACCEPT", "OK", 3),
                                                            ("-", "-", "NODATA", 0))), [row(), row(dport=23)]),
    ("gcp", flat(jsonPayload={"connection": {"src_ip": A, "src_port": 40000, "dest_ip": B, "dest_port": 22, "protocol": 6},
                              "disposition": "DENIED"}, timestamp="2026-01-01T00:00:00.5Z"), [row(0.5)]),
    ("azure", json.dumps(AZURE, indent=1), [row(), row(dport=161, proto=17)]),
    ("azure", json.dumps(AZURE), [row(), row(dport=161, proto=17)]),
    ("azure", json.dumps({"flowRecords": {"flowGroups": [{"flowTuples": [f"{BEGIN}000,{A},{B},40000,22,6,I,D,NX,0,0,0,0"]}]}}), [row()]),
    ("nfdump", NFDUMP + NFDUMP_ROW.format(a=A, b=B, sp=40000, dp=22, pr="TCP", flg="......S.")
     + NFDUMP_ROW.format(a=B, b=A, sp=22, dp=40000, pr="TCP", flg="...A.R..")
     + NFDUMP_ROW.format(a=A, b=B, sp=40000, dp=161, pr="UDP", flg="........")
     + NFDUMP_ROW.format(a=B, b=A, sp=161, dp=40000, pr="UDP", flg="........")
     + "Summary\nflows,bytes,packets,avg_bps,avg_pps,avg_bpp\n2,3,4,5,6,7\n", [row(), row(dport=161, proto=17)]),
    ("nfdump-json", json.dumps([{"type": "FLOW", "export_sysid": 1, "first": "2026-01-01T00:00:00.250", "proto": 6,
                                 "tcp_flags": "......S.", "src_port": 40000, "dst_port": 22, "src4_addr": A,
                                 "dst4_addr": B}], indent=1), [row(0.25)]),
    ("silk", "            sIP|            dIP|sPort|dPort|pro|   packets|   flags|                  sTime|\n"
             f"   {A}|     {B}|40000|   22|  6|         1| S      |2026/01/01T00:00:00.250|\n"
             f"   {A}|     {B}|40001|   22|  6|         9|FS PA   |2026/01/01T00:00:00.250|\n", [row(0.25)]),
    ("argus", "StartTime,Flgs,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,TotPkts,TotBytes,State\n"
              f"{BEGIN}.250000, e        ,tcp,{A},40000,   ->,{B},ssh,2,114,RST\n"
              f"{BEGIN}.250000, e        ,udp,{A},40000,   ->,{B},161,1,60,INT\n"
              f"{BEGIN}.250000, e        ,tcp,{A},40001,   ->,{B},80,12,1072,FIN\n"
              f"{BEGIN}.0,          ,man,0,0,,0,0,0,0,STA\n", [row(0.25), row(0.25, dport=161, proto=17)]),
    ("cowrie", "\n".join(flat(eventid=event, src_ip=A, src_port=40000, dst_ip=B, dst_port=22, session="x",
                              timestamp="2026-01-01T00:00:00.250000Z")
                         for event in ("cowrie.session.connect", "cowrie.login.failed")), [row(0.25)]),
    ("opencanary", flat(dst_host=B, dst_port=22, src_host=A, src_port=40000, logtype=4000, local_time="2026-01-01 09:00:00",
                        utc_time="2026-01-01 00:00:00.250000", logdata={}, node_id="c")
     + "\n" + flat(dst_host="", dst_port=-1, src_host="", src_port=-1, logtype=1001, utc_time="x", logdata={}), [row(0.25)]),
    ("p0f", f"[2026/01/01 00:00:00] mod=syn|cli={A}/40000|srv={B}/22|subj=cli|os=???\n"
            f"[2026/01/01 00:00:00] mod=syn+ack|cli={A}/40000|srv={B}/22|subj=srv|os=???\n", [row()]),
    ("p0f-json", flat(mod="syn", client_ip=A, client_port="40000", server_ip=B, server_port="22", subject="cli",
                      timestamp="2026/01/01 00:00:00"), [row()]),
    ("dionaea", flat(connection={"protocol": "smbd", "transport": "tcp", "type": "accept"}, dst_ip=B, dst_port=445, src_ip=A,
                     src_port=40000, timestamp="2026-01-01T00:00:00.250000"), [row(0.25, dport=445)]),
    ("honeytrap", flat(timestamp="2026-01-01T00:00:05.000+0000", start_time="2026-01-01T00:00:00.250+0000",
                       attack_connection={"protocol": "tcp", "local_ip": B, "local_port": 22, "remote_ip": A,
                                          "remote_port": 40000}), [row(0.25)]),
    ("honeytrap", "\n".join(flat(date="2026-01-01T01:00:00.25+01:00", sensor="services", **event) for event in (
        {"category": "heartbeat", "sequence": 1},
        {"category": "telnet", "type": "connect", "source-ip": A, "source-port": 40000, "destination-ip": B, "destination-port": 23},
        {"category": "snmp", "protocol": "udp", "source-ip": A, "source-port": 40000, "destination-ip": B, "destination-port": 161},
        {"category": "portscan", "source-ip": A, "destination-ip": B, "portscan.ports": ["tcp/22"]},
    )), [row(0.25, dport=23), row(0.25, dport=161, proto=17)]),
    ("json", flat(source={"ip": A, "port": 40000}, destination={"ip": B, "port": 22}, network={"transport": "tcp"},
                  **{"@timestamp": "2026-01-01T00:00:00.250Z"}), [row(0.25)]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "expected"), CASES, ids=[f"{at}-{one[0]}" for at, one in enumerate(CASES)])
def test_records_of_a_format(tmp_path, kind, text, expected):
    """The format is recognised, and its records give the probes that its documentation says they are."""
    path = tmp_path / "log"
    path.write_text(text)
    assert kind == detect(path)
    found, reading = read(path)
    assert (expected, 0, []) == (found, reading.bad, reading.problems)
    assert reading.read == len(found) + sum(reading.skipped.values())


LINES = [
    one
    for one in CASES
    # Of documents, what stands behind their end is not theirs.
    if one[0] != "azure" and (one[0] not in ("nfdump", "nfdump-json") or "Summary" in one[1])
]


@pytest.mark.parametrize(("kind", "text", "expected"), LINES, ids=[f"{at}-{one[0]}" for at, one in enumerate(LINES)])
def test_bad_lines_among_records_are_counted_and_the_others_kept(tmp_path, kind, text, expected):
    """Lines cut anywhere, of another format, too long or without an encoding lose none of the records around them."""
    text = text.partition("Summary\n")[0]
    whole = text.rstrip("\n") + "\n"
    last = whole.rstrip("\n").rpartition("\n")[2]
    junk = b"\xff\xfe\x1b[31m\n" + b"x" * ((1 << 20) + 1) + b"\n" + last[: len(last) // 2].encode() + b"\n{}\n[]\n\n"
    path = tmp_path / "log"
    path.write_bytes(whole.encode() + junk)
    found, reading = read(path, InputOptions(kind))
    assert expected == found[: len(expected)]
    assert 1 <= reading.bad
    assert any("longer than 1,048,576 bytes" in one for one in reading.bad_reasons)


def test_endlessh_needs_a_destination(tmp_path):
    """endlessh logs no destination: without one it is asked for, with one a line is a probe of SSH."""
    path = tmp_path / "log"
    path.write_text(f"2026-01-01T00:00:00.250Z ACCEPT host=::ffff:{A} port=40000 fd=4 n=1/4096\n")
    assert "endlessh" == detect(path)
    with pytest.raises(Exception, match="endlessh records hold no dst; give it with --dst"):
        read(path)
    found, _ = read(path, InputOptions(columns=ColumnMap(dst=B)))
    assert [row(0.25)] == found
