##! portkin_rates.log: every score that the sidecar reports.

@load base/frameworks/cluster
@load base/frameworks/logging
@load ./api

module Portkin;

export {
	redef enum Log::ID += { RATES_LOG };

	## Decides what is logged of scores.
	global rates_log_policy: Log::PolicyHook;

	type RatesInfo: record {
		## When the line was written.
		ts: time &log;
		## When the closed bin began.
		start: time &log;
		## How long it was.
		width: interval &log;
		## The port.
		p: port &log;
		## The port's protocol.
		proto: transport_proto &log;
		## How many probes came in it.
		observed: double &log &optional;
		## How many were forecast.
		forecast: double &log &optional;
		## How far the observed are above the forecast, as a multiple of it
		## (Zakroum et al. 2022, eq. 20).
		e: double &log &optional;
		## How many are forecast for the next bin.
		ahead: double &log &optional;
		## How far that is above the trend, as a multiple of it (eq. 21).
		w: double &log &optional;
		## The bundle of models.
		model_id: string &log;
	};

	## Raised with each line.
	global log_rates: event(rec: RatesInfo);
}

event rates_scores(start: time, width: interval, model_id: string, ports: vector of
    port, observed: vector of double, forecast: vector of double, e: vector of
    double, ahead: vector of double, w: vector of double)
	{
	if ( Cluster::is_enabled() && Cluster::local_node_type() != Cluster::MANAGER )
		return;

	for ( i, p in ports )
		{
		local info = RatesInfo($ts=network_time(), $start=start, $width=width, $p=p,
		    $proto=get_port_transport_proto(p), $model_id=model_id);

		if ( observed[i] >= 0.0 )
			info$observed = observed[i];

		if ( forecast[i] >= 0.0 )
			info$forecast = forecast[i];

		if ( e[i] >= 0.0 )
			info$e = e[i];

		if ( ahead[i] >= 0.0 )
			info$ahead = ahead[i];

		if ( w[i] >= 0.0 )
			info$w = w[i];

		Log::write(RATES_LOG, info);
		}
	}

event zeek_init() &priority=5
	{
	Log::create_stream(RATES_LOG, Log::Stream($columns=RatesInfo, $ev=log_rates,
	    $path="portkin_rates", $policy=rates_log_policy));
	}
