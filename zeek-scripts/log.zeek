##! portkin.log: one line per decision, and one when it ends that says how many
##! of its predictions came true.

@load base/frameworks/logging
@load ./config

module Portkin;

export {
	redef enum Log::ID += { LOG };

	## Decides what is logged.
	global log_policy: Log::PolicyHook;

	## What a line reports.
	type Kind: enum {
		## A decision was taken.
		DECISION,
		## A decision ended.
		OUTCOME,
		## State is full; further sources or probes were not judged.
		STATE_FULL
	};

	## How an answer was had.
	type Answer: enum {
		## The sidecar was asked.
		ASKED,
		## This node knew it from before.
		CACHED,
		## There was none in time.
		NONE
	};

	## How a prediction was made.
	type PredictedBy: enum {
		## By the probed port alone, as for every source.
		BY_PORT,
		## By what the source probed before, too; see
		## :zeek:see:`Portkin::by_source`.
		BY_SOURCE
	};

	## What made a source a scanner.
	type Evidence: enum {
		## It sent to a net without hosts.
		DARKNET,
		## Sequential hypothesis testing.
		TRW,
		## It failed to reach many (host, port).
		FAILED
	};

	type Info: record {
		## When the line was written.
		ts: time &log;
		## What the line reports.
		kind: Kind &log;
		## The decision, for matching it with its outcome.
		id: string &log &optional;
		## The source.
		src: addr &log &optional;
		## The context of its connection key, as ``vlan=10``; see
		## :zeek:see:`Portkin::Source`.
		context: string &log &optional;
		## The port it probed.
		probed: port &log &optional;
		## The transport protocol of all ports in the line.
		proto: transport_proto &log &optional;
		## What made it a scanner.
		evidence: Evidence &log &optional;
		## The predicted ports, nearest or likeliest first.
		predicted: vector of port &log &optional;
		## For each of them, the chance that the source probes it; empty where
		## the table has no chances.
		chances: vector of double &log &optional;
		## How they were predicted; missing where there was no answer.
		predicted_by: PredictedBy &log &optional;
		## What is kept for blocking: of the probed and the predicted ports,
		## those without a veto.
		kept: vector of port &log &optional;
		## What was vetoed and why, as ``22/tcp open_service``.
		vetoed: vector of string &log &optional;
		## How the answer was had.
		answer: Answer &log &optional;
		## The table the answer is from.
		table_id: string &log &optional;
		## How long the answer took, in real time.
		latency: interval &log &optional;
		## What became of what was kept.
		mode: Mode &log &optional;
		## How many probes the decision covers; in an outcome, all of them.
		probes: count &log &optional;
		## In an outcome: how many of the predicted ports the source probed
		## after the decision.
		hits: count &log &optional;
		## In a ``STATE_FULL`` line: how many contacts were not judged.
		dropped: count &log &optional;
	};

	## Raised with each line.
	global log_portkin: event(rec: Info);

	## Records that state is full and something was not judged; logged at most
	## once a minute.
	##
	## n: how many contacts or probes.
	global state_full: function(n: count);
}

global state_full_total = 0;
global state_full_logged = double_to_time(0.0);

function state_full(n: count)
	{
	state_full_total += n;

	if ( network_time() - state_full_logged < 1min )
		return;

	state_full_logged = network_time();
	Log::write(LOG, Info($ts=network_time(), $kind=STATE_FULL,
	    $dropped=state_full_total));
	}

event zeek_init() &priority=5
	{
	Log::create_stream(LOG, Log::Stream($columns=Info, $ev=log_portkin,
	    $path="portkin", $policy=log_policy));
	}
