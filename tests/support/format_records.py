"""One record of each format, as its program writes it, with the header where the format has one."""

# ruff: noqa: E501  # lines as programs write them

import json

A, B = "198.51.100.7", "192.0.2.10"
BEGIN = 1_767_225_600
KERNEL = f"IN=eth0 OUT= SRC={A} DST={B} LEN=60 TTL=49 ID=1 DF PROTO=TCP SPT=40000 DPT=22 WINDOW=1 RES=0x00 SYN URGP=0"
ENDS = {"src_ip": A, "src_port": 40000, "dest_ip": B, "dest_port": 22}
POT = {"src_ip": A, "src_port": 40000, "dst_ip": B, "dst_port": 22}
FLOW = {"IPV4_SRC_ADDR": A, "IPV4_DST_ADDR": B, "L4_SRC_PORT": 40000, "L4_DST_PORT": 22, "PROTOCOL": 6, "TCP_FLAGS": 2,
        "FIRST_SWITCHED": 1}  # fmt: skip
RECORDS: dict[str, str] = {
    "zeek": "#separator \\x09\n#path\tconn\n#fields\tts\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tconn_state\n"
            f"{BEGIN}.5\t{A}\t40000\t{B}\t22\ttcp\tS0\n",
    "eve": json.dumps({"timestamp": "2026-01-01T00:00:09.000000+0000", "event_type": "flow", **ENDS, "proto": "TCP",
                       "flow": {"start": "2026-01-01T00:00:00Z", "pkts_toserver": 1, "pkts_toclient": 0},
                       "tcp": {"tcp_flags_ts": "02"}}),
    "netfilter": f"Jan  1 00:00:00 fw kernel: [  12.345678] DROP {KERNEL}",
    "journal": json.dumps({"__REALTIME_TIMESTAMP": f"{BEGIN}000000", "MESSAGE": KERNEL}),
    "ulogd": json.dumps({"timestamp": "2026-01-01T00:00:00", "oob.in": "eth0", "oob.out": "", **ENDS, "ip.protocol": 6,
                         "tcp.syn": 1, "oob.prefix": ""}),
    "filterlog": f"Jan  1 00:00:00 pf filterlog[1]: 4,,,1,igb0,match,block,in,4,0x0,,64,1,0,none,6,tcp,60,{A},{B},40000,"
                 "22,0,S,1,,64240,,mss",
    "mikrotik": f"Jan  1 00:00:00 gw in:ether1 out:x, proto TCP (SYN), {A}:40000->{B}:22, len 60",
    "asa": f"Jan 01 2026 00:00:00: %ASA-4-106023: Deny tcp src out:{A}/40000 dst in:{B}/22 by access-group",
    "fortigate": f"date=2026-01-01 time=00:00:00 devid=1 srcip={A} srcport=40000 dstip={B} dstport=22 proto=6 action=deny",
    "paloalto": f"1,2026/01/01 00:00:00,0123,TRAFFIC,drop,2562,2026/01/01 00:00:00,{A},{B},,,r,,,x,v,o,i,a,,f,t,0,1,40000,"
                "22,0,0,0x0,tcp,deny,60,60,0,1",
    "windows": f"2026-01-01 00:00:00 DROP TCP {A} {B} 40000 22 52 S 1 0 64240 - - - RECEIVE",
    "aws-vpc": f"2 123456789012 eni-0a1 {A} {B} 40000 22 6 1 40 {BEGIN} {BEGIN} REJECT OK",
    "gcp": json.dumps({"jsonPayload": {"connection": {**ENDS, "protocol": 6}, "disposition": "DENIED"},
                       "timestamp": "2026-01-01T00:00:00.5Z"}),
    "azure": json.dumps({"flowTuples": [f"{BEGIN},{A},{B},40000,22,T,I,D,B,,,,"]}),
    "nfdump": f"ts,te,td,sa,da,sp,dp,pr,flg\n2026-01-01 00:00:00,x,0,{A},{B},40000,22,TCP,......S.",
    "nfdump-json": json.dumps([{"export_sysid": 1, "first": "2026-01-01T00:00:00", "proto": 6, "tcp_flags": "S",
                                "src_port": 1, "dst_port": 22, "src4_addr": A, "dst4_addr": B}], indent=1),
    "netflow": json.dumps({"1": {"client": ["x", 1], "header": {"version": 9, "uptime": 1, "timestamp": BEGIN},
                                 "flows": [FLOW, FLOW]}}),
    "argus": f"StartTime,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State\n{BEGIN}.25,tcp,{A},40000,   ->,{B},ssh,REQ",
    "silk": f"sIP|dIP|sPort|dPort|pro|flags|sTime|\n {A}| {B}|40000|22|6| S |2026/01/01T00:00:00.250|",
    "cowrie": json.dumps({"eventid": "cowrie.session.connect", **POT, "timestamp": "2026-01-01T00:00:00.25Z"}),
    "opencanary": json.dumps({"dst_host": B, "dst_port": 22, "src_host": A, "src_port": 40000, "logtype": 4000,
                              "utc_time": "2026-01-01 00:00:00.250000"}),
    "p0f": f"[2026/01/01 00:00:00] mod=syn|cli={A}/40000|srv={B}/22|subj=cli|os=???",
    "p0f-json": json.dumps({"mod": "syn", "client_ip": A, "client_port": "1", "server_ip": B, "server_port": "22",
                            "timestamp": "2026/01/01 00:00:00"}),
    "dionaea": json.dumps({"connection": {"transport": "tcp", "type": "accept"}, **POT, "timestamp": "2026-01-01T00:00:00"}),
    "honeytrap": json.dumps({"start_time": "2026-01-01T00:00:00Z", "attack_connection": {
        "protocol": "tcp", "local_ip": B, "local_port": 22, "remote_ip": A, "remote_port": 40000}}),
    "endlessh": f"2026-01-01T00:00:00.250Z ACCEPT host={A} port=40000 fd=4 n=1/4096",
    "json": json.dumps({"@timestamp": "2026-01-01T00:00:00Z", "source": {"ip": A}, "destination": {"ip": B, "port": 22},
                        "network": {"transport": "tcp"}}),
    "csv": f"ts,src,dst,sport,dport,proto\n{BEGIN},{A},{B},40000,22,tcp",
}  # fmt: skip
