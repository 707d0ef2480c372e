##! What the cluster tests share: a worker holds its capture until it sees all other nodes and the sidecar is there,
##! plays it, and a little later the manager ends everything.

@load base/frameworks/cluster
@load portkin
@load portkin/websocket

redef Portkin::websocket_port = to_port(getenv("WEBSOCKET_PORT"));
redef Log::default_rotation_interval = 0sec;
redef Broker::disable_ssl = T;
redef exit_only_after_terminate = T;

const workers = 1 &redef;

global ready: event(node: string) &is_used;
global start: event() &is_used;
global played: event(node: string) &is_used;
global finish: event() &is_used;

global nodes_there = 0;
global workers_ready = 0;
global sidecar_there = F;

event zeek_init()
	{
	Cluster::subscribe("/test/run");
	}

event finish()
	{
	terminate();
	}

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

@if ( Cluster::local_node_type() == Cluster::MANAGER )

function start_if_ready()
	{
	if ( sidecar_there && workers_ready == workers )
		Cluster::publish("/test/run", start);
	}

event ready(node: string)
	{
	++workers_ready;
	start_if_ready();
	}

event Portkin::sidecar_arrived(sidecar: string, table_id: string)
	{
	sidecar_there = T;
	start_if_ready();
	}

event finish_run()
	{
	Cluster::publish("/test/run", finish);
	schedule 1sec { finish() };
	}

event played(node: string)
	{
	# Answers of the sidecar and lines of the keepers are still on their way.
	schedule 2sec { finish_run() };
	}

@endif
