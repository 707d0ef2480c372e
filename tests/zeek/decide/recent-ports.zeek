# @TEST-DOC: The most recent different ports of a source are those that moving each to the front would leave there, whatever the order of its probes.
#
# @TEST-EXEC: zeek -b "%INPUT" >found
# @TEST-EXEC: btest-diff found

@load portkin

module Portkin;

# What moving to the front leaves.
function moved(recent: vector of port, p: port): vector of port
	{
	local found = vector(p);

	for ( _, q in recent )
		if ( q != p && |found| < max_recent )
			found += q;

	return found;
	}

event zeek_init()
	{
	local wrong = 0;
	local longest = 0;

	# A few ports again and again, then many.
	for ( _, kinds in vector(1, 2, 7, 8, 9, 40, 5000) )
		{
		local h = ProbeHistory();
		local wanted: vector of port = vector();
		local i = 0;

		while ( i < 500 )
			{
			++i;
			local p = count_to_port(1 + rand(kinds), tcp);
			remember_probe(h, p, F, network_time());
			wanted = moved(wanted, p);

			if ( cat(wanted) != cat(recent_ports(h)) )
				++wrong;

			if ( |h$order| > longest )
				longest = |h$order|;
			}
		}

	print fmt("%d wrong, at most %d kept in order", wrong, longest);
	}
