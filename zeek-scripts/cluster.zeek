##! Where state lives in a cluster. Workers see packets and know which contacts
##! failed; what a source did is kept by one proxy, chosen by hashing the source's
##! address, or by the manager where there are no proxies: its owner. Only
##! failures travel, the successes of sources that failed before, and the probes of
##! scanners.

@load base/frameworks/cluster
@load ./decision
@load ./detection
@load ./scanners

module Portkin;

export {
	## A worker repeats the same probe of a scanner no sooner than this.
	option probe_interval = 10sec;

	## A worker repeats that a service is open no sooner than this.
	option service_interval = 5min;

	## Worker to owner: a first contact failed.
	global worker_failure: event(source: Source, dst: addr, p: port);

	## Worker to owner: a first contact of a suspect was answered.
	global worker_success: event(source: Source);

	## Worker to owner: a source sent to a net without hosts.
	global worker_darknet: event(source: Source);

	## Worker to owner: a scanner probed, that long ago.
	global worker_probe: event(source: Source, dst: addr, p: port,
	    evidence: Evidence, past: bool, age: interval);

	## Worker to owners: a service is open.
	global worker_service: event(p: port);

	## Owner to workers: sources failed; their successes are wanted too.
	global owner_suspects: event(sources: vector of Source);

	## Owner to workers: a source is a scanner.
	global owner_scanner: event(source: Source, evidence: Evidence);

	## Owner to a worker that just started: what the others know.
	global owner_scanners: event(sources: vector of Source, evidence: vector of
	    Evidence);
}

# How many sources one event holds.
const sources_per_event = 1000;

# On workers: the sources whose successes are wanted: those that failed here, and
# those that owners announce, well before they expire here.
global announced_suspects: set[Source] &create_expire=source_timeout;
global sent_probes: set[Source, port] &create_expire=probe_interval;
global sent_services: set[port] &create_expire=service_interval;

function has_proxies(): bool
	{
	return Cluster::get_node_count(Cluster::PROXY) > 0;
	}

# The topic of the node that keeps the state of a source.
function owner_topic(source: Source): string
	{
	return has_proxies() ? Cluster::hrw_topic(Cluster::proxy_pool, source$host) :
	    Cluster::manager_topic;
	}

function report_failure(source: Source, dst: addr, p: port)
	{
	# Until the owner has announced it, successes would be lost, and a client that
	# is busy just then would be called a scanner.
	if ( |announced_suspects| < max_sources )
		add announced_suspects[source];

	Cluster::publish(owner_topic(source), worker_failure, source, dst, p);
	}

function report_success(source: Source)
	{
	if ( source in announced_suspects )
		Cluster::publish(owner_topic(source), worker_success, source);
	}

function report_darknet(source: Source)
	{
	# This worker need not wait for the owner.
	if ( ! add_scanner(source, DARKNET) )
		return;

	flush_pending(source);
	Cluster::publish(owner_topic(source), worker_darknet, source);
	}

function report_probe(source: Source, dst: addr, p: port, evidence: Evidence,
    past: bool, at: time)
	{
	if ( [source, p] in sent_probes )
		return;

	# What is not remembered is sent again, which costs messages, not decisions.
	if ( |sent_probes| < max_decisions )
		add sent_probes[source, p];

	Cluster::publish(owner_topic(source), worker_probe, source, dst, p, evidence,
	    past, network_time() - at);
	}

function report_service(p: port)
	{
	if ( p in sent_services )
		return;

	add sent_services[p];
	Cluster::publish(has_proxies() ? Cluster::proxy_topic : Cluster::manager_topic,
	    worker_service, p);
	}

function announce_scanner(source: Source, evidence: Evidence)
	{
	Cluster::publish(Cluster::worker_topic, owner_scanner, source, evidence);
	}

function announce_suspect(source: Source)
	{
	Cluster::publish(Cluster::worker_topic, owner_suspects, vector(source));
	}

@if ( Cluster::local_node_type() == Cluster::WORKER )

event owner_suspects(sources: vector of Source)
	{
	for ( _, source in sources )
		{
		# Added again, so that it expires as long after the latest announcement.
		delete announced_suspects[source];

		if ( |announced_suspects| < max_sources )
			add announced_suspects[source];
		}
	}

function scanner_announced(source: Source, evidence: Evidence)
	{
	if ( ! add_scanner(source, evidence) )
		return;

	delete announced_suspects[source];
	flush_pending(source);
	}

event owner_scanner(source: Source, evidence: Evidence)
	{
	scanner_announced(source, evidence);
	}

event owner_scanners(sources: vector of Source, evidence: vector of Evidence)
	{
	for ( i, source in sources )
		if ( ! is_scanner(source) )
			scanner_announced(source, evidence[i]);
	}

@else

event worker_failure(source: Source, dst: addr, p: port)
	{
	# It failed while the verdict was on its way to the worker.
	if ( is_scanner(source) )
		{
		decide(source, dst, p, refresh_scanner(source), T, network_time());
		return;
		}

	record_failure(source, dst, p);
	}

event worker_success(source: Source)
	{
	record_success(source);
	}

event worker_darknet(source: Source)
	{
	if ( ! is_scanner(source) )
		found_scanner(source, DARKNET);
	}

event worker_probe(source: Source, dst: addr, p: port, evidence: Evidence,
    past: bool, age: interval)
	{
	# An owner that was restarted learns from the workers who is a scanner.
	if ( is_scanner(source) )
		refresh_scanner(source);
	else
		add_scanner(source, evidence);

	# By this node's clock, which may be another one.
	decide(source, dst, p, evidence, past, network_time() - age);
	}

event worker_service(p: port)
	{
	service_seen(p);
	}

# Tells a worker that just started what this owner knows.
function brief_worker(id: string)
	{
	local topic = Cluster::nodeid_topic(id);
	local sources: vector of Source = vector();
	local evidence: vector of Evidence = vector();

	for ( source, s in scanners )
		{
		if ( |sources| == sources_per_event )
			{
			Cluster::publish(topic, owner_scanners, sources, evidence);
			sources = vector();
			evidence = vector();
			}

		sources += source;
		evidence += s$evidence;
		}

	if ( |sources| > 0 )
		Cluster::publish(topic, owner_scanners, sources, evidence);

	sources = vector();

	for ( source in suspects )
		{
		if ( |sources| == sources_per_event )
			{
			Cluster::publish(topic, owner_suspects, sources);
			sources = vector();
			}

		sources += source;
		}

	if ( |sources| > 0 )
		Cluster::publish(topic, owner_suspects, sources);
	}

# Whether this node keeps the state of sources.
function owns_sources(): bool
	{
	return Cluster::local_node_type() == ( has_proxies() ? Cluster::PROXY :
	    Cluster::MANAGER );
	}

event Cluster::node_up(name: string, id: string)
	{
	if ( owns_sources()
	    && name in Cluster::nodes
	    && Cluster::nodes[name]$node_type == Cluster::WORKER )
		brief_worker(id);
	}

@endif
