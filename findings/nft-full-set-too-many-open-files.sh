#!/bin/bash
# nft 1.0.6: a full set is reported as "Too many open files in system".
#
# A set may have a `size`. An element beyond it is refused with ENFILE, which nft prints as the C library words it. It has
# nothing to do with files: no limit of the process or the system (ulimit, fs.file-max) changes it.
#
# Seen (Debian 12, nftables 1.0.6-2+deb12u2, Linux 6.18), a third element in a set of size 2:
#   Error: Could not process rule: Too many open files in system
#
# Needs: nft (Debian: nftables), root; works in a network namespace that ends with the script.
set -euo pipefail
[ "${1:-}" = inside ] || exec timeout 60 unshare --net "$BASH" "$0" inside
nft --version | grep -q 'v1\.0\.6 ' || { echo "not tried with $(nft --version)"; exit 1; }

nft 'add table ip t; add set ip t s { type ipv4_addr; size 2; }'
nft 'add element ip t s { 192.0.2.1, 192.0.2.2 }'
error=$(nft 'add element ip t s { 192.0.2.3 }' 2>&1 | head -n 1 || true)
echo "$error"
[ "$error" = "Error: Could not process rule: Too many open files in system" ]
