#!/bin/bash
# Suricata 7.0.10: `suricata -T` writes errors to standard error, but warnings to standard output, and exits with 0.
#
# A rule that can never match, since it tests a flowbit that no rule sets, is a warning. A deployment script that runs
# `suricata -T ... > /dev/null` and looks at the status and at standard error finds nothing wrong. And with
# `logging.outputs` set to a file only, errors leave standard error too, and are in that file alone.
#
# Seen (Debian 12, suricata 1:7.0.10-1~bpo12+1):
#   a flowbit that is never set: status 0, warnings on stdout 1, lines on stderr 0
#   an unknown keyword:          status 1, errors on stdout 0, on stderr 3
#   the same, logging to a file: status 1, errors on stdout 0, on stderr 0
#
# Needs: suricata (bookworm-backports).
set -euo pipefail
suricata -V | grep -q '7\.0\.10 RELEASE' || { echo "not tried with $(suricata -V)"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

printf '%%YAML 1.1\n---\nstats: {enabled: no}\nlogging: {default-log-level: notice, outputs: [{console: {enabled: yes}}]}\n' > console.yaml
printf '%%YAML 1.1\n---\nstats: {enabled: no}\nlogging: {default-log-level: notice, outputs: [{file: {enabled: yes, filename: s.log}}]}\n' > file.yaml
echo 'alert tcp any any -> any any (msg:"never"; flowbits:isset,nobody-sets-it; sid:1;)' > warning.rules
echo 'alert tcp any any -> any any (msg:"typing error"; flowbit:isset,x; sid:1;)' > error.rules

check() { status=0; suricata -T -c "$1" -S "$2" -l . > out 2> err || status=$?; }
count() { grep -cE "$1" "$2" || true; }

check console.yaml warning.rules
echo "a flowbit that is never set: status $status, warnings on stdout $(count '^W: detect-flowbits' out), lines on stderr $(count . err)"
[ "$status" = 0 ] && [ "$(count '^W: detect-flowbits' out)" = 1 ] && [ ! -s err ]
check console.yaml error.rules
echo "an unknown keyword:          status $status, errors on stdout $(count '^E:' out), on stderr $(count '^E:' err)"
[ "$status" = 1 ] && [ "$(count '^E:' out)" = 0 ] && [ "$(count '^E:' err)" -gt 0 ]
check file.yaml error.rules
echo "the same, logging to a file: status $status, errors on stdout $(count '^E:' out), on stderr $(count '^E:' err)"
[ "$status" = 1 ] && [ ! -s out ] && [ ! -s err ] && [ "$(count 'Error: ' s.log)" -gt 0 ]
