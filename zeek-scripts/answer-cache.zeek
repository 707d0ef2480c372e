##! Which table the sidecar answers from, and what it has answered about ports. What
##! it answers about a source is of use to that source alone, and not kept.

@load ./api
@load ./config
@load ./log

module Portkin;

export {
	## What came of a question.
	type Nearest: record {
		## The ports, nearest or likeliest first.
		ports: vector of port &default=vector();
		## Their chances; empty where the table has none.
		chances: vector of double &default=vector();
		## The table they are from; empty without an answer.
		table_id: string &default="";
		## How the answer was had.
		answer: Answer;
		## How they were predicted.
		by: PredictedBy &default=BY_PORT;
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
# Whether it can be asked about a source.
global table_by_source = F;
global cache: table[port] of Known = table();
# When this node last had an answer from the sidecar; 0 for never.
global latest_answer = double_to_time(0.0);

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
	local here = cache[p];
	return Nearest($ports=here$ports[:k], $chances=here$chances[:k],
	    $table_id=current_table, $answer=CACHED);
	}

# Before the sidecar is said to be there.
event table_changed(table_id: string, depth: count, has_model: bool) &priority=5
	{
	use_table(table_id);
	table_by_source = has_model;
	}
