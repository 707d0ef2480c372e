#!/bin/bash
# nftables on Linux 6.18: of two base chains with the same hook and priority, the one that was added last runs first.
#
# nft(8) says that lower priorities run first, and nothing about equal ones; one expects the order of the ruleset. The
# kernel puts a new hook before those of its priority. So of a firewall and a counting or blocking table of another
# program, both at `priority filter`, the order depends on which was loaded last, and changes when either is reloaded:
# a counter of what the firewall drops sees all packets after one boot, none after another.
#
# Seen (Debian 12, nftables 1.0.6-2+deb12u2, Linux 6.18), 5 datagrams; table a drops, table b counts:
#   b added after a: 5 counted; a added again after b: 0 counted
#
# Needs: nft (Debian: nftables), ip, python3, root, Linux 6.18; works in a network namespace that ends with the script.
set -euo pipefail
[ "${1:-}" = inside ] || exec timeout 60 unshare --net "$BASH" "$0" inside
[[ $(uname -r) == 6.18.* ]] || { echo "not tried with Linux $(uname -r)"; exit 1; }

ip link set lo up
firewall='add table ip a; add chain ip a c { type filter hook input priority filter; }; add rule ip a c udp dport 9 drop'
nft "$firewall"
nft 'add table ip b; add chain ip b c { type filter hook input priority filter; }; add rule ip b c udp dport 9 counter'
counted() {
    local before after
    before=$(packets)
    python3 -c 'import socket
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(5): sender.sendto(b"x", ("127.0.0.1", 9))'
    after=$(packets)
    echo $((after - before))
}
packets() { nft list chain ip b c | sed -n 's/.*counter packets \([0-9]*\) .*/\1/p'; }
first=$(counted)
nft "delete table ip a; $firewall"
second=$(counted)
echo "b added after a: $first counted; a added again after b: $second counted"
[ "$first $second" = "5 0" ]
