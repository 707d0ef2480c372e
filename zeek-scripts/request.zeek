##! Questions to the sidecar about ports: which are open, and what happens without an
##! answer.

@load base/frameworks/cluster
@load base/frameworks/reporter
@load ./answer-cache
@load ./api
@load ./capture-hold
@load ./config
@load ./cutoff
@load ./sidecar-presence

module Portkin;

export {
	## Whether a port can be asked for now: nobody waits for a sidecar that is
	## known to be away.
	##
	## p: the port.
	global can_ask: function(p: port): bool;

	## Asks for a port that can be asked for; :zeek:see:`Portkin::nearest_found`
	## brings the answer, always, one for all who asked meanwhile.
	##
	## p: the port.
	global ask: function(p: port);

	## Raised once per question.
	##
	## p: the port.
	##
	## found: the answer.
	global nearest_found: event(p: port, found: Nearest);

	## Whether a port was asked for in vain, alone or for a source, within
	## :zeek:see:`Portkin::retry_interval`, or is being asked for.
	##
	## p: the port.
	global asked_lately: function(p: port): bool;
}

type Open: record {
	p: port;
	since: time;
	asked: count;
	min_chance: double &default=-1.0;
};

global open_requests: table[string] of Open = table();
global asked_ports: set[port] = set();
# When a port was last asked for in vain.
global failed_questions: table[port] of time &create_expire=1min;

hook may_release()
	{
	if ( |open_requests| > 0 )
		break;
	}

function asked_lately(p: port): bool
	{
	return p in asked_ports
	    || ( p in failed_questions && network_time() - failed_questions[p] < retry_interval );
	}

function asked_in_vain(p: port)
	{
	if ( |failed_questions| < max_open_requests )
		failed_questions[p] = network_time();
	}

function give_up(reqid: string)
	{
	local asked = open_requests[reqid];
	delete open_requests[reqid];
	delete asked_ports[asked$p];
	asked_in_vain(asked$p);
	event nearest_found(asked$p, Nearest($answer=NONE,
	    $latency=current_time() - asked$since));
	}

function give_up_all()
	{
	local ids: vector of string = vector();

	for ( reqid in open_requests )
		ids += reqid;

	for ( _, id in ids )
		give_up(id);
	}

event expire_request(reqid: string)
	{
	if ( reqid in open_requests )
		give_up(reqid);
	}

function can_ask(p: port): bool
	{
	return p in asked_ports
	    || ( sidecar_expected && sidecar_up && |open_requests| < max_open_requests );
	}

function ask(p: port)
	{
	if ( p in asked_ports )
		return;

	local reqid = unique_id("");
	open_requests[reqid] = Open($p=p, $since=current_time(), $asked=k,
	    $min_chance=min_chance);
	add asked_ports[p];
	Cluster::publish(sidecar_topic, nearest_request, reqid, p, k, min_chance);

	if ( reading_traces() )
		hold(request_timeout);
	else
		schedule request_timeout { expire_request(reqid) };
	}

event nearest_response(reqid: string, p: port, table_id: string, ports: vector of
    port, chances: vector of double, error: string)
	{
	if ( error != "" )
		{
		if ( reqid in open_requests )
			{
			Reporter::warning(fmt("portkin: the sidecar has no answer for %s: %s", p,
			    error));
			give_up(reqid);
			}
		}
	# Of no use to who waits, and not to be trusted.
	else if ( reqid in open_requests && open_requests[reqid]$p != p )
		{
		Reporter::warning(fmt(
		    "portkin: the sidecar was asked for %s and answered for %s",
		    open_requests[reqid]$p, p));
		give_up(reqid);
		}
	else
		{
		use_table(table_id);
		cache[p] = Known($ports=ports, $chances=chances, $asked=k,
		    $min_chance=min_chance);

		# A late answer, or one to another node: it is worth remembering, but
		# nobody waits for it here.
		if ( reqid in open_requests )
			{
			cache[p]$asked = open_requests[reqid]$asked;
			cache[p]$min_chance = open_requests[reqid]$min_chance;
			local latency = current_time() - open_requests[reqid]$since;
			delete open_requests[reqid];
			delete asked_ports[p];
			local found = nearest(p);
			found$answer = ASKED;
			found$latency = latency;
			latest_answer = network_time();
			event nearest_found(p, found);
			}
		}

	release();
	}

# Before decisions that it did not answer are asked for again.
event sidecar_arrived(sidecar: string, table_id: string) &priority=5
	{
	clear_table(failed_questions);
	}

event sidecar_left()
	{
	clear_table(failed_questions);
	give_up_all();
	go_on();
	}

hook hold_ended()
	{
	give_up_all();
	}

event hold_check(since: time, limit: interval)
	{
	if ( ! holding )
		return;

	if ( current_time() - since < limit )
		{
		event hold_check(since, limit);
		return;
		}

	if ( sidecar_up )
		Reporter::warning(fmt("portkin: the sidecar did not answer within %s; going on without that answer",
		    limit));
	else
		Reporter::warning(fmt("portkin: no sidecar within %s; going on without predictions: %s",
		    limit, why_no_sidecar()));

	hook hold_ended();
	go_on();
	}
