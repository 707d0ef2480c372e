##! What a decision is, and its lines in portkin.log.

@load ./config
@load ./log
@load ./sources

module Portkin;

export {
	## A decision about one source and one port it probed.
	type Decision: record {
		## Names the decision.
		id: string;
		## The source.
		source: Source;
		## The port it probed.
		probed: port;
		## What made the source a scanner.
		evidence: Evidence;
		## The predicted ports, nearest or likeliest first.
		predicted: vector of port &default=vector();
		## Their chances; empty where the table has none.
		chances: vector of double &default=vector();
		## How they were predicted; missing without an answer.
		predicted_by: PredictedBy &optional;
		## What is kept for blocking, the probed port first.
		kept: vector of port &default=vector();
		## What was vetoed and why.
		vetoed: vector of string &default=vector();
		## The table the prediction is from; empty where there is no prediction.
		table_id: string &default="";
		## When it ends, unless the source probes again.
		until: time;
		## How many probes it covers.
		probes: count &default=1;
		## Which of the source's probes it followed.
		after: count;
		## Whether it was taken: the sidecar answered, or will not.
		ready: bool &default=F;
	};
}

# What every line about a decision says.
function log_line(d: Decision, kind: Kind): Info
	{
	local info = Info($ts=network_time(), $kind=kind, $id=d$id, $src=d$source$host,
	    $probed=d$probed, $proto=get_port_transport_proto(d$probed),
	    $evidence=d$evidence, $predicted=d$predicted, $chances=d$chances,
	    $kept=d$kept, $table_id=d$table_id, $mode=mode, $probes=d$probes);

	if ( d$source$context != "" )
		info$context = d$source$context;

	if ( d?$predicted_by )
		info$predicted_by = d$predicted_by;

	return info;
	}
