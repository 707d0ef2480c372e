##! How the nodes of a cluster learn about the sidecar: it is a client of the manager,
##! and asked by the proxies.

@load base/frameworks/cluster
@load ./answer-cache
@load ./sidecar-presence

module Portkin;

export {
	## Manager to proxies: whether the sidecar is there. The manager alone sees
	## it come and go.
	global manager_sidecar: event(up: bool, table_id: string, has_model: bool);
}

@if ( Cluster::local_node_type() == Cluster::MANAGER )

event sidecar_arrived(sidecar: string, table_id: string)
	{
	Cluster::publish(Cluster::proxy_topic, manager_sidecar, T, table_id,
	    table_by_source);
	}

event sidecar_left()
	{
	Cluster::publish(Cluster::proxy_topic, manager_sidecar, F, "", F);
	}

# A proxy that starts later has not seen it.
event Cluster::node_up(name: string, id: string)
	{
	if ( name in Cluster::nodes
	    && Cluster::nodes[name]$node_type == Cluster::PROXY )
		Cluster::publish(Cluster::nodeid_topic(id), manager_sidecar, sidecar_up,
		    current_table, table_by_source);
	}

@endif

@if ( Cluster::local_node_type() == Cluster::PROXY )

event manager_sidecar(up: bool, table_id: string, has_model: bool)
	{
	if ( ! up )
		event sidecar_left();
	else if ( ! sidecar_up )
		{
		use_table(table_id);
		table_by_source = has_model;
		sidecar_up = T;
		event sidecar_arrived("", table_id);
		}
	}

@endif

# The sidecar is a client of the manager and comes at any time. Broker announces a new
# subscription to the peers that it has, and a peer that connects at that moment never
# hears of it, so that its questions would be lost: the manager wants them from the
# start.
@if ( Cluster::local_node_type() == Cluster::MANAGER && cat(Cluster::backend) == "Cluster::CLUSTER_BACKEND_BROKER" )

event zeek_init()
	{
	Broker::forward(sidecar_topic);
	Broker::forward(status_topic);
	}

@endif
