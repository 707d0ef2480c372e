##! Whether the sidecar is there, and if not, why.

@load base/frameworks/cluster
@load base/frameworks/reporter
@load ./answer-cache
@load ./api
@load ./capture-hold
@load ./config

module Portkin;

export {
	## Set where a load lets the sidecar in; without it nobody is asked.
	const sidecar_expected = F &redef;

	## Whether a sidecar has said that it is there.
	global sidecar_up = F;

	## Raised when the sidecar has said that it is there, or is there again.
	##
	## sidecar: who it is.
	##
	## table_id: the table it answers from.
	global sidecar_arrived: event(sidecar: string, table_id: string);

	## To be raised by the load that lets the sidecar in, when it is gone.
	global sidecar_left: event();

	## Why the sidecar is not there, as far as the load that lets it in can
	## tell.
	##
	## reasons: to be appended to.
	global sidecar_trouble: hook(reasons: vector of string);
}

# Why the latest sidecar was refused; empty where none was.
global refused_sidecar = "";
# Who said hello and was answered, and has not named its table yet; empty for nobody.
global greeted_sidecar = "";
# Counts the times that the sidecar was missed, so that an old check says nothing.
global times_missed = 0;

# Why the sidecar is not there, in a sentence.
function why_no_sidecar(): string
	{
	if ( refused_sidecar != "" )
		return refused_sidecar;

	local reasons: vector of string = vector();
	hook sidecar_trouble(reasons);
	return |reasons| == 0 ? "start it with: portkin serve" : join_string_vec(
	    reasons, "; ");
	}

event check_sidecar(missed: count, since: time)
	{
	if ( sidecar_up || missed != times_missed )
		return;

	# What zeek_init schedules is due at once, since network time begins at 0.
	if ( current_time() - since < sidecar_grace )
		{
		schedule sidecar_grace { check_sidecar(missed, since) };
		return;
		}

	Reporter::warning(fmt(
	    "portkin: no sidecar within %s, so nothing is predicted: %s",
	    sidecar_grace, why_no_sidecar()));
	}

# Says after a while why the sidecar is not there.
function miss_sidecar()
	{
	++times_missed;

	if ( ! reading_traces()
	    && ( ! Cluster::is_enabled() || Cluster::local_node_type() == Cluster::MANAGER ) )
		schedule sidecar_grace { check_sidecar(times_missed, current_time()) };
	}

event hello_request(reqid: string, version: count, sidecar: string,
    table_id: string, depth: count)
	{
	# In a cluster only the manager answers, and informs the others.
	if ( Cluster::is_enabled() && Cluster::local_node_type() != Cluster::MANAGER )
		{
		use_table(table_id);
		return;
		}

	Cluster::publish(sidecar_topic, hello_response, reqid, protocol, Cluster::node == "" ?
	    "zeek" : Cluster::node, zeek_version());

	if ( version != protocol )
		{
		refused_sidecar = fmt("%s speaks version %d of the event protocol, this package %d; install the same release on both sides",
		    sidecar, version, protocol);
		Reporter::error(fmt("portkin: %s", refused_sidecar));
		return;
		}

	use_table(table_id);
	greeted_sidecar = sidecar;
	}

# What it can be asked is known with its table: nothing is asked before.
event table_changed(table_id: string, depth: count, has_model: bool)
	{
	if ( greeted_sidecar == "" )
		return;

	if ( ! sidecar_up )
		{
		sidecar_up = T;
		refused_sidecar = "";
		Reporter::info(fmt("portkin: sidecar %s is here, with table %s%s",
		    greeted_sidecar, table_id, has_model ?
		    " and a model of sources" : ""));
		event sidecar_arrived(greeted_sidecar, table_id);
		}

	greeted_sidecar = "";
	release();
	}

event sidecar_left()
	{
	sidecar_up = F;
	greeted_sidecar = "";
	miss_sidecar();
	}

# Workers never ask.
function asks_sidecar(): bool
	{
	if ( ! sidecar_expected || ! Cluster::is_enabled() )
		return sidecar_expected;

	local node_type = Cluster::local_node_type();
	return node_type == Cluster::MANAGER || node_type == Cluster::PROXY;
	}

# Before the nodes of a cluster connect, at -10: what one subscribes to while a Broker
# peering is being made, the other side may never hear of.
event zeek_init()
	{
	if ( asks_sidecar() )
		Cluster::subscribe(zeek_topic);
	}

event zeek_init() &priority=-10
	{
	if ( ! asks_sidecar() )
		return;

	hold(sidecar_wait);
	miss_sidecar();
	}

# The way to the sidecar keeps Zeek running when the capture is through; by then
# every answer is there, since packets waited for it.
event Pcap::file_done(path: string)
	{
	if ( sidecar_expected && ! exit_only_after_terminate )
		terminate();
	}
