#!/bin/bash
# libpcap 1.10.3: a pcapng of two raw-IP interfaces is refused: "type 101 different from the type of the first interface".
#
# libpcap reads a pcapng whose interfaces all have one link type. Of the first it keeps its own number for the type, and
# compares the number in the file of each further one with that. For most types both are the same; for raw IP
# (LINKTYPE_RAW, 101, of tun and WireGuard interfaces) libpcap's own is 12, so that two equal interfaces differ. A file
# of two sections, as `cat a.pcapng b.pcapng` makes, is read up to the second. This holds for whatever reads by libpcap:
# tcpdump, Zeek, Suricata. Wireshark, which does not, reads both packets, and so it is with Ethernet and raw IPv4 (228).
#
# Seen (Debian 12, tcpdump 4.99.3-1, libpcap0.8 1.10.3-1), packets read of two, from two interfaces:
#   Ethernet: 2, raw IPv4: 2, raw IP: 0, an interface has a type 101 different from the type of the first interface
#
# Needs: tcpdump (Debian), python3.
set -euo pipefail
version=$(dpkg-query -W -f '${Version}' libpcap0.8)
[[ $version == 1.10.3-* ]] || { echo "not tried with libpcap $version"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 - <<'PYTHON'
import socket, struct

ends = socket.inet_aton("198.51.100.7") + socket.inet_aton("192.0.2.1")
packet = struct.pack(">BBHHHBBH", 0x45, 0, 40, 1, 0, 64, 6, 0) + ends
packet += struct.pack(">HHIIBBHHH", 40000, 22, 1000, 0, 0x50, 2, 1024, 0, 0)
section = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
for link_type, before in ((1, b"\2\0\0\0\0\1\2\0\0\0\0\2\x08\0"), (228, b""), (101, b"")):
    interface = struct.pack("<IIHHII", 1, 20, link_type, 0, 65535, 20)
    with open(f"{link_type}.pcapng", "wb") as out:
        out.write(section + interface + interface)
        for number in range(2):
            data = before + packet
            data += bytes(-len(data) % 4)
            length, at = 32 + len(data), 1_700_000_000_000_000 + number
            head = struct.pack("<IIIIIII", 6, length, number, at >> 32, at & 0xFFFFFFFF, len(before + packet), len(before + packet))
            out.write(head + data + struct.pack("<I", length))
PYTHON
packets() { tcpdump -nr "$1.pcapng" 2> error.txt | wc -l || true; }
ethernet=$(packets 1)
ipv4=$(packets 228)
raw=$(packets 101)
error=$(sed -n 's/^tcpdump: pcap_loop: //p' error.txt)
echo "Ethernet: $ethernet, raw IPv4: $ipv4, raw IP: $raw, $error"
[ "$ethernet $ipv4 $raw" = "2 2 0" ]
[ "$error" = "an interface has a type 101 different from the type of the first interface" ]
