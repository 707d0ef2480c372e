# @TEST-DOC: In a cluster over Broker the state of a source lives on one of two proxies; it finds what a Zeek alone finds.
#
# @TEST-REQUIRES: portkin --version
# @TEST-PORT: BROKER_MANAGER_PORT
# @TEST-PORT: BROKER_PROXY1_PORT
# @TEST-PORT: BROKER_PROXY2_PORT
# @TEST-PORT: BROKER_WORKER1_PORT
# @TEST-PORT: WEBSOCKET_PORT
# @TEST-EXEC: cp "$SUPPORT/broker-backend.zeek" "$SUPPORT/run.zeek" "$SUPPORT/know-sidecar.zeek" .
# @TEST-EXEC: timeout 280 portkin serve -c sidecar.yaml --url ws://127.0.0.1:${WEBSOCKET_PORT%/tcp}/v1/messages/json >sidecar.log 2>&1 & echo $! >sidecar.pid
# @TEST-EXEC: btest-bg-run manager "ZEEKPATH='$ZEEKPATH:..' CLUSTER_NODE=manager zeek -b ../broker-backend.zeek ../run.zeek ../know-sidecar.zeek"
# @TEST-EXEC: btest-bg-run proxy-1 "ZEEKPATH='$ZEEKPATH:..' CLUSTER_NODE=proxy-1 zeek -b ../broker-backend.zeek ../run.zeek ../know-sidecar.zeek"
# @TEST-EXEC: btest-bg-run proxy-2 "ZEEKPATH='$ZEEKPATH:..' CLUSTER_NODE=proxy-2 zeek -b ../broker-backend.zeek ../run.zeek ../know-sidecar.zeek"
# @TEST-EXEC: btest-bg-run worker-1 "ZEEKPATH='$ZEEKPATH:..' CLUSTER_NODE=worker-1 zeek -b -C --pseudo-realtime -r '$CAPTURES/scans.pcap' ../broker-backend.zeek ../run.zeek ../know-sidecar.zeek"
# @TEST-EXEC: btest-bg-wait -k 240; kill $(cat sidecar.pid)
# @TEST-EXEC: zeek-cut kind src probed proto evidence predicted <manager/portkin.log | grep DECISION | cut -f 2- | grep -v -w -E '^198.51.100.10.443' | sort -u >decisions
# @TEST-EXEC: zeek-cut message <manager/cluster.log | grep ^sidecar | sort -u >>decisions
# @TEST-EXEC: btest-diff decisions

# The decisions are those of decide/sidecar, where one Zeek decides; only 443/tcp of 198.51.100.10 is left out: it was
# answered, and may come before the worker has heard from the owner that its source is a scanner.

# @TEST-START-FILE sidecar.yaml
metrics:
  enabled: false
# @TEST-END-FILE

# @TEST-START-FILE cluster-layout.zeek
redef Cluster::manager_is_logger = T;
redef Cluster::nodes = {
	["manager"] = [$node_type=Cluster::MANAGER, $ip=127.0.0.1, $p=to_port(getenv("BROKER_MANAGER_PORT"))],
	["proxy-1"] = [$node_type=Cluster::PROXY, $ip=127.0.0.1, $p=to_port(getenv("BROKER_PROXY1_PORT")), $manager="manager"],
	["proxy-2"] = [$node_type=Cluster::PROXY, $ip=127.0.0.1, $p=to_port(getenv("BROKER_PROXY2_PORT")), $manager="manager"],
	["worker-1"] = [$node_type=Cluster::WORKER, $ip=127.0.0.1, $p=to_port(getenv("BROKER_WORKER1_PORT")), $manager="manager"],
};
# @TEST-END-FILE
