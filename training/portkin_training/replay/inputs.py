"""What a replay is told of: captures and probes datasets, as contacts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from portkin.errors import InputError
from portkin_training.ingest.contacts import CONTACT, Contacts, contacts_from_packets
from portkin_training.ingest.pcap import read_capture
from portkin_training.ingest.reading import Reading


def read_contacts(path: Path, reading: Reading) -> Contacts:
    """The contacts of a probes dataset (a folder: every probe is one) or of a capture file."""
    if path.is_dir():
        return _of_dataset(path, reading)
    return Contacts.concat(contacts_from_packets(read_capture(path, reading)))


def _of_dataset(path: Path, reading: Reading) -> Contacts:
    from portkin_training.probes import load

    probes = load(path)
    reading.kind, reading.read = "probes", len(probes.ts)
    order = np.lexsort((probes.seq, probes.ts))
    return Contacts(
        ts=probes.ts[order],
        kind=np.full(len(order), CONTACT, np.uint8),
        src=probes.src[order],
        dst=probes.dst[order],
        sport=probes.sport[order],
        dport=probes.dport[order],
        proto=probes.proto[order].astype(np.uint8),
    )


def say_problems(readings: list[Reading]) -> None:
    """Raise InputError where nothing at all was read; the message holds what is wrong with each input."""
    if not sum(reading.read for reading in readings):
        told = "; ".join(problem for reading in readings for problem in reading.problems)
        names = ", ".join(reading.path for reading in readings)
        raise InputError(f"{names}: no packet or probe to replay{': ' + told if told else ''}")
