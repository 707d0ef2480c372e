##! What Zeek and the sidecar say to each other, and nothing else. Arguments are
##! scalars and vectors: records become positional vectors on the wire, and a
##! field added to one would break the peer.

module Portkin;

export {
	## The version of this vocabulary.
	const protocol: count = 1;

	## Where Zeek talks to the sidecar.
	const sidecar_topic = "/portkin/v1/sidecar";

	## Where the sidecar talks to Zeek.
	const zeek_topic = "/portkin/v1/zeek";

	## The sidecar says that it is there, and repeats it until it is answered:
	## the first messages after subscribing can be lost.
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

	## Zeek answers :zeek:see:`Portkin::hello_request`.
	global hello_response: event(reqid: string, version: count, node: string,
	    zeek_version: string);

	## Zeek asks for the ports nearest to one.
	##
	## reqid: names the request.
	##
	## p: the probed port.
	##
	## n: how many ports are wanted.
	global nearest_request: event(reqid: string, p: port, n: count);

	## The sidecar answers :zeek:see:`Portkin::nearest_request`.
	##
	## reqid: names the request.
	##
	## p: the probed port.
	##
	## table_id: the table the answer is from.
	##
	## ports: the nearest ports, nearest first; fewer than wanted where the
	##        table knows no more.
	##
	## distances: their dissimilarities from *p*.
	##
	## error: empty, or why there is no answer.
	global nearest_response: event(reqid: string, p: port, table_id: string,
	    ports: vector of port, distances: vector of double, error: string);

	## The sidecar answers from another table from now on.
	##
	## table_id: the new table.
	##
	## depth: how many neighbours it holds per port.
	global table_changed: event(table_id: string, depth: count);

	## Zeek asks to keep a source from a port, on every host.
	##
	## reqid: names the request.
	##
	## src: the source.
	##
	## p: the port.
	##
	## duration: how long, from now.
	##
	## table_id: the table the prediction is from.
	##
	## probed: the port that was probed.
	##
	## rank: 0 for the probed port, else its place among those nearest to it.
	##
	## why: the evidence, as ``evidence=TRW answered=0 refused=2 repeated=0
	##      darknet=0 probe=1``: what made the source a scanner; how many of
	##      its contacts were answered, refused, tried again; how many
	##      addresses without a host it sent to; whether this is the first
	##      request of a probe.
	global block_request: event(reqid: string, src: addr, p: port,
	    duration: interval, table_id: string, probed: port, rank: count, why: string);

	## Zeek asks to let a source reach a port again.
	##
	## reqid: names the request.
	##
	## src: the source.
	##
	## p: the port.
	global unblock_request: event(reqid: string, src: addr, p: port);

	## What became of a block.
	##
	## reqid: names the request; empty where none asked, as when it ran out.
	##
	## src: the source.
	##
	## p: the port.
	##
	## outcome: ``added``, ``extended``, ``exists``, ``vetoed``, ``removed``,
	##          ``expired`` or ``error``.
	##
	## detail: why, where it did not.
	global block_response: event(reqid: string, src: addr, p: port,
	    outcome: string, detail: string);
}
