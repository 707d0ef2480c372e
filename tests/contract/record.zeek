##! Says every kind of event that Zeek sends to the sidecar, once a client is
##! there, and prints every one that it reads. Run by record_frames.py.

@load base/frameworks/broker
@load base/frameworks/cluster

module Record;

redef exit_only_after_terminate = T;

event zeek_init()
	{
	Cluster::subscribe(Portkin::zeek_topic);
	Cluster::listen_websocket(Cluster::WebSocketServerOptions(
	    $listen_addr=127.0.0.1,
	    $listen_port=to_port(getenv("WEBSOCKET_PORT") + "/tcp")));
	print "ready";
	flush_all();
	}

function say(line: string)
	{
	print "read " + line;
	flush_all();
	}

event Portkin::hello_request(reqid: string, version: count, sidecar: string,
    table_id: string, depth: count)
	{
	say(cat("hello_request ", vector(reqid, sidecar, table_id), version, " ", depth));

	local to = Portkin::sidecar_topic;
	Cluster::publish(to, Portkin::hello_response, reqid, Portkin::protocol, "zeek", zeek_version());
	Cluster::publish(to, Portkin::nearest_request, "r1", 22/tcp, 5, 0.25);
	Cluster::publish(to, Portkin::nearest_request, "r2", 53/udp, 0, 0.0);
	Cluster::publish(to, Portkin::nearest_request, "r3", 65535/tcp, 18446744073709551615, -1.0);
	Cluster::publish(to, Portkin::nearest_request, "quotes \" and \\ and \x01 and \t", 0/udp, 1, 1.0);
	Cluster::publish(to, Portkin::nearest_request, "icmp", 8/icmp, 1, -1.0);
	Cluster::publish(to, Portkin::nearest_request, "unknown", 0/unknown, 1, -1.0);
	Cluster::publish(to, Portkin::source_request, "s1", vector(443/tcp, 53/udp), 3, 1234567usec, 32, -1.0);
	Cluster::publish(to, Portkin::source_request, "s2", vector(22/tcp), 1, 0sec, 1, 0.5);
	# No history: the latest port is missing, the time negative, there are more than eight.
	Cluster::publish(to, Portkin::source_request, "s3", vector(), 0, 0sec, 1, -1.0);
	Cluster::publish(to, Portkin::source_request, "s4", vector(22/tcp, 23/tcp), 2, -1sec, 1, -1.0);
	Cluster::publish(to, Portkin::source_request, "s5", vector(1/tcp, 2/tcp, 3/tcp, 4/tcp, 5/tcp, 6/tcp, 7/tcp, 8/tcp, 9/tcp),
	    9, 1sec, 1, -1.0);
	Cluster::publish(to, Portkin::rates_report, "R1", "worker-1", double_to_time(1700000040.0), 1min,
	    vector(22/tcp, 53/udp), vector(3, 18446744073709551615));
	Cluster::publish(to, Portkin::rates_report, "R2", "zeek", double_to_time(1700000040.25), 59750msec,
	    vector(), vector());
	Cluster::publish(to, Portkin::block_requests, 198.51.100.10, "0123456789ab", 22/tcp, vector("B1", "B2"),
	    vector(23/tcp, 2222/tcp), vector(20000sec, 19999500msec), vector(1, 2),
	    vector("evidence=TRW answered=0 refused=1 repeated=0 darknet=0", "evidence=TRW"));
	Cluster::publish(to, Portkin::block_requests, [2001:db8::1], "", 53/udp, vector("B3"), vector(53/udp),
	    vector(1500msec), vector(0), vector("evidence=DARKNET answered=0 refused=0 repeated=0 darknet=3 probe=1"));
	Cluster::publish(to, Portkin::unblock_request, "U1", 198.51.100.10, 23/tcp);
	Cluster::publish(to, Portkin::unblock_request, "U2", [::ffff:198.51.100.10], 53/udp);

	local at = double_to_time(1700000040.25);
	Cluster::publish(Portkin::status_topic, Portkin::status_response, "S1", Portkin::protocol, "zeek",
	    zeek_version(), "NONE", vector("block", "websocket"), vector(), "BLOCK", T, "0123456789ab", 18446744073709551615, 3,
	    1500msec, 0sec, -1sec, at);
	Cluster::publish(Portkin::status_topic, Portkin::status_response, "S1", Portkin::protocol, "manager",
	    zeek_version(), "ZEROMQ", vector(), vector("proxy-1", "worker-1"), "SHADOW", F, "", 0, 0,
	    -1sec, -1sec, -1sec, at);
	}

event Portkin::nearest_response(reqid: string, p: port, table_id: string,
    ports: vector of port, chances: vector of double, error: string)
	{
	say(cat("nearest_response ", vector(reqid, table_id, error), p, " ", ports, " ", chances));
	}

event Portkin::status_request(reqid: string)
	{
	say(cat("status_request ", reqid));
	}

event Portkin::source_response(reqid: string, table_id: string,
    ports: vector of port, chances: vector of double, of_source: bool, error: string)
	{
	say(cat("source_response ", vector(reqid, table_id, error), ports, " ", chances, " ", of_source));
	}

event Portkin::table_changed(table_id: string, depth: count, has_model: bool)
	{
	say(cat("table_changed ", table_id, " ", depth, " ", has_model));
	}

event Portkin::block_responses(reqids: vector of string, srcs: vector of addr,
    ports: vector of port, outcomes: vector of string, details: vector of string)
	{
	say(cat("block_responses ", reqids, srcs, ports, outcomes, details));
	}

event Portkin::rates_response(reqid: string, accepted: count, error: string)
	{
	say(cat("rates_response ", vector(reqid, error), accepted));
	}

event Portkin::rate_anomaly(p: port, start: time, observed: double, forecast: double,
    e: double, threshold: double, model_id: string)
	{
	say(cat("rate_anomaly ", p, " ", start, " ", vector(observed, forecast, e, threshold), model_id));
	}

event Portkin::rate_warning(p: port, start: time, forecast: double, trend: double,
    w: double, threshold: double, model_id: string)
	{
	say(cat("rate_warning ", p, " ", start, " ", vector(forecast, trend, w, threshold), model_id));
	}

event Portkin::rates_outage(start: time, width: interval, nodes: vector of string)
	{
	say(cat("rates_outage ", start, " ", width, " ", nodes));
	}

event Portkin::rates_scores(start: time, width: interval, model_id: string,
    ports: vector of port, observed: vector of double, forecast: vector of double,
    e: vector of double, ahead: vector of double, w: vector of double)
	{
	say(cat("rates_scores ", start, " ", width, " ", model_id, " ", ports, observed, forecast, e, ahead, w));
	}
