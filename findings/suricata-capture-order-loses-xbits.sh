#!/bin/bash
# Suricata 7.0.10: reading a capture, rules that relate two flows miss a part of what they match, another part each time.
#
# A rule sets an xbit by a source's first flow, another tests it by the source's next flow a second later. From a file one
# expects the same alerts in every run: time is that of the packets. But `suricata -r` hands flows to threads, each with
# a queue, by its usual run mode (autofp), and packets of different flows overtake each other, whatever their times say.
# The second flow is then tested before the first one sets the bit. Thresholds and host bits relate flows in the same way.
# With `--runmode=single` nothing is missed.
#
# Seen (Debian 12, suricata 1:7.0.10-1~bpo12+1), alerts of 2,000 sources with two flows each, one second apart:
#   single: 2000, usual run mode: 1501 1519 1518
#
# Needs: suricata (bookworm-backports), python3, two processors.
set -euo pipefail
suricata -V | grep -q '7\.0\.10 RELEASE' || { echo "not tried with $(suricata -V)"; exit 1; }
[ "$(nproc)" -gt 1 ] || { echo "needs two processors"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > x.rules <<'RULES'
alert tcp any any -> any 80 (flags:S; xbits:set,seen,track ip_src,expire 3600; noalert; sid:1;)
alert tcp any any -> any 81 (flags:S; xbits:isset,seen,track ip_src; msg:"the next flow"; sid:2;)
RULES
cat > x.yaml <<'YAML'
%YAML 1.1
---
outputs:
  - eve-log: {enabled: yes, filetype: regular, filename: eve.json, types: [alert]}
YAML
# A SYN to port 80 and a second later one to port 81, from each of 2,000 sources: raw IPv6 (link type 101).
python3 - <<'PYTHON'
import ipaddress, struct

target = ipaddress.ip_address("2001:db8:1::1").packed
with open("x.pcap", "wb") as out:
    out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))
    for i in range(2000):
        source = ipaddress.ip_address(f"2001:db8::{i + 1:x}").packed
        for second, port in enumerate((80, 81)):
            tcp = struct.pack(">HHIIBBHHH", 40000 + i + 77 * second, port, 1, 0, 0x50, 2, 1024, 0, 0)
            packet = struct.pack(">IHBB", 6 << 28, len(tcp), 6, 64) + source + target + tcp
            out.write(struct.pack("<IIII", 1700000000 + 2 * i + second, 0, len(packet), len(packet)) + packet)
PYTHON
alerts() {
    rm -f eve.json
    suricata -c x.yaml -S x.rules -r x.pcap -l . -k none "$@" > /dev/null
    grep -c '"signature_id":2,' eve.json || true
}
single=$(alerts --runmode=single)
usual="$(alerts) $(alerts) $(alerts)"
echo "single: $single, usual run mode: $usual"
[ "$single" = 2000 ]
for number in $usual; do [ "$number" -lt 2000 ]; done
