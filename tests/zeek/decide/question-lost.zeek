# @TEST-DOC: A question that got no answer is asked again with a later probe, not at each; an answer that comes late is used.
#
# @TEST-EXEC: zeek -b -C -r "$CAPTURES/backscatter.pcap" "%INPUT" >decisions
# @TEST-EXEC: zeek-cut kind probed predicted answer <portkin.log | grep DECISION >>decisions
# @TEST-EXEC: btest-diff decisions

@load portkin

module Portkin;

redef sidecar_expected = T;
redef sidecar_wait = 0sec;

const scanner = Source($host=198.51.100.9);

global lost = "";

function probe_again(what: string)
	{
	decide(scanner, 192.0.2.1, 23/tcp, TRW, F, network_time());
	print fmt("%s: %d open", what, |open_requests|);
	}

# What a round raises is handled before the next but one.
event round(n: count)
	{
	switch ( n )
		{
		case 1:
			event hello_request("H1", protocol, "sidecar", "T1", 16);
			event table_changed("T1", 16, F);
			break;
		case 3:
			probe_again("first probe");

			for ( reqid in open_requests )
				lost = reqid;

			give_up(lost);
			break;
		case 6:
			probe_again("soon after");
			failed_questions[23/tcp] = network_time() - 1min;
			probe_again("later");
			break;
		case 8:
			give_up_all();
			break;
		case 10:
			event nearest_response(lost, 23/tcp, "T1", vector(2323/tcp), vector(0.1), "");
			break;
		case 12:
			probe_again("after the late answer");
			return;
		}

	event round(n + 1);
	}

event network_time_init()
	{
	event round(1);
	}
