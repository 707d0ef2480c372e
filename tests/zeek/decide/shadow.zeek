# @TEST-DOC: In shadow mode predictions are reported and no block is asked for; in block mode each kept port is.
#
# @TEST-EXEC: zeek -b -C -r "$CAPTURES/ipv6.pcap" "%INPUT" >shadow
# @TEST-EXEC: zeek -b -C -r "$CAPTURES/ipv6.pcap" "%INPUT" Portkin::mode=Portkin::BLOCK >block
# @TEST-EXEC: btest-diff shadow
# @TEST-EXEC: btest-diff block

@load portkin

event Portkin::prediction(d: Portkin::Decision)
	{
	print "prediction", d$source$host, d$probed, d$kept;
	}

event Portkin::block(d: Portkin::Decision, p: port, rank: count, duration: interval)
	{
	print "block", d$source$host, p, rank, duration;
	}
