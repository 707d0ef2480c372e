# @TEST-DOC: A missing sidecar ends with a message after a time-out; detection is all there, predictions are not.
#
# @TEST-EXEC: zeek -b -C -r "$CAPTURES/ipv6.pcap" "%INPUT" 2>messages
# @TEST-EXEC: grep -c 'no sidecar within 1.0 sec' messages
# @TEST-EXEC: zeek-cut kind probed kept answer <portkin.log | grep DECISION >decisions
# @TEST-EXEC: btest-diff decisions
# @TEST-PORT: WEBSOCKET_PORT

@load portkin
@load portkin/websocket

redef Portkin::websocket_port = to_port(getenv("WEBSOCKET_PORT"));
redef Portkin::sidecar_wait = 1sec;
redef Portkin::without_answer = Portkin::NOTHING;
