#!/bin/bash
# softflowd 1.1.0: with bidirectional export (-v 10 -b) the lower address of a pair is the source, whoever began.
#
# A biflow (RFC 5103) has one direction as its own and the other in reverse fields; a reader expects the source to be the
# host that sent the first packet, and that a source sent something. softflowd sorts the two ends by address. Of a SYN
# that nobody answered, from a higher address to a lower one, it exports a flow from the target to the scanner, with no
# packet, and the SYN as its answer. A collector that does not keep the reverse fields, nfdump 1.7.1 among them, then
# shows a host that scans the scanner. Without -b the source is the sender.
#
# Seen (softflowd 1.1.0-1+b1): plain: 198.51.100.7 > 192.0.2.1 packets 1; biflow: 192.0.2.1 > 198.51.100.7 packets 0
# reverse 1
#
# Needs: softflowd (Debian), python3, unshare, ip; root.
set -euo pipefail
version=$(dpkg-query -W -f '${Version}' softflowd)
[[ $version == 1.1.0-* ]] || { echo "not tried with softflowd $version"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > syn.py <<'PYTHON'
import socket, struct

tcp = struct.pack(">HHIIBBHHH", 40000, 22, 1000, 0, 0x50, 2, 1024, 0, 0)
ends = socket.inet_aton("198.51.100.7") + socket.inet_aton("192.0.2.1")
ip = struct.pack(">BBHHHBBH", 0x45, 0, 40, 1, 0, 64, 6, 0) + ends + tcp
frame = struct.pack(">6s6sH", b"\2\0\0\0\0\1", b"\2\0\0\0\0\2", 0x0800) + ip
with open("syn.pcap", "wb") as out:
    out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
    out.write(struct.pack("<IIII", 1_700_000_000, 0, len(frame), len(frame)) + frame)
PYTHON
python3 syn.py
cat > collect.py <<'PYTHON'
import socket, struct, sys

REVERSE = 29305  # RFC 5103
collector = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
collector.bind(("127.0.0.1", 29995))
collector.settimeout(20)
print("ready", file=sys.stderr, flush=True)
message, templates, at = collector.recv(65535), {}, 16
while at < len(message):
    kind, length = struct.unpack_from(">HH", message, at)
    body, read = message[at + 4 : at + length], 0
    while kind == 2 and read + 4 <= len(body):
        number, count = struct.unpack_from(">HH", body, read)
        read += 4
        fields = templates[number] = []
        for _ in range(count):
            element, size = struct.unpack_from(">HH", body, read)
            read += 4
            by = 0
            if element & 0x8000:
                (by,) = struct.unpack_from(">I", body, read)
                read += 4
            fields.append((by, element & 0x7FFF, size))
    if kind in templates:
        flow = {}
        for by, element, size in templates[kind]:
            flow[by, element] = body[read : read + size]
            read += size
        source, target = (socket.inet_ntoa(flow[0, element]) for element in (8, 12))
        text = f"{source} > {target} packets {int.from_bytes(flow[0, 2], 'big')}"
        if (REVERSE, 2) in flow:
            text += f" reverse {int.from_bytes(flow[REVERSE, 2], 'big')}"
        print(text)
    at += length
PYTHON
exported() {
    cat > run.sh <<'SH'
ip link set lo up
rm -f ready
python3 collect.py 2> ready &
collector=$!
until [ -s ready ]; do sleep 0.1; done
softflowd -r syn.pcap -n 127.0.0.1:29995 -d "$@" > /dev/null 2>&1
wait $collector
SH
    timeout 60 unshare -n bash run.sh "$@"
}
seen="plain: $(exported -v 10); biflow: $(exported -v 10 -b)"
echo "$seen"
[ "$seen" = "plain: 198.51.100.7 > 192.0.2.1 packets 1; biflow: 192.0.2.1 > 198.51.100.7 packets 0 reverse 1" ]
