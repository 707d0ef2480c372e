#!/bin/bash
# suricata-update 1.3.3: drop.conf turns pass rules into drop rules, and leaves noalert rules alone.
#
# A drop.conf entry that matches a family of rules, such as `re:SITE`, is meant to make its alerts drop. It rewrites the
# action of every rule that matches, whatever it was: a `pass` rule for the site's own scanners becomes `drop`, and
# `reject` becomes `drop` as well. Only rules with `noalert` keep their action.
#
# Seen:
#   pass -> drop, reject -> drop, alert -> drop, alert with noalert -> alert
#
# Needs: python3 with venv and a package index; suricata-update==1.3.3 goes into a temporary folder.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check suricata-update==1.3.3 2> /dev/null

mkdir none
cat > site.rules <<'RULES'
pass tcp 192.0.2.0/24 any -> any any (msg:"SITE our own scanners"; sid:1000001; rev:1;)
reject tcp any any -> any 23 (msg:"SITE telnet"; sid:1000002; rev:1;)
alert tcp any any -> any 22 (msg:"SITE ssh"; sid:1000003; rev:1;)
alert tcp any any -> any 80 (msg:"SITE marks"; flowbits:set,web; noalert; sid:1000004; rev:1;)
RULES
echo 'alert icmp any any -> any any (msg:"OTHER"; sid:1000005; rev:1;)' > other.rules
echo 're:SITE' > drop.conf
printf '%%YAML 1.1\n---\n' > suricata.yaml
cat > update.yaml <<YAML
dist-rule-directory: $work/none
sources: ["file://$work/other.rules"]
local: [$work/site.rules]
YAML
venv/bin/suricata-update --quiet --data-dir data --config update.yaml --suricata-conf suricata.yaml \
    --suricata-version 7.0.10 --drop-conf drop.conf --no-test --no-reload
action() { grep "sid:$1;" data/rules/suricata.rules | cut -d ' ' -f 1; }
echo "pass -> $(action 1000001), reject -> $(action 1000002), alert -> $(action 1000003), alert with noalert -> $(action 1000004)"
[ "$(action 1000001) $(action 1000002) $(action 1000003) $(action 1000004) $(action 1000005)" = "drop drop drop alert alert" ]
