##! Counts probes per port and minute and reports them to the sidecar, which
##! forecasts and scores them. Opt-in. Every score is in portkin_rates.log;
##! notices are a load of their own, ``portkin/notice``.
##!
##! A probe is what ``portkin ingest`` counts as one: the first SYN of a TCP flow,
##! the first datagram of a UDP flow, whatever comes of it.

@load base/frameworks/cluster
@load ./__load__
@load ./rates-log
@load ./rates-reports

module Portkin;

export {
	## How long reports are. Divides an hour.
	const rates_interval = 1min &redef;

	## A SYN between the same two endpoints within this of the one before is
	## the same probe: systems send one again up to 32 seconds later.
	option rates_repeat = 1min;

	## How many TCP flows are remembered to recognise what is sent again.
	## Further SYNs count each time.
	option rates_max_flows: count = 200000;

	## How many ports a report may hold. When they are reached it is sent at
	## once, and the next begins.
	option rates_max_ports: count = 4096;

	## How long a capture waits, in real time, for the answer to a report:
	## scoring a closed bin takes a while.
	option rates_timeout = 30sec;
}

global rates_counts: table[port] of count = table();
# When the current interval began, and when it ends; 0 before the first packet.
global rates_start = double_to_time(0.0);
global rates_end = double_to_time(0.0);
# When the last SYN of a flow was seen. Tables expire in their own time.
global rates_flows: table[Source, port, addr, port] of time
    &write_expire=rates_repeat;
# Whether the capture is through: nothing is waited for then.
global rates_ending = F;
# The least by which beginnings differ: what stamps on the wire tell apart.
const rates_step = 1msec;
global rates_tick: event();

function counts_rates(): bool
	{
	return ! Cluster::is_enabled()
	    || Cluster::local_node_type() == Cluster::WORKER;
	}

function floor_time(t: time, width: interval): time
	{
	local seconds = interval_to_double(width);
	return double_to_time(floor(time_to_double(t) / seconds) * seconds);
	}

# Reports what was counted until then.
function report_rates(until: time)
	{
	local r = RatesReport($start=rates_start, $width=until - rates_start,
	    $ports=vector(), $counts=vector());

	for ( p, n in rates_counts )
		{
		r$ports += p;
		r$counts += n;
		}

	rates_counts = table();
	rates_start = until;

	# A capture has no second chance: without a sidecar it goes on without.
	if ( reading_traces() && ! sidecar_up && ! Cluster::is_enabled() )
		return;

	queue_report(r);

	# Bins end on quarters of an hour, in every zone: then the sidecar may have
	# something to say.
	if ( ! Cluster::is_enabled()
	    && ! rates_ending
	    && until == floor_time(until, 15min) )
		hold(rates_timeout);
	}

# Ends the intervals that are over. What was counted came before their end.
function roll_rates()
	{
	local now = network_time();

	if ( now < rates_end || now == double_to_time(0.0) )
		return;

	if ( rates_start == double_to_time(0.0) )
		rates_start = now;
	else
		{
		report_rates(rates_end);

		# Silence, however long, is one report: this node watched.
		if ( floor_time(now, rates_interval) > rates_start )
			report_rates(floor_time(now, rates_interval));
		}

	rates_end = floor_time(now, rates_interval) + rates_interval;
	}

function count_probe(src: addr, dst: addr, p: port)
	{
	if ( ! is_protected(dst) || src in exempt_nets )
		return;

	roll_rates();
	rates_counts[p] = p in rates_counts ? rates_counts[p] + 1 : 1;

	if ( |rates_counts| < rates_max_ports )
		return;

	# Every interval has a beginning of its own.
	local next_start = rates_start + rates_step;

	if ( network_time() > next_start )
		next_start = network_time();

	if ( next_start < rates_end )
		report_rates(next_start);
	}

# Whether the SYN is sent again; remembers it.
function repeats_syn(id: conn_id): bool
	{
	local now = network_time();
	local source = source_of(id);
	local repeats = [source, id$orig_p, id$resp_h, id$resp_p] in rates_flows
	    && now - rates_flows[source, id$orig_p, id$resp_h, id$resp_p] < rates_repeat;

	if ( repeats || |rates_flows| < rates_max_flows )
		rates_flows[source, id$orig_p, id$resp_h, id$resp_p] = now;

	return repeats;
	}

event connection_SYN_packet(c: connection, pkt: SYN_packet)
	{
	if ( counts_rates()
	    && pkt$is_orig
	    && began_with_syn(c)
	    && ! repeats_syn(c$id) )
		count_probe(c$id$orig_h, c$id$resp_h, c$id$resp_p);
	}

event new_connection(c: connection)
	{
	# What detection recognised as an answer whose question was not seen is none.
	if ( counts_rates()
	    && get_port_transport_proto(c$id$resp_p) == udp
	    && ! c$portkin_contacted )
		count_probe(c$id$orig_h, c$id$resp_h, c$id$resp_p);
	}

# Reports also when no packet comes.
event rates_tick()
	{
	roll_rates();
	send_rates();
	local now = network_time();
	schedule ( rates_end > now ? rates_end - now : 1sec ) { rates_tick() };
	}

# Subscribes before the nodes of a cluster connect: see sidecar-presence.zeek.
event zeek_init()
	{
	if ( counts_rates() )
		Cluster::subscribe(zeek_topic);
	}

event zeek_init() &priority=-15
	{
	if ( counts_rates() )
		schedule 1sec { rates_tick() };
	}

# What the last interval holds, up to now, before the capture's end ends Zeek.
event Pcap::file_done(path: string) &priority=5
	{
	rates_ending = T;

	if ( counts_rates() && network_time() > rates_start )
		report_rates(network_time());
	}

event zeek_done()
	{
	if ( counts_rates() && ! reading_traces() && network_time() > rates_start )
		report_rates(network_time());
	}
