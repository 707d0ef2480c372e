# One line for each contact event that Zeek's own connections show.
global started: set[string];
global decided: set[string];

function tell(kind: string, id: conn_id)
	{
	print fmt("%.6f %s %s %s %s %s", network_time(), kind, id$orig_h, id$resp_h, id$orig_p, id$resp_p);
	}

function start(c: connection)
	{
	if ( c$uid in started )
		return;

	add started[c$uid];
	tell("CONTACT", c$id);
	}

function decide(kind: string, c: connection)
	{
	if ( c$uid !in started || c$uid in decided )
		return;

	add decided[c$uid];
	tell(kind, c$id);
	}

event connection_SYN_packet(c: connection, pkt: SYN_packet)
	{
	if ( pkt$is_orig && |c$history| > 0 && c$history[0] == "S" )
		start(c);
	}

# "^" is a flow that Zeek turned round for its ports.
event udp_request(c: connection)
	{
	if ( |c$history| > 0 && c$history[0] == "D" )
		start(c);
	}

event connection_established(c: connection)
	{
	decide("ANSWERED", c);
	}

event connection_first_ACK(c: connection)
	{
	decide("ANSWERED", c);
	}

event udp_reply(c: connection)
	{
	decide("ANSWERED", c);
	}

event connection_rejected(c: connection)
	{
	decide("REFUSED", c);
	}

event icmp_unreachable(c: connection, info: icmp_info, code: count, context: icmp_context)
	{
	local id = context$id;

	if ( code != ( info$v6 ? 4 : 3 ) || get_port_transport_proto(id$resp_p) != udp )
		return;

	id$proto = 17;

	if ( connection_exists(id) )
		{
		local asked = lookup_connection(id);

		# Only for what the originator sent.
		if ( asked$id$orig_h == id$orig_h && asked$id$orig_p == id$orig_p )
			decide("REFUSED", asked);
		}
	}
