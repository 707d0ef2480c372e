##! Two workers count probes: the run ends when every probe is reported, and taken, and the burst is noticed.

@load portkin/notice

redef workers = 2;
redef Portkin::rates_interval = 1sec;

# The burst, and each worker with nothing left to report.
redef awaited = 3;

hook Notice::notice(n: Notice::Info)
	{
	if ( n$note == Portkin::Probe_Rate_Anomaly )
		tell("burst");
	}

module Portkin;

global capture_done = F;

event Pcap::file_done(path: string)
	{
	capture_done = T;
	}

event rates_response(reqid: string, accepted: count, error: string) &priority=-10
	{
	if ( capture_done && |rates_open| == 0 && |rates_counts| == 0 )
		::tell(fmt("%s is done", Cluster::node));
	}
