# @TEST-DOC: Evidence lasts while its source is active, and clients that never failed leave none.
#
# @TEST-EXEC: zeek -b -C -r "$CAPTURES/silent.pcap" "%INPUT" >evidence
# @TEST-EXEC: btest-diff evidence

@load portkin
@load portkin/block

module Portkin;

redef source_timeout = 60sec;
redef table_expire_interval = 1sec;

const scanner = Source($host=198.51.100.50);
const client = Source($host=198.51.100.9);

global last_record = double_to_time(0.0);

# The capture lasts minutes: another piece of evidence each 20 s, thrice as often as the evidence would expire.
event new_connection(c: connection)
	{
	if ( network_time() - last_record < 20sec )
		return;

	last_record = network_time();
	record_evidence(scanner, "refused");
	}

event zeek_done()
	{
	print "kept since the beginning", evidence_against(scanner)$refused * 20sec >= 2min;
	print "of a client that never failed", client in source_evidence;
	}
