# @TEST-DOC: Where VLANs are part of Zeek's connection key, the same address in two of them is two hosts: one scans, one does not.
#
# @TEST-EXEC: zeek -b -C -r "$CAPTURES/vlans.pcap" "%INPUT" frameworks/conn_key/vlan_fivetuple
# @TEST-EXEC: zeek-cut kind src context probed <portkin.log | grep DECISION | sort >decisions
# @TEST-EXEC: rm portkin.log
# @TEST-EXEC: zeek -b -C -r "$CAPTURES/vlans.pcap" "%INPUT"
# @TEST-EXEC: test ! -e portkin.log
# @TEST-EXEC: btest-diff decisions

# Without it one host failed and succeeded in turn, which is no scanner. Such a site
# misses the scanner.

@load portkin
