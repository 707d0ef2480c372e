##! From packets to first contacts and what came of them. A first contact is the
##! first SYN of a TCP connection or the first datagram of a UDP flow.
##!
##! connection_attempt comes too late (tcp_attempt_delay) and per-packet events
##! cost too much; what is used here is raised once or twice per connection.

@load ./config
@load ./judge
@load ./log

module Portkin;

export {
	## Whether a first contact of this source may count; ``break`` leaves it
	## out.
	##
	## src: the source.
	##
	## dst: the host.
	##
	## p: the port.
	global probe_policy: hook(src: addr, dst: addr, p: port);
}

redef record connection += {
	# Whether the connection's first packet was told of, or is none to tell of.
	portkin_contacted: bool &default=F;
};

# The contacts of one source that nobody answered yet, and those that count no
# more because they were counted.
type Tracker: record {
	# Since when, the oldest first.
	pending: table[addr, port] of time &default=table() &ordered;
	counted: set[addr, port] &default=set();
	last: time;
};

global trackers: table[addr] of Tracker &write_expire=source_timeout;

# To be defined where state lives: what trackers find.
global tell_failed: function(src: addr, dst: addr, p: port);
global tell_answered: function(src: addr);
global tell_darknet: function(src: addr);
global tell_probe: function(src: addr, dst: addr, p: port, past: bool);
global tell_service: function(p: port);

function is_protected(dst: addr): bool
	{
	return |protected_nets| == 0 || dst in protected_nets || dst in darknets;
	}

function counts(src: addr, dst: addr, p: port): bool
	{
	return is_protected(dst)
	    && src !in exempt_nets
	    && p !in exempt_ports
	    && hook probe_policy(src, dst, p);
	}

# Hands over what is still open of a source that has become a scanner.
function hand_over(src: addr)
	{
	if ( src !in trackers )
		return;

	local t = trackers[src];
	delete trackers[src];

	for ( [dst, p] in t$pending )
		tell_probe(src, dst, p, T);
	}

# Lets the contacts fail that were not answered in time, or before that many
# further ones: whoever sends faster than answers can come is no client. A UDP
# service need not answer: such a contact is dropped.
function fail_overdue(src: addr, t: Tracker)
	{
	local overdue: vector of Contact = vector();
	local excess = |t$pending| < max_contacts ? 0 : |t$pending| - max_contacts + 1;

	for ( [dst, p], since in t$pending )
		{
		if ( |overdue| >= excess && network_time() - since < answer_timeout )
			break;

		overdue += Contact($dst=dst, $p=p);
		}

	for ( _, c in overdue )
		{
		delete t$pending[c$dst, c$p];

		if ( get_port_transport_proto(c$p) == tcp )
			tell_failed(src, c$dst, c$p);

		# What is left was handed over.
		if ( is_scanner(src) )
			return;
		}
	}

function contacted(src: addr, dst: addr, p: port)
	{
	if ( ! counts(src, dst, p) )
		return;

	if ( ! is_scanner(src) )
		{
		if ( dst in darknets )
			tell_darknet(src);
		else
			{
			local now = network_time();

			if ( src !in trackers || now - trackers[src]$last >= source_timeout )
				{
				if ( |trackers| >= max_sources )
					{
					state_full(1);
					return;
					}

				trackers[src] = Tracker($last=now);
				}

			local t = trackers[src];
			t$last = now;
			trackers[src] = t;
			fail_overdue(src, t);

			if ( ! is_scanner(src) )
				{
				if ( [dst, p] in t$counted )
					return;

				# Forgets what counted, so that a busy source stays in sight.
				if ( |t$counted| >= max_contacts )
					{
					t$counted = set();

					for ( [d, q] in t$pending )
						add t$counted[d, q];
					}

				add t$counted[dst, p];
				t$pending[dst, p] = now;
				return;
				}
			}
		}

	# Where state is full it did not become one.
	if ( ! is_scanner(src) )
		return;

	keep_convict(src);
	tell_probe(src, dst, p, F);
	}

# Whether a contact was open, and closes it.
function close_contact(src: addr, dst: addr, p: port): bool
	{
	if ( src !in trackers || [dst, p] !in trackers[src]$pending )
		return F;

	delete trackers[src]$pending[dst, p];
	return T;
	}

function answered(src: addr, dst: addr, p: port)
	{
	if ( is_protected(dst) )
		tell_service(p);

	# UDP counts only (judge_failed), so its successes weigh nothing.
	if ( close_contact(src, dst, p) && get_port_transport_proto(p) == tcp )
		tell_answered(src);
	}

function refused(src: addr, dst: addr, p: port)
	{
	if ( close_contact(src, dst, p) )
		tell_failed(src, dst, p);
	}

# Backscatter and connections whose beginning was not seen have another history.
function began_with_syn(c: connection): bool
	{
	return |c$history| > 0 && c$history[0] == "S";
	}

event connection_SYN_packet(c: connection, pkt: SYN_packet)
	{
	# A SYN sent again is the same contact.
	if ( ! pkt$is_orig || c$portkin_contacted || ! began_with_syn(c) )
		return;

	c$portkin_contacted = T;
	contacted(c$id$orig_h, c$id$resp_h, c$id$resp_p);
	}

# A first datagram from a server's port is an answer whose question was not seen.
# Zeek turns such a flow round before it tells of it.
event connection_flipped(c: connection)
	{
	if ( get_port_transport_proto(c$id$resp_p) == udp )
		c$portkin_contacted = T;
	}

event new_connection(c: connection)
	{
	if ( get_port_transport_proto(c$id$resp_p) != udp || c$portkin_contacted )
		return;

	contacted(c$id$orig_h, c$id$resp_h, c$id$resp_p);

	# Tells of the responder's first datagram, at no cost per packet.
	set_current_conn_packets_threshold(c$id, 1, F);
	}

event conn_packets_threshold_crossed(c: connection, threshold: count,
    is_orig: bool)
	{
	if ( threshold == 1
	    && ! is_orig
	    && get_port_transport_proto(c$id$resp_p) == udp )
		answered(c$id$orig_h, c$id$resp_h, c$id$resp_p);
	}

event connection_established(c: connection)
	{
	if ( began_with_syn(c) )
		answered(c$id$orig_h, c$id$resp_h, c$id$resp_p);
	}

# Where only one direction is seen, the originator's ACK tells of the answer.
event connection_first_ACK(c: connection)
	{
	if ( began_with_syn(c) )
		answered(c$id$orig_h, c$id$resp_h, c$id$resp_p);
	}

event connection_rejected(c: connection)
	{
	if ( began_with_syn(c) )
		refused(c$id$orig_h, c$id$resp_h, c$id$resp_p);
	}

event icmp_unreachable(c: connection, info: icmp_info, code: count,
    context: icmp_context)
	{
	# Port unreachable: RFC 792 for IPv4, RFC 4443 for IPv6.
	if ( code == ( info$v6 ? 4 : 3 )
	    && context$len > 0
	    && get_port_transport_proto(context$id$resp_p) == udp )
		refused(context$id$orig_h, context$id$resp_h, context$id$resp_p);
	}
