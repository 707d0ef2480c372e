##! Asks the sidecar, and measures with Zeek's own clock. Run by bench_query.py:
##! zeek -b ZEEK-SCRIPTS/api.zeek query.zeek, with WEBSOCKET_PORT or BROKER_PORT, and
##! QUERIES (one after the other), RATE and SECONDS (sustained) in the environment. With
##! BY_SOURCE it asks by port and by source in turn, and nothing is sustained.

@load base/frameworks/broker
@load base/frameworks/cluster

module QueryBench;

redef exit_only_after_terminate = T;

const queries = to_count(getenv("QUERIES"));
const rate = to_count(getenv("RATE"));
const seconds = to_count(getenv("SECONDS"));
# Ports that scanners touch, so that answers are full.
const asked_ports = vector(21/tcp, 80/tcp, 81/tcp, 110/tcp, 135/tcp, 443/tcp, 8080/tcp, 3306/tcp);
const warm_up = 200;
const by_source = getenv("BY_SOURCE") != "";

global begun = F;
global sent: table[string] of time = table();
global total_sent = 0;
global total_answered = 0;
global neighbors = 0;
global latencies: vector of double = vector();
global latencies_by_source: vector of double = vector();
global phase_start: time;
global most_open = 0;

global next_query: event();
global first_burst: event();
global next_burst: event();
global finish: event();

event zeek_init()
	{
	Cluster::subscribe(Portkin::zeek_topic);

	if ( getenv("WEBSOCKET_PORT") != "" )
		Cluster::listen_websocket(Cluster::WebSocketServerOptions(
		    $listen_addr=127.0.0.1,
		    $listen_port=to_port(getenv("WEBSOCKET_PORT") + "/tcp")));

	if ( getenv("BROKER_PORT") != "" )
		Broker::listen("127.0.0.1", to_port(getenv("BROKER_PORT") + "/tcp"));

	print "ready";
	flush_all();
	}

# A source that probed them all, the latest first.
function history(latest: count): vector of port
	{
	local recent: vector of port = vector();

	for ( i in asked_ports )
		recent += asked_ports[( latest + i ) % |asked_ports|];

	return recent;
	}

function ask_by_source()
	{
	local reqid = fmt("S%d", total_answered);
	local recent = history(total_answered % |asked_ports|);
	sent[reqid] = current_time();
	Cluster::publish(Portkin::sidecar_topic, Portkin::source_request, reqid, recent,
	    |recent|, 1min, 16, 0.0);
	}

function ask()
	{
	local reqid = cat(total_sent);
	local p = asked_ports[total_sent % |asked_ports|];
	++total_sent;
	sent[reqid] = current_time();
	Cluster::publish(Portkin::sidecar_topic, Portkin::nearest_request, reqid, p, 16, 0.0);
	}

function report(name: string, latencies: vector of double, lost: count, took: double)
	{
	sort(latencies);
	local n = |latencies|;
	print fmt("result {\"phase\": \"%s\", \"sent\": %d, \"answered\": %d, \"lost\": %d, \"seconds\": %.3f, \"median_ms\": %.4f, \"p90_ms\": %.4f, \"p99_ms\": %.4f, \"max_ms\": %.4f, \"most_open\": %d, \"neighbors\": %d}",
	    name, n + lost, n, lost, took, 1000 * latencies[n / 2], 1000 * latencies[n * 9 / 10],
	    1000 * latencies[n * 99 / 100], 1000 * latencies[n - 1], most_open, neighbors);
	flush_all();
	}

event Portkin::hello_request(reqid: string, version: count, sidecar: string,
    table_id: string, depth: count)
	{
	Cluster::publish(Portkin::sidecar_topic, Portkin::hello_response, reqid,
	    Portkin::protocol, "bench", zeek_version());

	if ( begun )
		return;

	begun = T;
	schedule 500msec { next_query() };
	}

event next_query()
	{
	if ( total_answered == 0 )
		phase_start = current_time();

	ask();
	}

function next_or_report()
	{
	if ( total_answered < queries + warm_up )
		{
		event next_query();
		return;
		}

	if ( total_answered > queries + warm_up )
		return;

	local took = interval_to_double(current_time() - phase_start);
	report("one at a time", latencies, 0, took);

	if ( by_source )
		{
		report("by source", latencies_by_source, 0, took);
		return;
		}

	latencies = vector();
	schedule 100msec { first_burst() };
	}

event Portkin::nearest_response(reqid: string, p: port, table_id: string,
    ports: vector of port, chances: vector of double, error: string)
	{
	if ( reqid !in sent )
		return;

	local took = interval_to_double(current_time() - sent[reqid]);
	delete sent[reqid];
	++total_answered;
	neighbors = |ports|;

	if ( total_answered > warm_up )
		latencies += took;

	if ( by_source )
		ask_by_source();
	else
		next_or_report();
	}

event Portkin::source_response(reqid: string, table_id: string, ports: vector of port,
    chances: vector of double, of_source: bool, error: string)
	{
	if ( reqid !in sent )
		return;

	local took = interval_to_double(current_time() - sent[reqid]);
	delete sent[reqid];

	if ( ! of_source )
		Reporter::fatal(fmt("not answered by source: %s", error));

	neighbors = |ports|;

	if ( total_answered > warm_up )
		latencies_by_source += took;

	next_or_report();
	}

event first_burst()
	{
	# Now, or what the pause left undone would be asked at once: one in a hundred, which
	# the 99th percentile would be of.
	phase_start = current_time();
	event next_burst();
	}

# Every few milliseconds, as many as are due by now.
event next_burst()
	{
	local elapsed = interval_to_double(current_time() - phase_start);
	local due = double_to_count(floor(rate * elapsed));
	local all = rate * seconds;
	local burst_sent = total_sent - queries - warm_up;

	if ( due > all )
		due = all;

	while ( burst_sent < due )
		{
		ask();
		++burst_sent;
		}

	if ( |sent| > most_open )
		most_open = |sent|;

	if ( burst_sent < all )
		schedule 1msec { next_burst() };
	else
		schedule 2sec { finish() };
	}

event finish()
	{
	report("sustained", latencies, |sent|, seconds);
	terminate();
	}
