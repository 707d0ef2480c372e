# @TEST-DOC: With a real sidecar each decision holds the ports nearest to the probed one, and every run is the same.
#
# @TEST-REQUIRES: portkin --version
# @TEST-PORT: WEBSOCKET_PORT
# @TEST-EXEC: timeout 280 portkin serve -c sidecar.yaml --url ws://127.0.0.1:${WEBSOCKET_PORT%/tcp}/v1/messages/json >sidecar.log 2>&1 & echo $! >sidecar.pid
# @TEST-EXEC: timeout 100 sh -c 'until grep -q serving sidecar.log; do sleep 0.1; done'
# @TEST-EXEC: zeek -b -C -r "$CAPTURES/scans.pcap" "%INPUT"
# @TEST-EXEC: zeek-cut kind src probed proto evidence predicted kept vetoed probes hits <portkin.log | sort >first
# @TEST-EXEC: zeek -b -C -r "$CAPTURES/scans.pcap" "%INPUT"
# @TEST-EXEC: zeek-cut kind src probed proto evidence predicted kept vetoed probes hits <portkin.log | sort >second
# @TEST-EXEC: cmp first second
# @TEST-EXEC: kill $(cat sidecar.pid)
# @TEST-EXEC: grep DECISION first | cut -f 2-8 >decisions
# @TEST-EXEC: btest-diff decisions

@load portkin
@load portkin/websocket

redef Portkin::websocket_port = to_port(getenv("WEBSOCKET_PORT"));

# @TEST-START-FILE sidecar.yaml
metrics:
  enabled: false
# @TEST-END-FILE
