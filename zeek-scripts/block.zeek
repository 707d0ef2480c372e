##! Blocks for real: asks the sidecar to block what is kept for blocking, which it
##! does within its limits. Opt-in. The outcomes are in portkin_block.log.

@load base/frameworks/logging
@load base/frameworks/cluster
@load ./__load__
@load ./block-responses
@load ./missed-blocks

module Portkin;

export {
	redef enum Log::ID += { BLOCK_LOG };

	## Decides what is logged of blocks.
	global block_log_policy: Log::PolicyHook;

	## The same block is asked for again no sooner than this, for the probed
	## port excepted: how often it is probed counts.
	option block_refresh = 1sec;

	## Whether lines are written for blocks that are merely extended.
	option log_extensions = F;

	## Whether a source with a context, such as a VLAN, may be blocked. What
	## carries blocks out knows addresses alone: it blocks the address in every
	## network that it guards.
	option block_in_every_context = F;

	## How many requests to block may be open at once; further ones fail.
	option max_open_blocks: count = 10000;

	type BlockInfo: record {
		## When the line was written.
		ts: time &log;
		## The source.
		src: addr &log;
		## The context of its connection key, as ``vlan=10``; see
		## :zeek:see:`Portkin::Source`.
		context: string &log &optional;
		## The port.
		p: port &log;
		## The port's protocol.
		proto: transport_proto &log;
		## What became of the block: ``added``, ``extended``, ``exists``,
		## ``vetoed``, ``removed``, ``expired``, ``error``, or ``unanswered``.
		outcome: string &log;
		## Why, where it did not.
		detail: string &log &optional;
		## The decision that asked.
		id: string &log &optional;
		## The port that was probed.
		probed: port &log &optional;
		## 0 for the probed port, else its place among the predicted ones.
		rank: count &log &optional;
		## How long the block is to last.
		duration: interval &log &optional;
		## How long the answer took, in real time.
		latency: interval &log &optional;
	};

	## Raised with each line.
	global log_block: event(rec: BlockInfo);
}

redef mode = BLOCK;

type OpenBlock: record {
	info: BlockInfo;
	since: time;
	decision: Decision;
	# What was known about the source when the sidecar was asked.
	evidence: string;
	# Whether nobody waits for the answer any more.
	given_up: bool &default=F;
};

# An answer that is later than that finds nobody.
const late_answer = 1min;

global unanswered: function(t: table[string] of OpenBlock, reqid: string)
    : interval;

global open_blocks: table[string] of OpenBlock &create_expire=request_timeout
    &expire_func=unanswered;
# When a block was last asked for. Tables expire in their own time.
global asked_blocks: table[addr, port] of time &write_expire=1min;

# The blocks of a decision that are to be asked for together.
type GatheredBlocks: record {
	evidence: string;
	reqids: vector of string &default=vector();
};

global gathered: table[string] of GatheredBlocks = table();

function write_block(info: BlockInfo)
	{
	info$ts = network_time();
	Log::write(BLOCK_LOG, info);
	}

# Keeps the block as one to ask for again.
function miss(asked: OpenBlock, evidence: string)
	{
	local info = asked$info;
	delete asked_blocks[info$src, info$p];
	miss_block(info$p, MissedBlock($decision=asked$decision, $rank=info$rank,
	    $evidence=evidence));
	}

# A late answer is logged, too: the block may hold all the same.
function unanswered(t: table[string] of OpenBlock, reqid: string): interval
	{
	local asked = t[reqid];

	if ( asked$given_up )
		return 0sec;

	asked$given_up = T;
	asked$info$outcome = "unanswered";
	write_block(copy(asked$info));
	miss(asked, "");
	return late_answer;
	}

function is_first(d: Decision, p: port): bool
	{
	return |d$kept| > 0 && d$kept[0] == p;
	}

# Why a block cannot be asked for; empty where it can.
function block_trouble(source: Source): string
	{
	if ( source$context != "" && ! block_in_every_context )
		return fmt("%s: a block would reach this address in every network; Portkin::block_in_every_context allows it",
		    source$context);

	if ( ! sidecar_up )
		return "no sidecar";

	if ( |open_blocks| >= max_open_blocks )
		return "too many requests are open";

	return "";
	}

event ask_for_blocks(d: Decision)
	{
	local asked = gathered[d$id];
	delete gathered[d$id];
	local reqids: vector of string = vector();
	local ports: vector of port = vector();
	local durations: vector of interval = vector();
	local ranks: vector of count = vector();
	local evidence: vector of string = vector();

	for ( _, reqid in asked$reqids )
		{
		if ( reqid !in open_blocks )
			next;

		local info = open_blocks[reqid]$info;
		reqids += reqid;
		ports += info$p;
		durations += info$duration;
		ranks += info$rank;
		evidence += asked$evidence + ( is_first(d, info$p) ? " probe=1" : "" );
		}

	if ( |reqids| == 0 )
		return;

	Cluster::publish(sidecar_topic, block_requests, d$source$host, d$table_id,
	    d$probed, reqids, ports, durations, ranks, evidence);
	}

event block(d: Decision, p: port, rank: count, duration: interval)
	{
	local src = d$source$host;
	local first = is_first(d, p);

	if ( ! first
	    && [src, p] in asked_blocks
	    && network_time() - asked_blocks[src, p] < block_refresh )
		return;

	local info = BlockInfo($ts=network_time(), $src=src, $p=p,
	    $proto=get_port_transport_proto(p), $outcome="", $id=d$id,
	    $probed=d$probed, $rank=rank, $duration=duration);

	if ( d$source$context != "" )
		info$context = d$source$context;

	local trouble = block_trouble(d$source);

	if ( trouble != "" )
		{
		info$outcome = "error";
		info$detail = trouble;
		write_block(info);

		if ( ! sidecar_up )
			miss_block(p, MissedBlock($decision=d, $rank=rank));

		return;
		}

	if ( [src, p] in asked_blocks || |asked_blocks| < max_decisions )
		asked_blocks[src, p] = network_time();

	if ( d$id !in gathered )
		{
		gathered[d$id] = GatheredBlocks($evidence=evidence_text(d));
		# Comes after the other blocks of the decision.
		event ask_for_blocks(d);
		}

	local reqid = unique_id("B");
	local together = gathered[d$id];
	together$reqids += reqid;
	open_blocks[reqid] = OpenBlock($info=info, $since=current_time(), $decision=d,
	    $evidence=together$evidence);
	}

event block_response(reqid: string, src: addr, p: port, outcome: string,
    detail: string)
	{
	local info: BlockInfo;

	if ( reqid in open_blocks )
		{
		local asked = open_blocks[reqid];
		delete open_blocks[reqid];
		info = asked$info;
		info$latency = current_time() - asked$since;

		forget_missed_block(asked$decision$source, p);

		# The probed port is asked for by each probe.
		if ( detail == "unproven" && ! is_first(asked$decision, p) )
			{
			miss(asked, asked$evidence);
			# What was missing may have come while the question was open.
			retry_blocks(asked$decision$source);
			}
		}
	# What nobody asked for reaches every node; one writes it.
	else if ( reqid == ""
	    && ( ! Cluster::is_enabled() || Cluster::local_node_type() == Cluster::MANAGER ) )
		info = BlockInfo($ts=network_time(), $src=src, $p=p,
		    $proto=get_port_transport_proto(p), $outcome="");
	else
		return;

	# The next probe may ask at once.
	if ( outcome == "vetoed" || outcome == "error" || outcome == "removed" )
		delete asked_blocks[src, p];

	if ( ( outcome == "extended" || outcome == "exists" ) && ! log_extensions )
		return;

	info$outcome = outcome;

	if ( detail != "" )
		info$detail = detail;

	write_block(info);
	}

event zeek_init() &priority=5
	{
	Log::create_stream(BLOCK_LOG, Log::Stream($columns=BlockInfo, $ev=log_block,
	    $path="portkin_block", $policy=block_log_policy));
	}
