##! What a scanner probed: to predict what it will probe, and to tell afterwards which
##! predictions came true.

@load ./config
@load ./decision-record
@load ./sources

module Portkin;

type ProbeHistory: record {
	# Probes so far: an order that equal time stamps do not blur.
	probes: count &default=0;
	# Per port, which probe was the last; 0 where none came since the source is a
	# scanner, so that no prediction of it comes true.
	last: table[port] of count &default=table();
	# The ports in the order in which they were probed, the latest last, without
	# what was forgotten.
	order: vector of port &default=vector();
	# When the first and the latest probe came.
	first: time &default=double_to_time(0.0);
	latest: time &default=double_to_time(0.0);
	# How many decisions are running.
	decisions: count &default=0;
};

# As many as a question about a source can carry.
const max_recent = 8;
# So many are kept in order until all but the most recent are forgotten.
const max_order = 40;

# A history goes with the last decision of its source.
global histories: table[Source] of ProbeHistory = table();

# How many ports all histories hold together.
global history_ports = 0;

# Notes in a history a port that it lacks. Without room the port stays unknown, and a
# prediction of it counts as not come true.
function remember_port(h: ProbeHistory, p: port, past: bool)
	{
	if ( |h$last| >= max_ports || history_ports >= max_history )
		return;

	++history_ports;
	h$last[p] = past ? 0 : h$probes;
	}

# The different ports probed most recently, the latest first.
function recent_ports(h: ProbeHistory): vector of port
	{
	local recent: vector of port = vector();
	local seen: set[port] = set();
	local i = |h$order|;

	while ( i > 0 && |recent| < max_recent )
		{
		--i;

		if ( h$order[i] in seen )
			next;

		add seen[h$order[i]];
		recent += h$order[i];
		}

	return recent;
	}

# Notes a port after those that were probed before. Most probes only append: which
# ports are different is found out when a question is asked.
function remember_order(h: ProbeHistory, p: port)
	{
	if ( |h$order| == max_order )
		{
		local recent = recent_ports(h);
		h$order = vector();

		for ( i in recent )
			h$order += recent[|recent| - 1 - i];
		}

	h$order += p;
	}

# Notes a probe in a history.
function remember_probe(h: ProbeHistory, p: port, past: bool, at: time)
	{
	if ( ! past )
		++h$probes;

	if ( p !in h$last )
		remember_port(h, p, past);
	else if ( ! past )
		h$last[p] = h$probes;

	if ( ! by_source )
		return;

	if ( |h$order| == 0 || h$order[|h$order| - 1] != p )
		remember_order(h, p);

	# Probes from before the verdict come in the order of their failures.
	if ( |h$order| == 1 || at < h$first )
		h$first = at;

	if ( at > h$latest )
		h$latest = at;
	}

# How many different ports a source probed, as far as there was room to count them.
function probed_ports(h: ProbeHistory): count
	{
	local recent = |recent_ports(h)|;
	return |h$last| > recent ? |h$last| : recent;
	}

# Forgets a history where no decision of its source is running.
function forget_history(source: Source, h: ProbeHistory)
	{
	if ( h$decisions > 0 )
		return;

	history_ports -= |h$last|;
	delete histories[source];
	}

# How many predictions of a decision came true: the source probed the port since.
function hits_of(d: Decision, h: ProbeHistory): count
	{
	local hits = 0;

	for ( _, q in d$predicted )
		if ( q in h$last && h$last[q] > d$after )
			++hits;

	return hits;
	}
