#!/bin/sh
# Rebuilds the table that ships with portkin from the two recordings it was learnt from, bit for bit.
#
#   training/default-table.sh FOLDER-OF-RECORDINGS [OUTPUT [OPTION-OF-BUILD...]]
#
# OUTPUT is sidecar/portkin/data/default-table unless given. Only `created` in its manifest.json, and what it says of
# the versions that built it, change from one run to the next: the id stays (with another zlib it might not).
set -eu
recordings=$1
output=${2:-$(dirname "$0")/../sidecar/portkin/data/default-table}
shift; [ $# -eq 0 ] || shift
mkdir -p "$(dirname "$output")"
output=$(cd "$(dirname "$output")" && pwd)/$(basename "$output")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$recordings" # so that the manifest names them without the folder

# Nine honeypots of 2013, named by host: TCP, UDP and ICMP, of which the last is left out.
portkin ingest aws-honeypots-2013.csv.gz -o "$work/aws-honeypots-2013" \
    -c ts=datetime -c dst=host --names -c sport=spt -c dport=dpt
# SYNs that reached one T-Pot honeypot in 2020.
portkin ingest tpot-p0f-syn-2020.csv.gz -o "$work/tpot-p0f-syn-2020" -c ts=ts_utc --proto tcp

portkin table build "$work/aws-honeypots-2013" "$work/tpot-p0f-syn-2020" -o "$output" --method kin "$@"
