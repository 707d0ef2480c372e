##! Notices of probing rates. Opt-in; ``portkin/notice`` loads it.

@load base/frameworks/cluster
@load base/frameworks/notice
@load ./rates

module Portkin;

export {
	redef enum Notice::Type += {
		## A port was probed more than was forecast.
		Probe_Rate_Anomaly,
		## A port will be probed more than its trend lets expect.
		Probe_Rate_Warning,
		## Probes were not counted, or not by everybody who should; rates of that
		## time say nothing.
		Probe_Rate_Outage
	};

	## How long the same notice, about the same port and bin, is not raised
	## again.
	option rates_suppress_for = 1day;
}

# The sidecar's messages reach every node.
function raises_notices(): bool
	{
	return ! Cluster::is_enabled()
	    || Cluster::local_node_type() == Cluster::MANAGER;
	}

function bin_name(start: time): string
	{
	return strftime("%Y-%m-%dT%H:%M%z", start);
	}

event rate_anomaly(p: port, start: time, observed: double, forecast: double,
    e: double, threshold: double, model_id: string)
	{
	if ( ! raises_notices() )
		return;

	NOTICE([$note=Probe_Rate_Anomaly, $msg=fmt("%s was probed %.0f times in the bin from %s, where %.0f were forecast",
	    p, observed, bin_name(start), forecast), $sub=fmt(
	    "E=%.2f threshold=%.2f model=%s", e, threshold, model_id), $p=p,
	    $identifier=cat(p, " ", bin_name(start)),
	    $suppress_for=rates_suppress_for]);
	}

event rate_warning(p: port, start: time, forecast: double, trend: double,
    w: double, threshold: double, model_id: string)
	{
	if ( ! raises_notices() )
		return;

	NOTICE([$note=Probe_Rate_Warning, $msg=fmt("%s is forecast to be probed %.0f times in the bin from %s, where its trend leads to %.0f",
	    p, forecast, bin_name(start), trend), $sub=fmt(
	    "W=%.2f threshold=%.2f model=%s", w, threshold, model_id), $p=p,
	    $identifier=cat(p, " ", bin_name(start)),
	    $suppress_for=rates_suppress_for]);
	}

event rates_outage(start: time, width: interval, nodes: vector of string)
	{
	if ( ! raises_notices() )
		return;

	local who = |nodes| == 0 ? "no probe was seen" : fmt(
	    "no reports, or too few, from %s", join_string_vec(nodes, ", "));

	NOTICE([$note=Probe_Rate_Outage, $msg=fmt(
	    "probing rates are unknown since %s: %s", bin_name(start), who),
	    $identifier=bin_name(start), $suppress_for=rates_suppress_for]);
	}
