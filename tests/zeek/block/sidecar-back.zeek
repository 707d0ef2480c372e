# @TEST-DOC: Blocks that the sidecar did not answer, or that were wanted while it was away, are asked for when it is back; a late answer is logged.
#
# @TEST-EXEC: zeek -b -C -r "$CAPTURES/backscatter.pcap" "%INPUT" >printed
# @TEST-EXEC: zeek-cut p outcome detail <portkin_block.log | cat printed - | sort >asked
# @TEST-EXEC: btest-diff asked

@load portkin
@load portkin/block

module Portkin;

redef request_timeout = 10msec;
redef table_expire_interval = 10msec;
redef table_expire_delay = 0sec;

global decision = Decision($id="D1", $source=Source($host=198.51.100.10), $probed=22/tcp,
    $evidence=TRW, $kept=vector(22/tcp, 2222/tcp, 2022/tcp, 222/tcp),
    $until=double_to_time(4e9), $after=1);
global ended = Decision($id="D2", $source=Source($host=198.51.100.11), $probed=23/tcp,
    $evidence=TRW, $kept=vector(23/tcp), $until=double_to_time(0.0), $after=1);
global late = "";

event block(d: Decision, p: port, rank: count, duration: interval)
	{
	print fmt("%s %s", sidecar_up ? "asked for" : "wanted", p);
	}

event wait_until_given_up()
	{
	for ( reqid, o in open_blocks )
		{
		if ( ! o$given_up )
			{
			event wait_until_given_up();
			return;
			}

		if ( o$info$p == 2222/tcp )
			late = reqid;
		}

	print "nobody waits for an answer any more";
	event block_response(late, decision$source$host, 2222/tcp, "added", "");
	event sidecar_left();
	# The answer of 2022/tcp was lost; 222/tcp is wanted now.
	event block(decision, 222/tcp, 3, 1min);
	event block(ended, 23/tcp, 0, 1min);
	event hello_request("H1", protocol, "sidecar", "T1", 16);
	event table_changed("T1", 16, F);
	}

event network_time_init()
	{
	sidecar_up = T;
	event block(decision, 2222/tcp, 1, 1min);
	event block(decision, 2022/tcp, 2, 1min);
	event wait_until_given_up();
	}
