##! Which source is a scanner: by sequential hypothesis testing, by the count of
##! distinct failures, or because it sent to a net without hosts.
##!
##! Detection calls the functions below; through whom depends on where state lives
##! (standalone.zeek, cluster.zeek).

@load ./config
@load ./decision
@load ./log
@load ./sources

module Portkin;

export {
	## What a source tried to reach.
	type Contact: record {
		## The host.
		dst: addr;
		## The port.
		p: port;
	};

	## A source became a scanner. Raised where its state is kept.
	##
	## source: the source.
	##
	## evidence: what made it one.
	global scanner_found: event(source: Source, evidence: Evidence);

	## Whether a source is known as a scanner on this node.
	##
	## source: the source.
	global is_scanner: function(source: Source): bool;

	## Records that a first contact of a source failed, and judges the source.
	##
	## source: the source.
	##
	## dst: the host that refused or did not answer.
	##
	## p: the port.
	global record_failure: function(source: Source, dst: addr, p: port);

	## Records that a first contact of a source was answered.
	##
	## source: the source.
	global record_success: function(source: Source);

	## Marks a source as a scanner, and decides about what it failed to reach so
	## far.
	##
	## source: the source.
	##
	## evidence: what made it a scanner.
	global found_scanner: function(source: Source, evidence: Evidence);
}

# What is known of a source that failed at least once.
type Suspect: record {
	# TRW's log-likelihood ratio, ln Lambda.
	walk: double &default=0.0;
	# The (host, port) it failed to reach, and when; the oldest first.
	failed: table[addr, port] of time &default=table() &ordered;
	last: time;
	# When it was last announced to the workers.
	announced: time &default=double_to_time(0.0);
};

type Scanner: record {
	evidence: Evidence;
	last: time;
};

# The tables' own expiry frees memory; what counts is the time in the record. Only
# of a source that goes on is the record read.
global suspects: table[Source] of Suspect &write_expire=source_timeout;
global scanners: table[Source] of Scanner &read_expire=source_timeout;

# To be defined where state lives: the source is a scanner, so detection reports
# what it still holds of it.
global announce_scanner: function(source: Source, evidence: Evidence);

# To be defined where state lives: the source failed, so its successes are wanted.
global announce_suspect: function(source: Source);

function is_scanner(source: Source): bool
	{
	if ( source !in scanners )
		return F;

	if ( network_time() - scanners[source]$last < source_timeout )
		return T;

	delete scanners[source];
	return F;
	}

# Remembers a scanner; F where state is full, and it stays unjudged.
function add_scanner(source: Source, evidence: Evidence): bool
	{
	if ( source !in scanners && |scanners| >= max_sources )
		{
		state_full(1);
		return F;
		}

	scanners[source] = Scanner($evidence=evidence, $last=network_time());
	return T;
	}

# A scanner that goes on stays one. Returns what made it a scanner.
function refresh_scanner(source: Source): Evidence
	{
	local s = scanners[source];
	s$last = network_time();
	return s$evidence;
	}

function found_scanner(source: Source, evidence: Evidence)
	{
	if ( ! add_scanner(source, evidence) )
		return;

	event scanner_found(source, evidence);

	if ( source in suspects )
		{
		local s = suspects[source];
		delete suspects[source];

		for ( [dst, p], at in s$failed )
			decide(source, dst, p, evidence, T, at);
		}

	announce_scanner(source, evidence);
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

# The suspect that a source is, a new one where it was silent too long.
function suspect(source: Source): Suspect
	{
	if ( source in suspects
	    && network_time() - suspects[source]$last < source_timeout )
		return suspects[source];

	return Suspect($last=network_time());
	}

function record_failure(source: Source, dst: addr, p: port)
	{
	if ( is_scanner(source) )
		return;

	if ( source !in suspects && |suspects| >= max_sources )
		{
		state_full(1);
		return;
		}

	local now = network_time();
	local s = suspect(source);
	s$last = now;

	# Deleted first, so that the order is that of the latest failure.
	delete s$failed[dst, p];
	s$failed[dst, p] = now;
	forget_failed(s);
	suspects[source] = s;

	# An ICMP unreachable says that a UDP port is closed, but an open one need
	# not answer: without successes to weigh against, UDP counts only.
	if ( trw && get_port_transport_proto(p) == tcp )
		{
		s$walk += ln(( 1 - trw_scanner_success ) / ( 1 - trw_benign_success ));

		if ( s$walk >= ln(trw_detection / trw_false_positive) )
			{
			found_scanner(source, TRW);
			return;
			}
		}

	if ( failed_threshold > 0 && |s$failed| >= failed_threshold )
		{
		found_scanner(source, FAILED);
		return;
		}

	# Repeated well before the node that counts its successes forgets it.
	if ( now - s$announced >= source_timeout / 4 )
		{
		s$announced = now;
		announce_suspect(source);
		}
	}

function record_success(source: Source)
	{
	if ( source !in suspects )
		return;

	local s = suspects[source];

	if ( network_time() - s$last >= source_timeout )
		{
		delete suspects[source];
		return;
		}

	if ( ! trw )
		return;

	s$walk += ln(trw_scanner_success / trw_benign_success);

	# Found benign: the walk begins again.
	if ( s$walk <= ln(( 1 - trw_detection ) / ( 1 - trw_false_positive )) )
		s$walk = 0.0;
	}
