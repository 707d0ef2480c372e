#!/bin/sh
# Installs the Debian packages that the tests use, as root; otherwise names what is missing.
# The tests that need a missing one are skipped with the reason.
set -eu

packages="chromium dnsutils iproute2 libpcap0.8 nftables nmap openjdk-17-jre-headless openssh-client procps prometheus tcpdump"
backported="suricata"  # Debian 12 itself has Suricata 6; its backports have 7

missing=""
for package in $packages $backported; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "not installed (run as root to install them; the tests that need them are skipped):$missing"
    exit 0
fi

# The mirror that this machine uses already, with the suite of the backports.
sources=/etc/apt/sources.list.d
if [ -f "$sources/debian.sources" ] && ! grep -rqs 'bookworm-backports' /etc/apt/sources.list "$sources"; then
    awk -v RS= '/Suites:.*bookworm( |$|\n)/ { sub(/Suites:[^\n]*/, "Suites: bookworm-backports"); print; exit }' \
        "$sources/debian.sources" > "$sources/bookworm-backports.sources"
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
for package in $missing; do
    from=""
    case " $backported " in *" $package "*) from="-t bookworm-backports" ;; esac
    # shellcheck disable=SC2086  # $from is two words or none
    apt-get install -y -qq --no-install-recommends $from "$package" > /dev/null ||
        echo "could not be installed: $package (the tests that need it are skipped)"
done
