##! From packets to first contacts and what came of them. A first contact is the
##! first SYN of a TCP connection or the first datagram of a UDP flow.
##!
##! connection_attempt comes too late (tcp_attempt_delay) and per-packet events
##! cost too much; what is used here is raised once or twice per connection.

@load ./config
@load ./contact-trackers
@load ./log
@load ./scanners
@load ./sources

module Portkin;

export {
	## Whether a first contact of this source may count; ``break`` leaves it
	## out.
	##
	## source: the source.
	##
	## dst: the host.
	##
	## p: the port.
	global probe_policy: hook(source: Source, dst: addr, p: port);
}

redef record connection += {
	# Whether the connection's first packet was counted, or is none to count.
	portkin_contacted: bool &default=F;
	# Whether it is known that the responder answered.
	portkin_answered: bool &default=F;
};

# IANA's number, as connection records have it.
const udp_protocol = 17;

# To be defined where state lives: what detection finds.
global report_failure: function(source: Source, dst: addr, p: port);
global report_success: function(source: Source);
global report_darknet: function(source: Source);
global report_probe: function(source: Source, dst: addr, p: port,
    evidence: Evidence, past: bool, at: time);
global report_service: function(p: port);

function is_protected(dst: addr): bool
	{
	return |protected_nets| == 0 || dst in protected_nets || dst in darknets;
	}

function counts(source: Source, dst: addr, p: port): bool
	{
	return is_protected(dst)
	    && source$host !in exempt_nets
	    && p !in exempt_ports
	    && hook probe_policy(source, dst, p);
	}

# Reports what is still open of a source that has become a scanner.
function flush_pending(source: Source)
	{
	if ( ! is_tracked(source) )
		return;

	local t = tracker_of(source);
	forget_tracker(source);
	local evidence = scanners[source]$evidence;

	for ( [dst, p], since in t$pending )
		report_probe(source, dst, p, evidence, T, since);
	}

# Lets the contacts fail that were not answered in time, or before that many
# further ones: a source that sends faster than answers can come is no client. A UDP
# service need not answer: such a contact is dropped.
function fail_overdue(source: Source, t: Tracker)
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
			report_failure(source, c$dst, c$p);

		# What is left was reported as probes.
		if ( is_scanner(source) )
			return;
		}
	}

# Notes the contact of a source that is no scanner; F where it became one.
function note_contact(source: Source, dst: addr, p: port): bool
	{
	if ( dst in darknets )
		{
		report_darknet(source);
		return ! is_scanner(source);
		}

	local t = track(source);

	if ( |t$pending| > 0 )
		{
		fail_overdue(source, t);

		if ( is_scanner(source) )
			return F;
		}

	if ( [dst, p] in t$counted )
		return T;

	# Forgets what counted, so that a busy source stays in sight.
	if ( |t$counted| >= max_contacts )
		{
		t$counted = set();

		for ( [d, q] in t$pending )
			add t$counted[d, q];
		}

	add t$counted[dst, p];
	t$pending[dst, p] = network_time();
	return T;
	}

function contacted(source: Source, dst: addr, p: port)
	{
	if ( ! counts(source, dst, p) )
		return;

	if ( ! is_scanner(source) && note_contact(source, dst, p) )
		return;

	report_probe(source, dst, p, refresh_scanner(source), F, network_time());
	}

function answered(source: Source, dst: addr, p: port)
	{
	if ( is_protected(dst) )
		report_service(p);

	# UDP counts only (record_failure), so its successes weigh nothing.
	if ( close_contact(source, dst, p) && get_port_transport_proto(p) == tcp )
		report_success(source);
	}

function refused(source: Source, dst: addr, p: port)
	{
	if ( close_contact(source, dst, p) )
		report_failure(source, dst, p);
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
	contacted(source_of(c$id), c$id$resp_h, c$id$resp_p);
	}

# A first datagram from a server's port is an answer whose question was not seen.
# Zeek turns such a flow round before new_connection.
event connection_flipped(c: connection)
	{
	if ( get_port_transport_proto(c$id$resp_p) == udp )
		c$portkin_contacted = T;
	}

event new_connection(c: connection)
	{
	if ( c$id$proto != udp_protocol || c$portkin_contacted )
		return;

	contacted(source_of(c$id), c$id$resp_h, c$id$resp_p);

	# An event for the responder's first datagram, at no cost per packet.
	set_current_conn_packets_threshold(c$id, 1, F);
	}

event conn_packets_threshold_crossed(c: connection, threshold: count,
    is_orig: bool)
	{
	if ( threshold == 1
	    && ! is_orig
	    && get_port_transport_proto(c$id$resp_p) == udp )
		answered(source_of(c$id), c$id$resp_h, c$id$resp_p);
	}

event connection_established(c: connection)
	{
	if ( ! began_with_syn(c) )
		return;

	c$portkin_answered = T;
	answered(source_of(c$id), c$id$resp_h, c$id$resp_p);
	}

# Where only one direction is seen, the originator's ACK shows that it was answered.
event connection_first_ACK(c: connection)
	{
	if ( ! c$portkin_answered && began_with_syn(c) )
		answered(source_of(c$id), c$id$resp_h, c$id$resp_p);
	}

event connection_rejected(c: connection)
	{
	if ( began_with_syn(c) )
		refused(source_of(c$id), c$id$resp_h, c$id$resp_p);
	}

event icmp_unreachable(c: connection, info: icmp_info, code: count,
    context: icmp_context)
	{
	# Port unreachable: RFC 792 for IPv4, RFC 4443 for IPv6.
	if ( code != ( info$v6 ? 4 : 3 )
	    || context$len == 0
	    || get_port_transport_proto(context$id$resp_p) != udp )
		return;

	# The packet in the message has no context of its own.
	local source = source_of(c$id);
	source$host = context$id$orig_h;
	refused(source, context$id$resp_h, context$id$resp_p);
	}
