##! A NetControl plugin that hands drops of a source's traffic to one port to
##! the sidecar: rules on a FLOW with ``src_h``, a single address, and ``dst_p``,
##! and an expiry. Every other rule is declined, so that another plugin can take
##! it. Opt-in; needs the load that lets the sidecar in, not ``portkin/block``.

@load base/frameworks/cluster
@load base/frameworks/netcontrol
@load ./__load__
@load ./block-responses

module Portkin;

export {
	## The plugin's priority among those of NetControl.
	const netcontrol_priority: int = 0 &redef;

	## Makes the plugin; this load activates one by itself.
	global create_netcontrol: function(): NetControl::PluginState;
}

type OpenRule: record {
	rule: NetControl::Rule;
	state: NetControl::PluginState;
};

global rule_unanswered: function(t: table[string] of OpenRule, reqid: string)
    : interval;

# The rules that hold, and the requests that are open.
global netcontrol_rules: table[addr, port] of OpenRule = table();
global open_rules: table[string] of OpenRule &create_expire=request_timeout
    &expire_func=rule_unanswered;

function rule_unanswered(t: table[string] of OpenRule, reqid: string): interval
	{
	event NetControl::rule_error(t[reqid]$rule, t[reqid]$state,
	    "the sidecar did not answer");
	return 0sec;
	}

function is_host(net: subnet): bool
	{
	return subnet_width(net) == ( is_v4_subnet(net) ? 32 : 128 );
	}

function is_ours(r: NetControl::Rule): bool
	{
	if ( r$ty != NetControl::DROP
	    || r$target != NetControl::FORWARD
	    || r$entity$ty != NetControl::FLOW
	    || ! r$entity?$flow )
		return F;

	local f = r$entity$flow;

	if ( ! f?$src_h
	    || ! f?$dst_p
	    || f?$src_p
	    || f?$dst_h
	    || f?$src_m
	    || f?$dst_m )
		return F;

	# Every block ends by itself.
	if ( ! r?$expire || r$expire <= 0sec )
		return F;

	local proto = get_port_transport_proto(f$dst_p);
	return is_host(f$src_h) && ( proto == tcp || proto == udp );
	}

function netcontrol_name(state: NetControl::PluginState): string
	{
	return "Portkin";
	}

function netcontrol_init(state: NetControl::PluginState)
	{
	NetControl::plugin_activated(state);
	}

function netcontrol_add(state: NetControl::PluginState, r: NetControl::Rule)
    : bool
	{
	if ( ! is_ours(r) || ! sidecar_up )
		return F;

	local f = r$entity$flow;
	local reqid = unique_id("N");
	open_rules[reqid] = OpenRule($rule=r, $state=state);
	Cluster::publish(sidecar_topic, block_requests, subnet_to_addr(f$src_h), "",
	    f$dst_p, vector(reqid), vector(f$dst_p), vector(r$expire), vector(0),
	    vector("evidence=NETCONTROL"));
	return T;
	}

function netcontrol_remove(state: NetControl::PluginState, r: NetControl::Rule,
    reason: string): bool
	{
	if ( ! is_ours(r) || ! sidecar_up )
		return F;

	local f = r$entity$flow;
	local reqid = unique_id("N");
	open_rules[reqid] = OpenRule($rule=r, $state=state);
	Cluster::publish(sidecar_topic, unblock_request, reqid, subnet_to_addr(
	    f$src_h), f$dst_p);
	return T;
	}

event block_response(reqid: string, src: addr, p: port, outcome: string,
    detail: string)
	{
	if ( reqid in open_rules )
		{
		local asked = open_rules[reqid];
		delete open_rules[reqid];

		switch ( outcome )
			{
			case "added", "extended":
				netcontrol_rules[src, p] = asked;
				event NetControl::rule_added(asked$rule, asked$state, detail);
				break;
			case "exists":
				netcontrol_rules[src, p] = asked;
				event NetControl::rule_exists(asked$rule, asked$state, detail);
				break;
			case "removed":
				delete netcontrol_rules[src, p];
				event NetControl::rule_removed(asked$rule, asked$state, detail);
				break;
			default:
				event NetControl::rule_error(asked$rule, asked$state, detail == "" ? outcome :
				    fmt("%s: %s", outcome, detail));
				break;
			}
		}
	else if ( reqid == "" && [src, p] in netcontrol_rules )
		{
		local held = netcontrol_rules[src, p];
		delete netcontrol_rules[src, p];

		if ( outcome == "expired" )
			event NetControl::rule_timeout(held$rule, NetControl::FlowInfo(),
			    held$state);
		else
			event NetControl::rule_removed(held$rule, held$state, detail);
		}
	}

function create_netcontrol(): NetControl::PluginState
	{
	return NetControl::PluginState($plugin=NetControl::Plugin(
	    $name=netcontrol_name, $can_expire=T, $init=netcontrol_init,
	    $add_rule=netcontrol_add, $remove_rule=netcontrol_remove));
	}

event NetControl::init()
	{
	NetControl::activate(create_netcontrol(), netcontrol_priority);
	}
