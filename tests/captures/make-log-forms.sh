#!/bin/sh
# Makes the logs in logs/forms/: the forms in which one program writes the same records, and honeypots, by the real
# programs; what is not of scans.pcap happens in a network namespace, in the zone of Tokyo. By hand, as root, on
# Debian 12: endlessh iptables nftables nmap rsyslog systemd-journal-remote, installed or unpacked (dpkg -x) under
# $ROOT; Zeek as $ZEEKS (8.0, 9.0), Suricata 8 as $SURICATA; a Python with cowrie and opencanary as $PYTHON; honeytrap
# 1.1.0 with pcap and logJSON, and dionaea 0.11.0, under $HONEYTRAP and $DIONAEA. Every address is one for documentation.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$here/logs/forms
root=${ROOT:-}
libraries=$root/usr/lib/$(uname -m)-linux-gnu
work=$(mktemp -d)
ns=portkin-forms-$$
setting=/proc/sys/net/netfilter/nf_log_all_netns
before=$(cat $setting)
trap 'echo "$before" > $setting; ip netns delete $ns 2>/dev/null || true; ip netns delete $ns-b 2>/dev/null || true
    rm -rf "$work"' EXIT
mkdir -p "$out"
cd "$work"
export TZ=Asia/Tokyo

keep() { gzip -9nc "$1" > "$out/$2.gz"; }
within() { ip netns exec $ns env LD_LIBRARY_PATH="$libraries" XTABLES_LIBDIR="$libraries/xtables" "$@"; }
listening() { until within ss -tln | grep -q ":$1 "; do sleep 1; done; }

for zeek in ${ZEEKS:-zeek}; do
    version=$("$zeek" --version | sed 's/.* \([0-9]*\.[0-9]*\).*/\1/')
    "$zeek" -C -r "$here/scans.pcap"
    keep conn.log "zeek-$version.log"
    for times in EPOCH MILLIS ISO8601; do
        "$zeek" -C -r "$here/scans.pcap" LogAscii::use_json=T LogAscii::json_timestamps=JSON::TS_$times
        keep conn.log "zeek-$version-$(echo $times | tr '[:upper:]' '[:lower:]').json"
    done
done
mkdir suricata
"${SURICATA:-suricata}" --runmode=single -r "$here/scans.pcap" -l suricata -k none > suricata.out
keep suricata/eve.json suricata-8.json

ip netns add $ns
ip -n $ns link set lo up
for address in 198.51.100.7/32 192.0.2.10/32 2001:db8::7/128 2001:db8::10/128; do
    ip -n $ns address add $address dev lo
done

# The kernel's lines, by the rules of ufw, firewalld and nftables: as the kernel keeps them, by rsyslog, by journalctl.
tables=$root/usr/sbin/xtables-nft-multi
within "$tables" iptables -A INPUT -p tcp -d 192.0.2.10 --syn -j LOG --log-prefix "[UFW BLOCK] "
within "$tables" iptables -A INPUT -p udp -d 192.0.2.10 --dport 161 -j LOG --log-prefix "FINAL_REJECT: "
within "$tables" ip6tables -A INPUT -p tcp -d 2001:db8::10 --syn -j LOG --log-prefix "filter_IN_public_DROP: " \
    --log-tcp-sequence --log-tcp-options --log-ip-options --log-uid
within nft 'add table inet t; add chain inet t i { type filter hook input priority 5; }
    add rule inet t i ip daddr 192.0.2.10 tcp flags syn / syn,ack log prefix "nft " flags all'
echo 1 > $setting
echo "$ns" > /dev/kmsg
within nmap -n -Pn --max-retries 0 -e lo -S 198.51.100.7 -g 40000 -sS -p 22,80 192.0.2.10 > nmap.out
within nmap -n -Pn --max-retries 0 -e lo -S 198.51.100.7 -g 40000 -sU -p 161 192.0.2.10 > nmap.out
within nmap -6 -n -Pn --max-retries 0 -e lo -S 2001:db8::7 -g 40000 -sS -p 22 2001:db8::10 > nmap.out
sleep 1
lines() { dmesg "$@" | sed "1,/$ns/d" | grep -a " MAC="; }
lines -T > dmesg-t.log
lines -T -x > dmesg-decoded.log
lines -T --color=always > dmesg-colour.log
lines --time-format iso > dmesg-iso.log
lines --notime > messages

templates=""
for name in TraditionalFileFormat FileFormat SyslogProtocol23Format TraditionalForwardFormat ForwardFormat; do
    templates="$templates
action(type=\"omfile\" file=\"$work/rsyslog-$name.log\" template=\"RSYSLOG_$name\")"
done
cat > rsyslog.conf <<CONF
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="$work/socket" CreatePath="on")
template(name="year" type="string"
    string="%timegenerated:1:6% %timegenerated:::date-year% %timegenerated:8:15% %HOSTNAME% %syslogtag%%msg%\n")
action(type="omfile" file="$work/rsyslog-year.log" template="year")$templates
CONF
LD_LIBRARY_PATH=$libraries "$root/usr/sbin/rsyslogd" -n -f "$work/rsyslog.conf" -i "$work/rsyslog.pid" \
    -M "$libraries/rsyslog" &
daemon=$!
until [ -S socket ]; do sleep 1; done
while IFS= read -r line; do logger -u "$work/socket" -t kernel -p kern.warning -- "$line"; done < messages
sleep 1
kill $daemon
# What is sent to another syslog has no line ends of its own.
for name in TraditionalForwardFormat ForwardFormat; do
    sed -i 's/\(.\)\(<12>\)/\1\n\2/g' "rsyslog-$name.log"
done
sed -i "s/ $(hostname) / fw /" rsyslog-*.log

now=$(date +%s)
while IFS= read -r line; do
    printf '__REALTIME_TIMESTAMP=%s000000\n__MONOTONIC_TIMESTAMP=1\n_BOOT_ID=%032d\n_TRANSPORT=kernel\n' "$now" 0
    printf 'PRIORITY=4\nSYSLOG_IDENTIFIER=kernel\n_HOSTNAME=fw\nMESSAGE=%s\n\n' "$line"
done < messages > export
LD_LIBRARY_PATH=$libraries "$root/lib/systemd/systemd-journal-remote" -o x.journal export
for form in short short-full short-iso short-iso-precise short-precise short-unix with-unit json json-pretty json-seq \
    json-sse; do
    journalctl -q --file x.journal -o $form > "journalctl-$form.log"
done
for log in dmesg-*.log rsyslog-*.log journalctl-*.log; do
    keep "$log" "$log"
done

# Honeypots, and who comes to them.
ip netns exec $ns "$root/usr/bin/endlessh" -v -p 2222 -d 500 > endlessh.log 2>&1 &
daemon=$!  # of a function in the background it were that of a shell
listening 2222
ask() { # port of the source, destination, its port, seconds, what is sent
    within python3 - "$@" <<'PY'
import socket, sys, time
sport, host, port, seconds, *said = sys.argv[1:]
kind = socket.SOCK_DGRAM if int(port) in (69, 123, 5060) else socket.SOCK_STREAM
with socket.socket(socket.AF_INET, kind) as asking:
    asking.bind(("198.51.100.7", int(sport)))
    asking.connect((host, int(port)))
    for text in said:
        asking.send(text.encode("latin-1").decode("unicode_escape").encode("latin-1"))
        time.sleep(float(seconds))
PY
}
for sport in 40001 40002; do
    ask $sport 192.0.2.10 2222 0.5 x
done
sleep 1
kill $daemon
keep endlessh.log endlessh.log

mkdir -p cowrie/etc cowrie/var/log/cowrie cowrie/var/lib/cowrie/tty cowrie/var/lib/cowrie/downloads
printf '[honeypot]\nhostname = srv\nsensor_name = sensor\n[telnet]\nenabled = true\n' > cowrie/etc/cowrie.cfg
# cowrie refuses to be root, who alone is in the namespace.
twistd="import os, sys; os.getuid = lambda: 1000; sys.argv[0] = 'twistd'
from twisted.scripts.twistd import run; run()"
(cd cowrie && within "$PYTHON" -c "$twistd" -n --pidfile cowrie.pid cowrie > out 2>&1) &
listening 2222
listening 2223
ask 40004 192.0.2.10 2222 1 'SSH-2.0-x\r\n'
ask 40003 192.0.2.10 2223 1 'root\r\n' 'admin\r\n' 'exit\r\n'
sleep 1
kill "$(cat cowrie/cowrie.pid)"
keep cowrie/var/log/cowrie/cowrie.json cowrie.json

mkdir home
"$PYTHON" - > home/.opencanary.conf <<PY
import json
modules = {"ftp": 21, "ssh": 22, "telnet": 23, "tftp": 69, "ntp": 123, "http": 80}
handler = {"class": "logging.FileHandler", "filename": "$work/opencanary.log"}
plain = {"formatters": {"plain": {"format": "%(message)s"}}, "handlers": {"file": handler}}
settings = {"device.node_id": "canary", "http.skin": "basicLogin", "logger": {"class": "PyLogger", "kwargs": plain}}
for name, port in modules.items():
    settings |= {f"{name}.enabled": True, f"{name}.port": port}
print(json.dumps(settings))
PY
HOME=$work/home within "$PYTHON" -c "$twistd" -n --pidfile opencanary.pid \
    -y "$(dirname "$PYTHON")/opencanary.tac" > opencanary.out 2>&1 &
listening 80
ask 40001 192.0.2.10 21 1 'USER a\r\n' 'PASS b\r\n'
ask 40002 192.0.2.10 22 1 'SSH-2.0-x\r\n'
ask 40003 192.0.2.10 23 1 'root\r\n' 'x\r\n'
ask 40004 192.0.2.10 80 1 'GET /index.html HTTP/1.0\r\n\r\n'
ask 40005 192.0.2.10 123 1 '\x17\0\x03\x2a\0\0\0\0'
ask 40006 192.0.2.10 69 1 '\0\x01a\0octet\0'
kill "$(cat opencanary.pid)"
keep opencanary.log opencanary.json

# These two are asked from another namespace: honeytrap opens a port once it has seen a refusal there.
ip netns add $ns-b
ip -n $ns address flush dev lo
ip link add asking netns $ns type veth peer name asked netns $ns-b
link() { # namespace, interface, its address
    ip -n "$1" link set lo up
    ip -n "$1" link set "$2" up
    ip -n "$1" address add "$3/32" dev "$2"
    ip -n "$1" route add default dev "$2"
}
link $ns asking 198.51.100.7
link $ns-b asked 192.0.2.10
mkdir -m 777 honeytrap
cat > honeytrap.conf <<CONF
response_dir = "$HONEYTRAP/etc/honeytrap/responses"
user = "root"
group = "root"
plugin_dir = "$HONEYTRAP/etc/honeytrap/plugins"
plugin-logJSON = {
	logfile = "$work/honeytrap/attackers.json"
}
portconf_default = "normal"
CONF
# Apart, since it interrupts all of its group when it ends.
setsid ip netns exec $ns-b "$HONEYTRAP/sbin/honeytrap" -C honeytrap.conf -i asked -L "$work/honeytrap/log" \
    -P "$work/honeytrap.pid" -D -t 5 > honeytrap.out 2>&1 &
daemon=$!
sleep 4
visit() { until ask "$@" 2> /dev/null; do sleep 1; done; }
visit 40001 192.0.2.10 23 2 'root\r\n'
visit 40002 192.0.2.10 8080 2 'GET / HTTP/1.0\r\n\r\n'
visit 40003 192.0.2.10 23 2 'admin\r\n'
visit 40004 192.0.2.10 5060 4 'OPTIONS sip:x SIP/2.0\r\n\r\n' 'OPTIONS sip:x SIP/2.0\r\n\r\n'
sleep 5
kill $daemon
keep honeytrap/attackers.json honeytrap.json

settings=$DIONAEA/etc/dionaea
rm -f "$settings"/*-enabled/*
for name in ftp blackhole mirror sip; do
    cp "$settings/services-available/$name.yaml" "$settings/services-enabled/"
done
printf -- '- name: log_json\n  config:\n    handlers:\n      - file://%s/dionaea.json\n' "$work" \
    > "$settings/ihandlers-enabled/log_json.yaml"
sed -i -e 's/^modules=.*/modules=python/' -e 's/^processors=.*/processors=/' "$settings/dionaea.cfg"
ip netns exec $ns-b "$DIONAEA/bin/dionaea" -c "$settings/dionaea.cfg" -w "$DIONAEA" > dionaea.out 2>&1 &
daemon=$!
until ip netns exec $ns-b ss -tln | grep -q ':21 '; do sleep 1; done
ask 40001 192.0.2.10 21 1 'USER a\r\n' 'PASS b\r\n' 'QUIT\r\n'
ask 40002 192.0.2.10 23 1 'root\r\n' 'x\r\n'
ask 40004 192.0.2.10 42 1 'hello\r\n'
ask 40008 192.0.2.10 5060 1 'OPTIONS sip:a@192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7:40008\r\n\r\n'
sleep 60  # a session is written when it ends
kill $daemon
keep dionaea.json dionaea.json
ls -l "$out"
