#!/bin/bash
# tcpdump 4.99.3: `-i any` records packets with a VLAN tag without the tag, and those with two tags so that none can be read.
#
# `tcpdump -i eth0` shows both. With `-i any`, tcpdump 4.99 writes cooked packets of version 2 (link type 276), and libpcap
# 1.10.3 puts the tag that the kernel has moved aside back into Ethernet and cooked packets of version 1, not into these:
# hosts of one address in two VLANs become one. Of two tags, the kernel moves the outer one aside and leaves the inner one
# before the packet, but names the innermost type (IPv4), so that tcpdump, Wireshark and all others take the tag for an
# IP header. `-y LINUX_SLL` keeps the outer tag.
#
# Seen (Debian 12, tcpdump 4.99.3-1, libpcap0.8 1.10.3-1, Linux 6.18), SYNs with no tag, one and two, received by a veth:
#   any: IPv4 SYN, IPv4 SYN, IPv4 IP0 (invalid)
#   veth1: IPv4 SYN, 802.1Q SYN, 802.1Q-QinQ SYN
#
# Needs: tcpdump, ip, unshare, python3, root, Linux 6.18.
set -euo pipefail
version=$(dpkg-query -W -f '${Version}' tcpdump)
[[ $version == 4.99.3-* ]] || { echo "not tried with tcpdump $version"; exit 1; }
[[ $(uname -r) == 6.18.* ]] || { echo "not tried with Linux $(uname -r)"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > send.py <<'PYTHON'
import socket, struct, time

ends = socket.inet_aton("198.51.100.7") + socket.inet_aton("192.0.2.1")
packet = struct.pack(">BBHHHBBH", 0x45, 0, 40, 1, 0, 64, 6, 0) + ends
packet += struct.pack(">HHIIBBHHH", 40000, 22, 1000, 0, 0x50, 2, 1024, 0, 0)
ethernet = b"\2\0\0\0\0\1\2\0\0\0\0\2"
sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sender.bind(("veth0", 0))
for tags in (b"", b"\x81\0\0\x0a", b"\x88\xa8\0\x14\x81\0\0\x0a"):
    sender.send(ethernet + tags + b"\x08\0" + packet)
    time.sleep(0.2)
PYTHON
cat > run.sh <<'SH'
sysctl -qw net.ipv6.conf.default.disable_ipv6=1
ip link add veth0 type veth peer name veth1
ip link set veth0 up
ip link set veth1 up
for interface in any veth1; do
    tcpdump -i $interface -Q in -U -w - > $interface.pcap 2> $interface.log &
    until grep -qs listening $interface.log; do sleep 0.1; done
done
python3 send.py
sleep 1
kill $(jobs -p)
wait
SH
timeout 60 unshare -n bash run.sh
shown() { # The first EtherType of each packet, and whether what is behind it was read.
    tcpdump -enr "$1.pcap" 2> /dev/null | sed -E 's/ethertype /@/; s/^[^@]*@([^ ]+) .*(Flags \[S\]|IP0 \(invalid\)).*/\1 \2/; s/Flags \[S\]/SYN/' |
        paste -sd , | sed 's/,/, /g'
}
any=$(shown any)
veth=$(shown veth1)
printf 'any: %s\nveth1: %s\n' "$any" "$veth"
[ "$any; $veth" = "IPv4 SYN, IPv4 SYN, IPv4 IP0 (invalid); IPv4 SYN, 802.1Q SYN, 802.1Q-QinQ SYN" ]
