##! Lets the sidecar in over Broker, with Zeek's own Python bindings. Opt-in,
##! since it opens a port without a cluster; on loopback unless told otherwise.
##! In a cluster the sidecar peers with the manager, which listens anyway.

@load base/frameworks/broker
@load ./__load__

module Portkin;

export {
	## Where Broker listens without a cluster.
	const broker_addr = "127.0.0.1" &redef;

	## See :zeek:see:`Portkin::broker_addr`.
	const broker_port = 27760/tcp &redef;
}

redef sidecar_expected = T;

# Others may peer too, and a greeting does not tell which peer it came from: the
# sidecar is gone when none is left of those who were there when it greeted.
global broker_peers: set[string] = set();
global maybe_sidecar: set[string] = set();

event Broker::peer_added(endpoint: Broker::EndpointInfo, msg: string)
	{
	add broker_peers[endpoint$id];
	}

event hello_request(reqid: string, version: count, sidecar: string,
    table_id: string, depth: count)
	{
	maybe_sidecar = copy(broker_peers);
	}

event Broker::peer_lost(endpoint: Broker::EndpointInfo, msg: string)
	{
	delete broker_peers[endpoint$id];

	if ( Cluster::is_enabled() || endpoint$id !in maybe_sidecar )
		return;

	delete maybe_sidecar[endpoint$id];

	if ( |maybe_sidecar| == 0 )
		event sidecar_left();
	}

event zeek_init() &priority=-5
	{
	if ( ! Cluster::is_enabled() )
		Broker::listen(broker_addr, broker_port);
	}
