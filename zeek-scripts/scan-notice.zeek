##! Notices when a source becomes a scanner. Opt-in; ``portkin/notice`` loads it.
##! They take the place of misc/scan's, which left Zeek in 6.1: Scan::Address_Scan
##! and Scan::Port_Scan there, and Scan::Random_Scan of simple-scan, are
##! Address_Scan, Port_Scan and Mixed_Scan here.

@load base/frameworks/notice
@load base/utils/time
@load ./__load__

module Portkin;

export {
	redef enum Notice::Type += {
		## A source probed one port on several hosts.
		Address_Scan,
		## A source probed several ports of one host.
		Port_Scan,
		## A source probed several ports on several hosts, or a single one in a
		## net without hosts.
		Mixed_Scan
	};

	## How long the probes of a new scanner are watched before its notice is
	## raised, to tell which kind of scan it is.
	option scan_notice_delay = 10sec;

	## How long no further notice is raised about a source.
	option scan_suppress_for = 1day;

	## How many hosts, and how many ports, of one scan are counted.
	option scan_notice_counted: count = 256;
}

# What a new scanner probed until its notice is raised.
type NewScan: record {
	evidence: Evidence;
	since: time;
	hosts: set[addr] &default=set();
	ports: set[port] &default=set();
	probes: count &default=0;
};

global new_scans: table[Source] of NewScan = table();

# A number of things that is counted to a limit.
function counted_text(n: count, what: string): string
	{
	return fmt("%s%d %s%s", n >= scan_notice_counted ? "at least " : "", n, what, n == 1 ?
	    "" : "s");
	}

function scan_kind(scan: NewScan): Notice::Type
	{
	if ( |scan$ports| == 1 && |scan$hosts| > 1 )
		return Address_Scan;

	if ( |scan$hosts| == 1 && |scan$ports| > 1 )
		return Port_Scan;

	return Mixed_Scan;
	}

function scan_targets(scan: NewScan): string
	{
	local hosts = counted_text(|scan$hosts|, "host");
	local ports = counted_text(|scan$ports|, "port");

	if ( |scan$ports| == 1 )
		for ( p in scan$ports )
			ports = fmt("port %s", p);

	if ( |scan$hosts| == 1 )
		for ( h in scan$hosts )
			hosts = fmt("host %s", h);

	return fmt("%s on %s", ports, hosts);
	}

function raise_scan_notice(source: Source)
	{
	local scan = new_scans[source];
	delete new_scans[source];

	local n = Notice::Info($note=scan_kind(scan), $msg=fmt(
	    "%s probed %s within %s", describe(source), scan_targets(scan),
	    duration_to_mins_secs(network_time() - scan$since)), $sub=fmt(
	    "evidence=%s probes=%d", sub(cat(scan$evidence), /^Portkin::/, ""),
	    scan$probes), $src=source$host, $identifier=describe(source),
	    $suppress_for=scan_suppress_for);

	if ( |scan$ports| == 1 )
		for ( p in scan$ports )
			n$p = p;

	if ( |scan$hosts| == 1 )
		for ( h in scan$hosts )
			n$dst = h;

	NOTICE(n);
	}

event scan_notice_due(source: Source)
	{
	if ( source in new_scans )
		raise_scan_notice(source);
	}

event scanner_found(source: Source, evidence: Evidence)
	{
	if ( source in new_scans || |new_scans| >= max_sources )
		return;

	new_scans[source] = NewScan($evidence=evidence, $since=network_time());
	schedule scan_notice_delay { scan_notice_due(source) };
	}

event probe(source: Source, dst: addr, p: port, evidence: Evidence)
	{
	if ( source !in new_scans )
		return;

	local scan = new_scans[source];
	++scan$probes;

	if ( |scan$hosts| < scan_notice_counted )
		add scan$hosts[dst];

	if ( |scan$ports| < scan_notice_counted )
		add scan$ports[p];
	}

event zeek_done()
	{
	local left: vector of Source = vector();

	for ( source in new_scans )
		left += source;

	for ( _, source in left )
		raise_scan_notice(source);
	}
