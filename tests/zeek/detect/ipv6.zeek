# @TEST-DOC: A scan over IPv6 is found like any other.
#
# @TEST-EXEC: zeek -b -C -r "$CAPTURES/ipv6.pcap" "%INPUT"
# @TEST-EXEC: zeek-cut kind src probed evidence <portkin.log | sort >decisions
# @TEST-EXEC: btest-diff decisions

@load portkin
