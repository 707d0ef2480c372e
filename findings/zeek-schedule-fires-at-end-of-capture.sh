#!/bin/bash
# Zeek 8.0.10: what is scheduled for an hour from now happens at the end of a capture of ten seconds.
#
# `schedule 1hr { no_answer(uid) }` promises the event in an hour of the packets' time, and one expects it never to come
# if the capture ends before. When Zeek ends, it dispatches every timer that is left, with the time at which the last
# packet came: all requests "have had no answer for an hour", whatever is still open is reported as overdue. A handler
# has to compare the time, or ask zeek_is_terminating(). The reference of the statement says nothing of this.
#
# Seen (zeek 8.0.10): scheduled at 0 s for 3600 s later, came at 9 s; zeek_is_terminating: T
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
    for second in range(10):
        packet = struct.pack("!BBHHHBBH4s4sHHIIBBHHH", 0x45, 0, 40, 1, 0, 64, 6, 0, bytes([198, 51, 100, 7]),
                             bytes([192, 0, 2, 1]), 40000 + second, 80, 1, 0, 0x50, 2, 1024, 0, 0)
        out.write(struct.pack("<IIII", 1700000000 + second, 0, 40, 40) + packet)
PYTHON
cat > x.zeek <<'ZEEK'
const begin = double_to_time(1700000000.0);
event overdue(at: time)
	{
	print fmt("scheduled at %.0f s for 3600 s later, came at %.0f s; zeek_is_terminating: %s",
	    interval_to_double(at - begin), interval_to_double(network_time() - begin), zeek_is_terminating());
	}
event new_connection(c: connection)
	{
	if ( c$id$orig_p == 40000/tcp )
		schedule 1hr { overdue(network_time()) };
	}
ZEEK
seen=$(timeout 100 zeek -b -C -r x.pcap x.zeek)
echo "$seen"
[ "$seen" = "scheduled at 0 s for 3600 s later, came at 9 s; zeek_is_terminating: T" ]
