#!/bin/bash
# Zeek 8.0.10: NetControl::drop_address() of an address that is dropped already extends nothing, and says that it failed.
#
# A script drops a scanner for 10 s each time that it sees it scan. While the first rule is there, NetControl discards
# each further one ("discarded duplicate insertion" in netcontrol.log) and returns the empty string, which its
# documentation calls failure; the rule ends 10 s after it was first added, in the middle of the scan. One would expect
# the longer time to hold, or an error. To extend a drop, the rule has to be removed first and added again.
#
# Seen (zeek 8.0.10), dropped for 10 s at 0 s and again at 8 s:
#   at 0 s: a rule, at 8 s: '', removed at 10 s
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
    for second in range(30):
        packet = struct.pack("!BBHHHBBH4s4sHHIIBBHHH", 0x45, 0, 40, 1, 0, 64, 6, 0, bytes([198, 51, 100, 7]),
                             bytes([192, 0, 2, 1]), 40000 + second, 80, 1, 0, 0x50, 2, 1024, 0, 0)
        out.write(struct.pack("<IIII", 1700000000 + second, 0, 40, 40) + packet)
PYTHON
cat > x.zeek <<'ZEEK'
@load base/frameworks/netcontrol
const begin = double_to_time(1700000000.0);
event NetControl::init() { NetControl::activate(NetControl::create_debug(T), 0); }
event NetControl::rule_removed(r: NetControl::Rule, p: NetControl::PluginState, msg: string)
	{ print fmt("seen removed at %.0f s", interval_to_double(network_time() - begin)); }
event new_connection(c: connection)
	{
	local second = interval_to_double(network_time() - begin);
	if ( second == 0 || second == 8 )
		{
		local rule = NetControl::drop_address(c$id$orig_h, 10secs);
		print fmt("seen at %.0f s: %s,", second, |rule| > 0 ? "a rule" : "''");
		}
	}
ZEEK
seen=$(timeout 100 zeek -b -C -r x.pcap x.zeek 2> /dev/null | sed -n 's/^seen //p' | xargs -d '\n')
echo "$seen"
[ "$seen" = "at 0 s: a rule, at 8 s: '', removed at 10 s" ]
