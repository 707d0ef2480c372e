# @TEST-DOC: A ZeroMQ cluster whose manager is the logger says at start that no sidecar can connect, and what to do; Zeek goes on.
#
# @TEST-PORT: XPUB_PORT
# @TEST-PORT: XSUB_PORT
# @TEST-PORT: LOG_PULL_PORT
# @TEST-PORT: WEBSOCKET_PORT
# @TEST-EXEC: ZEEKPATH="$ZEEKPATH:." CLUSTER_NODE=manager timeout 120 zeek -b "$SUPPORT/zeromq-backend.zeek" "%INPUT" >said 2>messages
# @TEST-EXEC: zeek-cut message <reporter.log | grep -o 'portkin: the sidecar cannot.*' >>said
# @TEST-EXEC: btest-diff said

@load base/frameworks/reporter
@load portkin
@load portkin/websocket

redef Portkin::websocket_port = to_port(getenv("WEBSOCKET_PORT"));
redef Log::default_rotation_interval = 0sec;
redef exit_only_after_terminate = T;

event done()
	{
	print "Zeek runs";
	terminate();
	}

event zeek_init()
	{
	schedule 2sec { done() };
	}

# @TEST-START-FILE cluster-layout.zeek
redef Cluster::manager_is_logger = T;
redef Cluster::nodes = {
	["manager"] = [$node_type=Cluster::MANAGER, $ip=127.0.0.1, $p=to_port(getenv("LOG_PULL_PORT"))],
	["worker-1"] = [$node_type=Cluster::WORKER, $ip=127.0.0.1, $manager="manager"],
};
# @TEST-END-FILE
