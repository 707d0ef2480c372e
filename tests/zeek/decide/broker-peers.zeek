# @TEST-DOC: The sidecar is gone when its peer is lost, not when another one is.
#
# @TEST-PORT: BROKER_PORT
# @TEST-EXEC: zeek -b -C -r "$CAPTURES/backscatter.pcap" "$SUPPORT/broker-backend.zeek" "%INPUT" >peers
# @TEST-EXEC: btest-diff peers

@load portkin
@load portkin/broker

module Portkin;

redef broker_port = to_port(getenv("BROKER_PORT"));

function peer(id: string): Broker::EndpointInfo
	{
	return Broker::EndpointInfo($id=id);
	}

# What a round raises is handled before the next but one.
event round(n: count)
	{
	switch ( n )
		{
		case 1:
			event Broker::peer_added(peer("early"), "");
			event Broker::peer_added(peer("sidecar"), "");
			event hello_request("H1", protocol, "sidecar", "T1", 16);
			event table_changed("T1", 16, F);
			event Broker::peer_added(peer("late"), "");
			break;
		case 3:
			print "up", sidecar_up;
			event Broker::peer_lost(peer("late"), "");
			event Broker::peer_lost(peer("early"), "");
			break;
		case 5:
			print "others lost, up", sidecar_up;
			event Broker::peer_lost(peer("sidecar"), "");
			break;
		case 7:
			print "sidecar lost, up", sidecar_up;
			return;
		}

	event round(n + 1);
	}

event zeek_init()
	{
	event round(1);
	}
