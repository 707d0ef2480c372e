#!/bin/bash
# Suricata 7.0.10: an xbit's expiry is counted in whole seconds of the packets' clock, so it lives up to a second longer.
#
# `xbits:set,...,expire 1` reads like one second. The fraction of a second at which the bit is set is dropped, and so is
# that at which it is tested: a bit set at 0.0 s is still set at 1.9 s, one set at 0.9 s is gone at 2.0 s. Rules that
# measure short times by bits (so many probes within a second) catch a source or not by the moment at which it began.
#
# Seen (Debian 12, suricata 1:7.0.10-1~bpo12+1):
#   set at 0.0, tested at 1.9: set
#   set at 0.9, tested at 2.0: not set
#
# Needs: suricata (bookworm-backports), python3.
set -euo pipefail
suricata -V | grep -q '7\.0\.10 RELEASE' || { echo "not tried with $(suricata -V)"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > x.rules <<'RULES'
alert tcp any any -> any any (flags:S; xbits:isset,seen,track ip_src; msg:"still set"; sid:1;)
alert tcp any any -> any any (flags:S; xbits:isnotset,seen,track ip_src; xbits:set,seen,track ip_src,expire 1; noalert; sid:2;)
RULES
cat > x.yaml <<'YAML'
%YAML 1.1
---
outputs:
  - eve-log: {enabled: yes, filetype: regular, filename: eve.json, types: [alert]}
YAML
# Two SYNs of each of two sources: raw IPv4 (link type 101), addresses of RFC 5737.
python3 - <<'PYTHON'
import struct
with open("x.pcap", "wb") as out:
    out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))
    for tenths, source, port in ((0, 1, 80), (9, 2, 80), (19, 1, 81), (20, 2, 81)):
        packet = struct.pack("!BBHHHBBH4s4sHHIIBBHHH", 0x45, 0, 40, 1, 0, 64, 6, 0, bytes([198, 51, 100, source]),
                             bytes([192, 0, 2, 1]), 40000, port, 1, 0, 0x50, 2, 1024, 0, 0)
        out.write(struct.pack("<IIII", 1700000000 + tenths // 10, tenths % 10 * 100000, 40, 40) + packet)
PYTHON
suricata -c x.yaml -S x.rules -r x.pcap -l . -k none --runmode=single > /dev/null
says() { grep -q "\"src_ip\":\"198.51.100.$1\"" eve.json && echo "set" || echo "not set"; }
echo "set at 0.0, tested at 1.9: $(says 1)"
echo "set at 0.9, tested at 2.0: $(says 2)"
[ "$(says 1)" = "set" ] && [ "$(says 2)" = "not set" ]
