"""A table in the forms that other programs read: CSV, GraphML, and a file for Zeek's Input framework."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path

import numpy as np

from portkin.bundles.table import Table
from portkin.files import replacing
from portkin.net.ports import Port, service_name


def write_csv(table: Table, path: Path) -> None:
    """One row per port and neighbor: ``proto,port,rank,neighbor,distance``; rank 1 is the nearest."""
    with path.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(("proto", "port", "rank", "neighbor", "distance"))
        for port, neighbors, distances in _rows(table):
            for rank, (neighbor, distance) in enumerate(zip(neighbors, distances, strict=True), start=1):
                writer.writerow((port.proto, port.number, rank, neighbor.number, distance))


def write_graphml(table: Table, path: Path) -> None:
    """A directed graph: a node per port (``80/tcp``), an edge to each of its nearest ports.

    Nodes carry ``number``, ``proto`` and, where the system names one, ``service``; edges ``distance`` and ``rank`` (1
    is the nearest). It is written as it goes, since a graph in memory takes two kilobytes for each of millions of
    edges.
    """
    with path.open("w", encoding="utf-8") as opened:
        opened.write(
            "<?xml version='1.0' encoding='utf-8'?>\n<graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\">\n"
        )
        for name, (of, type_) in _GRAPHML_KEYS.items():
            opened.write(f'<key id="{name}" for="{of}" attr.name="{name}" attr.type="{type_}"/>\n')
        opened.write('<graph edgedefault="directed">\n')
        opened.write(f"{_data(table=table.id, method=table.method)}\n")
        for proto, rows in table.rows.items():
            for number in np.union1d(rows.ports, rows.neighbors[np.isfinite(rows.distances)]).tolist():
                port = Port(number, proto)
                service = service_name(port)
                named = {"service": service} if service else {}
                opened.write(f'<node id="{port}">{_data(number=number, proto=proto, **named)}</node>\n')
        for port, neighbors, distances in _rows(table):
            for rank, (neighbor, distance) in enumerate(zip(neighbors, distances, strict=True), start=1):
                data = _data(distance=distance, rank=rank)
                opened.write(f'<edge source="{port}" target="{neighbor}">{data}</edge>\n')
        opened.write("</graph>\n</graphml>\n")


_GRAPHML_KEYS = {
    "table": ("graph", "string"),
    "method": ("graph", "string"),
    "number": ("node", "long"),
    "proto": ("node", "string"),
    "service": ("node", "string"),
    "distance": ("edge", "double"),
    "rank": ("edge", "long"),
}
"""What graph, nodes and edges carry, and of which type."""


def _data(**values: str | int) -> str:
    return "".join(f'<data key="{name}">{escape(str(value))}</data>' for name, value in values.items())


def write_zeek(table: Table, path: Path) -> None:
    """A file for Zeek's Input framework: a line per port, its nearest ports and their distances in order.

    It is read, and read again whenever it changes, with::

        type Idx: record { p: port; };
        type Nearest: record { ports: vector of port; distances: vector of double; };
        global nearest: table[port] of Nearest = table();
        Input::add_table([$source="nearest.tsv", $name="nearest", $idx=Idx, $val=Nearest, $destination=nearest,
                          $mode=Input::REREAD]);
    """
    with path.open("w", encoding="ascii") as opened:
        opened.write("#fields\tp\tports\tdistances\n")
        for port, neighbors, distances in _rows(table):
            ports = ",".join(map(str, neighbors)) or "(empty)"
            opened.write(f"{port}\t{ports}\t{','.join(distances) or '(empty)'}\n")


FORMATS: dict[str, tuple[str, Callable[[Table, Path], None]]] = {
    "csv": (".csv", write_csv),
    "graphml": (".graphml", write_graphml),
    "zeek": (".tsv", write_zeek),
}
"""Each format's usual suffix and its writer."""


def export(table: Table, path: Path, form: str) -> None:
    """Write the table to ``path`` in one of `FORMATS`; the file is there whole or not at all."""
    with replacing(path) as written:
        FORMATS[form][1](table, written)


def _rows(table: Table) -> Iterator[tuple[Port, list[Port], list[str]]]:
    """Each known port, its nearest ports, and their distances in the fewest digits that name the float32."""
    for proto, rows in table.rows.items():
        for number, neighbors, distances in zip(rows.ports.tolist(), rows.neighbors, rows.distances, strict=True):
            n = int(np.isfinite(distances).sum())
            yield (
                Port(number, proto),
                [Port(neighbor, proto) for neighbor in neighbors[:n].tolist()],
                [np.format_float_positional(distance, trim="0") for distance in distances[:n]],
            )
