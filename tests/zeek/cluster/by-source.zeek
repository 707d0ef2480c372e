# @TEST-DOC: In a cluster the history of a source is on the proxy that decides about it: its predictions are those of a Zeek alone, from the second port on by what it probed before.
#
# @TEST-REQUIRES: portkin --version
# @TEST-PORT: XPUB_PORT
# @TEST-PORT: XSUB_PORT
# @TEST-PORT: LOG_PULL_PORT
# @TEST-PORT: WEBSOCKET_PORT
# @TEST-EXEC: cp "$SUPPORT/zeromq-backend.zeek" "$SUPPORT/run.zeek" "$SUPPORT/steps.zeek" .
# @TEST-EXEC: python3 "$SUPPORT/by-source.py"
# @TEST-EXEC: timeout 400 portkin serve -c sidecar.yaml --table table --url ws://127.0.0.1:${WEBSOCKET_PORT%/tcp}/v1/messages/json >sidecar.log 2>&1 & echo $! >sidecar.pid
# @TEST-EXEC: timeout 100 sh -c 'until grep -q serving sidecar.log; do sleep 0.1; done'
# @TEST-EXEC: zeek -b -C -r steps.pcap alone.zeek
# @TEST-EXEC: zeek-cut kind src probed predicted predicted_by <portkin.log | grep DECISION | cut -f 2- | sort >alone
# @TEST-EXEC: btest-bg-run manager "ZEEKPATH='$ZEEKPATH:..' CLUSTER_NODE=manager zeek -b ../zeromq-backend.zeek ../run.zeek ../steps.zeek"
# @TEST-EXEC: btest-bg-run logger "ZEEKPATH='$ZEEKPATH:..' CLUSTER_NODE=logger zeek -b ../zeromq-backend.zeek ../run.zeek ../steps.zeek"
# @TEST-EXEC: btest-bg-run proxy-1 "ZEEKPATH='$ZEEKPATH:..' CLUSTER_NODE=proxy-1 zeek -b ../zeromq-backend.zeek ../run.zeek ../steps.zeek"
# @TEST-EXEC: btest-bg-run proxy-2 "ZEEKPATH='$ZEEKPATH:..' CLUSTER_NODE=proxy-2 zeek -b ../zeromq-backend.zeek ../run.zeek ../steps.zeek"
# @TEST-EXEC: btest-bg-run worker-1 "ZEEKPATH='$ZEEKPATH:..' CLUSTER_NODE=worker-1 zeek -b -C --pseudo-realtime -r ../steps.pcap ../zeromq-backend.zeek ../run.zeek ../steps.zeek"
# @TEST-EXEC: btest-bg-wait -k 300; kill $(cat sidecar.pid)
# @TEST-EXEC: zeek-cut kind src probed predicted predicted_by <logger/portkin.log | grep DECISION | cut -f 2- | sort >cluster
# @TEST-EXEC: diff alone cluster
# @TEST-EXEC: btest-diff alone

# @TEST-START-FILE sidecar.yaml
metrics:
  enabled: false
# @TEST-END-FILE

# @TEST-START-FILE alone.zeek
@load portkin
@load portkin/websocket

redef Portkin::websocket_port = to_port(getenv("WEBSOCKET_PORT"));
redef Portkin::request_timeout = 30sec;
redef Portkin::darknets = { 203.0.113.0/24 };
# @TEST-END-FILE

# @TEST-START-FILE cluster-layout.zeek
# With the manager as the logger, Zeek 8.0 binds the log port again for every WebSocket client, and fails.
redef Cluster::manager_is_logger = F;
redef Cluster::nodes = {
	["manager"] = [$node_type=Cluster::MANAGER, $ip=127.0.0.1],
	["logger"] = [$node_type=Cluster::LOGGER, $ip=127.0.0.1, $p=to_port(getenv("LOG_PULL_PORT"))],
	["proxy-1"] = [$node_type=Cluster::PROXY, $ip=127.0.0.1, $manager="manager"],
	["proxy-2"] = [$node_type=Cluster::PROXY, $ip=127.0.0.1, $manager="manager"],
	["worker-1"] = [$node_type=Cluster::WORKER, $ip=127.0.0.1, $manager="manager"],
};
# @TEST-END-FILE
