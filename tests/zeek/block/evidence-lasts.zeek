# @TEST-DOC: Evidence lasts while its source is active, and clients that never failed leave none.
#
# @TEST-EXEC: zeek -b -C -r "$CAPTURES/scans.pcap" "%INPUT" >evidence
# @TEST-EXEC: btest-diff evidence

@load portkin
@load portkin/block

module Portkin;

# The capture lasts 13 s; evidence about one source is added each second.
redef source_timeout = 3sec;
redef table_expire_interval = 1sec;

global active = Source($host=203.0.113.77);
global last_record = double_to_time(0.0);
global clients = 0;

event new_connection(c: connection)
	{
	if ( network_time() - last_record < 1sec )
		return;

	last_record = network_time();
	record_evidence(active, "refused");
	}

# 198.51.100.100 opens 24 connections, all answered.
event connection_established(c: connection)
	{
	if ( Source($host=198.51.100.100) in source_evidence )
		++clients;
	}

event zeek_done()
	{
	print "evidence of an active source, all of it", evidence_against(active)$refused > 8;
	print "evidence of a client that never failed", clients;
	}
