##! Reports of probing rates on their way to the sidecar: kept until they are
##! answered, sent again where no answer comes.

@load base/frameworks/cluster
@load base/frameworks/reporter
@load ./api
@load ./capture-hold
@load ./sidecar-presence

module Portkin;

export {
	## How many reports are kept for a sidecar that is away; the oldest go first.
	option rates_max_reports: count = 1440;

	## How many reports wait for their answer at a time. The others follow as
	## answers come, so that a sidecar that is back is not flooded.
	option rates_max_sent: count = 16;

	## How long an answer to a report may take before the report is sent again.
	option rates_resend = 10sec;
}

type RatesReport: record {
	start: time;
	width: interval;
	ports: vector of port;
	counts: vector of count;
	# When it was last sent, in real time; 0 where it was not yet.
	sent: time &default=double_to_time(0.0);
};

# Reports without an answer, the oldest first.
global rates_open: table[string] of RatesReport = table() &ordered;
# How many of them were sent.
global rates_sent = 0;
global rates_error = "";

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

# Queues a report; without room the oldest goes.
function queue_report(r: RatesReport)
	{
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
