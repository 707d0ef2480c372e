# @TEST-DOC: In a cluster each of two workers reports what it counted; the sidecar sums them, and the manager logs the scores and raises the notice.
#
# @TEST-REQUIRES: portkin --version
# @TEST-REQUIRES: python3 -c "import onnx"
# @TEST-PORT: BROKER_MANAGER_PORT
# @TEST-PORT: BROKER_PROXY_PORT
# @TEST-PORT: BROKER_WORKER1_PORT
# @TEST-PORT: BROKER_WORKER2_PORT
# @TEST-PORT: WEBSOCKET_PORT
# @TEST-EXEC: cp "$SUPPORT/broker-backend.zeek" "$SUPPORT/run.zeek" "$SUPPORT/two-workers.zeek" .
# @TEST-EXEC: python3 "$SUPPORT/telescope.py"
# @TEST-EXEC: timeout 280 portkin serve -c sidecar.yaml --url ws://127.0.0.1:${WEBSOCKET_PORT%/tcp}/v1/messages/json >sidecar.log 2>&1 & echo $! >sidecar.pid
# @TEST-EXEC: btest-bg-run manager "ZEEKPATH='$ZEEKPATH:..' CLUSTER_NODE=manager zeek -b ../broker-backend.zeek ../run.zeek ../two-workers.zeek"
# @TEST-EXEC: btest-bg-run proxy-1 "ZEEKPATH='$ZEEKPATH:..' CLUSTER_NODE=proxy-1 zeek -b ../broker-backend.zeek ../run.zeek ../two-workers.zeek"
# @TEST-EXEC: btest-bg-run worker-1 "ZEEKPATH='$ZEEKPATH:..' CLUSTER_NODE=worker-1 zeek -b -C --pseudo-realtime -r ../worker-1.pcap ../broker-backend.zeek ../run.zeek ../two-workers.zeek"
# @TEST-EXEC: btest-bg-run worker-2 "ZEEKPATH='$ZEEKPATH:..' CLUSTER_NODE=worker-2 zeek -b -C --pseudo-realtime -r ../worker-2.pcap ../broker-backend.zeek ../run.zeek ../two-workers.zeek"
# @TEST-EXEC: btest-bg-wait -k 240; kill $(cat sidecar.pid)
# @TEST-EXEC: zeek-cut observed <manager/portkin_rates.log | sed -n 1p >found
# @TEST-EXEC: python3 "$SUPPORT/counted.py" >>found
# @TEST-EXEC: zeek-cut note p proto <manager/notice.log | grep Anomaly | sort -u >>found
# @TEST-EXEC: btest-diff found

# The first bin that is scored holds 15 probes of each worker, and the database all of them: 12 * 15 of the first, and
# 11 * 15 + 150 of the second. Played in real time, the capture's bins are not ours: the burst may lie in two of them.

# @TEST-START-FILE sidecar.yaml
metrics:
  enabled: false
rates:
  model: models
  database: rates.sqlite
  grace: 10.0
# @TEST-END-FILE

# @TEST-START-FILE cluster-layout.zeek
redef Cluster::manager_is_logger = T;
redef Cluster::nodes = {
	["manager"] = [$node_type=Cluster::MANAGER, $ip=127.0.0.1, $p=to_port(getenv("BROKER_MANAGER_PORT"))],
	["proxy-1"] = [$node_type=Cluster::PROXY, $ip=127.0.0.1, $p=to_port(getenv("BROKER_PROXY_PORT")), $manager="manager"],
	["worker-1"] = [$node_type=Cluster::WORKER, $ip=127.0.0.1, $p=to_port(getenv("BROKER_WORKER1_PORT")), $manager="manager"],
	["worker-2"] = [$node_type=Cluster::WORKER, $ip=127.0.0.1, $p=to_port(getenv("BROKER_WORKER2_PORT")), $manager="manager"],
};
# @TEST-END-FILE
