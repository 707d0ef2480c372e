##! What the sidecar has answered of its current table.

@load ./api
@load ./config
@load ./log

module Portkin;

export {
	## What came of a question.
	type Nearest: record {
		## The nearest ports, nearest first.
		ports: vector of port &default=vector();
		## Their chances; empty where the table has none.
		chances: vector of double &default=vector();
		## The table they are from; empty without an answer.
		table_id: string &default="";
		## How the answer was had.
		answer: Answer;
		## How long it took, in real time.
		latency: interval &default=0sec;
	};

	## Whether :zeek:see:`Portkin::nearest` knows the port without asking.
	##
	## p: the port.
	global known: function(p: port): bool;

	## The ports nearest to one that is known.
	##
	## p: the port.
	global nearest: function(p: port): Nearest;
}

# The answers of the current table.
type Known: record {
	ports: vector of port;
	chances: vector of double &default=vector();
	# What was asked for: a larger k, or another cut-off, asks again.
	asked: count;
	min_chance: double &default=-1.0;
};

global current_table = "";
global cache: table[port] of Known = table();

function use_table(table_id: string)
	{
	if ( table_id == current_table )
		return;

	current_table = table_id;
	cache = table();
	}

function known(p: port): bool
	{
	return p in cache && cache[p]$asked >= k && cache[p]$min_chance == min_chance;
	}

function nearest(p: port): Nearest
	{
	local found = Nearest($table_id=current_table, $answer=CACHED);

	for ( i, q in cache[p]$ports )
		if ( i < k )
			found$ports += q;

	for ( j, chance in cache[p]$chances )
		if ( j < k )
			found$chances += chance;

	return found;
	}

event table_changed(table_id: string, depth: count)
	{
	use_table(table_id);
	}
