# @TEST-DOC: A question about a source that is lost, refused or overtaken by the sidecar's end leaves its decision what is known about the port, or none; later probes ask again, not each.
#
# @TEST-EXEC: zeek -b -C -r "$CAPTURES/backscatter.pcap" "%INPUT" >decisions 2>messages
# @TEST-EXEC: zeek-cut kind probed predicted predicted_by answer <portkin.log | grep DECISION | sort >>decisions
# @TEST-EXEC: grep -o 'portkin: the sidecar has no answer.*' messages >>decisions
# @TEST-EXEC: btest-diff decisions

@load portkin

module Portkin;

redef sidecar_expected = T;
redef sidecar_wait = 0sec;

const scanner = Source($host=198.51.100.9);

function scans(p: port)
	{
	decide(scanner, 192.0.2.1, p, TRW, F, network_time());
	}

function show(what: string)
	{
	print fmt("%s: %d about ports and %d about sources are open, %d and %d decisions wait", what, |open_requests|,
	    |open_source_requests|, |waiting|, |waiting_alone|);
	}

# What a round raises is handled before the next but one.
event round(n: count)
	{
	switch ( n )
		{
		case 1:
			event hello_request("H1", protocol, "sidecar", "T1", 16);
			event table_changed("T1", 16, T);
			# 80/tcp was asked for before.
			event nearest_response("late", 80/tcp, "T1", vector(8080/tcp), vector(0.1), "");
			break;
		case 3:
			scans(23/tcp);
			scans(80/tcp);
			scans(81/tcp);
			scans(82/tcp);
			show("asked");
			event sidecar_left();
			break;
		case 6:
			show("the sidecar has gone");
			scans(83/tcp);
			event hello_request("H2", protocol, "sidecar", "T1", 16);
			event table_changed("T1", 16, T);
			break;
		case 9:
			show("it is back");

			for ( reqid, asked in open_source_requests )
				if ( asked$p == 81/tcp )
					event source_response(reqid, "T1", vector(), vector(), F, "the model is broken");
				else if ( asked$p == 82/tcp )
					event expire_source_request(reqid);
				else
					event source_response(reqid, "T1", vector(9/tcp, 83/tcp), vector(0.5, 0.4), T, "");
			break;
		case 12:
			show("answered");
			scans(81/tcp);
			scans(82/tcp);
			show("probed again at once");
			failed_questions[82/tcp] = network_time() - 1min;
			scans(82/tcp);
			show("probed again later");
			event hold_check(current_time() - 1min, 1sec);
			break;
		case 15:
			show("the capture waited in vain");
			return;
		}

	event round(n + 1);
	}

event network_time_init()
	{
	event round(1);
	}
