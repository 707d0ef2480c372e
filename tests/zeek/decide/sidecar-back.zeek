# @TEST-DOC: What was decided while the sidecar was away is decided again when it is back, without another probe, and nobody waits meanwhile.
#
# @TEST-EXEC: zeek -b -C -r "$CAPTURES/backscatter.pcap" "%INPUT" >decisions
# @TEST-EXEC: zeek-cut kind probed predicted kept answer <portkin.log >>decisions
# @TEST-EXEC: btest-diff decisions

@load portkin

module Portkin;

redef sidecar_expected = T;
redef sidecar_wait = 0sec;

# What a round raises is handled before the next but one.
event round(n: count)
	{
	switch ( n )
		{
		case 1:
			decide(Source($host=198.51.100.9), 192.0.2.1, 23/tcp, TRW, F, network_time());
			break;
		case 3:
			print fmt("away: %d questions open, %d decisions wait", |open_requests|, |waiting|);
			event hello_request("H1", protocol, "sidecar", "T1", 16);
			event table_changed("T1", 16, F);
			break;
		case 5:
			print fmt("back: %d questions open, %d decisions wait", |open_requests|, |waiting|);
			for ( reqid in open_requests )
				event nearest_response(reqid, 23/tcp, "T1", vector(2323/tcp, 80/tcp), vector(0.1, 0.2), "");
			break;
		case 8:
			print fmt("answered: %d questions open, %d decisions wait", |open_requests|, |waiting|);
			return;
		}

	event round(n + 1);
	}

event network_time_init()
	{
	event round(1);
	}
