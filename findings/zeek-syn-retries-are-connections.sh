#!/bin/bash
# Zeek 8.0.10: one connection attempt of Linux, whose SYN is sent seven times, is five connections in conn.log.
#
# Linux repeats an unanswered SYN after 1, 3, 7, 15, 31 and 63 s. These are retransmissions: the same ports, the same
# sequence number. Zeek gives up an attempt 5 s after its SYN (tcp_attempt_delay) and forgets it, so each repeat that
# comes later is a new connection with a new uid. One dropped connection of a benign client counts as five attempts, for
# whoever counts lines of conn.log with state S0; a scanner that sends each SYN once counts as one.
#
# Seen (zeek 8.0.10), packets of each connection: 3 1 1 1 1
#
# Needs: zeek (in PATH or /opt/zeek/bin), python3.
set -euo pipefail
PATH=$PATH:/opt/zeek/bin
zeek --version | grep -q ' 8\.0\.10$' || { echo "not tried with $(zeek --version)"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 - <<'PYTHON'
import struct
packet = struct.pack("!BBHHHBBH4s4sHHIIBBHHH", 0x45, 0, 40, 1, 0, 64, 6, 0, bytes([198, 51, 100, 7]),
                     bytes([192, 0, 2, 1]), 40000, 22, 1, 0, 0x50, 2, 1024, 0, 0)
with open("x.pcap", "wb") as out:
    out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))
    for second in (0, 1, 3, 7, 15, 31, 63):
        out.write(struct.pack("<IIII", 1700000000 + second, 0, 40, 40) + packet)
PYTHON
timeout 100 zeek -b -C -r x.pcap base/protocols/conn LogAscii::use_json=T
packets=$(grep -o '"orig_pkts":[0-9]*' conn.log | cut -d : -f 2 | xargs)
echo "packets of each connection: $packets"
[ "$packets" = "3 1 1 1 1" ]
