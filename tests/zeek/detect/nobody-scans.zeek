# @TEST-DOC: Backscatter, late answers, one-way traffic, connections joined midway and ordinary browsing raise nothing.
#
# @TEST-EXEC: for name in backscatter dns-answers one-way midstream browsing; do zeek -b -C -r $CAPTURES/$name.pcap "%INPUT" || exit 1; test ! -e portkin.log || { cat portkin.log; exit 1; }; done

@load portkin
