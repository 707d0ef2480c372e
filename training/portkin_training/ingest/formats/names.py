"""What inputs can be, by name. By itself: the list is printed without loading what reads them."""

from __future__ import annotations

KINDS = {
    "pcap": "captures: pcap, pcapng",
    "zeek": "Zeek conn.log, TSV and JSON",
    "eve": "Suricata EVE: flow and drop records",
    "netfilter": "kernel lines of nftables, iptables, ufw, firewalld: syslog, journald, dmesg -T, ulogd2 syslogemu",
    "journal": "the same in journald's JSON (journalctl -o json)",
    "ulogd": "ulogd2 JSON",
    "filterlog": "pfSense and OPNsense filterlog",
    "mikrotik": "MikroTik RouterOS firewall lines",
    "asa": "Cisco ASA and FTD denies",
    "fortigate": "FortiGate traffic logs",
    "paloalto": "Palo Alto traffic logs (CSV)",
    "windows": "Windows Defender Firewall, pfirewall.log",
    "aws-vpc": "AWS VPC flow logs, version 2 and custom",
    "gcp": "Google Cloud firewall and VPC flow logs",
    "azure": "Azure NSG and virtual network flow logs",
    "nfdump": "nfdump -o csv",
    "nfdump-json": "nfdump -o json",
    "netflow": "NetFlow v5, v9, IPFIX by the collector of Python's netflow",
    "argus": "argus ra -c , -u",
    "silk": "SiLK rwcut",
    "cowrie": "cowrie JSON",
    "opencanary": "opencanary JSON",
    "p0f": "p0f 3 log",
    "p0f-json": "p0f in T-Pot's JSON",
    "dionaea": "dionaea log_json",
    "honeytrap": "honeytrap attackers.json",
    "endlessh": "endlessh, with --dst; its port counts as 22",
    "json": "JSON lines of any program, with -c FIELD=path.to.key",
    "csv": "columns with a header line, with -c FIELD=COLUMN",
    "parquet": "the same as a Parquet file",
}
"""What each is, by the name that ``--format`` takes, in the order in which an input is compared with them."""
