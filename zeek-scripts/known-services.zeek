##! Services that Zeek's own inventory has found count as open too: over days, and
##! in protocols that answer late. Takes part where known-services was loaded
##! before this package, as Zeek's local.zeek does.

@load ./decision
@load ./detection

module Portkin;

@ifdef ( Known::log_known_services )

event Known::log_known_services(rec: Known::ServicesInfo)
	{
	# Here, where this node keeps state, and wherever else it is kept.
	service_seen(rec$port_num);
	report_service(rec$port_num);
	}

@endif
