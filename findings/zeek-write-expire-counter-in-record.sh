#!/bin/bash
# Zeek 8.0.10: `&write_expire` does not see that a field of a record in the table is written; a busy entry expires.
#
# `t[a]$n += 1` looks like `c[a] += 1`, and a table of records is how scripts keep several values per host. The second
# statement writes the table; the first reads it and writes the record, so the clock of the entry runs on from the moment
# at which it was put in. A counter "of hosts that were active within 5 s" then starts over every 5 s, however busy the
# host is, and a threshold above that is never reached. Assigning the record to the table again (`t[a] = t[a]`) renews it.
#
# Seen (zeek 8.0.10), a connection a second for a minute, &write_expire=5secs:
#   count in the table: 60, 0 expiries; count in a record: 6, 9 expiries; in a record assigned again: 60, 0 expiries
#
# Needs: zeek (in PATH or /opt/zeek/bin), python3.
set -euo pipefail
PATH=$PATH:/opt/zeek/bin
zeek --version | grep -q ' 8\.0\.10$' || { echo "not tried with $(zeek --version)"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 - <<'PYTHON'
import struct
with open("x.pcap", "wb") as out:
    out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))
    for second in range(60):
        packet = struct.pack("!BBHHHBBH4s4sHHIIBBHHH", 0x45, 0, 40, 1, 0, 64, 6, 0, bytes([198, 51, 100, 7]),
                             bytes([192, 0, 2, 1]), 40000 + second, 80, 1, 0, 0x50, 2, 1024, 0, 0)
        out.write(struct.pack("<IIII", 1700000000 + second, 0, 40, 40) + packet)
PYTHON
cat > x.zeek <<'ZEEK'
type Seen: record { n: count &default=0; };
redef table_expire_interval = 1sec;
global expiries: table[string] of count &default=0;
function gone(name: string): interval { ++expiries[name]; return 0secs; }
global plain: table[addr] of count &default=0 &write_expire=5secs
    &expire_func=function(t: table[addr] of count, a: addr): interval { return gone("plain"); };
global within: table[addr] of Seen &write_expire=5secs
    &expire_func=function(t: table[addr] of Seen, a: addr): interval { return gone("within"); };
global again: table[addr] of Seen &write_expire=5secs
    &expire_func=function(t: table[addr] of Seen, a: addr): interval { return gone("again"); };
event new_connection(c: connection)
	{
	local a = c$id$orig_h;
	plain[a] += 1;
	if ( a !in within )
		within[a] = Seen();
	within[a]$n += 1;
	if ( a !in again )
		again[a] = Seen();
	again[a]$n += 1;
	again[a] = again[a];
	}
event zeek_done()
	{
	local a = 198.51.100.7;
	print fmt("count in the table: %d, %d expiries; count in a record: %d, %d expiries; in a record assigned again: %d, %d expiries",
	    plain[a], expiries["plain"], within[a]$n, expiries["within"], again[a]$n, expiries["again"]);
	}
ZEEK
seen=$(timeout 100 zeek -b -C -r x.pcap x.zeek)
echo "$seen"
[ "$seen" = "count in the table: 60, 0 expiries; count in a record: 6, 9 expiries; in a record assigned again: 60, 0 expiries" ]
