# @TEST-DOC: An answer for another port than was asked for is none: it is not remembered, and the port can be asked for again.
#
# @TEST-EXEC: zeek -b -C -r "$CAPTURES/backscatter.pcap" "%INPUT" >answers 2>messages
# @TEST-EXEC: grep -o 'portkin: the sidecar was .*' messages >>answers
# @TEST-EXEC: btest-diff answers

@load portkin

module Portkin;

redef sidecar_expected = T;

# What a round raises is handled before the next round.
event round(n: count)
	{
	switch ( n )
		{
		case 1:
			ask(23/tcp);
			break;
		case 2:
			for ( reqid in open_requests )
				event nearest_response(reqid, 9999/tcp, "T1", vector(1/tcp), vector(0.1), "");
			break;
		case 4:
			print fmt("known %s, open %d, asked %d", known(9999/tcp), |open_requests|, |asked_ports|);
			return;
		}

	event round(n + 1);
	}

event nearest_found(p: port, found: Nearest)
	{
	print p, found$answer;
	}

event zeek_init()
	{
	event hello_request("H1", protocol, "nonsense", "T1", 16);
	event table_changed("T1", 16, F);
	}

event network_time_init()
	{
	event round(1);
	}
