# @TEST-DOC: What Zeek's inventory of services knows is left alone, though nobody connected to it in this capture.
#
# @TEST-EXEC: zeek -b -C -r "$CAPTURES/ipv6.pcap" "%INPUT"
# @TEST-EXEC: zeek-cut kind probed kept vetoed <portkin.log | grep DECISION | sort >decisions
# @TEST-EXEC: btest-diff decisions

@load protocols/conn/known-services
@load portkin

event network_time_init()
	{
	event Known::log_known_services(Known::ServicesInfo($ts=double_to_time(1700000000.0), $host=[2001:db8:1::10],
	    $port_num=23/tcp, $port_proto=tcp, $service=set("telnet")));
	}
