#!/bin/bash
# nftables on Linux 6.12 and later: adding an element again restarts its clock, unless the timeout is the same.
#
# `nft add element` on an element that is there succeeds in any case. With another timeout than the element has, its
# expiry is set again. With the same timeout, which is what a program that blocks everybody for one hour sends, nothing
# happens: the element still ends an hour after it was first added. Without a timeout it becomes permanent. Before Linux
# 6.12 an element that was there was never changed.
#
# Seen (Debian 12 userland, nft 1.0.6, Linux 6.18), an element with 60 s left alone for 3 s, then added again:
#   with 60s: at most 57 s left; with 61s: more than 57 s left; without: permanent
#
# Needs: nft (Debian: nftables), root, Linux 6.12 or later; works in a network namespace that ends with the script.
set -euo pipefail
[ "${1:-}" = inside ] || exec timeout 60 unshare --net "$BASH" "$0" inside
printf '6.12\n%s\n' "$(uname -r)" | sort -VC || { echo "needs Linux 6.12, this is $(uname -r)"; exit 1; }

left() { nft list set ip t s | sed -nE "s/.*$1 timeout [0-9ms]+ expires (([0-9]+)m)?(([0-9]+)s)?.*/0\2 0\4/p" | awk '{ print $1 * 60 + $2 }'; }
nft 'add table ip t; add set ip t s { type ipv4_addr; flags timeout; }'
nft 'add element ip t s { 192.0.2.1 timeout 60s }'
sleep 3
nft 'add element ip t s { 192.0.2.1 timeout 60s }'
same=$(left 192.0.2.1)
nft 'add element ip t s { 192.0.2.1 timeout 61s }'
other=$(left 192.0.2.1)
nft 'add element ip t s { 192.0.2.1 }'
none=$(nft list set ip t s | grep -o 'elements = .*')
echo "left after: same timeout ${same} s, another ${other} s; without a timeout: $none"
[ "$same" -le 57 ] && [ "$other" -gt 57 ] && [ "$none" = 'elements = { 192.0.2.1 }' ]
