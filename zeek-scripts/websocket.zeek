##! Lets the sidecar in over Zeek's WebSocket API. Opt-in, since it opens a
##! port; on loopback unless told otherwise.

@load base/frameworks/cluster
@load ./__load__

module Portkin;

export {
	## Where the WebSocket listens.
	const websocket_addr = 127.0.0.1 &redef;

	## See :zeek:see:`Portkin::websocket_addr`.
	const websocket_port = 27759/tcp &redef;

	## TLS for the WebSocket; needed wherever it leaves this machine.
	const websocket_tls = Cluster::WebSocketTLSOptions() &redef;
}

redef sidecar_expected = T;

# A sidecar is known by the topic it subscribes to; others may use the socket.
global sidecar_clients: set[string] = set();

event Cluster::websocket_client_added(endpoint: Cluster::EndpointInfo,
    subscriptions: string_vec)
	{
	for ( _, topic in subscriptions )
		if ( topic == sidecar_topic )
			add sidecar_clients[endpoint$id];
	}

event Cluster::websocket_client_lost(endpoint: Cluster::EndpointInfo,
    code: count, reason: string)
	{
	if ( endpoint$id !in sidecar_clients )
		return;

	delete sidecar_clients[endpoint$id];

	if ( |sidecar_clients| == 0 )
		event sidecar_left();
	}

event zeek_init() &priority=-5
	{
	if ( Cluster::is_enabled() && Cluster::local_node_type() != Cluster::MANAGER )
		return;

	if ( ! Cluster::listen_websocket(Cluster::WebSocketServerOptions(
	    $listen_addr=websocket_addr, $listen_port=websocket_port,
	    $tls_options=websocket_tls)) )
		Reporter::fatal(fmt("portkin: cannot listen on %s:%s; is another Zeek there? Set Portkin::websocket_port",
		    websocket_addr, port_to_count(websocket_port)));
	}
