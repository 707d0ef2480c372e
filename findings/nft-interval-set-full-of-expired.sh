#!/bin/bash
# nftables on Linux 6.18: a set of intervals that its `size` has filled stays full after all its elements have expired.
#
# A set without intervals (a hash) is cleared of expired elements once a second. A set with `flags interval`, of one
# field or of several, is cleared when a transaction that changes it is committed. When it is full, the transaction that
# would do so is refused, so the set refuses every element from then on, while `nft list set` shows none. `flush set`
# helps. A blocklist with a size, timeouts and networks in it blocks nobody any more after the first flood.
#
# Seen (Debian 12, nftables 1.0.6-2+deb12u2, Linux 6.18), a third element, 5 s and more after two that lasted 1 s, into
# sets of size 2:
#   no intervals: taken; intervals: refused, listed 0; of two fields: refused, listed 0; after flush set: taken
#
# Needs: nft (Debian: nftables), root, Linux 6.18; works in a network namespace that ends with the script.
set -euo pipefail
[ "${1:-}" = inside ] || exec timeout 100 unshare --net "$BASH" "$0" inside
[[ $(uname -r) == 6.18.* ]] || { echo "not tried with Linux $(uname -r)"; exit 1; }

nft 'add table ip t
add set ip t plain { type ipv4_addr; flags timeout; size 2; }
add set ip t ranges { type ipv4_addr; flags interval, timeout; size 2; }
add set ip t fields { type ipv4_addr . inet_service; flags interval, timeout; size 2; }
add element ip t plain { 192.0.2.1 timeout 1s, 192.0.2.3 timeout 1s }
add element ip t ranges { 192.0.2.1 timeout 1s, 192.0.2.3 timeout 1s }
add element ip t fields { 192.0.2.1 . 22 timeout 1s, 192.0.2.3 . 22 timeout 1s }'
sleep 5
third() { # Ten tries within ten seconds, so that whatever clears a set has the time to do so.
    for _ in $(seq 10); do
        if nft "add element ip t $1 { $2 timeout 1h }" 2> /dev/null; then
            echo taken
            return
        fi
        sleep 1
    done
    echo "refused, listed $(nft list set ip t "$1" | grep -c 'elements' || true)"
}
plain=$(third plain 192.0.2.9)
ranges=$(third ranges 192.0.2.9)
fields=$(third fields '192.0.2.9 . 22')
nft flush set ip t ranges
flushed=$(third ranges 192.0.2.9)
seen="no intervals: $plain; intervals: $ranges; of two fields: $fields; after flush set: $flushed"
echo "$seen"
[ "$seen" = "no intervals: taken; intervals: refused, listed 0; of two fields: refused, listed 0; after flush set: taken" ]
