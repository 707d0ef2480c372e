##! Owners of sources say whether they know of the sidecar when they decide, and tell the manager what they decided.

# What a Zeek alone decides about this capture (the test decide/sidecar), but for 443/tcp of 198.51.100.10: that probe
# was answered, and may come before the worker has heard that its source is a scanner.
redef awaited = 39;

event Portkin::prediction(d: Portkin::Decision)
	{
	Log::write(Cluster::LOG, Cluster::Info($ts=network_time(), $node=Cluster::node,
	    $message=fmt("sidecar %s", Portkin::sidecar_up ? "known" : "unknown")));

	if ( d$source$host != 198.51.100.10 || d$probed != 443/tcp )
		tell(fmt("%s %s", d$source$host, d$probed));
	}
