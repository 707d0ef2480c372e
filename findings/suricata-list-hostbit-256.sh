#!/bin/bash
# Suricata 7.0.10: `list-hostbit` shows 256 bits of a host at most, and says nothing about the others.
#
# A host may have any number of host bits, and rules test all of them. The unix-socket command that lists them stops at
# 256; its `count` counts what it lists. A program that compares the list with what it has set finds bits missing that
# are there.
#
# Seen (Debian 12, suricata 1:7.0.10-1~bpo12+1): 300 bits are added, each with the answer OK:
#   added 300, listed 256, count says 256; after those 256 are removed, listed 44
#
# Needs: suricata (bookworm-backports), python3.
set -euo pipefail
suricata -V | grep -q '7\.0\.10 RELEASE' || { echo "not tried with $(suricata -V)"; exit 1; }
work=$(mktemp -d)
trap 'kill "${pid:-}" 2> /dev/null || true; wait; rm -rf "$work"' EXIT
cd "$work"

for i in $(seq 300); do
    echo "alert tcp any any -> any any (msg:\"b$i\"; xbits:isset,b$i,track ip_src; sid:$i;)"
done > x.rules
printf '%%YAML 1.1\n---\nstats: {enabled: no}\ndefault-rule-path: %s\nrule-files: [x.rules]\n' "$work" > x.yaml
timeout 120 suricata --unix-socket="$work/socket" -c x.yaml -l . --set unix-command.enabled=yes > /dev/null 2>&1 &
pid=$!
for _ in $(seq 60); do [ -S socket ] && break; sleep 1; done
python3 - <<'PYTHON'
import json, socket

connection = socket.socket(socket.AF_UNIX)
connection.connect("socket")
stream = connection.makefile("rwb")

def ask(command=None, **arguments):
    message = {"command": command, "arguments": arguments} if command else {"version": "0.2"}
    stream.write(json.dumps(message).encode() + b"\n")
    stream.flush()
    return json.loads(stream.readline())

ask()
names = {f"b{i}" for i in range(1, 301)}
added = {name for name in names if ask("add-hostbit", ipaddress="192.0.2.1", hostbit=name, expire=600)["return"] == "OK"}
answer = ask("list-hostbit", ipaddress="192.0.2.1")["message"]
listed = {bit["name"] for bit in answer["hostbits"]}
for name in listed:
    ask("remove-hostbit", ipaddress="192.0.2.1", hostbit=name)
rest = {bit["name"] for bit in ask("list-hostbit", ipaddress="192.0.2.1")["message"]["hostbits"]}
print(f"added {len(added)}, listed {len(listed)}, count says {answer['count']}; after those {len(listed)} are removed, "
      f"listed {len(rest)}")
raise SystemExit((len(added), len(listed), answer["count"], rest) != (300, 256, 256, added - listed))
PYTHON
