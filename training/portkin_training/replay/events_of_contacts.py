"""What the replay reads of contacts that a detector has judged."""

from __future__ import annotations

import numpy as np

from portkin_training.core.context import located
from portkin_training.core.groups import Grouper
from portkin_training.core.port_codes import codes_of
from portkin_training.ingest.contacts import CONTACT
from portkin_training.replay.events import BENIGN, SCAN, UNCOUNTED, Events, Over, units_of
from portkin_training.twin.judged_contacts import Detected


def events_of(
    detected: Detected,
    grouper: Grouper,
    over: Over,
    truth_of: np.ndarray | None = None,
) -> Events:
    """The rows that the replay reads. `truth_of` uint8 (n,) says what each contact is; without it the detector is
    believed, and contacts that are no probes stand in for benign connections."""
    contacts = detected.contacts
    kept = np.flatnonzero(contacts.kind == CONTACT)
    late = detected.late
    rows = np.concatenate([kept, late[:, 0]])
    ts = np.concatenate([contacts.ts[kept], late[:, 2]])
    # An order comes before the contact at which it was given; what was known at a time that stands later.
    order = np.argsort(np.concatenate([kept * 2 + 1, late[:, 1] * 2]), kind="stable")
    if truth_of is None:
        truth_of = np.where(detected.probe, SCAN, BENIGN)
    truth = truth_of[kept]
    truth = np.concatenate([truth, np.full(len(late), UNCOUNTED)]).astype(np.uint8)
    act = np.concatenate([detected.acted[kept], np.ones(len(late), bool)])
    rows, ts, truth, act = rows[order], ts[order], truth[order], act[order]
    group = grouper.number(
        located(contacts.src[rows], contacts.context[rows]), located(contacts.dst[rows], contacts.context[rows])
    )
    return Events(
        ts=ts,
        group=group,
        code=codes_of(contacts.dport[rows], contacts.proto[rows]),
        act=act,
        truth=truth,
        opens=np.ones(len(rows), bool),
        unit=units_of(ts, group, over),
    )
