##! Reports the state of this Zeek to ``portkin doctor``. Asking changes
##! nothing. In a cluster the manager asks every other node.

@load base/frameworks/cluster
@load ./api
@load ./config
@load ./decision
@load ./request
@load ./scanners

module Portkin;

export {
	## Manager to the other nodes: somebody asks how each of them stands.
	##
	## reqid: names the request.
	global node_status_request: event(reqid: string);
}

# The scripts of this package that were loaded, without their folder.
global loaded_scripts: set[string] = set();

event zeek_script_loaded(path: string, level: count)
	{
	local folder = @DIR + "/";

	# As Zeek found it, and as it is asked for: by way of a link, say.
	if ( ( starts_with(path, folder) || /\/portkin\/[a-z-]+\.zeek$/ in path )
	    && /__load__/ !in path )
		add loaded_scripts[gsub(path, /^.*\/|\.zeek$/, "")];
	}

# How long ago that was; negative for never.
function ago(t: time): interval
	{
	return time_to_double(t) == 0.0 ? -1sec : network_time() - t;
	}

function say_status(reqid: string)
	{
	local scripts: vector of string = vector();

	for ( script in loaded_scripts )
		scripts += script;

	local peers: vector of string = vector();

	for ( node in Cluster::nodes )
		if ( node != Cluster::node )
			peers += node;

	local name = Cluster::node == "" ? "zeek" : Cluster::node;
	local backend = subst_string(cat(Cluster::backend),
	    "Cluster::CLUSTER_BACKEND_", "");
	Cluster::publish(status_topic, status_response, reqid, protocol, name,
	    zeek_version(), backend, sort(scripts, strcmp), sort(peers, strcmp),
	    subst_string(cat(mode), "Portkin::", ""), sidecar_up, current_table,
	    get_net_stats()$pkts_recvd, |scanners|, ago(latest_probe), ago(
	    latest_answer), ago(latest_decision), current_time());
	}

event node_status_request(reqid: string)
	{
	say_status(reqid);
	}

event status_request(reqid: string)
	{
	# Proxies hear it too, and answer when the manager asks.
	if ( Cluster::is_enabled() && Cluster::local_node_type() != Cluster::MANAGER )
		return;

	say_status(reqid);

	if ( ! Cluster::is_enabled() )
		return;

	Cluster::publish(Cluster::proxy_topic, node_status_request, reqid);
	Cluster::publish(Cluster::worker_topic, node_status_request, reqid);
	}
