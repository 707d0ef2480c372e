#!/bin/bash
# Suricata 7.0.10: detection_filter holds back a rule's alert, not its bits.
#
# A rule with `detection_filter: track by_src, count 3, seconds 60` alerts from the fourth match on. Its `xbits:set`
# takes effect at the first match. So the usual sketch of a scan detector, "set a bit once a source exceeds a rate, drop
# sources with the bit", drops every source at its second SYN.
#
# Seen (Debian 12, suricata 1:7.0.10-1~bpo12+1): two SYNs of one source; no alert of sid 1, whose filter needs four, but
# sid 2, which tests the bit that only sid 1 sets, alerts:
#   sid 1 (filtered): 0 alerts, sid 2 (tests its bit): 1 alert
#
# Needs: suricata (bookworm-backports), python3.
set -euo pipefail
suricata -V | grep -q '7\.0\.10 RELEASE' || { echo "not tried with $(suricata -V)"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > x.rules <<'RULES'
alert tcp any any -> any any (flags:S; detection_filter:track by_src, count 3, seconds 60; xbits:set,scanner,track ip_src,expire 60; msg:"filtered"; sid:1;)
alert tcp any any -> any any (flags:S; xbits:isset,scanner,track ip_src; msg:"has the bit"; sid:2;)
RULES
cat > x.yaml <<'YAML'
%YAML 1.1
---
outputs:
  - eve-log: {enabled: yes, filetype: regular, filename: eve.json, types: [alert]}
YAML
# A capture of two SYNs, a second apart: raw IPv4 (link type 101), addresses of RFC 5737.
python3 - <<'PYTHON'
import struct
with open("x.pcap", "wb") as out:
    out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))
    for second, port in enumerate((80, 81)):
        packet = struct.pack("!BBHHHBBH4s4sHHIIBBHHH", 0x45, 0, 40, 1, 0, 64, 6, 0, bytes([198, 51, 100, 7]),
                             bytes([192, 0, 2, 1]), 40000 + second, port, 1, 0, 0x50, 2, 1024, 0, 0)
        out.write(struct.pack("<IIII", 1700000000 + second, 0, 40, 40) + packet)
PYTHON
suricata -c x.yaml -S x.rules -r x.pcap -l . -k none --runmode=single > /dev/null
filtered=$(grep -c '"signature_id":1,' eve.json || true)
bit=$(grep -c '"signature_id":2,' eve.json || true)
echo "sid 1 (filtered): $filtered alerts, sid 2 (tests its bit): $bit alert"
[ "$filtered" = 0 ] && [ "$bit" = 1 ]
