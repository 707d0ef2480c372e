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
	# The different ports probed most recently, the latest first.
	recent: vector of port &default=vector();
	# When the first and the latest probe came.
	first: time &default=double_to_time(0.0);
	latest: time &default=double_to_time(0.0);
	# How many decisions are running.
	decisions: count &default=0;
};

# As many as a question about a source can carry.
const recent_ports = 8;

# A history goes with the last decision of its source.
global histories: table[Source] of ProbeHistory = table();

# How many ports all histories hold together.
global history_ports = 0;

# Notes in a history that a port was probed. Without room the port stays unknown,
# and a prediction of it counts as not come true.
function remember_port(h: ProbeHistory, p: port, past: bool)
	{
	if ( p !in h$last )
		{
		if ( |h$last| >= max_ports || history_ports >= max_history )
			return;

		++history_ports;
		}
	else if ( past )
		return;

	h$last[p] = past ? 0 : h$probes;
	}

# Puts a port in front of those that were probed before.
function remember_order(h: ProbeHistory, p: port)
	{
	if ( |h$recent| > 0 && h$recent[0] == p )
		return;

	local recent = vector(p);

	for ( _, q in h$recent )
		if ( q != p && |recent| < recent_ports )
			recent += q;

	h$recent = recent;
	}

# Notes a probe in a history.
function remember_probe(h: ProbeHistory, p: port, past: bool, at: time)
	{
	if ( ! past )
		++h$probes;

	remember_port(h, p, past);

	if ( ! by_source )
		return;

	remember_order(h, p);

	# Probes from before the verdict come in the order of their failures.
	if ( |h$recent| == 1 || at < h$first )
		h$first = at;

	if ( at > h$latest )
		h$latest = at;
	}

# How many different ports a source probed, as far as there was room to count them.
function probed_ports(h: ProbeHistory): count
	{
	return |h$last| > |h$recent| ? |h$last| : |h$recent|;
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
