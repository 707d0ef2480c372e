#!/bin/bash
# nft 1.0.6: one transaction cannot wake a dormant table and add a base chain to it: "Invalid argument".
#
# `add table` without `flags dormant` switches a dormant table on. A file that then adds a base chain, as every ruleset
# that is loaded again does, is refused as a whole; the same two commands in two transactions are taken. One would expect
# what holds for any other table: a file may add the table and its chains at once.
#
# Seen (Debian 12, nftables 1.0.6-2+deb12u2, Linux 6.18):
#   Error: Could not process rule: Invalid argument
#
# Needs: nft (Debian: nftables), root; works in a network namespace that ends with the script.
set -euo pipefail
[ "${1:-}" = inside ] || exec timeout 60 unshare --net "$BASH" "$0" inside
nft --version | grep -q 'v1\.0\.6 ' || { echo "not tried with $(nft --version)"; exit 1; }

chain='add chain inet t c { type filter hook prerouting priority 0; }'
nft 'add table inet t { flags dormant; }'
error=$(nft "add table inet t; $chain" 2>&1 | head -n 1 || true)
echo "$error"
nft 'add table inet t'
nft "$chain"
[ "$error" = "Error: Could not process rule: Invalid argument" ]
