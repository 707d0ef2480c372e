##! Proxies say whether they know of the sidecar when they decide.

event Portkin::prediction(d: Portkin::Decision)
	{
	Log::write(Cluster::LOG, Cluster::Info($ts=network_time(), $node=Cluster::node,
	    $message=fmt("sidecar %s", Portkin::sidecar_up ? "known" : "unknown")));
	}
