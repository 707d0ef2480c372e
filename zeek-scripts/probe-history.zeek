##! What a scanner probed, to tell afterwards which predictions came true.

@load ./config
@load ./decision-record
@load ./sources

module Portkin;

type ProbeHistory: record {
	# Probes so far: an order that equal time stamps do not blur.
	probes: count &default=0;
	# Per port, which probe was the last.
	last: table[port] of count &default=table();
	# How many decisions are running.
	decisions: count &default=0;
};

# A history goes with the last decision of its source.
global histories: table[Source] of ProbeHistory = table();

# How many ports all histories hold together.
global history_ports = 0;

# Notes in a history that a port was probed. Without room the port stays unknown,
# and a prediction of it counts as not come true.
function remember_probe(h: ProbeHistory, p: port)
	{
	if ( p !in h$last )
		{
		if ( |h$last| >= max_ports || history_ports >= max_history )
			return;

		++history_ports;
		}

	h$last[p] = h$probes;
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
