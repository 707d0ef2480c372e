##! Counts probes per port and minute and reports them to the sidecar, which
##! forecasts and scores them. Opt-in. Every score is in portkin_rates.log;
##! notices are a load of their own, ``portkin/notice``.
##!
##! A probe is what ``portkin ingest`` counts as one: the first SYN of a TCP flow,
##! the first datagram of a UDP flow, whatever comes of it.

@load base/frameworks/cluster
@load base/frameworks/logging
@load base/frameworks/reporter
@load ./__load__

module Portkin;

export {
	redef enum Log::ID += { RATES_LOG };

	## Decides what is logged of scores.
	global rates_log_policy: Log::PolicyHook;

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

	## How many reports are kept for a sidecar that is away; the oldest go first.
	option rates_max_reports: count = 1440;

	## How many reports wait for their answer at a time. The others follow as
	## answers come, so that a sidecar that is back is not flooded.
	option rates_max_sent: count = 16;

	## How long an answer to a report may take before the report is sent again.
	option rates_resend = 10sec;

	type RatesInfo: record {
		## When the line was written.
		ts: time &log;
		## When the closed bin began.
		start: time &log;
		## How long it was.
		width: interval &log;
		## The port.
		p: port &log;
		## The port's protocol.
		proto: transport_proto &log;
		## How many probes came in it.
		observed: double &log &optional;
		## How many were forecast.
		forecast: double &log &optional;
		## How far the observed are above the forecast, as a multiple of it
		## (Zakroum et al. 2022, eq. 20).
		e: double &log &optional;
		## How many are forecast for the next bin.
		ahead: double &log &optional;
		## How far that is above the trend, as a multiple of it (eq. 21).
		w: double &log &optional;
		## The bundle of models.
		model_id: string &log;
	};

	## Raised with each line.
	global log_rates: event(rec: RatesInfo);
}

type RatesReport: record {
	start: time;
	width: interval;
	ports: vector of port;
	counts: vector of count;
	# When it was last sent, in real time; 0 where it was not yet.
	sent: time &default=double_to_time(0.0);
};

global rates_counts: table[port] of count = table();
# When the current interval began, and when it ends; 0 before the first packet.
global rates_start = double_to_time(0.0);
global rates_end = double_to_time(0.0);
# Reports without an answer, the oldest first.
global rates_open: table[string] of RatesReport = table() &ordered;
# How many of them were sent.
global rates_sent = 0;
# When the last SYN of a flow was seen. Tables expire in their own time.
global rates_flows: table[Source, port, addr, port] of time
    &write_expire=rates_repeat;
global rates_error = "";
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

function rates_node(): string
	{
	return Cluster::node == "" ? "zeek" : Cluster::node;
	}

# Sends what is due: reports that were not sent yet, the oldest first, and those
# whose answer is overdue.
function send_rates()
	{
	local now = current_time();

	for ( reqid, r in rates_open )
		{
		local unsent = time_to_double(r$sent) == 0.0;

		if ( unsent ? rates_sent >= rates_max_sent : now - r$sent < rates_resend )
			next;

		if ( unsent )
			++rates_sent;

		r$sent = now;
		Cluster::publish(sidecar_topic, rates_report, reqid, rates_node(), r$start,
		    r$width, r$ports, r$counts);
		}
	}

# Removes a report that was answered, or for which there is no room.
function remove_report(reqid: string)
	{
	if ( time_to_double(rates_open[reqid]$sent) > 0.0 )
		--rates_sent;

	delete rates_open[reqid];
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

	local oldest = "";

	if ( |rates_open| >= rates_max_reports )
		for ( id in rates_open )
			{
			oldest = id;
			break;
			}

	if ( oldest != "" )
		remove_report(oldest);

	rates_open[unique_id("R")] = r;
	send_rates();

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

# A sidecar that is back did not get what was sent while it was away. It repeats
# its hello until it is answered: what was sent just now is not sent again.
event hello_request(reqid: string, version: count, sidecar: string,
    table_id: string, depth: count) &priority=-5
	{
	for ( id, r in rates_open )
		if ( current_time() - r$sent >= 1sec )
			r$sent = double_to_time(0.0);

	rates_sent = 0;

	for ( id, r in rates_open )
		if ( time_to_double(r$sent) > 0.0 )
			++rates_sent;

	send_rates();
	}

event rates_response(reqid: string, accepted: count, error: string)
	{
	if ( reqid !in rates_open )
		return;

	remove_report(reqid);
	send_rates();

	if ( error != "" && error != rates_error )
		Reporter::warning(fmt("portkin: the sidecar does not take rates: %s", error));

	rates_error = error;

	if ( |open_requests| == 0 )
		release();
	}

# Rather than hold a capture for what will not be answered.
event sidecar_left()
	{
	if ( reading_traces() )
		{
		clear_table(rates_open);
		rates_sent = 0;
		}
	}

hook may_release()
	{
	if ( |rates_open| > 0 )
		break;
	}

event rates_scores(start: time, width: interval, model_id: string, ports: vector of
    port, observed: vector of double, forecast: vector of double, e: vector of
    double, ahead: vector of double, w: vector of double)
	{
	if ( Cluster::is_enabled() && Cluster::local_node_type() != Cluster::MANAGER )
		return;

	for ( i, p in ports )
		{
		local info = RatesInfo($ts=network_time(), $start=start, $width=width, $p=p,
		    $proto=get_port_transport_proto(p), $model_id=model_id);

		if ( observed[i] >= 0.0 )
			info$observed = observed[i];

		if ( forecast[i] >= 0.0 )
			info$forecast = forecast[i];

		if ( e[i] >= 0.0 )
			info$e = e[i];

		if ( ahead[i] >= 0.0 )
			info$ahead = ahead[i];

		if ( w[i] >= 0.0 )
			info$w = w[i];

		Log::write(RATES_LOG, info);
		}
	}

event zeek_init() &priority=5
	{
	Log::create_stream(RATES_LOG, Log::Stream($columns=RatesInfo, $ev=log_rates,
	    $path="portkin_rates", $policy=rates_log_policy));
	}

# Subscribes before the nodes of a cluster connect: see request.zeek.
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
