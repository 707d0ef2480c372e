#!/bin/bash
# Suricata 7.0.10: in a drop rule, `threshold:type threshold, count 3` drops every third packet and passes the others.
#
# User guides up to that of 8.0.3 say that actions such as drop are applied to each packet, not only to the one that meets
# the condition. That is so of `type both` from the third packet on, and of `detection_filter` from the fourth. `type
# threshold` counts from zero again after each alert, and only the packet that alerts is dropped: a rule that is meant to
# stop a source above a rate stops a third of it. 8.0.8 drops the same packets, and its guide says so.
#
# Seen (Debian 12, suricata 1:7.0.10-1~bpo12+1), eight SYNs of one source within 8 s, dropped:
#   type threshold: 3 6; type both: 3 4 5 6 7 8; detection_filter: 4 5 6 7 8
#
# Needs: suricata (bookworm-backports), python3.
set -euo pipefail
suricata -V | grep -q '7\.0\.10 RELEASE' || { echo "not tried with $(suricata -V)"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > x.yaml <<'YAML'
%YAML 1.1
---
outputs:
  - eve-log: {enabled: yes, filetype: regular, filename: eve.json, types: [drop]}
YAML
# SYNs to the ports 1 to 8, a second apart: raw IPv4 (link type 101), addresses of RFC 5737.
python3 - <<'PYTHON'
import struct
with open("x.pcap", "wb") as out:
    out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))
    for port in range(1, 9):
        packet = struct.pack("!BBHHHBBH4s4sHHIIBBHHH", 0x45, 0, 40, 1, 0, 64, 6, 0, bytes([198, 51, 100, 7]),
                             bytes([192, 0, 2, 1]), 40000 + port, port, 1, 0, 0x50, 2, 1024, 0, 0)
        out.write(struct.pack("<IIII", 1700000000 + port, 0, 40, 40) + packet)
PYTHON
dropped() {
    rm -f eve.json
    echo "drop tcp any any -> any any (flags:S; $1 track by_src, count 3, seconds 60; msg:\"rate\"; sid:1;)" > x.rules
    suricata --simulate-ips -c x.yaml -S x.rules -r x.pcap -l . -k none --runmode=single > /dev/null
    grep -o '"dest_port":[0-9]*' eve.json | cut -d : -f 2 | xargs
}
threshold=$(dropped 'threshold:type threshold,')
both=$(dropped 'threshold:type both,')
filter=$(dropped 'detection_filter:')
echo "type threshold: $threshold; type both: $both; detection_filter: $filter"
[ "$threshold; $both; $filter" = "3 6; 3 4 5 6 7 8; 4 5 6 7 8" ]
