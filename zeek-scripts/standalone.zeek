##! Where state lives without a cluster: here. What detection reports is judged at
##! once, within the packet.

@load ./detection
@load ./scanners
@load ./decision

module Portkin;

function report_failure(source: Source, dst: addr, p: port)
	{
	record_failure(source, dst, p);
	}

function report_success(source: Source)
	{
	record_success(source);
	}

function report_darknet(source: Source)
	{
	found_scanner(source, DARKNET);
	}

function report_probe(source: Source, dst: addr, p: port, evidence: Evidence,
    past: bool, at: time)
	{
	decide(source, dst, p, evidence, past, at);
	}

function report_service(p: port)
	{
	service_seen(p);
	}

function announce_scanner(source: Source, evidence: Evidence)
	{
	flush_pending(source);
	}

function announce_suspect(source: Source)
	{ }
