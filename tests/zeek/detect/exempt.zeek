# @TEST-DOC: Exempt sources, exempt ports and what probe_policy leaves out are no evidence.
#
# @TEST-EXEC: zeek -b -C -r "$CAPTURES/scans.pcap" "%INPUT"
# @TEST-EXEC: zeek-cut src <portkin.log | sort -u >scanners
# @TEST-EXEC: btest-diff scanners

@load portkin

# Five scan. One is exempt, one scans only an exempt port at first, one is left out by policy.
redef Portkin::exempt_nets = { 198.51.100.10/32 };
redef Portkin::exempt_ports = { 22/tcp, 23/tcp, 80/tcp, 2323/tcp, 8080/tcp };

hook Portkin::probe_policy(source: Portkin::Source, dst: addr, p: port)
	{
	if ( source$host == 198.51.100.40 )
		break;
	}
