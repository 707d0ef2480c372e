##! Adds some NetControl rules once the sidecar is there, and says on standard output what became of them.
##! Run as: zeek -b ZEEK-SCRIPTS/netcontrol.zeek ZEEK-SCRIPTS/websocket.zeek ruling.zeek

redef exit_only_after_terminate = T;
redef Portkin::websocket_port = to_port(getenv("WEBSOCKET_PORT") + "/tcp");

function say(what: string, r: NetControl::Rule, msg: string)
	{
	print fmt("%s %s %s %s", what, r$location, r$entity$flow$dst_p, msg);
	flush_all();
	}

function drop_flow(name: string, f: NetControl::Flow, expire: interval): string
	{
	local r = NetControl::Rule($ty=NetControl::DROP, $target=NetControl::FORWARD, $expire=expire,
	    $entity=NetControl::Entity($ty=NetControl::FLOW, $flow=f), $location=name);
	local id = NetControl::add_rule(r);
	print fmt("%s %s", name, id == "" ? "declined" : "taken");
	flush_all();
	return id;
	}

event remove_later(id: string)
	{
	NetControl::remove_rule(id, "enough");
	}

event Portkin::sidecar_arrived(sidecar: string, table_id: string)
	{
	local src = 203.0.113.5/32;
	drop_flow("short", NetControl::Flow($src_h=src, $dst_p=80/tcp), 2sec);
	local id = drop_flow("long", NetControl::Flow($src_h=src, $dst_p=443/tcp), 1hr);
	schedule 1sec { remove_later(id) };
	drop_flow("udp6", NetControl::Flow($src_h=[2001:db8::5]/128, $dst_p=53/udp), 1hr);
	drop_flow("ours", NetControl::Flow($src_h=127.0.0.1/32, $dst_p=80/tcp), 1hr);
	drop_flow("whole_net", NetControl::Flow($src_h=203.0.113.0/24, $dst_p=80/tcp), 1hr);
	drop_flow("both_hosts", NetControl::Flow($src_h=src, $dst_h=192.0.2.1/32, $dst_p=81/tcp), 1hr);
	drop_flow("for_ever", NetControl::Flow($src_h=src, $dst_p=82/tcp), 0sec);
	drop_flow("no_port", NetControl::Flow($src_h=src), 1hr);
	drop_flow("icmp", NetControl::Flow($src_h=src, $dst_p=8/icmp), 1hr);
	print fmt("address %s", NetControl::drop_address(203.0.113.6, 1hr) == "" ? "declined" : "taken");
	flush_all();
	}

event NetControl::rule_added(r: NetControl::Rule, p: NetControl::PluginState, msg: string)
	{
	say("added", r, msg);
	}

event NetControl::rule_exists(r: NetControl::Rule, p: NetControl::PluginState, msg: string)
	{
	say("exists", r, msg);
	}

event NetControl::rule_removed(r: NetControl::Rule, p: NetControl::PluginState, msg: string)
	{
	say("removed", r, msg);
	}

event NetControl::rule_timeout(r: NetControl::Rule, i: NetControl::FlowInfo, p: NetControl::PluginState)
	{
	say("timeout", r, "");
	}

event NetControl::rule_error(r: NetControl::Rule, p: NetControl::PluginState, msg: string)
	{
	say("error", r, msg);
	}
