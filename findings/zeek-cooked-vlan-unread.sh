#!/bin/bash
# Zeek 8.0.10: packets with a VLAN tag in a cooked capture (`tcpdump -i any`) are not analysed.
#
# libpcap puts the tag that the kernel moved aside back into the cooked header: protocol 0x8100, the tag, the packet.
# tcpdump and Wireshark read it. Zeek reads VLAN tags on Ethernet and cooked packets without a tag, and a reader expects
# it to read the two together; but no VLAN analyzer is registered below LINUXSLL or LINUXSLL2, so a capture of a tagged
# network gives no connection. Registering one is enough:
#   PacketAnalyzer::register_packet_analyzer(PacketAnalyzer::ANALYZER_LINUXSLL, 0x8100, PacketAnalyzer::ANALYZER_VLAN)
#
# Seen (zeek 8.0.10): connections without a tag: 1, with a tag: 0, with a tag and the analyzer registered: 1
#
# Needs: zeek (in PATH or /opt/zeek/bin), python3.
set -euo pipefail
PATH=$PATH:/opt/zeek/bin
zeek --version | grep -q ' 8\.0\.10$' || { echo "not tried with $(zeek --version)"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 - <<'PYTHON'
import socket, struct

tcp = struct.pack(">HHIIBBHHH", 40000, 443, 1000, 0, 0x50, 2, 1024, 0, 0)
ends = socket.inet_aton("198.51.100.1") + socket.inet_aton("192.0.2.1")
ip = struct.pack(">BBHHHBBH", 0x45, 0, 40, 0, 0, 64, 6, 0) + ends + tcp
cooked = struct.pack(">HHH8s", 0, 1, 6, b"\2\0\0\0\0\1\0\0")
for name, packet in (("plain", struct.pack(">H", 0x0800) + ip), ("tagged", struct.pack(">HHH", 0x8100, 7, 0x0800) + ip)):
    record = cooked + packet
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 113)
    with open(f"{name}.pcap", "wb") as out:
        out.write(head + struct.pack("<IIII", 1_700_000_000, 0, len(record), len(record)) + record)
PYTHON
echo 'event zeek_init() { PacketAnalyzer::register_packet_analyzer(PacketAnalyzer::ANALYZER_LINUXSLL, 0x8100,
    PacketAnalyzer::ANALYZER_VLAN); }' > register.zeek
connections() {
    rm -f conn.log
    timeout 100 zeek -b -C -r "$@" base/protocols/conn 2> /dev/null
    if [ -e conn.log ]; then grep -c '^[0-9]' conn.log; else echo 0; fi
}
plain=$(connections plain.pcap)
tagged=$(connections tagged.pcap)
registered=$(connections tagged.pcap register.zeek)
echo "connections without a tag: $plain, with a tag: $tagged, with a tag and the analyzer registered: $registered"
[ "$plain $tagged $registered" = "1 0 1" ]
