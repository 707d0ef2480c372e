#!/bin/bash
# tcpdump 4.99.3: `-G 3600` on a recorded capture (-r) splits by the clock on the wall, not by the times of the packets.
#
# With `-i`, `-G 3600 -w %Y%m%d-%H.pcap` writes a file an hour. With `-r`, the way to split a large capture into hours,
# the same options look at the time at which tcpdump runs: the capture of days is read within seconds, so that all of it
# goes into one file, named after now. (editcap -i splits by the times of packets.)
#
# Seen (Debian 12, tcpdump 4.99.3-1), five packets of five hours of 2023-11-14:
#   1 file, named after 2023: 0; editcap -i 3600: 5 files
#
# Needs: tcpdump, editcap (Debian: wireshark-common), python3.
set -euo pipefail
version=$(dpkg-query -W -f '${Version}' tcpdump)
[[ $version == 4.99.3-* ]] || { echo "not tried with tcpdump $version"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 - <<'PYTHON'
import struct
with open("x.pcap", "wb") as out:
    out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))
    for hour in range(5):
        packet = struct.pack("!BBHHHBBH4s4sHHIIBBHHH", 0x45, 0, 40, 1, 0, 64, 6, 0, bytes([198, 51, 100, 7]),
                             bytes([192, 0, 2, 1]), 40000 + hour, 80, 1, 0, 0x50, 2, 1024, 0, 0)
        out.write(struct.pack("<IIII", 1700000000 + 3700 * hour, 0, 40, 40) + packet)
PYTHON
mkdir tcpdump editcap
chmod 777 tcpdump # tcpdump drops root's rights where it can
TZ=UTC tcpdump -r x.pcap -G 3600 -w 'tcpdump/%Y%m%d-%H.pcap' 2> /dev/null
editcap -i 3600 x.pcap editcap/x.pcap > /dev/null 2>&1
files=$(find tcpdump -type f | wc -l)
named=$(find tcpdump -name '2023*' | wc -l)
split=$(find editcap -type f | wc -l)
echo "$files file, named after 2023: $named; editcap -i 3600: $split files"
[ "$files $named $split" = "1 0 5" ]
