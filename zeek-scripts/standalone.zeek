##! Where state lives without a cluster: here. What trackers find is judged at
##! once, within the packet.

@load ./detect
@load ./judge
@load ./decide

module Portkin;

function tell_failed(src: addr, dst: addr, p: port)
	{
	judge_failed(src, dst, p);
	}

function tell_answered(src: addr)
	{
	judge_answered(src);
	}

function tell_darknet(src: addr)
	{
	condemn(src, DARKNET);
	}

function tell_verdict(src: addr, evidence: Evidence)
	{
	hand_over(src);
	}

function tell_probe(src: addr, dst: addr, p: port, past: bool)
	{
	decide(src, dst, p, convicts[src]$evidence, past);
	}

function tell_service(p: port)
	{
	service_seen(p);
	}
