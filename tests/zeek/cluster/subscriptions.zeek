# @TEST-DOC: Every node of a cluster subscribes to what the sidecar says before the nodes connect.
#
# @TEST-EXEC: CLUSTER_NODE=manager zeek -b %INPUT >>topics
# @TEST-EXEC: CLUSTER_NODE=proxy-1 zeek -b %INPUT >>topics
# @TEST-EXEC: CLUSTER_NODE=worker-1 zeek -b %INPUT >>topics
# @TEST-EXEC: btest-diff topics

# Nodes connect at -10. A topic that comes while Broker makes a peering is lost to it. Workers count rates, and hear what
# became of their reports.

@load base/misc/version

@if ( Version::at_least("8.1.0") )
@load frameworks/cluster/backend/broker
@endif

@load base/frameworks/cluster
@load portkin
@load portkin/rates
@load portkin/websocket

hook Cluster::on_subscribe(topic: string)
	{
	if ( /^\/portkin\// in topic )
		print Cluster::node, topic;
	}

event zeek_init() &priority=-9
	{
	exit(0);
	}

# @TEST-START-FILE cluster-layout.zeek
redef Cluster::nodes = {
	["manager"] = [$node_type=Cluster::MANAGER, $ip=127.0.0.1, $p=0/unknown],
	["proxy-1"] = [$node_type=Cluster::PROXY, $ip=127.0.0.1, $p=0/unknown, $manager="manager"],
	["worker-1"] = [$node_type=Cluster::WORKER, $ip=127.0.0.1, $p=0/unknown, $manager="manager"],
};
# @TEST-END-FILE
