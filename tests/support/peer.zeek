##! A Zeek that serves the sidecar for tests and says on standard output what it
##! hears, without the rest of the package. Run as: zeek -b ZEEK-SCRIPTS/api.zeek peer.zeek
##! with WEBSOCKET_PORT (and TLS_CERT, TLS_KEY) or BROKER_PORT in the environment.

@load base/frameworks/broker
@load base/frameworks/cluster

module PeerTest;

redef exit_only_after_terminate = T;

global asked = 0;

event zeek_init()
	{
	Cluster::subscribe(Portkin::zeek_topic);

	if ( getenv("WEBSOCKET_PORT") != "" )
		{
		local options = Cluster::WebSocketServerOptions(
		    $listen_addr=127.0.0.1,
		    $listen_port=to_port(getenv("WEBSOCKET_PORT") + "/tcp"));

		if ( getenv("TLS_CERT") != "" )
			options$tls_options = Cluster::WebSocketTLSOptions(
			    $cert_file=getenv("TLS_CERT"), $key_file=getenv("TLS_KEY"),
			    $enable_peer_verification=T, $ca_file=getenv("TLS_CERT"));

		Cluster::listen_websocket(options);
		}

	if ( getenv("BROKER_PORT") != "" )
		Broker::listen("127.0.0.1", to_port(getenv("BROKER_PORT") + "/tcp"));

	print "ready";
	flush_all();
	}

function say(line: string)
	{
	print line;
	flush_all();
	}

# One request at a time, for ever: what is lost is asked again after a second.
event ask(n: count)
	{
	if ( n != asked )
		return;

	Cluster::publish(Portkin::sidecar_topic, Portkin::nearest_request, cat(n), 22/tcp, 3, 0.0);
	schedule 1sec { ask(n) };
	}

event Portkin::hello_request(reqid: string, version: count, sidecar: string,
    table_id: string, depth: count)
	{
	say(fmt("hello_request %s %d %s %s %d", reqid, version, sidecar, table_id, depth));
	Cluster::publish(Portkin::sidecar_topic, Portkin::hello_response, reqid,
	    Portkin::protocol, "peer", zeek_version());
	event ask(asked);
	}

event Portkin::nearest_response(reqid: string, p: port, table_id: string,
    ports: vector of port, chances: vector of double, error: string)
	{
	say(fmt("nearest_response %s %s %s %s %s '%s'", reqid, p, table_id, ports, chances, error));

	if ( reqid == cat(asked) )
		{
		++asked;
		schedule 10msec { ask(asked) };
		}
	}

event Portkin::table_changed(table_id: string, depth: count, has_model: bool)
	{
	say(fmt("table_changed %s %d %s", table_id, depth, has_model));
	}
