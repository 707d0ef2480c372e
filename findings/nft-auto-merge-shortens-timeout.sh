#!/bin/bash
# nft 1.0.6: in a set with auto-merge, adding an element gives its timeout to the adjacent elements, also a shorter one.
#
# `auto-merge` joins adjacent and overlapping elements, and the joined one has a single timeout: the one that was added
# last. An address that was to be blocked for an hour is free after a minute because its neighbour was blocked for a
# minute, and the other way round. One would expect elements with different timeouts to stay apart. Where the element
# there has no timeout and contains the new one, nothing changes.
#
# Seen (Debian 12, nftables 1.0.6-2+deb12u2, Linux 6.18), 192.0.2.0 for an hour, then 192.0.2.1 for a minute:
#   192.0.2.0/31 timeout 1m
#
# Needs: nft (Debian: nftables), root; works in a network namespace that ends with the script.
set -euo pipefail
[ "${1:-}" = inside ] || exec timeout 60 unshare --net "$BASH" "$0" inside
nft --version | grep -q 'v1\.0\.6 ' || { echo "not tried with $(nft --version)"; exit 1; }

nft 'add table ip t; add set ip t s { type ipv4_addr; flags interval, timeout; auto-merge; }'
nft 'add element ip t s { 192.0.2.0 timeout 1h }'
nft 'add element ip t s { 192.0.2.1 timeout 1m }'
merged=$(nft list set ip t s | sed -n 's/.*elements = { \(.* timeout [0-9a-z]*\) expires.*/\1/p')
echo "$merged"
[ "$merged" = "192.0.2.0/31 timeout 1m" ]
