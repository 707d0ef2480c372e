# @TEST-DOC: A never-block list that is set while a decision runs ends what it blocks, at the next probe.
#
# @TEST-EXEC: zeek -b -C -r "$CAPTURES/backscatter.pcap" "%INPUT" >asked
# @TEST-EXEC: zeek-cut kind probed kept vetoed <portkin.log >>asked
# @TEST-EXEC: btest-diff asked

@load portkin

module Portkin;

redef darknets = { 203.0.113.0/24 };
redef mode = BLOCK;

# What a round raises is handled before the next round.
event round(n: count)
	{
	switch ( n )
		{
		case 1:
			print "no list";
			break;
		case 2:
			print "ports";
			Option::set("Portkin::never_block_ports", set(23/tcp, 80/tcp));
			break;
		case 3:
			print "nets";
			Option::set("Portkin::never_block_nets", set(198.51.100.0/24));
			break;
		default:
			return;
		}

	contacted(Source($host=198.51.100.9), 203.0.113.1, 23/tcp);
	event round(n + 1);
	}

event block(d: Decision, p: port, rank: count, duration: interval)
	{
	print fmt("  block %s, rank %d", p, rank);
	}

event network_time_init()
	{
	use_table("T1");
	cache[23/tcp] = Known($ports=vector(2323/tcp, 80/tcp, 8080/tcp), $asked=k);
	event round(1);
	}

event zeek_done() &priority=10
	{
	for ( [source, p], d in decisions )
		print "vetoed", d$vetoed;
	}
