"""The inputs of a replay: recordings of any kind and probes datasets, as contacts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from portkin.errors import InputError
from portkin_training.core.dataset import load
from portkin_training.core.probes import Probes
from portkin_training.ingest.captures.options import CaptureOptions
from portkin_training.ingest.captures.pcap import read_capture
from portkin_training.ingest.contacts import CONTACT, Contacts, contacts_from_packets
from portkin_training.ingest.logs.conn_log import read_conn_log
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.run import detect
from portkin_training.ingest.tables.columns import ColumnMap, read_csv, read_parquet


def is_capture(path: Path) -> bool:
    """Whether the file is a pcap or pcapng."""
    return not path.is_dir() and detect(path) == "pcap"


def all_captures(inputs: Sequence[Path]) -> bool:
    """Whether every input is a pcap or pcapng."""
    return all(is_capture(path) for path in inputs)


def read_contacts(path: Path, reading: Reading, captures: CaptureOptions = CaptureOptions()) -> Contacts:  # noqa: B008  (immutable)
    """The contacts of a probes dataset (a folder) or of a recording; all but a capture's are probes already.

    CSV and Parquet must have the columns of a dataset; `portkin ingest` reads others.
    """
    if path.is_dir():
        probes = load(path)
        reading.kind, reading.read = "probes", len(probes)
        return _contacts([probes])
    match detect(path):
        case "pcap":
            return Contacts.concat(contacts_from_packets(read_capture(path, reading, captures)))
        case "zeek":
            return _contacts(read_conn_log(path, reading))
        case "csv":
            return _contacts(read_csv(path, ColumnMap(), reading))
    return _contacts(read_parquet(path, ColumnMap(), reading))


def _contacts(chunks: Iterable[Probes]) -> Contacts:
    probes = Probes.concat(chunks)
    order = np.argsort(probes.ts, kind="stable")
    return Contacts(
        ts=probes.ts[order],
        kind=np.full(len(order), CONTACT, np.uint8),
        src=probes.src[order],
        dst=probes.dst[order],
        sport=probes.sport[order],
        dport=probes.dport[order],
        proto=probes.proto[order],
        context=np.zeros(len(order), np.int64),
    )


def refuse_nothing(readings: Sequence[Reading], contacts: int | None = None) -> None:
    """Raise InputError where nothing was read, or, by `contacts`, no record could be used (a capture may well hold no
    contact); the message holds what is wrong with each input."""
    records = any(not reading.kind.startswith("pcap") for reading in readings)
    if not sum(reading.read for reading in readings) or (records and contacts == 0):
        problems = "; ".join(problem for reading in readings for problem in reading.problems)
        names = ", ".join(reading.path for reading in readings)
        raise InputError(f"{names}: no packet or probe to replay{': ' + problems if problems else ''}")
