"""Counts of sources that probed two ports in sequence (equation 3's sums), kept as a bundle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from portkin.bundles.bundle_reader import open_bundle
from portkin.bundles.bundle_writer import write_bundle
from portkin.errors import InputError
from portkin.net.ports import Port

KIND = "portkin-sequential"
SCHEMA = 1


def save(path: Path, ports: Sequence[Port], sums: NDArray[np.int64], days: int) -> None:
    """Write the counts (p, p) over `days` days."""
    with write_bundle(path, kind=KIND, schema=SCHEMA, about={"days": days}) as folder:
        np.save(folder / "sums.npy", sums)
        fields = {"ports": [str(port) for port in ports], "days": days}
        (folder / "sequential.json").write_text(json.dumps(fields), encoding="utf-8")


def load(path: Path, ports: Sequence[Port]) -> tuple[NDArray[np.int64], int]:
    """The counts of these ports, (p, p) in this order, and the number of days; InputError where a port is missing."""
    bundle = open_bundle(path, kind=KIND, schema=SCHEMA)
    fields = bundle.fields("sequential.json")
    place = {Port.parse(text): at for at, text in enumerate(fields["ports"])}
    lacking = [port for port in ports if port not in place]
    if lacking:
        raise InputError(f"{path}: no counts of {lacking[0]}; count them for the ports of the series")
    rows = [place[port] for port in ports]
    return bundle.array("sums.npy")[np.ix_(rows, rows)], fields["days"]
