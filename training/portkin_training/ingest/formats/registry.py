"""The table of formats, in the order in which an input is compared with them."""

from __future__ import annotations

from portkin_training.ingest.formats.format import Format, Head
from portkin_training.ingest.formats.suricata_eve import EVE
from portkin_training.ingest.formats.zeek_conn import CONN_LOG

FORMATS: tuple[Format, ...] = (CONN_LOG, EVE)
BY_NAME = {one.name: one for one in FORMATS}


def recognised(head: Head) -> Format | None:
    """The first format that an input begins like; None for none."""
    return next((one for one in FORMATS if one.recognise(head)), None)
