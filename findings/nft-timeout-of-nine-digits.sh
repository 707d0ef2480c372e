#!/bin/bash
# nft 1.0.6: a timeout in seconds of nine digits is refused as too large, the same time in days is not.
#
# The kernel keeps timeouts as 64-bit milliseconds. nft reads each number of a time with its unit as a text of at most
# eight digits, so `100000000s` (three years) is "value too large", while `1158d`, which is longer, is taken. A program
# that writes every timeout in seconds fails on the long ones.
#
# Seen (Debian 12, nftables 1.0.6-2+deb12u2):
#   99999999s: taken; 100000000s: Error: value too large; 1158d: taken, listed as timeout 1158d
#
# Needs: nft (Debian: nftables), root; works in a network namespace that ends with the script.
set -euo pipefail
[ "${1:-}" = inside ] || exec timeout 60 unshare --net "$BASH" "$0" inside
nft --version | grep -q 'v1\.0\.6 ' || { echo "not tried with $(nft --version)"; exit 1; }

nft 'add table ip t; add set ip t s { type ipv4_addr; flags timeout; }'
nft 'add element ip t s { 192.0.2.1 timeout 99999999s }'
error=$(nft 'add element ip t s { 192.0.2.2 timeout 100000000s }' 2>&1 | head -n 1 || true)
nft 'add element ip t s { 192.0.2.3 timeout 1158d }'
listed=$(nft list set ip t s)
echo "99999999s: taken; 100000000s: $error; 1158d: taken, listed as $(grep -o 'timeout 1158d' <<< "$listed")"
[ "$error" = "Error: value too large" ]
grep -q '192\.0\.2\.1 timeout 1157d9h46m39s' <<< "$listed"
! grep -q '192\.0\.2\.2' <<< "$listed"
