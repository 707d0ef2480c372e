# @TEST-DOC: A Zeek that nobody connects to says so, and how to start the sidecar; a client of another kind is recognised.
#
# @TEST-REQUIRES: test "$(id -u)" = 0
# @TEST-PORT: WEBSOCKET_PORT
# @TEST-EXEC: timeout 120 zeek -b -i lo "%INPUT" 2>messages
# @TEST-EXEC: grep -o -E 'portkin: no sidecar .*' messages | sed -E 's/127.0.0.1:[0-9]+/127.0.0.1:PORT/' >warned
# @TEST-EXEC: btest-diff warned

@load portkin
@load portkin/websocket

module Portkin;

redef websocket_port = to_port(getenv("WEBSOCKET_PORT"));
redef sidecar_grace = 1sec;
redef exit_only_after_terminate = T;

global warned = 0;

# Another program connects after the first warning; the second ends the test.
event reporter_warning(t: time, msg: string, location: string)
	{
	if ( /no sidecar within/ !in msg )
		return;

	if ( ++warned > 1 )
		{
		terminate();
		return;
		}

	event Cluster::websocket_client_added(Cluster::EndpointInfo($id="other",
	    $network=Cluster::NetworkInfo($address="127.0.0.1", $bound_port=9/tcp)),
	    vector("/something/else"));
	miss_sidecar();
	}
