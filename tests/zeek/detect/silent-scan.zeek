# @TEST-DOC: One SYN in 30 s to silent hosts is a scan, found at the first contact after the fourth failure.
#
# @TEST-EXEC: zeek -b -C -r "$CAPTURES/silent.pcap" "%INPUT"
# @TEST-EXEC: zeek-cut ts kind src probed evidence probes <portkin.log | sort >decisions
# @TEST-EXEC: btest-diff decisions

@load portkin
