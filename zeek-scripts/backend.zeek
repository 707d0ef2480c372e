##! The cluster backend under the sidecar's WebSocket. From Zeek 8.1 on a Zeek
##! without a cluster has none, and its WebSocket server acknowledges no client:
##! where that is so, this loads ZeroMQ, with its proxy thread on sockets that only
##! this process knows. Where a backend was chosen, it stays.

@load base/frameworks/cluster

@if ( cat(Cluster::backend) == "Cluster::CLUSTER_BACKEND_NONE" && ! Cluster::is_enabled() )
@load frameworks/cluster/backend/zeromq

redef Cluster::Backend::ZeroMQ::run_proxy_thread = T;

# Linux's abstract sockets need no port and no file: any number of Zeeks can run on
# one host.
redef Cluster::Backend::ZeroMQ::listen_xpub_endpoint = fmt(
    "ipc://@portkin-xpub-%d", getpid());
redef Cluster::Backend::ZeroMQ::listen_xsub_endpoint = fmt(
    "ipc://@portkin-xsub-%d", getpid());
redef Cluster::Backend::ZeroMQ::connect_xpub_endpoint =
    Cluster::Backend::ZeroMQ::listen_xsub_endpoint;
redef Cluster::Backend::ZeroMQ::connect_xsub_endpoint =
    Cluster::Backend::ZeroMQ::listen_xpub_endpoint;

# There is no logger, and Zeek would write every line of every log a second time for
# one. To send logs to a logger elsewhere, load ZeroMQ before portkin: it is then as
# you chose it.
redef Log::enable_remote_logging = F;
@endif

module Portkin;

export {
	## What keeps Zeek from letting a WebSocket client in, with the remedy;
	## empty where nothing does.
	global backend_trouble: function(): string;

	## What may keep Zeek from letting a WebSocket client in, with the remedy;
	## empty where nothing does.
	global backend_doubt: function(): string;
}

function backend_trouble(): string
	{
	local backend = cat(Cluster::backend);

	if ( backend == "Cluster::CLUSTER_BACKEND_NONE" )
		return "Zeek has no cluster backend and acknowledges no WebSocket client: load frameworks/cluster/backend/zeromq before portkin";

	if ( backend == "Cluster::CLUSTER_BACKEND_ZEROMQ"
	    && Cluster::is_enabled()
	    && Cluster::manager_is_logger )
		return "this cluster has no logger, and over ZeroMQ Zeek then lets no WebSocket client in: set 'loggers = 1' in zeek.conf, or add a [logger] to node.cfg";

	return "";
	}

function backend_doubt(): string
	{
	# Another process may run the proxy.
	if ( cat(Cluster::backend) == "Cluster::CLUSTER_BACKEND_ZEROMQ"
	    && ! Cluster::is_enabled()
	    && cat(lookup_ID("Cluster::Backend::ZeroMQ::run_proxy_thread")) == "F" )
		return "ZeroMQ without a cluster runs no proxy, and without one Zeek lets no WebSocket client in: redef Cluster::Backend::ZeroMQ::run_proxy_thread = T";

	return "";
	}
