#!/bin/bash
# Suricata 7.0.10: `xbits:set` on a bit that is set does not extend it.
#
# `xbits:set,...,expire 10` reads as "set for 10 seconds from now". That holds only for the first time: while the bit is
# set, the next match leaves its expiry as it is. A source that goes on scanning is let off in the middle. To extend a
# bit, a rule must unset it first: `xbits:unset,NAME,...; xbits:set,NAME,...,expire 10`. The `add-hostbit` command of the
# unix socket behaves the same way.
#
# Seen (Debian 12, suricata 1:7.0.10-1~bpo12+1): a bit set for 10 s at 0 s and again at 8 s is gone at 15 s; unset and set
# at 8 s, it is there:
#   at 15 s: set again 0 alerts, unset and set 1 alert
#
# Needs: suricata (bookworm-backports), python3.
set -euo pipefail
suricata -V | grep -q '7\.0\.10 RELEASE' || { echo "not tried with $(suricata -V)"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > x.rules <<'RULES'
alert tcp any any -> any 80 (flags:S; xbits:set,again,track ip_src,expire 10; noalert; msg:"set"; sid:1;)
alert tcp any any -> any 80 (flags:S; xbits:unset,renewed,track ip_src; xbits:set,renewed,track ip_src,expire 10; noalert; msg:"unset, set"; sid:2;)
alert tcp any any -> any 81 (flags:S; xbits:isset,again,track ip_src; msg:"set again"; sid:3;)
alert tcp any any -> any 81 (flags:S; xbits:isset,renewed,track ip_src; msg:"unset and set"; sid:4;)
RULES
cat > x.yaml <<'YAML'
%YAML 1.1
---
outputs:
  - eve-log: {enabled: yes, filetype: regular, filename: eve.json, types: [alert]}
YAML
# A capture of SYNs to port 80 at 0 and 8 s, and to port 81 at 15 s: raw IPv4 (link type 101), addresses of RFC 5737.
python3 - <<'PYTHON'
import struct
with open("x.pcap", "wb") as out:
    out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))
    for second, port in ((0, 80), (8, 80), (15, 81)):
        packet = struct.pack("!BBHHHBBH4s4sHHIIBBHHH", 0x45, 0, 40, 1, 0, 64, 6, 0, bytes([198, 51, 100, 7]),
                             bytes([192, 0, 2, 1]), 40000 + second, port, 1, 0, 0x50, 2, 1024, 0, 0)
        out.write(struct.pack("<IIII", 1700000000 + second, 0, 40, 40) + packet)
PYTHON
suricata -c x.yaml -S x.rules -r x.pcap -l . -k none --runmode=single > /dev/null
again=$(grep -c '"signature_id":3,' eve.json || true)
renewed=$(grep -c '"signature_id":4,' eve.json || true)
echo "at 15 s: set again $again alerts, unset and set $renewed alert"
[ "$again" = 0 ] && [ "$renewed" = 1 ]
