##! Which source is a scanner: by sequential hypothesis testing, by the count of
##! distinct failures, or because it sent to a net without hosts.
##!
##! What sources did is told by calling the functions below; who calls them
##! depends on where state lives (standalone.zeek, cluster.zeek).

@load ./config
@load ./decide
@load ./log

module Portkin;

export {
	## What a source tried to reach.
	type Contact: record {
		## The host.
		dst: addr;
		## The port.
		p: port;
	};

	## A source was found to be a scanner.
	##
	## src: the source.
	##
	## evidence: what made it one.
	global scanner_found: event(src: addr, evidence: Evidence);

	## Whether a source is known as a scanner on this node.
	##
	## src: the source.
	global is_scanner: function(src: addr): bool;

	## Takes note that a first contact of a source failed, and judges it.
	##
	## src: the source.
	##
	## dst: the host that refused or did not answer.
	##
	## p: the port.
	global judge_failed: function(src: addr, dst: addr, p: port);

	## Takes note that a first contact of a source was answered.
	##
	## src: the source.
	global judge_answered: function(src: addr);

	## Finds a source guilty, and decides about what it failed to reach so far.
	##
	## src: the source.
	##
	## evidence: what made it a scanner.
	global condemn: function(src: addr, evidence: Evidence);
}

# What is known of a source that is under suspicion: it failed at least once.
type Suspect: record {
	# TRW's log-likelihood ratio, ln Lambda.
	walk: double &default=0.0;
	# The (host, port) it failed to reach, and when; the oldest first.
	failed: table[addr, port] of time &default=table() &ordered;
	last: time;
};

type Convict: record {
	evidence: Evidence;
	last: time;
};

# The tables' own expiry frees memory; what counts is the time in the record.
global suspects: table[addr] of Suspect &write_expire=source_timeout;
global convicts: table[addr] of Convict &write_expire=source_timeout;

# To be defined where state lives: tells the trackers that a source is a
# scanner, so that they hand over what they still hold of it.
global tell_verdict: function(src: addr, evidence: Evidence);

function is_scanner(src: addr): bool
	{
	if ( src !in convicts )
		return F;

	local c = convicts[src];

	if ( network_time() - c$last >= source_timeout )
		{
		delete convicts[src];
		return F;
		}

	return T;
	}

# Remembers a scanner; F where state is full, and it stays unjudged.
function convict(src: addr, evidence: Evidence): bool
	{
	if ( src !in convicts && |convicts| >= max_sources )
		{
		state_full(1);
		return F;
		}

	convicts[src] = Convict($evidence=evidence, $last=network_time());
	return T;
	}

# A scanner that goes on stays one.
function keep_convict(src: addr)
	{
	local c = convicts[src];
	c$last = network_time();
	convicts[src] = c;
	}

function condemn(src: addr, evidence: Evidence)
	{
	if ( ! convict(src, evidence) )
		return;

	event scanner_found(src, evidence);

	if ( src in suspects )
		{
		local s = suspects[src];
		delete suspects[src];

		for ( [dst, p] in s$failed )
			decide(src, dst, p, evidence, T);
		}

	tell_verdict(src, evidence);
	}

# Drops what is too old or too much from the front of the failures.
function forget_failed(s: Suspect)
	{
	local old: vector of Contact = vector();
	local excess = |s$failed| > max_contacts ? |s$failed| - max_contacts : 0;

	for ( [dst, p], ts in s$failed )
		{
		if ( |old| >= excess && network_time() - ts < failed_interval )
			break;

		old += Contact($dst=dst, $p=p);
		}

	for ( _, c in old )
		delete s$failed[c$dst, c$p];
	}

function judge_failed(src: addr, dst: addr, p: port)
	{
	if ( is_scanner(src) )
		return;

	local now = network_time();

	if ( src !in suspects || now - suspects[src]$last >= source_timeout )
		{
		if ( |suspects| >= max_sources )
			{
			state_full(1);
			return;
			}

		suspects[src] = Suspect($last=now);
		}

	local s = suspects[src];
	s$last = now;

	# Anew, so that the order is that of the latest failure.
	delete s$failed[dst, p];
	s$failed[dst, p] = now;
	forget_failed(s);
	suspects[src] = s;

	# An ICMP unreachable says that a UDP port is closed, but an open one need
	# not answer: without successes to weigh against, UDP counts only.
	if ( trw && get_port_transport_proto(p) == tcp )
		{
		s$walk += ln(( 1 - trw_scanner_success ) / ( 1 - trw_benign_success ));

		if ( s$walk >= ln(trw_detection / trw_false_positive) )
			{
			condemn(src, TRW);
			return;
			}
		}

	if ( failed_threshold > 0 && |s$failed| >= failed_threshold )
		condemn(src, FAILED);
	}

function judge_answered(src: addr)
	{
	if ( src !in suspects )
		return;

	local s = suspects[src];

	if ( network_time() - s$last >= source_timeout )
		{
		delete suspects[src];
		return;
		}

	if ( ! trw )
		return;

	s$walk += ln(trw_scanner_success / trw_benign_success);

	# Found benign: the walk begins anew.
	if ( s$walk <= ln(( 1 - trw_detection ) / ( 1 - trw_false_positive )) )
		s$walk = 0.0;
	}
