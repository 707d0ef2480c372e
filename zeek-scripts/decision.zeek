##! From a scanner's probe to a decision: what it will touch next, and what of
##! that may be blocked for it.

@load ./answer-cache
@load ./config
@load ./decision-record
@load ./log
@load ./probe-history
@load ./request
@load ./sidecar-presence
@load ./source-request
@load ./sources
@load ./vetoes

module Portkin;

export {
	## A scanner probed a port.
	##
	## source: the scanner.
	##
	## dst: the host it probed.
	##
	## p: the port.
	##
	## evidence: what made it a scanner.
	global probe: event(source: Source, dst: addr, p: port, evidence: Evidence);

	## A decision was taken.
	##
	## d: the decision.
	global prediction: event(d: Decision);

	## A port is to be blocked for a source; only where
	## :zeek:see:`Portkin::mode` is ``BLOCK``. Raised again when the source
	## probes again, with what the block then lasts.
	##
	## d: the decision it comes from.
	##
	## p: the port.
	##
	## rank: 0 for the probed port, else its place among the predicted ones.
	##
	## duration: how long the block lasts from now.
	global block: event(d: Decision, p: port, rank: count, duration: interval);

	## Records a scanner's probe and decides about it.
	##
	## source: the scanner.
	##
	## dst: the host it probed.
	##
	## p: the port.
	##
	## evidence: what made it a scanner.
	##
	## past: whether the probe came before the source was known as a scanner;
	##       it cannot make a prediction come true.
	##
	## at: when the probe came.
	global decide: function(source: Source, dst: addr, p: port, evidence: Evidence,
	    past: bool, at: time);
}

global decision_expired: function(t: table[Source, port] of Decision, i: any)
    : interval;

# Read when its source probes the port, and while its question is open.
global decisions: table[Source, port] of Decision &read_expire=block_interval
    &expire_func=decision_expired;

# When each last happened on this node; 0 for never.
global latest_probe = double_to_time(0.0);
global latest_decision = double_to_time(0.0);

# The sources that wait for a port's prediction.
global waiting: table[port] of set[Source] = table();
# The decisions that wait for a prediction of their own, by question.
global waiting_alone: table[string] of Decision = table();

function end_decision(d: Decision)
	{
	local h = histories[d$source];
	local info = log_line(d, OUTCOME);
	info$hits = hits_of(d, h);
	--h$decisions;
	forget_history(d$source, h);
	Log::write(LOG, info);
	}

function decision_expired(t: table[Source, port] of Decision, i: any): interval
	{
	local source: Source;
	local p: port;
	[source, p] = i;
	end_decision(t[source, p]);
	return 0sec;
	}

function request_blocks(d: Decision)
	{
	if ( mode != BLOCK )
		return;

	for ( _, p in d$kept )
		{
		local rank = 0;

		for ( i, q in d$predicted )
			if ( q == p )
				rank = i + 1;

		event block(d, p, rank, block_interval);
		}
	}

# Whether a decision was taken without the sidecar's answer.
function is_unanswered(d: Decision): bool
	{
	return sidecar_expected && d$ready && d$table_id == "";
	}

# A decision holds so long from now.
function prolong(d: Decision)
	{
	local lifetime = is_unanswered(d) ? unanswered_interval : block_interval;
	d$until = network_time() + lifetime;
	}

function take_decision(d: Decision, found: Nearest)
	{
	d$predicted = found$ports;
	d$chances = found$chances;
	d$table_id = found$table_id;

	if ( found$answer != NONE )
		d$predicted_by = found$by;

	d$ready = T;
	prolong(d);

	local candidates: vector of port = vector();

	if ( found$answer != NONE || without_answer == PROBED_PORT )
		candidates += d$probed;

	# A source that went on while its question waited may come back.
	for ( _, q in d$predicted )
		if ( q != d$probed )
			candidates += q;

	keep(d, candidates);

	local info = log_line(d, DECISION);
	info$vetoed = d$vetoed;
	info$answer = found$answer;
	info$latency = found$latency;
	Log::write(LOG, info);

	latest_decision = network_time();
	event prediction(d);
	request_blocks(d);
	}

event nearest_found(p: port, found: Nearest)
	{
	if ( p !in waiting )
		return;

	local sources = waiting[p];
	delete waiting[p];

	for ( source in sources )
		if ( [source, p] in decisions && ! decisions[source, p]$ready )
			take_decision(decisions[source, p], found);
	}

event source_found(reqid: string, found: Nearest)
	{
	if ( reqid !in waiting_alone )
		return;

	local d = waiting_alone[reqid];
	delete waiting_alone[reqid];

	if ( d$ready
	    || [d$source, d$probed] !in decisions
	    || decisions[d$source, d$probed]$id != d$id )
		return;

	# What is known about the port is better than nothing.
	if ( found$answer == NONE && known(d$probed) )
		take_decision(d, nearest(d$probed));
	else
		take_decision(d, found);
	}

# Takes a decision now where the answer is known, or none can come, else when it
# comes.
function ask_for(d: Decision, h: ProbeHistory)
	{
	if ( asks_by_source(h) )
		{
		waiting_alone[ask_by_source(d$probed, h)] = d;
		return;
		}

	if ( known(d$probed) )
		{
		take_decision(d, nearest(d$probed));
		return;
		}

	if ( ! can_ask(d$probed) )
		{
		take_decision(d, Nearest($answer=NONE));
		return;
		}

	if ( d$probed !in waiting )
		waiting[d$probed] = set();

	add waiting[d$probed][d$source];
	ask(d$probed);
	}

# Opens a decision that follows the probes in the history so far, and asks for its
# prediction.
function open_decision(source: Source, p: port, evidence: Evidence,
    h: ProbeHistory)
	{
	local d = Decision($id=unique_id("D"), $source=source, $probed=p,
	    $evidence=evidence, $until=network_time() + block_interval,
	    $after=h$probes);
	decisions[source, p] = d;
	ask_for(d, h);
	}

# A decision that the sidecar did not answer gives way to one that it may answer.
# The history stays with it: it is the same scan.
function replace_unanswered(source: Source, p: port)
	{
	local old = decisions[source, p];
	local h = histories[source];
	++h$decisions;
	end_decision(old);
	open_decision(source, p, old$evidence, h);
	}

# Whether another question for the port of an unanswered decision can help.
function may_ask_again(p: port): bool
	{
	return known(p) || ( sidecar_up && ! asked_lately(p) );
	}

function start_decision(source: Source, p: port, evidence: Evidence,
    h: ProbeHistory)
	{
	if ( h$decisions >= max_ports || |decisions| >= max_decisions )
		{
		forget_history(source, h);
		state_full(1);
		return;
		}

	++h$decisions;
	# Remembered with the first decision: without one nothing would delete it.
	histories[source] = h;
	open_decision(source, p, evidence, h);
	}

function extend_decision(d: Decision)
	{
	++d$probes;
	prolong(d);

	if ( ! d$ready )
		return;

	if ( is_unanswered(d) && may_ask_again(d$probed) )
		{
		replace_unanswered(d$source, d$probed);
		return;
		}

	# What is blocked goes on only where no veto has come since: never-block lists
	# change while Zeek runs.
	if ( mode == BLOCK )
		{
		keep(d, d$kept);
		request_blocks(d);
		}
	}

function decide(source: Source, dst: addr, p: port, evidence: Evidence,
    past: bool, at: time)
	{
	latest_probe = network_time();
	event probe(source, dst, p, evidence);

	if ( [source, p] in decisions )
		{
		local d = decisions[source, p];

		if ( latest_probe < d$until )
			{
			remember_probe(histories[source], p, past, at);
			extend_decision(d);
			return;
			}

		# Tables expire in their own time; a decision ends at its own.
		delete decisions[source, p];
		end_decision(d);
		}

	local h = source in histories ? histories[source] : ProbeHistory();
	remember_probe(h, p, past, at);
	start_decision(source, p, evidence, h);
	}

# What was decided while the sidecar was away need not wait for the next probe.
event sidecar_arrived(sidecar: string, table_id: string)
	{
	local unanswered: vector of Decision = vector();

	for ( [source, p], d in decisions )
		if ( is_unanswered(d) && network_time() < d$until )
			unanswered += d;

	for ( _, u in unanswered )
		replace_unanswered(u$source, u$probed);
	}

event zeek_done() &priority=5
	{
	local left: vector of Decision = vector();

	for ( [source, p], d in decisions )
		left += d;

	for ( _, d in left )
		end_decision(d);
	}
