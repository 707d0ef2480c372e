#!/bin/bash
# nfdump 1.7.1: begin and end of an IPFIX flow that gives them as system uptime are exchanged.
#
# IPFIX may give a flow's times as milliseconds since the exporter started, flowStartSysUpTime (22) and flowEndSysUpTime
# (21), with the start itself, systemInitTimeMilliseconds (160), in an options record. softflowd exports so. A reader
# expects the flow to begin at 22 and end at 21, as nfdump itself reads the same two numbers of NetFlow v9. From IPFIX it
# takes 21 as the begin, so that a flow ends before it begins, and its duration is 584 million years.
#
# Seen (nfdump 1.7.1-2+deb12u1): begin 2026-01-01 00:00:02.500, end 2026-01-01 00:00:01.000, of a flow that lasted from
# 1.000 to 2.500
#
# Needs: nfdump (Debian), python3, unshare, ip; root.
set -euo pipefail
version=$(dpkg-query -W -f '${Version}' nfdump)
[[ $version == 1.7.1-* ]] || { echo "not tried with nfdump $version"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir flows

cat > export.py <<'PYTHON'
import socket, struct, time

BOOT = 1767225600  # 2026-01-01 00:00:00 UTC
init = struct.pack(">HHHHHHHHH", 3, 18, 256, 2, 1, 143, 4, 160, 8)
boot = struct.pack(">HHIQ", 256, 16, 1, BOOT * 1000)
fields = [(8, 4), (12, 4), (22, 4), (21, 4), (1, 4), (2, 4), (7, 2), (11, 2), (4, 1), (6, 1)]
template = struct.pack(">HHHH", 2, 8 + 4 * len(fields), 257, len(fields)) + b"".join(struct.pack(">HH", *f) for f in fields)
ends = socket.inet_aton("198.51.100.7") + socket.inet_aton("192.0.2.1")
flow = ends + struct.pack(">IIIIHHBB", 1000, 2500, 80, 2, 40000, 22, 6, 2)
sets = init + boot + template + struct.pack(">HH", 257, 4 + len(flow)) + flow
message = struct.pack(">HHIII", 10, 16 + len(sets), BOOT + 60, 0, 0) + sets
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(message, ("127.0.0.1", 29995))
time.sleep(1)
PYTHON
cat > run.sh <<'SH'
ip link set lo up
nfcapd -w flows -b 127.0.0.1 -p 29995 > nfcapd.log 2>&1 &
collector=$!
sleep 2
python3 export.py
kill $collector
wait $collector || true
SH
timeout 60 unshare -n bash run.sh
seen=$(TZ=UTC nfdump -R flows -q -o 'fmt:begin %ts, end %te' | head -1)
echo "$seen"
[[ $seen == "begin 2026-01-01 00:00:02.500, end 2026-01-01 00:00:01.000"* ]]
