# @TEST-DOC: Never-block nets and ports, services seen open, and block_policy take ports out of what is kept.
#
# @TEST-EXEC: zeek -b -C -r "$CAPTURES/scans.pcap" "%INPUT"
# @TEST-EXEC: zeek-cut kind src probed kept vetoed <portkin.log | grep DECISION | sort >decisions
# @TEST-EXEC: btest-diff decisions

@load portkin

redef Portkin::never_block_nets = { 198.51.100.20/32 };
redef Portkin::never_block_ports = { 445/tcp };
redef Portkin::exempt_nets = { 198.51.100.40/32, 198.51.100.50/32 };

hook Portkin::block_policy(d: Portkin::Decision, p: port)
	{
	if ( p == 23/tcp )
		break;
	}
