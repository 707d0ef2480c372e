#!/bin/bash
# suricata-update 1.3.3: a drop rule that disable.conf disables may be written as an enabled one that drops unseen.
#
# Where an enabled rule tests a flowbit, every rule that sets it is enabled again, also one that disable.conf names, with
# `noalert` added, so that it does what the other rule needs and nothing else. The action stays: of a rule with `drop`,
# only the alert is gone, and an inline Suricata goes on dropping what it matches. The summary counts such rules as
# enabled for flowbit dependencies, and as disabled. A rule that sets an xbit stays disabled.
#
# Seen:
#   sid 1000001, in disable.conf, sets a flowbit: drop tcp ... noalert
#   sid 1000003, in disable.conf, sets an xbit: # drop tcp ...
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
drop tcp any any -> any 22 (msg:"SITE too strict"; flow:to_server; flowbits:set,ssh; sid:1000001; rev:1;)
alert tcp any any -> any 22 (msg:"SITE after ssh"; flow:to_client; flowbits:isset,ssh; sid:1000002; rev:1;)
drop tcp any any -> any 23 (msg:"SITE too strict"; flow:to_server; xbits:set,telnet,track ip_src,expire 60; sid:1000003; rev:1;)
alert tcp any any -> any 23 (msg:"SITE after telnet"; xbits:isset,telnet,track ip_src; sid:1000004; rev:1;)
RULES
echo 'alert icmp any any -> any any (msg:"OTHER"; sid:1000005; rev:1;)' > other.rules
printf '1000001\n1000003\n' > disable.conf
printf '%%YAML 1.1\n---\n' > suricata.yaml
cat > update.yaml <<YAML
dist-rule-directory: $work/none
sources: ["file://$work/other.rules"]
local: [$work/site.rules]
YAML
venv/bin/suricata-update --quiet --data-dir data --config update.yaml --suricata-conf suricata.yaml \
    --suricata-version 7.0.10 --disable-conf disable.conf --no-test --no-reload
flowbit=$(grep 'sid:1000001;' data/rules/suricata.rules)
xbit=$(grep 'sid:1000003;' data/rules/suricata.rules)
echo "sid 1000001, in disable.conf, sets a flowbit: $flowbit"
echo "sid 1000003, in disable.conf, sets an xbit: $xbit"
[[ $flowbit == 'drop tcp '*'; noalert; '* && $xbit == '# drop tcp '* ]]
