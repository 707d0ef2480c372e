# @TEST-DOC: A worker reports the successes of a source from its first failure on, without waiting for the owner to announce it.
#
# @TEST-PORT: BROKER_MANAGER_PORT
# @TEST-PORT: BROKER_WORKER1_PORT
# @TEST-EXEC: CLUSTER_NODE=worker-1 ZEEKPATH="$ZEEKPATH:." zeek -b "$SUPPORT/broker-backend.zeek" "%INPUT" >wanted 2>messages
# @TEST-EXEC: btest-diff wanted
# @TEST-EXEC: ! grep -i warning messages

@load portkin

redef Log::default_rotation_interval = 0sec;
redef Broker::disable_ssl = T;

module Portkin;

global source = Source($host=198.51.100.50);

event zeek_init()
	{
	print "before a failure", source in announced_suspects;
	report_failure(source, 192.0.2.1, 80/tcp);
	print "after it", source in announced_suspects;
	terminate();
	}

# @TEST-START-FILE cluster-layout.zeek
redef Cluster::manager_is_logger = T;
redef Cluster::nodes = {
	["manager"] = [$node_type=Cluster::MANAGER, $ip=127.0.0.1, $p=to_port(getenv("BROKER_MANAGER_PORT"))],
	["worker-1"] = [$node_type=Cluster::WORKER, $ip=127.0.0.1, $p=to_port(getenv("BROKER_WORKER1_PORT")), $manager="manager"],
};
# @TEST-END-FILE
