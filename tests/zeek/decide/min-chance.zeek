# @TEST-DOC: The cut-off goes with the question; another one, or a larger k, asks again; the answer's chances go with the decision; a wrong one is refused.
#
# @TEST-EXEC: zeek -b -C -r "$CAPTURES/backscatter.pcap" "%INPUT" >answers 2>messages
# @TEST-EXEC: grep -o 'Portkin::min_chance = .*' messages >>answers
# @TEST-EXEC-FAIL: zeek -b "%INPUT" Portkin::min_chance=1.5 2>fatal
# @TEST-EXEC: grep -o 'Portkin::min_chance = 1.5: .*' fatal >>answers
# @TEST-EXEC: btest-diff answers

@load base/frameworks/config
@load portkin

module Portkin;

redef sidecar_expected = T;

function show(what: string)
	{
	print fmt("%s: known %s, %s", what, known(23/tcp),
	    known(23/tcp) ? cat(nearest(23/tcp)$ports, nearest(23/tcp)$chances) : "-");
	}

# What a round raises is handled before the next round.
event round(n: count)
	{
	switch ( n )
		{
		case 1:
			ask(23/tcp);
			break;
		case 2:
			for ( reqid, asked in open_requests )
				{
				print fmt("asked for %d by %s", asked$asked, asked$min_chance);
				event nearest_response(reqid, 23/tcp, "T1", vector(2323/tcp, 80/tcp), vector(0.5, 0.25), "");
				}
			break;
		case 4:
			show("answered");
			Option::set("Portkin::k", 1);
			show("smaller k");
			Option::set("Portkin::min_chance", 0.3);
			show("another cut-off");
			Option::set("Portkin::min_chance", 7.0);
			print min_chance;
			return;
		}

	event round(n + 1);
	}

event zeek_init()
	{
	event hello_request("H1", protocol, "nonsense", "T1", 32);
	event table_changed("T1", 32, F);
	}

event network_time_init()
	{
	event round(1);
	}
