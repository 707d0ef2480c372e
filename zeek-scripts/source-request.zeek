##! Questions to the sidecar about sources. Each carries what is known of its source, and
##! its answer is for one decision: nothing is remembered of it.

@load base/frameworks/cluster
@load base/frameworks/reporter
@load ./answer-cache
@load ./api
@load ./capture-hold
@load ./config
@load ./probe-history
@load ./request
@load ./sidecar-presence

module Portkin;

export {
	## Whether a source's next ports are to be asked for by what it did.
	##
	## h: what it did.
	global asks_by_source: function(h: ProbeHistory): bool;

	## Asks what a source will probe; :zeek:see:`Portkin::source_found` brings
	## the answer, always.
	##
	## p: the port that it is asked for.
	##
	## h: what the source did.
	##
	## Returns: names the question.
	global ask_by_source: function(p: port, h: ProbeHistory): string;

	## Raised once per question.
	##
	## reqid: the question.
	##
	## found: the answer.
	global source_found: event(reqid: string, found: Nearest);
}

type OpenAboutSource: record {
	p: port;
	since: time;
};

global open_source_requests: table[string] of OpenAboutSource = table();

hook may_release()
	{
	if ( |open_source_requests| > 0 )
		break;
	}

# A source with one port did nothing yet that tells it from others.
function asks_by_source(h: ProbeHistory): bool
	{
	return by_source
	    && table_by_source
	    && sidecar_up
	    && |h$order| > 1
	    && |open_source_requests| < max_open_by_source;
	}

function give_up_on_source(reqid: string)
	{
	local asked = open_source_requests[reqid];
	delete open_source_requests[reqid];
	asked_in_vain(asked$p);
	event source_found(reqid, Nearest($answer=NONE,
	    $latency=current_time() - asked$since));
	}

function give_up_on_sources()
	{
	local ids: vector of string = vector();

	for ( reqid in open_source_requests )
		ids += reqid;

	for ( _, id in ids )
		give_up_on_source(id);
	}

event expire_source_request(reqid: string)
	{
	if ( reqid in open_source_requests )
		give_up_on_source(reqid);
	}

function ask_by_source(p: port, h: ProbeHistory): string
	{
	local reqid = unique_id("S");
	open_source_requests[reqid] = OpenAboutSource($p=p, $since=current_time());
	Cluster::publish(sidecar_topic, source_request, reqid, recent_ports(h),
	    probed_ports(h), h$latest - h$first, k, min_chance);

	if ( reading_traces() )
		hold(request_timeout);
	else
		schedule request_timeout { expire_source_request(reqid) };

	return reqid;
	}

event source_response(reqid: string, table_id: string, ports: vector of port,
    chances: vector of double, of_source: bool, error: string)
	{
	# Late, or for another node: nobody here waits for it.
	if ( reqid !in open_source_requests )
		return;

	local asked = open_source_requests[reqid];

	if ( error != "" )
		{
		Reporter::warning(fmt(
		    "portkin: the sidecar has no answer about a source at %s: %s",
		    asked$p, error));
		give_up_on_source(reqid);
		}
	else
		{
		delete open_source_requests[reqid];
		latest_answer = network_time();
		event source_found(reqid, Nearest($ports=ports, $chances=chances,
		    $table_id=table_id, $answer=ASKED,
		    $by=of_source ? BY_SOURCE : BY_PORT,
		    $latency=current_time() - asked$since));
		}

	release();
	}

event sidecar_left()
	{
	give_up_on_sources();
	}

hook hold_ended()
	{
	give_up_on_sources();
	}
