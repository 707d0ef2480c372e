##! What Zeek and the sidecar say to each other, and nothing else. Arguments are
##! scalars and vectors: records become positional vectors on the wire, and a
##! field added to one would break the peer.

module Portkin;

export {
	## The version of this vocabulary.
	const protocol: count = 4;

	## Where Zeek talks to the sidecar.
	const sidecar_topic = "/portkin/v1/sidecar";

	## Where the sidecar talks to Zeek.
	const zeek_topic = "/portkin/v1/zeek";

	## Where Zeek answers :zeek:see:`Portkin::status_request`: not the sidecar's
	## topic, since any subscriber to that is taken for a sidecar.
	const status_topic = "/portkin/v1/status";

	## The sidecar says that it is there, and repeats it until it is answered:
	## the first messages after subscribing can be lost. Its arguments are those
	## of every version, so that two releases can tell that they differ.
	##
	## reqid: names the request.
	##
	## version: the vocabulary the sidecar speaks.
	##
	## sidecar: who it is, for logs.
	##
	## table_id: the table it answers from.
	##
	## depth: how many neighbours the table holds per port.
	global hello_request: event(reqid: string, version: count, sidecar: string,
	    table_id: string, depth: count);

	## Zeek answers :zeek:see:`Portkin::hello_request`; of the same version, the
	## sidecar then says :zeek:see:`Portkin::table_changed`, and is there.
	global hello_response: event(reqid: string, version: count, node: string,
	    zeek_version: string);

	## Zeek asks for the ports that are predicted after one.
	##
	## reqid: names the request.
	##
	## p: the probed port.
	##
	## n: how many ports are wanted at most.
	##
	## min_chance: the chance that each of them must have; -1
	##             stands for the cut-off that the table recommends.
	global nearest_request: event(reqid: string, p: port, n: count,
	    min_chance: double);

	## The sidecar answers :zeek:see:`Portkin::nearest_request`.
	##
	## reqid: names the request.
	##
	## p: the probed port.
	##
	## table_id: the table the answer is from.
	##
	## ports: the nearest ports, nearest first; fewer than wanted where the
	##        table knows no more that reach the cut-off.
	##
	## chances: for each of them, the chance that a source now at *p* probes
	##          it; empty where the table has no chances.
	##
	## error: empty, or why there is no answer.
	global nearest_response: event(reqid: string, p: port, table_id: string,
	    ports: vector of port, chances: vector of double, error: string);

	## Zeek asks for the ports that are predicted of a source, by what it did so
	## far; only where :zeek:see:`Portkin::table_changed` said that it may. All
	## that is known of the source is in the question: the sidecar remembers
	## none.
	##
	## reqid: names the request.
	##
	## recent: the different ports that it probed most recently, latest first:
	##         up to eight.
	##
	## probed: how many different ports it has probed.
	##
	## elapsed: how long from its first probe to its latest.
	##
	## n: how many ports are wanted at most.
	##
	## min_chance: the chance that each of them must have; -1
	##             stands for the cut-off that the table recommends.
	global source_request: event(reqid: string, recent: vector of port,
	    probed: count, elapsed: interval, n: count, min_chance: double);

	## The sidecar answers :zeek:see:`Portkin::source_request`.
	##
	## reqid: names the request.
	##
	## table_id: the table the answer is from.
	##
	## ports: what the source is predicted to probe, likeliest first.
	##
	## chances: for each of them, the chance that it does; empty where the table
	##          has no chances.
	##
	## of_source: F where the table was replaced meanwhile by one that cannot
	##            tell sources apart, and the answer is that for the latest port.
	##
	## error: empty, or why there is no answer.
	global source_response: event(reqid: string, table_id: string, ports: vector of
	    port, chances: vector of double, of_source: bool, error: string);

	## The sidecar answers from this table from now on: said when a hello was
	## answered, and whenever it is another one.
	##
	## table_id: the table.
	##
	## depth: how many neighbours it holds per port.
	##
	## has_model: whether it can be asked by :zeek:see:`Portkin::source_request`.
	global table_changed: event(table_id: string, depth: count, has_model: bool);

	## Zeek asks to keep a source from ports, on every host: what one decision
	## wants. The vectors are as long as each other.
	##
	## src: the source.
	##
	## table_id: the table the prediction is from.
	##
	## probed: the port that was probed.
	##
	## reqids: name the requests.
	##
	## ports: the ports.
	##
	## durations: how long for each, from now.
	##
	## ranks: 0 for the probed port, else its place among those nearest to it.
	##
	## evidence: as ``evidence=TRW answered=0 refused=2 repeated=0 darknet=0
	##           probe=1``: what made the source a scanner; how many of its
	##           contacts were answered, refused, tried again; how many
	##           addresses without a host it sent to; whether this is the
	##           first request of a probe.
	global block_requests: event(src: addr, table_id: string, probed: port,
	    reqids: vector of string, ports: vector of port, durations: vector of
	    interval, ranks: vector of count, evidence: vector of string);

	## Zeek asks to let a source reach a port again.
	##
	## reqid: names the request.
	##
	## src: the source.
	##
	## p: the port.
	global unblock_request: event(reqid: string, src: addr, p: port);

	## What became of blocks. The vectors are as long as each other.
	##
	## reqids: name the requests; empty where none asked, as when one ran out.
	##
	## srcs: the sources.
	##
	## ports: the ports.
	##
	## outcomes: ``added``, ``extended``, ``exists``, ``vetoed``, ``removed``,
	##           ``expired`` or ``error``.
	##
	## details: why, where it did not.
	global block_responses: event(reqids: vector of string, srcs: vector of addr,
	    ports: vector of port, outcomes: vector of string, details: vector of
	    string);

	## Zeek reports how often each port was probed in an interval. Ports that are
	## not named were not probed; an empty report says that this node watched.
	## A report without an answer is sent again.
	##
	## reqid: names the report.
	##
	## node: who counted.
	##
	## start: when the interval began.
	##
	## width: how long it was; it lies within one minute if anything was counted.
	##
	## ports: the probed ports.
	##
	## counts: how many probes each of them got.
	global rates_report: event(reqid: string, node: string, start: time,
	    width: interval, ports: vector of port, counts: vector of count);

	## The sidecar answers :zeek:see:`Portkin::rates_report`, after whatever the
	## report let it find.
	##
	## reqid: names the report.
	##
	## accepted: for how many of its ports the counts were taken; 0 for one that
	##           it had already.
	##
	## error: empty, or why the report is of no use.
	global rates_response: event(reqid: string, accepted: count, error: string);

	## A port was probed more than was forecast (Zakroum et al. 2022, eq. 20).
	##
	## p: the port.
	##
	## start: when the closed bin began.
	##
	## observed: how many probes came in it.
	##
	## forecast: how many were forecast.
	##
	## e: how far above the forecast, as a multiple of it.
	##
	## threshold: what *e* exceeds.
	##
	## model_id: the bundle of models that forecast.
	global rate_anomaly: event(p: port, start: time, observed: double,
	    forecast: double, e: double, threshold: double, model_id: string);

	## A port will be probed more than its trend lets expect (eq. 21).
	##
	## p: the port.
	##
	## start: when the bin begins that is forecast.
	##
	## forecast: how many probes are forecast in it.
	##
	## trend: where the line through the latest bins leads.
	##
	## w: how far the forecast is above the trend, as a multiple of it.
	##
	## threshold: what *w* exceeds.
	##
	## model_id: the bundle of models that forecast.
	global rate_warning: event(p: port, start: time, forecast: double,
	    trend: double, w: double, threshold: double, model_id: string);

	## Nobody watched, or not everybody who used to, in a bin after one that was
	## watched. Said once, however long it lasts.
	##
	## start: when the first such bin began.
	##
	## width: how long a bin is.
	##
	## nodes: who was missed; empty where all reported and none saw a probe.
	global rates_outage: event(start: time, width: interval, nodes: vector of
	    string);

	## The scores of ports at a closed bin, for the log; in portions where there
	## are many. A negative number stands for what is not known.
	##
	## start: when the closed bin began.
	##
	## width: how long a bin is.
	##
	## model_id: the bundle of models that forecast.
	##
	## ports: the ports.
	##
	## observed: how many probes came in the closed bin.
	##
	## forecast: how many were forecast for it.
	##
	## e: how far the observed are above the forecast.
	##
	## ahead: how many are forecast for the next bin.
	##
	## w: how far that is above the trend.
	global rates_scores: event(start: time, width: interval, model_id: string,
	    ports: vector of port, observed: vector of double, forecast: vector of
	    double, e: vector of double, ahead: vector of double, w: vector of
	    double);

	## Somebody asks how Zeek stands; nothing changes.
	##
	## reqid: names the request.
	global status_request: event(reqid: string);

	## Each node of Zeek answers :zeek:see:`Portkin::status_request`.
	##
	## reqid: names the request.
	##
	## version: the vocabulary this node speaks.
	##
	## node: who answers.
	##
	## zeek_version: its Zeek.
	##
	## backend: the cluster backend, as ``ZEROMQ``.
	##
	## scripts: which scripts of this package it loaded.
	##
	## peers: the other nodes of the cluster; none without one.
	##
	## mode: ``SHADOW`` or ``BLOCK``.
	##
	## sidecar: whether a sidecar is there.
	##
	## table_id: the table its answers are from; empty for none yet.
	##
	## packets: how many packets this node received.
	##
	## scanners: how many sources it knows as scanners.
	##
	## probe: how long ago a scanner last probed; negative for never.
	##
	## answer: how long ago the sidecar last answered a question.
	##
	## decision: how long ago the last decision was taken.
	##
	## clock: this node's clock.
	global status_response: event(reqid: string, version: count, node: string,
	    zeek_version: string, backend: string, scripts: vector of string,
	    peers: vector of string, mode: string, sidecar: bool,
	    table_id: string, packets: count, scanners: count, probe: interval,
	    answer: interval, decision: interval, clock: time);
}
