#!/bin/bash
# Makes scans.pcap: real scans by nmap and ordinary clients, between network namespaces, taken with tcpdump.
# Root; needs nmap, tcpdump, iproute2, nftables, curl, dnsutils, openssh-server, openssh-client, dnsmasq-base, python3.
#
#   attackers, clients --- sensor (routes, captures) --- web 192.0.2.10: http, https, ssh, dns; refuses the rest
#   198.51.100.0/24                                  --- vault 192.0.2.20: https; drops the rest
#                                                    --- 203.0.113.0/24: nobody (a darknet)
#
# Usage: make-scans.sh [scans.pcap]
set -euo pipefail

out=$(realpath "${1:-$(dirname "$0")/scans.pcap}")
work=$(mktemp -d)
net=pk$$
actors="10 20 30 40 50 100 101"
pids=()

cleanup() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for ns in $(ip netns list | awk -v net="$net" 'index($1, net) == 1 { print $1 }'); do ip netns del "$ns"; done
    rm -rf "$work"
}
trap cleanup EXIT

in_ns() { ip netns exec "$net-$1" "${@:2}"; }

# Starts a program there; `ip netns exec` becomes it, so that its process is the one we end.
started() {
    ip netns exec "$net-$1" "${@:2}" >/dev/null 2>&1 &
    pids+=($!)
}

# Quiet namespaces: no IPv6 chatter unless a test brings it.
make_ns() {
    ip netns add "$net-$1"
    in_ns "$1" sysctl -qw net.ipv6.conf.all.disable_ipv6=1
    in_ns "$1" ip link set lo up
}

make_ns sensor
in_ns sensor sysctl -qw net.ipv4.ip_forward=1
in_ns sensor sysctl -qw net.ipv4.icmp_ratelimit=0
in_ns sensor ip link add outside type bridge
in_ns sensor ip addr add 198.51.100.1/24 dev outside
in_ns sensor ip link set outside up

for actor in $actors; do
    make_ns "a$actor"
    ip link add "${net}o$actor" netns "$net-sensor" type veth peer name eth0 netns "$net-a$actor"
    in_ns sensor ip link set "${net}o$actor" master outside up
    in_ns "a$actor" ip addr add "198.51.100.$actor/24" dev eth0
    in_ns "a$actor" ip link set eth0 up
    in_ns "a$actor" ip route add default via 198.51.100.1
done

make_ns inside
ip link add inside0 netns "$net-sensor" type veth peer name eth0 netns "$net-inside"
in_ns sensor ip addr add 192.0.2.1/24 dev inside0
in_ns sensor ip link set inside0 up
in_ns inside ip addr add 192.0.2.10/24 dev eth0
in_ns inside ip addr add 192.0.2.20/24 dev eth0
in_ns inside ip link set eth0 up
in_ns inside ip route add default via 192.0.2.1
in_ns inside sysctl -qw net.ipv4.icmp_ratelimit=0
in_ns inside nft -f - <<'NFT'
table ip vault {
    chain input {
        type filter hook input priority 0; policy accept;
        ip daddr 192.0.2.20 tcp dport != 443 drop
        ip daddr 192.0.2.20 meta l4proto udp drop
    }
}
NFT
# Nobody answers for the darknet.
in_ns sensor ip route add blackhole 203.0.113.0/24

# Services.
mkdir "$work/www" && echo hello > "$work/www/index.html"
for port in 80 443; do
    started inside python3 -m http.server "$port" --bind 0.0.0.0 --directory "$work/www"
done
ssh-keygen -q -t ed25519 -N '' -f "$work/host" && ssh-keygen -q -t ed25519 -N '' -f "$work/user"
mkdir -p /run/sshd
started inside /usr/sbin/sshd -D -f /dev/null -h "$work/host" -o ListenAddress=192.0.2.10 -o PidFile=none \
    -o AuthorizedKeysFile="$work/user.pub" -o StrictModes=no -o PasswordAuthentication=no
started inside dnsmasq --keep-in-foreground --no-resolv --no-hosts --conf-file=/dev/null --listen-address=192.0.2.10 \
    --bind-interfaces --address=/example.test/192.0.2.10 --pid-file=
sleep 1

started sensor tcpdump -U -q -i outside -s 96 -w "$work/scans.pcap" ip
dump=$!
sleep 1

nmap_as() { in_ns "a$1" nmap -n -Pn --disable-arp-ping --max-retries 1 "${@:2}" >/dev/null; }

browse() {
    for _ in 1 2 3 4; do
        in_ns "a$1" curl -s -o /dev/null --max-time 3 http://192.0.2.10/ || true
        in_ns "a$1" curl -s -o /dev/null --max-time 3 http://192.0.2.20:443/ || true
        in_ns "a$1" dig +short +tries=1 +time=2 @192.0.2.10 example.test >/dev/null || true
        sleep 0.3
    done
}

# Ordinary clients, before, during and after.
browse 100
in_ns a101 ssh -i "$work/user" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes \
    root@192.0.2.10 true >/dev/null 2>&1 || true
# One typing error is no scan.
in_ns a101 curl -s -o /dev/null --max-time 2 http://192.0.2.10:8081/ || true
browse 101 & browser=$!

# A half-open scan of service ports, refused at once.
nmap_as 10 -sS -T4 -p 21,22,23,25,80,110,135,139,143,443,445,1433,3306,3389,5900,8080,8443 192.0.2.10
# A connect scan of the same kind against a host that stays silent.
nmap_as 20 -sT -T4 -p 22,23,80,443,1433,3306,3389,5432,5900,8080 192.0.2.20
# A sweep of one port over the darknet, then what a sweeper tries next.
nmap_as 30 -sS -T4 -p 23 203.0.113.16-31
nmap_as 30 -sS -T4 -p 2323,22,80,8080 203.0.113.16-19
# UDP: refused by ICMP.
nmap_as 40 -sU -T4 -p 53,69,111,123,137,161,500,1434,1900,5060,5353,11211 192.0.2.10
# A slow one, one port at a time.
for port in 3389 3388 3390 22 2222 443 8443 80 8080; do
    nmap_as 50 -sS --max-retries 0 -p "$port" 192.0.2.10
    sleep 0.2
done
wait "$browser"
browse 100
sleep 1

kill "$dump" && wait "$dump" 2>/dev/null || true
install -m 644 "$work/scans.pcap" "$out"
ls -l "$out"
