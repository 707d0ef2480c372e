##! What is known about a source beyond the verdict. Single SYNs can be sent in
##! anybody's name; that a host answered or refused, that a contact was tried
##! again, or that addresses without a host were tried, is harder to forge.

@load ./decision
@load ./detection

module Portkin;

export {
	## What a request to block carries about its source.
	type SourceEvidence: record {
		## Contacts that a host answered.
		answered: count &default=0;
		## Contacts that a host refused.
		refused: count &default=0;
		## Contacts that the source tried again.
		repeated: count &default=0;
		## Addresses without a host that it sent to.
		darknet: set[addr] &default=set();
		## What it probed, as far as is needed to see repetition.
		probed: set[addr, port] &default=set();
	};

	## The evidence against a source.
	##
	## source: the source.
	global evidence_against: function(source: Source): SourceEvidence;

	## Run where something about a source was stored, new or not.
	##
	## source: the source.
	global evidence_stored: hook(source: Source);

	## Worker to owner: a contact of the source was answered, refused or tried
	## again.
	global worker_evidence: event(source: Source, how: string);
}

# Enough to tell a scan, and the most that the sidecar may ask for; more would only
# cost memory, some 130 bytes each.
const max_evidence = 16;
# A worker repeats the same about a source no sooner than this.
const evidence_interval = 10sec;

global source_evidence: table[Source] of SourceEvidence
    &write_expire=source_timeout;
global sent_evidence: set[Source, string] &create_expire=evidence_interval;

function evidence_against(source: Source): SourceEvidence
	{
	return source in source_evidence ? source_evidence[source] : SourceEvidence();
	}

# Changes within a record are no writes to the table: assigning it again keeps the
# evidence for as long as the source is active.
function store_evidence(source: Source, e: SourceEvidence)
	{
	if ( source in source_evidence || |source_evidence| < max_sources )
		source_evidence[source] = e;

	hook evidence_stored(source);
	}

function record_evidence(source: Source, how: string)
	{
	local e = evidence_against(source);

	switch ( how )
		{
		case "answered":
			++e$answered;
			break;
		case "refused":
			++e$refused;
			break;
		default:
			++e$repeated;
			break;
		}

	store_evidence(source, e);
	}

event worker_evidence(source: Source, how: string)
	{
	record_evidence(source, how);
	}

# Of clients that never failed nobody will ask: they would fill what scanners need.
function is_suspicious(source: Source): bool
	{
@if ( Cluster::is_enabled() )
	return source in announced_suspects || is_scanner(source);
@else
	return source in suspects || is_scanner(source);
@endif
	}

function report_evidence(c: connection, how: string)
	{
	if ( ! began_with_syn(c) )
		return;

	local source = source_of(c$id);

	if ( ! counts(source, c$id$resp_h, c$id$resp_p) )
		return;

	if ( how == "answered" && ! is_suspicious(source) )
		return;

@if ( Cluster::is_enabled() )
	if ( [source, how] in sent_evidence || |sent_evidence| >= max_sources )
		return;

	add sent_evidence[source, how];
	Cluster::publish(owner_topic(source), worker_evidence, source, how);
@else
	record_evidence(source, how);
@endif
	}

# Before the verdict that the same packet may bring.
event connection_established(c: connection) &priority=5
	{
	report_evidence(c, "answered");
	}

event connection_rejected(c: connection) &priority=5
	{
	report_evidence(c, "refused");
	}

event connection_attempt(c: connection) &priority=5
	{
	if ( c$orig?$num_pkts && c$orig$num_pkts > 1 )
		report_evidence(c, "repeated");
	}

event probe(source: Source, dst: addr, p: port, evidence: Evidence) &priority=5
	{
	local e = evidence_against(source);

	if ( dst in darknets && |e$darknet| < max_evidence )
		add e$darknet[dst];

	if ( [dst, p] in e$probed )
		++e$repeated;
	else if ( |e$probed| < max_evidence )
		add e$probed[dst, p];

	store_evidence(source, e);
	}
