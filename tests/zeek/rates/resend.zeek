# @TEST-DOC: A sidecar that is back gets open reports a few at a time, each again only when its answer is overdue.
#
# @TEST-EXEC: zeek -b -C -r "$CAPTURES/backscatter.pcap" "%INPUT" >sent
# @TEST-EXEC: btest-diff sent

@load portkin
@load portkin/rates

module Portkin;

redef sidecar_expected = T;
redef sidecar_wait = 0sec;
redef rates_max_sent = 4;

function sent(): count
	{
	local n = 0;

	for ( reqid, r in rates_open )
		if ( time_to_double(r$sent) > 0.0 )
			++n;

	return n;
	}

function show(what: string)
	{
	print fmt("%s: %d open, %d sent", what, |rates_open|, sent());
	}

# What a round raises is handled before the next but one.
event round(n: count)
	{
	switch ( n )
		{
		case 1:
			show("away");
			event hello_request("H1", protocol, "sidecar", "T1", 16);
			event table_changed("T1", 16, F);
			event hello_request("H1", protocol, "sidecar", "T1", 16);
			event table_changed("T1", 16, F);
			break;
		case 3:
			show("back, hello said twice");

			for ( reqid in rates_open )
				{
				event rates_response(reqid, 1, "");
				break;
				}
			break;
		case 5:
			show("one answered");
			clear_table(rates_open);
			return;
		}

	event round(n + 1);
	}

event network_time_init()
	{
	local n = 0;

	while ( ++n <= 10 )
		rates_open[fmt("R%d", n)] = RatesReport($start=network_time(), $width=1min,
		    $ports=vector(22/tcp), $counts=vector(n));

	event round(1);
	}
