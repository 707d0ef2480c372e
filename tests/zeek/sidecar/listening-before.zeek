# @TEST-DOC: A WebSocket server that Zeek opened before, with other options, is used, and ends nobody; a port that another program holds ends Zeek with what to do.
#
# @TEST-REQUIRES: test "$(id -u)" = 0
# @TEST-PORT: WEBSOCKET_PORT
# @TEST-EXEC: timeout 120 zeek -b -i lo "%INPUT" 2>messages
# @TEST-EXEC: grep -o 'portkin: Zeek listens.*' messages | sed -E 's/127.0.0.1:[0-9]+/127.0.0.1:PORT/' >said
# @TEST-EXEC-FAIL: python3 taken.py zeek -b -i lo "%INPUT" Taken::open_before=F 2>messages
# @TEST-EXEC: grep -o 'portkin: cannot listen.*' messages | sed -E 's/127.0.0.1:[0-9]+/127.0.0.1:PORT/' >>said
# @TEST-EXEC: btest-diff said

@load portkin
@load portkin/websocket

module Taken;

export {
	const open_before = T &redef;
}

redef Portkin::websocket_port = to_port(getenv("WEBSOCKET_PORT"));

event reporter_warning(t: time, msg: string, location: string)
	{
	if ( /listens on/ in msg )
		terminate();
	}

event zeek_init()
	{
	if ( open_before )
		Cluster::listen_websocket(Cluster::WebSocketServerOptions($listen_addr=127.0.0.1,
		    $listen_port=Portkin::websocket_port, $ping_interval=7sec));
	}

# @TEST-START-FILE taken.py
import os, socket, subprocess, sys

with socket.create_server(("127.0.0.1", int(os.environ["WEBSOCKET_PORT"].partition("/")[0]))):
    sys.exit(subprocess.run(sys.argv[1:], timeout=30).returncode)
# @TEST-END-FILE
