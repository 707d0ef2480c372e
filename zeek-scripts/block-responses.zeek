##! The sidecar's responses to block requests, one by one, for the scripts that asked.

@load ./api

module Portkin;

export {
	## Raised for each block in :zeek:see:`Portkin::block_responses`.
	##
	## reqid: names the request; empty where none asked.
	##
	## src: the source.
	##
	## p: the port.
	##
	## outcome: what became of the block.
	##
	## detail: why, where it did not.
	global block_response: event(reqid: string, src: addr, p: port,
	    outcome: string, detail: string);
}

event block_responses(reqids: vector of string, srcs: vector of addr,
    ports: vector of port, outcomes: vector of string, details: vector of
    string)
	{
	for ( i, reqid in reqids )
		event block_response(reqid, srcs[i], ports[i], outcomes[i], details[i]);
	}
