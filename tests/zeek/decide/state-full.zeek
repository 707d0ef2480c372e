# @TEST-DOC: More sources than there is room for are reported in the log, and nothing grows beyond its limit.
#
# @TEST-EXEC: zeek -b -C -r "$CAPTURES/backscatter.pcap" "%INPUT" >state
# @TEST-EXEC: zeek-cut kind dropped <portkin.log | grep STATE_FULL >>state
# @TEST-EXEC: btest-diff state
# @TEST-EXEC: test ! -e reporter.log

@load base/frameworks/reporter
@load portkin

module Portkin;

redef darknets = { 203.0.113.0/24 };
redef failed_threshold = 1;
redef max_sources = 20;
redef max_decisions = 10;

event network_time_init()
	{
	local n = 0;

	while ( ++n <= 100 )
		contacted(Source($host=counts_to_addr(vector(n))), 203.0.113.1, 80/tcp);

	# Others by what they failed to reach.
	while ( ++n <= 200 )
		record_failure(Source($host=counts_to_addr(vector(n))), 192.0.2.1, 80/tcp);
	}

# Before what runs is ended.
event zeek_done() &priority=10
	{
	print "scanners", |scanners|;
	print "decisions", |decisions|;
	print "histories", |histories|;
	print "suspects", |suspects|;
	}

event zeek_done()
	{
	print "histories at the end", |histories|;
	}
