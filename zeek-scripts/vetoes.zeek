##! Which ports may not be blocked, whatever is predicted.

@load ./config
@load ./decision-record

module Portkin;

export {
	## Whether a port may be kept for blocking; ``break`` vetoes it.
	##
	## d: the decision.
	##
	## p: the port.
	global block_policy: hook(d: Decision, p: port);

	## Records a port on which this network offers a service.
	##
	## p: the port.
	global service_seen: function(p: port);
}

# When a service was last seen, per port.
global services: table[port] of time &write_expire=service_timeout;

function service_seen(p: port)
	{
	services[p] = network_time();
	}

# Why a port may not be kept; empty where it may.
function veto(d: Decision, p: port): string
	{
	if ( d$source$host in never_block_nets )
		return "never_block_net";

	if ( p in never_block_ports )
		return "never_block_port";

	if ( ! block_open_services
	    && p in services
	    && network_time() - services[p] < service_timeout )
		return "open_service";

	if ( ! hook block_policy(d, p) )
		return "policy";

	return "";
	}

# Keeps those of the ports that no veto takes out.
function keep(d: Decision, ports: vector of port)
	{
	d$kept = vector();

	for ( _, p in ports )
		{
		local reason = veto(d, p);

		if ( reason == "" )
			d$kept += p;
		else
			d$vetoed += fmt("%s %s", p, reason);
		}
	}
