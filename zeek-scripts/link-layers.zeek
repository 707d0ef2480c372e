##! Link layers that Zeek could read and does not: VLAN tags in cooked captures
##! (``tcpdump -i any``), where libpcap puts the tag back that the kernel moved aside,
##! and 0x9200, an older number of the outer of two tags. Without them a scan in a
##! tagged network passes unseen.

module Portkin;

event zeek_init() &priority=10
	{
	for ( _, analyzer in vector(PacketAnalyzer::ANALYZER_LINUXSLL,
	    PacketAnalyzer::ANALYZER_LINUXSLL2) )
		for ( _, tag in vector(0x8100, 0x88a8, 0x9100, 0x9200) )
			PacketAnalyzer::register_packet_analyzer(analyzer, tag,
			    PacketAnalyzer::ANALYZER_VLAN);

	for ( _, analyzer in vector(PacketAnalyzer::ANALYZER_ETHERNET,
	    PacketAnalyzer::ANALYZER_VLAN) )
		PacketAnalyzer::register_packet_analyzer(analyzer, 0x9200,
		    PacketAnalyzer::ANALYZER_VLAN);

	for ( _, tag in vector(0x88a8, 0x9100) )
		PacketAnalyzer::register_packet_analyzer(PacketAnalyzer::ANALYZER_VLAN, tag,
		    PacketAnalyzer::ANALYZER_VLAN);
	}
