##! From a scanner's probe to a decision: what it will touch next, and what of
##! that may be blocked for it.

@load ./config
@load ./log
@load ./request

module Portkin;

export {
	## A decision about one source and one port it probed.
	type Decision: record {
		## Names the decision.
		id: string;
		## The source.
		src: addr;
		## The port it probed.
		probed: port;
		## What made the source a scanner.
		evidence: Evidence;
		## The nearest ports, nearest first.
		predicted: vector of port &default=vector();
		## What is kept for blocking, the probed port first.
		kept: vector of port &default=vector();
		## What was vetoed and why.
		vetoed: vector of string &default=vector();
		## The table the prediction is from.
		table_id: string &default="";
		## When it ends, unless the source probes again.
		until: time;
		## How many probes it covers.
		probes: count &default=1;
		## Which of the source's probes it followed.
		after: count;
		## Whether the prediction is there.
		ready: bool &default=F;
	};

	## A scanner probed a port.
	##
	## src: the scanner.
	##
	## dst: the host it probed.
	##
	## p: the port.
	##
	## evidence: what made it a scanner.
	global probe: event(src: addr, dst: addr, p: port, evidence: Evidence);

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

	## Whether a port may be kept for blocking; ``break`` vetoes it.
	##
	## d: the decision.
	##
	## p: the port.
	global block_policy: hook(d: Decision, p: port);

	## Takes note of a scanner's probe and decides about it.
	##
	## src: the scanner.
	##
	## dst: the host it probed.
	##
	## p: the port.
	##
	## evidence: what made it a scanner.
	##
	## past: whether the probe came before the source was known as a scanner;
	##       it cannot make a prediction come true.
	global decide: function(src: addr, dst: addr, p: port, evidence: Evidence,
	    past: bool);

	## Takes note of a port on which this network offers a service.
	##
	## p: the port.
	global service_seen: function(p: port);
}

# What a scanner probed, for telling afterwards which predictions came true.
type Scanner: record {
	# Probes so far: an order that equal time stamps do not blur.
	probes: count &default=0;
	# Per port, which probe was the last.
	last: table[port] of count &default=table();
	# How many decisions are running.
	decisions: count &default=0;
};

global finish_expired: function(t: table[addr, port] of Decision, i: any)
    : interval;

global scanners: table[addr] of Scanner = table();
global decisions: table[addr, port] of Decision &write_expire=block_interval
    &expire_func=finish_expired;

# The sources that wait for a port's prediction.
global waiting: table[port] of set[addr] = table();

# When a service was last seen, per port.
global services: table[port] of time &write_expire=service_timeout;

function service_seen(p: port)
	{
	services[p] = network_time();
	}

function finish(d: Decision)
	{
	local s = scanners[d$src];
	local hits = 0;

	for ( _, q in d$predicted )
		if ( q in s$last && s$last[q] > d$after )
			++hits;

	--s$decisions;

	if ( s$decisions == 0 )
		delete scanners[d$src];

	Log::write(LOG, Info($ts=network_time(), $kind=OUTCOME, $id=d$id, $src=d$src,
	    $probed=d$probed, $proto=get_port_transport_proto(d$probed),
	    $evidence=d$evidence, $predicted=d$predicted, $kept=d$kept,
	    $table_id=d$table_id, $mode=mode, $probes=d$probes, $hits=hits));
	}

function finish_expired(t: table[addr, port] of Decision, i: any): interval
	{
	local src: addr;
	local p: port;
	[src, p] = i;
	finish(t[src, p]);
	return 0sec;
	}

# Why a port may not be kept; empty where it may.
function veto(d: Decision, p: port): string
	{
	if ( d$src in never_block_nets )
		return "never_block_net";

	if ( p in never_block_ports )
		return "never_block_port";

	if ( ! block_open_services
	    && p in services
	    && network_time() - services[p] < service_timeout )
		return "open_service";

	if ( ! hook block_policy(d, p) )
		return "policy";

	return "";
	}

# Keeps those of the ports that no veto takes out.
function keep(d: Decision, ports: vector of port)
	{
	d$kept = vector();

	for ( _, p in ports )
		{
		local reason = veto(d, p);

		if ( reason == "" )
			d$kept += p;
		else
			d$vetoed += fmt("%s %s", p, reason);
		}
	}

function carry_out(d: Decision)
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

# A decision that the sidecar could not answer gives way to a new one sooner.
function lifetime(d: Decision): interval
	{
	local unanswered = sidecar_expected && d$ready && d$table_id == "";
	return unanswered ? unanswered_interval : block_interval;
	}

function settle(d: Decision, found: Nearest)
	{
	d$predicted = found$ports;
	d$table_id = found$table_id;
	d$ready = T;
	d$until = network_time() + lifetime(d);

	local candidates: vector of port = vector();

	if ( found$answer != NONE || without_answer == PROBED_PORT )
		candidates += d$probed;

	for ( _, q in d$predicted )
		candidates += q;

	keep(d, candidates);

	Log::write(LOG, Info($ts=network_time(), $kind=DECISION, $id=d$id, $src=d$src,
	    $probed=d$probed, $proto=get_port_transport_proto(d$probed),
	    $evidence=d$evidence, $predicted=d$predicted, $kept=d$kept,
	    $vetoed=d$vetoed, $answer=found$answer, $table_id=d$table_id,
	    $latency=found$latency, $mode=mode, $probes=d$probes));

	event prediction(d);
	carry_out(d);
	}

event nearest_found(p: port, found: Nearest)
	{
	if ( p !in waiting )
		return;

	local sources = waiting[p];
	delete waiting[p];

	for ( src in sources )
		if ( [src, p] in decisions && ! decisions[src, p]$ready )
			settle(decisions[src, p], found);
	}

function decide(src: addr, dst: addr, p: port, evidence: Evidence, past: bool)
	{
	event probe(src, dst, p, evidence);

	local now = network_time();

	# Tables expire in their own time; a decision ends at its own.
	if ( [src, p] in decisions && now >= decisions[src, p]$until )
		{
		local ended = decisions[src, p];
		delete decisions[src, p];
		finish(ended);
		}

	# Remembered with the first decision: without one nothing would delete it.
	local s = src in scanners ? scanners[src] : Scanner();

	if ( ! past )
		{
		++s$probes;

		if ( p in s$last || |s$last| < max_ports )
			s$last[p] = s$probes;
		}

	if ( [src, p] in decisions )
		{
		local running = decisions[src, p];
		++running$probes;
		running$until = now + lifetime(running);
		decisions[src, p] = running;

		# What is blocked goes on only where no veto has come since: never-block
		# lists change while Zeek runs.
		if ( running$ready && mode == BLOCK )
			{
			keep(running, running$kept);
			carry_out(running);
			}

		return;
		}

	if ( s$decisions >= max_ports || |decisions| >= max_decisions )
		{
		state_full(1);
		return;
		}

	++s$decisions;
	scanners[src] = s;
	local d = Decision($id=unique_id("D"), $src=src, $probed=p, $evidence=evidence,
	    $until=now + block_interval, $after=s$probes);
	decisions[src, p] = d;

	if ( known(p) )
		{
		settle(d, nearest(p));
		return;
		}

	if ( p !in waiting )
		waiting[p] = set();

	add waiting[p][src];
	ask(p);
	}

event zeek_done() &priority=5
	{
	local left: vector of Decision = vector();

	for ( [src, p], d in decisions )
		left += d;

	for ( _, d in left )
		finish(d);
	}
