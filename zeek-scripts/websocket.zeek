##! Lets the sidecar in over Zeek's WebSocket API. Opt-in, since it opens a
##! port; on loopback by default.

@load base/frameworks/cluster
@load base/frameworks/reporter
@load base/utils/addrs
@load ./__load__
@load ./backend

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

# A sidecar is recognised by the topic it subscribes to; others may use the socket.
global sidecar_clients: set[string] = set();
global other_clients: set[string] = set();

global open_websocket: event();
# Raised after what the attempt to listen reported.
global check_listening: event();

# Whether a server of this Zeek was listening there before.
global listening_before = F;

# Configuration checks of zeekctl run beside the Zeek that holds the port.
function checks_only(): bool
	{
	return getenv("ZEEKCTL_DISABLE_LISTEN") != ""
	    || getenv("ZEEKCTL_CHECK_CONFIG") != "";
	}

function address_text(): string
	{
	return fmt("%s:%d", addr_to_uri(websocket_addr), port_to_count(
	    websocket_port));
	}

hook sidecar_trouble(reasons: vector of string)
	{
	local trouble = backend_trouble();

	if ( trouble == "" && |sidecar_clients| + |other_clients| == 0 )
		trouble = backend_doubt();

	if ( trouble != "" )
		reasons += trouble;
	else if ( |sidecar_clients| > 0 )
		reasons += fmt("a client subscribed to %s but has not said hello; see the sidecar's log",
		    sidecar_topic);
	else if ( |other_clients| > 0 )
		reasons += fmt("WebSocket clients are connected to %s, but none subscribed to %s: is the sidecar of another release?",
		    address_text(), sidecar_topic);
	else
		reasons += fmt("nothing subscribed at ws://%s/v1/messages/json; start it with: portkin serve",
		    address_text());
	}

event Cluster::websocket_client_added(endpoint: Cluster::EndpointInfo,
    subscriptions: string_vec)
	{
	for ( _, topic in subscriptions )
		if ( topic == sidecar_topic )
			{
			add sidecar_clients[endpoint$id];
			return;
			}

	add other_clients[endpoint$id];
	}

event Cluster::websocket_client_lost(endpoint: Cluster::EndpointInfo,
    code: count, reason: string)
	{
	delete other_clients[endpoint$id];

	if ( endpoint$id !in sidecar_clients )
		return;

	delete sidecar_clients[endpoint$id];

	if ( |sidecar_clients| == 0 )
		event sidecar_left();
	}

# zeekctl, or another script, may have opened the same address before, with other
# options: that server is as good, and Zeek says so by an error alone.
event reporter_error(t: time, msg: string, location: string)
	{
	if ( /Already listening on/ in msg )
		listening_before = T;
	}

event check_listening()
	{
	if ( listening_before )
		{
		Reporter::warning(fmt("portkin: Zeek listens on %s already, with other options; the sidecar connects there, and Portkin::websocket_tls is not used",
		    address_text()));
		return;
		}

	Reporter::fatal(fmt("portkin: cannot listen on %s; the error above names the cause. Where another Zeek listens there, set Portkin::websocket_port, and the sidecar's --url",
	    address_text()));
	}

event open_websocket()
	{
	if ( ! Cluster::listen_websocket(Cluster::WebSocketServerOptions(
	    $listen_addr=websocket_addr, $listen_port=websocket_port,
	    $tls_options=websocket_tls)) )
		event check_listening();
	}

event zeek_init() &priority=-5
	{
	if ( checks_only() )
		return;

	if ( Cluster::is_enabled() && Cluster::local_node_type() != Cluster::MANAGER )
		return;

	# No error: one during initialization would end Zeek, and detection goes on.
	if ( backend_trouble() != "" )
		Reporter::warning(fmt("portkin: the sidecar cannot connect: %s",
		    backend_trouble()));

	# For the same reason a live Zeek opens the WebSocket afterwards. A capture waits
	# for the sidecar, and no timer runs meanwhile.
	if ( reading_traces() )
		event open_websocket();
	else
		schedule 0sec { open_websocket() };
	}
