##! What is known against a source beyond the verdict. Single SYNs can be sent
##! in anybody's name; that a host answered or refused, that a contact was tried
##! again, or that addresses without a host were tried, is harder to forge.

@load ./detect
@load ./decide

module Portkin;

export {
	## What a request to block carries of its source.
	type Proof: record {
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

	## The proof against a source.
	##
	## src: the source.
	global proof: function(src: addr): Proof;

	## Worker to keeper: a contact of the source was answered, refused or tried
	## again.
	global worker_heard: event(src: addr, how: string);
}

# Enough to tell a scan; more would only cost memory.
const most_proof = 64;
# A worker repeats the same about a source no sooner than this.
const heard_interval = 10sec;

global proofs: table[addr] of Proof &write_expire=source_timeout;
global sent_heard: set[addr, string] &create_expire=heard_interval;

function proof(src: addr): Proof
	{
	return src in proofs ? proofs[src] : Proof();
	}

function proof_of(src: addr): Proof
	{
	if ( src !in proofs )
		{
		if ( |proofs| >= max_sources )
			return Proof();

		proofs[src] = Proof();
		}

	return proofs[src];
	}

function note_heard(src: addr, how: string)
	{
	local held = proof_of(src);

	if ( how == "answered" )
		++held$answered;
	else if ( how == "refused" )
		++held$refused;
	else
		++held$repeated;
	}

event worker_heard(src: addr, how: string)
	{
	note_heard(src, how);
	}

function heard(c: connection, how: string)
	{
	local src = c$id$orig_h;

	if ( ! began_with_syn(c) || ! counts(src, c$id$resp_h, c$id$resp_p) )
		return;

@if ( Cluster::is_enabled() )
	if ( [src, how] in sent_heard )
		return;

	# Of sources that never failed nobody will ask.
	if ( how == "answered" && src !in suspected && ! is_scanner(src) )
		return;

	add sent_heard[src, how];
	Cluster::publish(keeper_topic(src), worker_heard, src, how);
@else
	note_heard(src, how);
@endif
	}

# Before the verdict that the same packet may bring.
event connection_established(c: connection) &priority=5
	{
	heard(c, "answered");
	}

event connection_rejected(c: connection) &priority=5
	{
	heard(c, "refused");
	}

event connection_attempt(c: connection) &priority=5
	{
	if ( c$orig?$num_pkts && c$orig$num_pkts > 1 )
		heard(c, "repeated");
	}

event probe(src: addr, dst: addr, p: port, evidence: Evidence) &priority=5
	{
	local held = proof_of(src);

	if ( dst in darknets && |held$darknet| < most_proof )
		add held$darknet[dst];

	if ( [dst, p] in held$probed )
		++held$repeated;
	else if ( |held$probed| < most_proof )
		add held$probed[dst, p];
	}
