"""The inputs of a replay: recordings of any kind and probes datasets, as contacts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from portkin_training.core.dataset import is_dataset, load
from portkin_training.core.places import Place
from portkin_training.core.probes import Probes
from portkin_training.ingest.captures.options import CaptureOptions
from portkin_training.ingest.captures.packets import Packets
from portkin_training.ingest.contacts import ANSWERED, CONTACT, REFUSED, Contacts, contacts_from_packets
from portkin_training.ingest.inputs import InputOptions, detect, has_outcomes, read_flows, read_input
from portkin_training.ingest.reading import Reading


def is_capture(place: Place) -> bool:
    """Whether the file is a pcap or pcapng."""
    return not is_dataset(place) and detect(Path(place)) == "pcap"


def all_captures(inputs: Sequence[Place]) -> bool:
    """Whether every input is a pcap or pcapng."""
    return all(is_capture(path) for path in inputs)


def knows_answers(place: Place) -> bool:
    """Whether an input says which contacts were answered: a capture, and some logs of flows."""
    return not is_dataset(place) and ((kind := detect(Path(place))) == "pcap" or has_outcomes(kind))


def read_contacts(
    place: Place,
    reading: Reading,
    captures: CaptureOptions = CaptureOptions(),  # noqa: B008  (immutable)
    *,
    answers: bool = False,
) -> Contacts:
    """The contacts of a probes dataset (a folder or a URL) or of a recording; all but a capture's are probes already.

    With ``answers`` a log of flows that says which were answered (`knows_answers`) gives those too, with what came of
    them. Columns of other names than those of a dataset are guessed; `portkin ingest` takes a map.
    """
    if is_dataset(place):
        dataset = load(place)
        reading.kind, reading.read = "probes", len(dataset)
        return _contacts([dataset])
    kind = detect(Path(place))
    if answers and has_outcomes(kind):
        return _contacts_of_flows(Path(place), reading, kind)
    packets: list[Contacts] = []
    probes: list[Probes] = []

    def of_packets() -> Iterator[Packets]:
        for chunk in read_input(Path(place), reading, InputOptions(captures=captures)):
            if isinstance(chunk, Packets):
                yield chunk
            else:
                probes.append(chunk)

    packets += contacts_from_packets(of_packets() if kind == "pcap" else _in_time_order(of_packets()))
    return Contacts.concat([*packets, _contacts(probes)] if probes else packets)


def _contacts_of_flows(path: Path, reading: Reading, kind: str) -> Contacts:
    """The contact that each flow begins with, and right behind it what came of it, where that was seen."""
    found = [*read_flows(path, reading, kind)]
    flows = Probes.concat([probes for probes, _ in found])
    outcomes = np.concatenate([np.zeros(0, np.uint8), *(outcome for _, outcome in found)])
    seen = np.flatnonzero(outcomes)
    begun = _contacts([flows])
    came = replace(
        _contacts([flows[seen]], ordered=True), kind=np.array([CONTACT, ANSWERED, REFUSED], np.uint8)[outcomes[seen]]
    )
    both = Contacts.concat([begun, came])
    return both[np.argsort(both.ts, kind="stable")]


def _in_time_order(chunks: Iterable[Packets]) -> Iterator[Packets]:
    """The packets of a log, whose records may come in the order of the ends of flows."""
    packets = Packets.concat(chunks)
    yield packets[np.argsort(packets.ts, kind="stable")]


def usable(readings: Sequence[Reading], contacts: int) -> int:
    """How much of the inputs can be replayed: contacts, and packets of captures, as recorded traffic may well hold no
    first packet of a flow."""
    captures = (reading for reading in readings if reading.kind.startswith(("pcap", "erf")))
    return contacts + sum(reading.read - sum(reading.skipped.values()) for reading in captures)


def _contacts(chunks: Iterable[Probes], *, ordered: bool = False) -> Contacts:
    """Probes as contacts in the order of time; ``ordered``: in their own."""
    probes = Probes.concat(chunks)
    order = np.arange(len(probes)) if ordered else np.argsort(probes.ts, kind="stable")
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
