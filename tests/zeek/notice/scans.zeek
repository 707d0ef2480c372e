# @TEST-DOC: A source that becomes a scanner is noticed once, by the kind of its scan, with what it probed.
#
# @TEST-EXEC: zeek -b -C -r "$CAPTURES/scans.pcap" "%INPUT"
# @TEST-EXEC: zeek-cut note src dst p msg sub <notice.log | sort >notices
# @TEST-EXEC: btest-diff notices

@load portkin
@load portkin/scan-notice
