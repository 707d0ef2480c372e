##! A Zeek that asks for blocks without end, for tests, and says on standard output what came of them.
##! Run as: zeek -b ZEEK-SCRIPTS/api.zeek blocker.zeek with WEBSOCKET_PORT in the environment.

@load base/frameworks/cluster

module BlockerTest;

redef exit_only_after_terminate = T;

global asked = 0;
global received = F;

event zeek_init()
	{
	Cluster::subscribe(Portkin::zeek_topic);
	Cluster::listen_websocket(Cluster::WebSocketServerOptions($listen_addr=127.0.0.1,
	    $listen_port=to_port(getenv("WEBSOCKET_PORT") + "/tcp")));
	print "ready";
	flush_all();
	}

# Sources 203.0.113.0 to .63; each eighth 198.51.100.0 to .63, which is never to be blocked.
event ask()
	{
	local net = rand(8) == 0 ? 198.51.100.0/24 : 203.0.113.0/24;
	local host = to_addr(fmt("%s.%d", net == 198.51.100.0/24 ? "198.51.100" : "203.0.113", rand(64)));
	local p = count_to_port(1 + rand(100), tcp);
	++asked;

	if ( rand(20) == 0 )
		Cluster::publish(Portkin::sidecar_topic, Portkin::unblock_request, cat(asked), host, p);
	else
		Cluster::publish(Portkin::sidecar_topic, Portkin::block_requests, host, "0123456789ab", p, vector(cat(asked)),
		    vector(p), vector(double_to_interval(1.0 + rand(6))), vector(0), vector("evidence=TRW answered=1 probe=1"));

	schedule 5msec { ask() };
	}

event Portkin::hello_request(reqid: string, version: count, sidecar: string, table_id: string, depth: count)
	{
	Cluster::publish(Portkin::sidecar_topic, Portkin::hello_response, reqid,
	    Portkin::protocol, "blocker", zeek_version());

	if ( ! received )
		{
		received = T;
		event ask();
		}
	}

event Portkin::block_responses(reqids: vector of string, srcs: vector of addr, ports: vector of port,
    outcomes: vector of string, details: vector of string)
	{
	for ( i, src in srcs )
		print fmt("%s %s %s %s", outcomes[i], src, ports[i], details[i]);

	flush_all();
	}
