##! Questions to the sidecar: which are open, what is known, and what happens
##! without an answer. Reading a capture stops while a question is open, so that
##! no packet overtakes an answer and every run is the same.

@load base/frameworks/cluster
@load base/frameworks/reporter
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

	## Set where a load lets the sidecar in; without it nobody is asked.
	const sidecar_expected = F &redef;

	## Whether a sidecar has said that it is there.
	global sidecar_up = F;

	## Whether :zeek:see:`Portkin::nearest` knows the port without asking.
	##
	## p: the port.
	global known: function(p: port): bool;

	## The ports nearest to one that is known.
	##
	## p: the port.
	global nearest: function(p: port): Nearest;

	## Asks for a port; :zeek:see:`Portkin::nearest_found` brings the answer,
	## always, one for all who asked meanwhile.
	##
	## p: the port.
	global ask: function(p: port);

	## Raised once per question.
	##
	## p: the port.
	##
	## found: the answer.
	global nearest_found: event(p: port, found: Nearest);

	## Raised when the sidecar has said that it is there, or is there again.
	##
	## sidecar: who it is.
	##
	## table_id: the table it answers from.
	global sidecar_arrived: event(sidecar: string, table_id: string);

	## To be raised by the load that lets the sidecar in, when it is gone.
	global sidecar_left: event();

	## Why the sidecar is not there, as far as the load that lets it in can
	## tell.
	##
	## reasons: to be appended to.
	global sidecar_trouble: hook(reasons: vector of string);

	## Whether a port was asked for within :zeek:see:`Portkin::retry_interval`.
	##
	## p: the port.
	global asked_lately: function(p: port): bool;

	## Whether a held capture may go on; ``break`` keeps it waiting.
	global may_release: hook();
}

# The answers of the current table.
type Known: record {
	ports: vector of port;
	chances: vector of double &default=vector();
	# What was asked for: a larger k, or another cut-off, asks again.
	asked: count;
	min_chance: double &default=-1.0;
};

type Open: record {
	p: port;
	since: time;
	asked: count;
	min_chance: double &default=-1.0;
};

global current_table = "";
global cache: table[port] of Known = table();
global open_requests: table[string] of Open = table();
global asked_ports: set[port] = set();
# When a port was last asked for in vain.
global failed_questions: table[port] of time &create_expire=1min;
global holding = F;
# Why the latest sidecar was refused; empty where none was.
global refused_sidecar = "";
# Counts the times that the sidecar was missed, so that an old check says nothing.
global times_missed = 0;

# A capture is held while a question is open. Its clock stands still then, so
# real time is looked at by an event that raises itself again.
global hold_check: event(since: time, limit: interval);

function hold(limit: interval)
	{
	if ( holding || ! reading_traces() )
		return;

	holding = T;
	suspend_processing();
	event hold_check(current_time(), limit);
	}

function go_on()
	{
	if ( ! holding )
		return;

	holding = F;
	continue_processing();
	}

function release()
	{
	if ( hook may_release() )
		go_on();
	}

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

function asked_lately(p: port): bool
	{
	return p in asked_ports
	    || ( p in failed_questions && network_time() - failed_questions[p] < retry_interval );
	}

function give_up(reqid: string)
	{
	local asked = open_requests[reqid];
	delete open_requests[reqid];
	delete asked_ports[asked$p];

	if ( |failed_questions| < max_open_requests )
		failed_questions[asked$p] = network_time();

	event nearest_found(asked$p, Nearest($answer=NONE,
	    $latency=current_time() - asked$since));
	}

function give_up_all()
	{
	local ids: vector of string = vector();

	for ( reqid in open_requests )
		ids += reqid;

	for ( _, id in ids )
		give_up(id);

	go_on();
	}

event expire_request(reqid: string)
	{
	if ( reqid in open_requests )
		give_up(reqid);
	}

function ask(p: port)
	{
	if ( p in asked_ports )
		return;

	# Nobody waits for a sidecar that is known to be away.
	if ( ! sidecar_expected
	    || ! sidecar_up
	    || |open_requests| >= max_open_requests )
		{
		event nearest_found(p, Nearest($answer=NONE));
		return;
		}

	local reqid = unique_id("");
	open_requests[reqid] = Open($p=p, $since=current_time(), $asked=k,
	    $min_chance=min_chance);
	add asked_ports[p];
	Cluster::publish(sidecar_topic, nearest_request, reqid, p, k, min_chance);

	if ( reading_traces() )
		hold(request_timeout);
	else
		schedule request_timeout { expire_request(reqid) };
	}

event nearest_response(reqid: string, p: port, table_id: string, ports: vector of
    port, chances: vector of double, error: string)
	{
	if ( error != "" )
		{
		if ( reqid in open_requests )
			{
			Reporter::warning(fmt("portkin: the sidecar has no answer for %s: %s", p,
			    error));
			give_up(reqid);
			}
		}
	# Of no use to who waits, and not to be trusted.
	else if ( reqid in open_requests && open_requests[reqid]$p != p )
		{
		Reporter::warning(fmt(
		    "portkin: the sidecar was asked for %s and answered for %s",
		    open_requests[reqid]$p, p));
		give_up(reqid);
		}
	else
		{
		use_table(table_id);
		cache[p] = Known($ports=ports, $chances=chances, $asked=k,
		    $min_chance=min_chance);

		# A late answer, or one to another node: it is worth remembering, but
		# nobody waits for it here.
		if ( reqid in open_requests )
			{
			cache[p]$asked = open_requests[reqid]$asked;
			cache[p]$min_chance = open_requests[reqid]$min_chance;
			local latency = current_time() - open_requests[reqid]$since;
			delete open_requests[reqid];
			delete asked_ports[p];
			local found = nearest(p);
			found$answer = ASKED;
			found$latency = latency;
			event nearest_found(p, found);
			}
		}

	if ( |open_requests| == 0 )
		release();
	}

event table_changed(table_id: string, depth: count)
	{
	use_table(table_id);
	}

event hello_request(reqid: string, version: count, sidecar: string,
    table_id: string, depth: count)
	{
	# In a cluster the manager alone answers, and tells the others.
	if ( Cluster::is_enabled() && Cluster::local_node_type() != Cluster::MANAGER )
		{
		use_table(table_id);
		return;
		}

	Cluster::publish(sidecar_topic, hello_response, reqid, protocol, Cluster::node == "" ?
	    "zeek" : Cluster::node, zeek_version());

	if ( version != protocol )
		{
		refused_sidecar = fmt("%s speaks version %d of the event protocol, this package %d; install the same release on both sides",
		    sidecar, version, protocol);
		Reporter::error(fmt("portkin: %s", refused_sidecar));
		return;
		}

	use_table(table_id);

	if ( ! sidecar_up )
		{
		sidecar_up = T;
		refused_sidecar = "";
		clear_table(failed_questions);
		Reporter::info(fmt("portkin: sidecar %s is here, with table %s", sidecar,
		    table_id));
		event sidecar_arrived(sidecar, table_id);
		}

	if ( |open_requests| == 0 )
		release();
	}

# Why the sidecar is not there, in a sentence.
function why_no_sidecar(): string
	{
	if ( refused_sidecar != "" )
		return refused_sidecar;

	local reasons: vector of string = vector();
	hook sidecar_trouble(reasons);
	return |reasons| == 0 ? "start it with: portkin serve" : join_string_vec(
	    reasons, "; ");
	}

event check_sidecar(missed: count, since: time)
	{
	if ( sidecar_up || missed != times_missed )
		return;

	# What zeek_init schedules is due at once, since network time begins at 0.
	if ( current_time() - since < sidecar_grace )
		{
		schedule sidecar_grace { check_sidecar(missed, since) };
		return;
		}

	Reporter::warning(fmt(
	    "portkin: no sidecar within %s, so nothing is predicted: %s",
	    sidecar_grace, why_no_sidecar()));
	}

# Says after a while why the sidecar is not there.
function miss_sidecar()
	{
	++times_missed;

	if ( ! reading_traces()
	    && ( ! Cluster::is_enabled() || Cluster::local_node_type() == Cluster::MANAGER ) )
		schedule sidecar_grace { check_sidecar(times_missed, current_time()) };
	}

event sidecar_left()
	{
	sidecar_up = F;
	clear_table(failed_questions);
	give_up_all();
	miss_sidecar();
	}

event hold_check(since: time, limit: interval)
	{
	if ( ! holding )
		return;

	if ( current_time() - since < limit )
		{
		event hold_check(since, limit);
		return;
		}

	if ( sidecar_up )
		Reporter::warning(fmt("portkin: the sidecar did not answer within %s; going on without that answer",
		    limit));
	else
		Reporter::warning(fmt("portkin: no sidecar within %s; going on without predictions: %s",
		    limit, why_no_sidecar()));

	give_up_all();
	}

# Why a cut-off is none; empty where it is one.
function wrong_min_chance(value: double): string
	{
	if ( value == -1.0 || ( 0.0 <= value && value <= 1.0 ) )
		return "";

	return fmt("Portkin::min_chance = %s: choose a chance between 0 and 1, or -1 for the one that the table recommends",
	    value);
	}

function check_min_chance(id: string, value: double): double
	{
	local wrong = wrong_min_chance(value);

	if ( wrong == "" )
		return value;

	Reporter::error(fmt("portkin: %s; it stays %s", wrong, min_chance));
	return min_chance;
	}

event zeek_init() &priority=10
	{
	local wrong = wrong_min_chance(min_chance);

	if ( wrong != "" )
		Reporter::fatal(fmt("portkin: %s", wrong));

	Option::set_change_handler("Portkin::min_chance", check_min_chance);
	}

# Workers never ask.
function asks_sidecar(): bool
	{
	if ( ! sidecar_expected || ! Cluster::is_enabled() )
		return sidecar_expected;

	local node_type = Cluster::local_node_type();
	return node_type == Cluster::MANAGER || node_type == Cluster::PROXY;
	}

# Before the nodes of a cluster connect, at -10: what one subscribes to while a Broker
# peering is being made, the other side may never hear of.
event zeek_init()
	{
	if ( asks_sidecar() )
		Cluster::subscribe(zeek_topic);
	}

event zeek_init() &priority=-10
	{
	if ( ! asks_sidecar() )
		return;

	hold(sidecar_wait);
	miss_sidecar();
	}

# The way to the sidecar keeps Zeek running when the capture is through; by then
# every answer is there, since packets waited for it.
event Pcap::file_done(path: string)
	{
	if ( sidecar_expected && ! exit_only_after_terminate )
		terminate();
	}
