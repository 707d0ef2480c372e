#!/bin/sh
# Makes the logs in logs/ out of scans.pcap, by the real programs, and of packets in a network namespace.
# By hand, as root, on Debian 12: nfdump softflowd argus-client argus-server p0f suricata ulogd2 ulogd2-json nftables
# nmap; Zeek 8.0 as $ZEEK; a Python with the package netflow as $PYTHON; folders of the programs of nfdump 1.6 and of
# 1.7.5 or later as $NFDUMP_OLD and $NFDUMP_NEW. Every address is one for documentation.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$here/logs
zeek=${ZEEK:-zeek}
work=$(mktemp -d)
ns=portkin-logs-$$
trap 'kill $(cat "$work"/*.pid) 2>/dev/null || true; ip netns delete $ns 2>/dev/null || true; rm -rf "$work"' EXIT
mkdir -p "$out"
cd "$work"
capture=$here/scans.pcap

"$zeek" -C -r "$capture"
gzip -9nc conn.log > "$out/conn.log.gz"
"$zeek" -C -r "$here/vlans.pcap" frameworks/conn_key/vlan_fivetuple
gzip -9nc conn.log > "$out/conn-vlans.log.gz"

mkdir suricata
suricata --runmode=single -r "$capture" -l suricata -k none > suricata.out
gzip -9nc suricata/eve.json > "$out/eve.json.gz"

argus -r "$capture" -w argus.out
ra -r argus.out -c , -n -u | gzip -9nc > "$out/ra.csv.gz"
ra -r argus.out -c , | gzip -9nc > "$out/ra-times-without-date.csv.gz"

collect() { # folder of nfcapd, and of what it writes
    mkdir "$2"
    "$1/nfcapd" -w "$work/$2" -p 29995 -b 127.0.0.1 -t 3600 -D -P "$work/nfcapd.pid"
    softflowd -r "$capture" -n 127.0.0.1:29995 -v 9 -d
    sleep 2
    kill "$(cat nfcapd.pid)"
    sleep 2
    rm -f nfcapd.pid
}
shown() { TZ=UTC "$1/nfdump" -R "$2" -o "$3" | gzip -9nc > "$out/$4.gz"; }
collect /usr/bin flows
shown /usr/bin flows csv nfdump.csv
shown /usr/bin flows json nfdump.json
collect "$NFDUMP_OLD" flows-old
shown "$NFDUMP_OLD" flows-old csv nfdump-1.6.csv
shown "$NFDUMP_OLD" flows-old json nfdump-1.6.json
collect "$NFDUMP_NEW" flows-new
shown "$NFDUMP_NEW" flows-new csv-fast nfdump-1.7.8-fast.csv
shown "$NFDUMP_NEW" flows-new ndjson nfdump-1.7.8.ndjson

# The collector of Python's netflow: v5, v9, IPFIX; a file of its own for each.
for version in 5 9 10; do
    "${PYTHON:-python3}" -m netflow.collector --host 127.0.0.1 -p 29996 -o "netflow-$version.gz" > collector.out 2>&1 &
    echo $! > collector.pid
    until ss -uln | grep -q ':29996 '; do sleep 1; done
    softflowd -r "$capture" -n 127.0.0.1:29996 -v "$version" -d
    sleep 5
    kill "$(cat collector.pid)"
    rm -f collector.pid
    name=$([ "$version" = 10 ] && echo ipfix || echo "v$version")
    # An options record holds the path of the capture.
    zcat "netflow-$version.gz" | sed 's|"interfaceName": "[^"]*"|"interfaceName": "scans.pcap"|' |
        gzip -9nc > "$out/netflow-$name.json.gz"
done

TZ=UTC p0f -r "$capture" -o p0f.log > p0f.out
gzip -9nc p0f.log > "$out/p0f.log.gz"

# ulogd2: what nftables hands over by NFLOG inside a namespace, as JSON and as syslog lines
ip netns add $ns
ip -n $ns link set lo up
ip -n $ns address add 198.51.100.7/32 dev lo
ip -n $ns address add 192.0.2.10/32 dev lo
ip netns exec $ns nft -f - <<NFT
table inet scans {
    chain input {
        type filter hook input priority 0
        ip daddr 192.0.2.10 tcp flags syn / syn,ack log group 7 prefix "scan "
        ip daddr 192.0.2.10 udp dport 161 log group 7 prefix "scan "
    }
}
NFT
plugins=$(dirname "$(find /usr/lib -name ulogd_inppkt_NFLOG.so | head -n 1)")
cat > ulogd.conf <<CONF
[global]
logfile="$work/ulogd.log"
$(for name in inppkt_NFLOG filter_IFINDEX filter_IP2STR filter_PRINTPKT raw2packet_BASE output_LOGEMU output_JSON; do
    echo "plugin=\"$plugins/ulogd_$name.so\""; done)
stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,emu1:LOGEMU
stack=log2:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,json1:JSON
[log1]
group=7
[log2]
group=8
[emu1]
file="$work/syslogemu.log"
sync=1
[json1]
file="$work/ulogd.json"
sync=1
CONF
ip netns exec $ns nft add rule inet scans input ip daddr 192.0.2.10 tcp flags syn / syn,ack log group 8
ip netns exec $ns nft add rule inet scans input ip daddr 192.0.2.10 udp dport 161 log group 8
# The kernel's own lines come from the first namespace only, by default.
before=$(cat /proc/sys/net/netfilter/nf_log_all_netns)
echo 1 > /proc/sys/net/netfilter/nf_log_all_netns
ip netns exec $ns nft add rule inet scans input ip daddr 192.0.2.10 tcp flags syn / syn,ack log prefix \"$ns \"
ip netns exec $ns nft add rule inet scans input ip daddr 192.0.2.10 udp dport 161 log prefix \"$ns \"
TZ=UTC ip netns exec $ns ulogd -c "$work/ulogd.conf" & echo $! > ulogd.pid
sleep 2
ip netns exec $ns nmap -n -Pn --max-retries 0 -e lo -S 198.51.100.7 -g 40000 -sS -p 22,80,443 192.0.2.10 > nmap.out
ip netns exec $ns nmap -n -Pn --max-retries 0 -e lo -S 198.51.100.7 -g 40000 -sU -p 161 192.0.2.10 >> nmap.out
sleep 1
echo "$before" > /proc/sys/net/netfilter/nf_log_all_netns
TZ=UTC dmesg -T | grep "$ns" | sed "s/$ns/scan/" | gzip -9nc > "$out/dmesg.log.gz"
gzip -9nc syslogemu.log > "$out/ulogd-syslogemu.log.gz"
gzip -9nc ulogd.json > "$out/ulogd.json.gz"
ls -l "$out"
