"""The inputs of a replay: recordings of any kind and probes datasets, as contacts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from portkin_training.core.dataset import is_dataset, load
from portkin_training.core.places import Place
from portkin_training.core.probes import Probes
from portkin_training.ingest.captures.options import CaptureOptions
from portkin_training.ingest.captures.packets import Packets
from portkin_training.ingest.contacts import CONTACT, Contacts, contacts_from_packets
from portkin_training.ingest.inputs import InputOptions, detect, read_input
from portkin_training.ingest.reading import Reading


def is_capture(place: Place) -> bool:
    """Whether the file is a pcap or pcapng."""
    return not is_dataset(place) and detect(Path(place)) == "pcap"


def all_captures(inputs: Sequence[Place]) -> bool:
    """Whether every input is a pcap or pcapng."""
    return all(is_capture(path) for path in inputs)


def read_contacts(place: Place, reading: Reading, captures: CaptureOptions = CaptureOptions()) -> Contacts:  # noqa: B008  (immutable)
    """The contacts of a probes dataset (a folder or a URL) or of a recording; all but a capture's are probes already.

    Columns of other names than those of a dataset are guessed; `portkin ingest` takes a map.
    """
    if is_dataset(place):
        dataset = load(place)
        reading.kind, reading.read = "probes", len(dataset)
        return _contacts([dataset])
    packets: list[Contacts] = []
    probes: list[Probes] = []

    def of_packets() -> Iterator[Packets]:
        for chunk in read_input(Path(place), reading, InputOptions(captures=captures)):
            if isinstance(chunk, Packets):
                yield chunk
            else:
                probes.append(chunk)

    packets += contacts_from_packets(of_packets() if is_capture(place) else _in_time_order(of_packets()))
    return Contacts.concat([*packets, _contacts(probes)] if probes else packets)


def _in_time_order(chunks: Iterable[Packets]) -> Iterator[Packets]:
    """The packets of a log, whose records may come in the order of the ends of flows."""
    packets = Packets.concat(chunks)
    yield packets[np.argsort(packets.ts, kind="stable")]


def usable(readings: Sequence[Reading], contacts: int) -> int:
    """How much of the inputs can be replayed: contacts, and packets of captures, as recorded traffic may well hold no
    first packet of a flow."""
    captures = (reading for reading in readings if reading.kind.startswith(("pcap", "erf")))
    return contacts + sum(reading.read - sum(reading.skipped.values()) for reading in captures)


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
