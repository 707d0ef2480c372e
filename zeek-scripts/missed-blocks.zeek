##! Blocks that were requested and not carried out, for lack of evidence or of an
##! answer. They are asked for again when it comes, since the source may not probe again.

@load ./decision
@load ./evidence
@load ./sidecar-presence
@load ./vetoes

module Portkin;

type MissedBlock: record {
	decision: Decision;
	rank: count;
	# What was known about the source when the sidecar answered; empty where it
	# did not.
	evidence: string &default="";
};

# Sources that do not fit wait for their next probe.
const max_missed_sources = 10000;

# They end with their decisions at the latest. Tables expire in their own time.
global missed_blocks: table[Source] of table[port] of MissedBlock
    &create_expire=block_interval;

# What is known against the source of a decision, as the sidecar reads it.
function evidence_text(d: Decision): string
	{
	local e = evidence_against(d$source);
	return fmt("evidence=%s answered=%d refused=%d repeated=%d darknet=%d", sub(cat(
	    d$evidence), /^Portkin::/, ""), e$answered, e$refused, e$repeated,
	    |e$darknet|);
	}

function miss_block(p: port, missed: MissedBlock)
	{
	local source = missed$decision$source;

	if ( source !in missed_blocks )
		{
		if ( |missed_blocks| >= max_missed_sources )
			return;

		missed_blocks[source] = table();
		}

	missed_blocks[source][p] = missed;
	}

function forget_missed_block(source: Source, p: port)
	{
	if ( source !in missed_blocks )
		return;

	delete missed_blocks[source][p];

	if ( |missed_blocks[source]| == 0 )
		delete missed_blocks[source];
	}

# Asks again for the blocks of a source about which more is known now.
function retry_blocks(source: Source)
	{
	if ( source !in missed_blocks )
		return;

	local again: table[port] of MissedBlock = table();

	for ( p, m in missed_blocks[source] )
		if ( evidence_text(m$decision) != m$evidence )
			again[p] = m;

	for ( p, m in again )
		{
		forget_missed_block(source, p);

		if ( network_time() < m$decision$until && veto(m$decision, p) == "" )
			event block(m$decision, p, m$rank, m$decision$until - network_time());
		}
	}

hook evidence_stored(source: Source)
	{
	retry_blocks(source);
	}

# After the decisions that the sidecar did not answer have been taken again.
event sidecar_arrived(sidecar: string, table_id: string) &priority=-5
	{
	local sources: vector of Source = vector();

	for ( source in missed_blocks )
		sources += source;

	for ( _, s in sources )
		retry_blocks(s);
	}
