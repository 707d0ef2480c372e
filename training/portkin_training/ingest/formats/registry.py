"""All formats of records, and which of them an input is."""

from __future__ import annotations

from pathlib import Path

from portkin_training.ingest.formats.argus import ARGUS
from portkin_training.ingest.formats.aws_vpc import AWS_VPC
from portkin_training.ingest.formats.azure import AZURE
from portkin_training.ingest.formats.cisco_asa import ASA
from portkin_training.ingest.formats.filterlog import FILTERLOG
from portkin_training.ingest.formats.format import Format, Head, further
from portkin_training.ingest.formats.fortigate import FORTIGATE
from portkin_training.ingest.formats.gcp import GCP
from portkin_training.ingest.formats.honeypots import COWRIE, DIONAEA, ENDLESSH, HONEYTRAP, OPENCANARY
from portkin_training.ingest.formats.mikrotik import MIKROTIK
from portkin_training.ingest.formats.names import KINDS
from portkin_training.ingest.formats.netfilter import JOURNAL, NETFILTER
from portkin_training.ingest.formats.netflow import NETFLOW
from portkin_training.ingest.formats.nfdump import NFDUMP_CSV, NFDUMP_JSON
from portkin_training.ingest.formats.p0f import P0F, P0F_JSON
from portkin_training.ingest.formats.palo_alto import PALO_ALTO
from portkin_training.ingest.formats.silk import SILK
from portkin_training.ingest.formats.suricata_eve import EVE
from portkin_training.ingest.formats.ulogd import ULOGD
from portkin_training.ingest.formats.windows_firewall import WINDOWS
from portkin_training.ingest.formats.zeek_conn import CONN_LOG

BY_NAME = {
    one.name: one
    for one in (
        ARGUS,
        ASA,
        AWS_VPC,
        AZURE,
        CONN_LOG,
        COWRIE,
        DIONAEA,
        ENDLESSH,
        EVE,
        FILTERLOG,
        FORTIGATE,
        GCP,
        HONEYTRAP,
        JOURNAL,
        MIKROTIK,
        NETFILTER,
        NETFLOW,
        NFDUMP_CSV,
        NFDUMP_JSON,
        OPENCANARY,
        P0F,
        P0F_JSON,
        PALO_ALTO,
        SILK,
        ULOGD,
        WINDOWS,
    )
}
FORMATS = tuple(BY_NAME[name] for name in KINDS if name in BY_NAME)


def recognised(head: Head) -> Format | None:
    """The first format that an input begins like; None for none."""
    return next((one for one in FORMATS if one.recognise(head)), None)


def recognised_further(path: Path) -> Format | None:
    """The first format of lines of which a text has a record behind its beginning; None for none."""
    for head in further(path):
        if b"\0" in head.data.lstrip(b"\0"):  # a log that was emptied while it was written begins with them
            return None
        found = next((one for one in FORMATS if one.lines and one.recognise(head)), None)
        if found is not None:
            return found
    return None
