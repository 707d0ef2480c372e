##! Lets the sidecar in over Broker, with Zeek's own Python bindings. Opt-in,
##! since it opens a port without a cluster; on loopback by default.
##! In a cluster the sidecar peers with the manager, which listens anyway.
##!
##! For sites that run the Broker cluster backend: the default of Zeek 8.0,
##! deprecated from 9.0 on, and gone in 10.1. Everybody else loads
##! ``portkin/websocket``.

@load base/frameworks/broker
@load base/frameworks/cluster
@load base/frameworks/reporter
@load ./__load__

module Portkin;

export {
	## Where Broker listens without a cluster.
	const broker_addr = "127.0.0.1" &redef;

	## See :zeek:see:`Portkin::broker_addr`.
	const broker_port = 27760/tcp &redef;
}

redef sidecar_expected = T;

# Others may peer too, and a greeting does not name its peer: the sidecar is gone
# when none is left of those who were there when it greeted.
global broker_peers: set[string] = set();
global maybe_sidecar: set[string] = set();

hook sidecar_trouble(reasons: vector of string)
	{
	if ( |broker_peers| > 0 )
		reasons += fmt("peers are connected over Broker, but none said hello; see the sidecar's log");
	else
		reasons += fmt("nothing peered with %s:%d; start it with: portkin serve --transport broker",
		    broker_addr, port_to_count(broker_port));
	}

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

# Before any other backend binds its ports: zeekctl gives ZeroMQ the ones that are
# Broker's here.
event zeek_init() &priority=200
	{
	if ( cat(Cluster::backend) != "Cluster::CLUSTER_BACKEND_BROKER" )
		Reporter::fatal(fmt("portkin/broker needs the cluster backend Broker, and this Zeek runs %s; load portkin/websocket instead, or frameworks/cluster/backend/broker before portkin/broker",
		    Cluster::backend));
	}

event zeek_init() &priority=-5
	{
	if ( ! Cluster::is_enabled() )
		Broker::listen(broker_addr, broker_port);
	}
