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

event Broker::peer_lost(endpoint: Broker::EndpointInfo, msg: string)
	{
	if ( ! Cluster::is_enabled() )
		event sidecar_left();
	}

event zeek_init() &priority=-5
	{
	if ( ! Cluster::is_enabled() )
		Broker::listen(broker_addr, broker_port);
	}
