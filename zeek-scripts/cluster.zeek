##! Where state lives in a cluster. Workers see packets and know which contacts
##! failed; what a source did is kept by one proxy, chosen by hashing the source,
##! or by the manager where there are no proxies. Only failures travel, the
##! successes of sources that failed before, and the probes of scanners.

@load base/frameworks/cluster
@load ./detect
@load ./judge
@load ./decide

module Portkin;

export {
	## A worker repeats the same probe of a scanner no sooner than this.
	option probe_interval = 10sec;

	## A worker repeats that a service is open no sooner than this.
	option service_interval = 5min;

	## Worker to keeper: a first contact failed.
	global worker_failed: event(src: addr, dst: addr, p: port);

	## Worker to keeper: a first contact of a suspect was answered.
	global worker_answered: event(src: addr);

	## Worker to keeper: a source sent to a net without hosts.
	global worker_darknet: event(src: addr);

	## Worker to keeper: a scanner probed.
	global worker_probe: event(src: addr, dst: addr, p: port, evidence: Evidence,
	    past: bool);

	## Worker to keepers: a service is open.
	global worker_service: event(p: port);

	## Keeper to workers: a source failed for the first time; its successes
	## are wanted too.
	global keeper_suspects: event(src: addr);

	## Keeper to workers: a source is a scanner.
	global keeper_verdict: event(src: addr, evidence: Evidence);

	## Manager to proxies: whether the sidecar is there. The manager alone sees
	## it come and go.
	global manager_sidecar: event(up: bool);
}

global suspected: set[addr] &create_expire=source_timeout;
global sent_probes: set[addr, port] &create_expire=probe_interval;
global sent_services: set[port] &create_expire=service_interval;

function has_proxies(): bool
	{
	return Cluster::get_node_count(Cluster::PROXY) > 0;
	}

# The topic of the node that keeps the state of a source.
function keeper_topic(src: addr): string
	{
	return has_proxies() ? Cluster::hrw_topic(Cluster::proxy_pool, src) :
	    Cluster::manager_topic;
	}

function tell_failed(src: addr, dst: addr, p: port)
	{
	Cluster::publish(keeper_topic(src), worker_failed, src, dst, p);
	}

function tell_answered(src: addr)
	{
	if ( src in suspected )
		Cluster::publish(keeper_topic(src), worker_answered, src);
	}

function tell_darknet(src: addr)
	{
	# This worker need not wait for the verdict.
	if ( ! convict(src, DARKNET) )
		return;

	hand_over(src);
	Cluster::publish(keeper_topic(src), worker_darknet, src);
	}

function tell_probe(src: addr, dst: addr, p: port, past: bool)
	{
	if ( [src, p] in sent_probes )
		return;

	add sent_probes[src, p];
	Cluster::publish(keeper_topic(src), worker_probe, src, dst, p,
	    convicts[src]$evidence, past);
	}

function tell_service(p: port)
	{
	if ( p in sent_services )
		return;

	add sent_services[p];
	Cluster::publish(has_proxies() ? Cluster::proxy_topic : Cluster::manager_topic,
	    worker_service, p);
	}

function tell_verdict(src: addr, evidence: Evidence)
	{
	Cluster::publish(Cluster::worker_topic, keeper_verdict, src, evidence);
	}

@if ( Cluster::local_node_type() == Cluster::WORKER )

event keeper_suspects(src: addr)
	{
	add suspected[src];
	}

event keeper_verdict(src: addr, evidence: Evidence)
	{
	if ( ! convict(src, evidence) )
		return;

	delete suspected[src];
	hand_over(src);
	}

@else

event worker_failed(src: addr, dst: addr, p: port)
	{
	# It failed while the verdict was on its way to the worker.
	if ( is_scanner(src) )
		{
		keep_convict(src);
		decide(src, dst, p, convicts[src]$evidence, T);
		return;
		}

	local fresh = src !in suspects;
	judge_failed(src, dst, p);

	if ( fresh && src in suspects )
		Cluster::publish(Cluster::worker_topic, keeper_suspects, src);
	}

event worker_answered(src: addr)
	{
	judge_answered(src);
	}

event worker_darknet(src: addr)
	{
	if ( ! is_scanner(src) )
		condemn(src, DARKNET);
	}

event worker_probe(src: addr, dst: addr, p: port, evidence: Evidence,
    past: bool)
	{
	if ( is_scanner(src) )
		keep_convict(src);

	decide(src, dst, p, evidence, past);
	}

event worker_service(p: port)
	{
	service_seen(p);
	}

@endif

@if ( Cluster::local_node_type() == Cluster::MANAGER )

event sidecar_arrived(sidecar: string, table_id: string)
	{
	Cluster::publish(Cluster::proxy_topic, manager_sidecar, T);
	}

event sidecar_left()
	{
	Cluster::publish(Cluster::proxy_topic, manager_sidecar, F);
	}

# A proxy that comes later has not heard of it.
event Cluster::node_up(name: string, id: string)
	{
	if ( name in Cluster::nodes
	    && Cluster::nodes[name]$node_type == Cluster::PROXY )
		Cluster::publish(Cluster::nodeid_topic(id), manager_sidecar, sidecar_up);
	}

@endif

@if ( Cluster::local_node_type() == Cluster::PROXY )

event manager_sidecar(up: bool)
	{
	if ( up )
		sidecar_up = T;
	else
		event sidecar_left();
	}

@endif
