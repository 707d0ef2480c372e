# @TEST-DOC: A source in a VLAN is not blocked, since the block would reach its address in every network, unless the site allows it.
#
# @TEST-EXEC: zeek -b "%INPUT" >requests
# @TEST-EXEC: zeek-cut src context p outcome detail <portkin_block.log >>requests
# @TEST-EXEC: btest-diff requests

@load portkin
@load portkin/block

module Portkin;

event round(n: count)
	{
	local d = Decision($id="D1", $source=Source($host=198.51.100.10,
	    $context="vlan=10"), $probed=22/tcp, $evidence=TRW,
	    $kept=vector(22/tcp), $until=double_to_time(0.0), $after=1);

	if ( n == 2 )
		{
		print "allowed";
		Option::set("Portkin::block_in_every_context", T);
		}

	event block(d, 22/tcp, 0, 1min);

	if ( n < 2 )
		event round(n + 1);
	}

event zeek_init()
	{
	sidecar_up = T;
	event round(1);
	}

event zeek_done()
	{
	for ( reqid, asked in open_blocks )
		print "asked to block", asked$info$src, asked$info$p;
	}
