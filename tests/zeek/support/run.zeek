##! What the cluster tests share: a worker holds its capture until it sees all other nodes and those that ask the sidecar
##! know of it, and plays it. When the last of what a test waits for has come, proxies and workers end, and after them
##! who writes logs.

@load base/frameworks/cluster
@load portkin
@load portkin/websocket

redef Portkin::websocket_port = to_port(getenv("WEBSOCKET_PORT"));
redef Log::default_rotation_interval = 0sec;
redef Broker::disable_ssl = T;
redef exit_only_after_terminate = T;
# On a busy machine, too, an answer comes before nobody waits for it any more.
redef Portkin::request_timeout = 30sec;

const workers = 1 &redef;
# How many different things a test waits for once the capture is through.
const awaited = 0 &redef;

global ready: event(node: string) &is_used;
global informed: event(node: string) &is_used;
global start: event() &is_used;
global played: event(node: string) &is_used;
global finish: event() &is_used;
global happened: event(what: string) &is_used;

global nodes_there = 0;
global workers_ready = 0;
global workers_done = 0;
global knowing: set[string] = set();
global seen: set[string] = set();
global gone: set[string] = set();

event zeek_init()
	{
	Cluster::subscribe("/test/run");
	}

# Tells the manager of something that the test waits for.
function tell(what: string)
	{
	if ( Cluster::local_node_type() == Cluster::MANAGER )
		event happened(what);
	else
		Cluster::publish(Cluster::manager_topic, happened, what);
	}

@if ( Cluster::local_node_type() == Cluster::MANAGER || Cluster::local_node_type() == Cluster::LOGGER )

event last_lines_written()
	{
	terminate();
	}

# Who writes logs ends after all who send it lines.
event Cluster::node_down(name: string, id: string)
	{
	if ( Cluster::nodes[name]$node_type == Cluster::WORKER || Cluster::nodes[name]$node_type == Cluster::PROXY )
		add gone[name];

	if ( |gone| == Cluster::get_node_count(Cluster::WORKER) + Cluster::get_node_count(Cluster::PROXY) )
		# The manager sends lines, too, where it is not the logger.
		schedule Cluster::local_node_type() == Cluster::LOGGER ? 3sec : 1sec { last_lines_written() };
	}

@else

event finish()
	{
	terminate();
	}

@endif

@if ( Cluster::local_node_type() == Cluster::WORKER )

event zeek_init()
	{
	suspend_processing();
	}

event Cluster::node_up(name: string, id: string)
	{
	if ( Cluster::nodes[name]$node_type == Cluster::WORKER )
		return;

	++nodes_there;

	if ( nodes_there == |Cluster::nodes| - workers )
		Cluster::publish(Cluster::manager_topic, ready, Cluster::node);
	}

event start()
	{
	continue_processing();
	}

event Pcap::file_done(path: string)
	{
	Cluster::publish(Cluster::manager_topic, played, Cluster::node);
	}

@endif

# A proxy hears of it from the manager, which the worker's probes may overtake.
event Portkin::sidecar_arrived(sidecar: string, table_id: string)
	{
	if ( Cluster::local_node_type() == Cluster::MANAGER )
		event informed(Cluster::node);
	else
		Cluster::publish(Cluster::manager_topic, informed, Cluster::node);
	}

@if ( Cluster::local_node_type() == Cluster::MANAGER )

function start_if_ready()
	{
	if ( |knowing| == 1 + Cluster::get_node_count(Cluster::PROXY) && workers_ready == workers )
		Cluster::publish("/test/run", start);
	}

event ready(node: string)
	{
	++workers_ready;
	start_if_ready();
	}

event informed(node: string)
	{
	add knowing[node];
	start_if_ready();
	}

function finish_if_done()
	{
	if ( workers_done == workers && |seen| >= awaited )
		Cluster::publish("/test/run", finish);
	}

event played(node: string)
	{
	++workers_done;
	finish_if_done();
	}

event happened(what: string)
	{
	add seen[what];
	finish_if_done();
	}

@endif
