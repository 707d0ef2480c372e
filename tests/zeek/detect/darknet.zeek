# @TEST-DOC: The first SYN into a darknet is a probe at once.
#
# @TEST-EXEC: zeek -b -C -r "$CAPTURES/scans.pcap" "%INPUT" >probes
# @TEST-EXEC: btest-diff probes

@load portkin

redef Portkin::darknets = { 203.0.113.0/24 };
redef Portkin::protected_nets = { 203.0.113.0/24 };

global seen = 0;

event Portkin::probe(source: Portkin::Source, dst: addr, p: port, evidence: Portkin::Evidence)
	{
	if ( ++seen <= 3 )
		print source$host, dst, p, evidence;
	}

event zeek_done()
	{
	print fmt("%d probes", seen);
	}
