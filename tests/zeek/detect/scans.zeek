# @TEST-DOC: Real scans are found, each by its evidence; ordinary clients beside them are not. Nobody is asked here.
#
# @TEST-EXEC: zeek -b -C -r "$CAPTURES/scans.pcap" "%INPUT"
# @TEST-EXEC: zeek-cut kind src probed proto evidence answer kept <portkin.log | sort -u >decisions
# @TEST-EXEC: btest-diff decisions

@load portkin
