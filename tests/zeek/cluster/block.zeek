# @TEST-DOC: In a cluster the proxies ask for blocks, with the proof that the workers saw; the sidecar carries them out.
#
# @TEST-REQUIRES: portkin --version
# @TEST-PORT: BROKER_MANAGER_PORT
# @TEST-PORT: BROKER_PROXY1_PORT
# @TEST-PORT: BROKER_PROXY2_PORT
# @TEST-PORT: BROKER_WORKER1_PORT
# @TEST-PORT: WEBSOCKET_PORT
# @TEST-EXEC: cp "$SUPPORT/broker-backend.zeek" "$SUPPORT/run.zeek" .
# @TEST-EXEC: timeout 280 portkin serve -c sidecar.yaml --url ws://127.0.0.1:${WEBSOCKET_PORT%/tcp}/v1/messages/json >sidecar.log 2>&1 & echo $! >sidecar.pid
# @TEST-EXEC: btest-bg-run manager "ZEEKPATH='$ZEEKPATH:..' CLUSTER_NODE=manager zeek -b ../broker-backend.zeek ../run.zeek ../block.zeek"
# @TEST-EXEC: btest-bg-run proxy-1 "ZEEKPATH='$ZEEKPATH:..' CLUSTER_NODE=proxy-1 zeek -b ../broker-backend.zeek ../run.zeek ../block.zeek"
# @TEST-EXEC: btest-bg-run proxy-2 "ZEEKPATH='$ZEEKPATH:..' CLUSTER_NODE=proxy-2 zeek -b ../broker-backend.zeek ../run.zeek ../block.zeek"
# @TEST-EXEC: btest-bg-run worker-1 "ZEEKPATH='$ZEEKPATH:..' CLUSTER_NODE=worker-1 zeek -b -C --pseudo-realtime -r '$CAPTURES/scans.pcap' ../broker-backend.zeek ../run.zeek ../block.zeek"
# @TEST-EXEC: btest-bg-wait -k 240; kill $(cat sidecar.pid)
# @TEST-EXEC: zeek-cut src p proto outcome <manager/portkin_block.log | grep -w added | grep -v -w 8000 | sort -u >blocks
# @TEST-EXEC: portkin blocks list --all --json -c sidecar.yaml | sed -E 's/.*"src": "([^"]*)", "port": "([^"]*)".*"reason": "evidence=([A-Z]*) .* refused=[1-9].*/database \1 \2 \3 refused/' | grep -v -w 8000 | sort >>blocks
# @TEST-EXEC: btest-diff blocks

# The evidence against a source is reported by its worker, asked for by its proxy, and written by the manager.
# Blocked is what decide/sidecar keeps of 198.51.100.10, which was refused; 8000/tcp is left out, since the probe of
# 443/tcp that leads to it was answered, and may come before the worker has heard that its source is a scanner.

@load portkin/block

# As many blocks as 198.51.100.10 has below.
redef awaited = 15;

event Portkin::log_block(rec: Portkin::BlockInfo)
	{
	if ( rec$outcome == "added" && rec$p != 8000/tcp )
		tell(fmt("%s %s", rec$src, rec$p));
	}

# @TEST-START-FILE sidecar.yaml
metrics:
  enabled: false
enforce:
  database: blocks.sqlite
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
