"""Zeek's conn.log, TSV and JSON lines: the flows that are probes by `ingest.probe_definition`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from portkin_training.ingest.logs import text_blocks
from portkin_training.ingest.logs.delimited_lines import parse_delimited
from portkin_training.ingest.logs.gathering import Chunk, gathered
from portkin_training.ingest.logs.json_lines import JsonPaths, pointer
from portkin_training.ingest.logs.line_ends import line_breaks
from portkin_training.ingest.probe_definition import flow_reasons
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.records import Rows

if TYPE_CHECKING:
    from portkin_training.ingest.formats.format import Source

_FIELDS = {
    "ts": "ts",
    "src": "id.orig_h",
    "sport": "id.orig_p",
    "dst": "id.resp_h",
    "dport": "id.resp_p",
    "proto": "proto",
    "state": "conn_state",
    "history": "history",
    "vlan": "id.ctx.vlan",
    "inner_vlan": "id.ctx.inner_vlan",
    "vni": "id.ctx.vni",
}
"""Our name of a column -> Zeek's."""
_ANSWERED = ("SF", "S1", "S2", "S3", "RSTO", "RSTR")
"""conn_state where the responder has answered."""
_NEEDED = ("ts", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto", "conn_state")


def conn_log_rows(source: Source) -> Iterator[Rows]:
    """The rows of a conn.log; TSV with its header lines or JSON lines; plain, .gz, .xz or .zst.

    Rows are in the order of the log, which is that of the ends of the connections; ``ts`` is their begin.

    Raises:
        InputError: no such file.
    """
    reading = source.reading
    reading.kind = ""
    header = _Header(source.path)
    paths = JsonPaths({field: [pointer(*keys) for keys in _spellings(name)] for field, name in _FIELDS.items()})
    chunks = (
        chunk
        for first, block in text_blocks.blocks(source.path, reading)
        for chunk in _chunks(block, first, header, paths, reading)
    )
    for columns, where in gathered(chunks):
        nothing = pa.nulls(len(where), pa.string())
        reasons = flow_reasons(
            columns["proto"],
            columns.get("state", nothing),
            columns.get("history", nothing),
            any_state=source.any_state or source.outcomes,
        )
        if source.outcomes:
            columns = {
                **columns,
                "outcome": pc.if_else(pc.is_in(columns["state"], pa.array(_ANSWERED)), "answered", _refused(columns)),
            }
        yield Rows(columns, where, reasons)


def _refused(columns: dict[str, pa.Array]) -> pa.Array:
    return pc.if_else(pc.equal(columns["state"], "REJ"), "refused", "")


def _chunks(block: bytes, first: int, header: _Header, paths: JsonPaths, reading: Reading) -> Iterable[Chunk]:
    """The rows of a block; the first one says which form the log has."""
    if not reading.kind and (begin := block.lstrip()[:1]):  # a log that was emptied begins with nothing
        reading.kind = "zeek-json" if begin == b"{" else "zeek-tsv"
    if reading.kind == "zeek-json":
        return [paths.columns(block, first, reading)]
    return header.parse(block, first, reading)


def _spellings(name: str) -> list[tuple[str, ...]]:
    """The keys under which a field stands: as Zeek writes it, nested, and with underscores, as shippers do."""
    if "." not in name:
        return [(name,)]
    return [(name,), tuple(name.split(".")), (name.replace(".", "_"),)]


class _Header:
    """The header of a TSV log as it stands at some line; logs put together have several."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._separator, self._unset, self._empty = "\t", "-", "(empty)"
        self._fields: list[str] = []
        self._foreign = ""

    def _read(self, line: str, number: int, reading: Reading) -> None:
        if line.startswith("#separator "):
            self._fields, self._foreign = [], ""
            self._separate(line.removeprefix("#separator "), number, reading)
            return
        name, *values = line.split(self._separator)
        if name == "#fields":
            missing = [name for name in _NEEDED if name not in values]
            self._fields = [] if missing or self._foreign else values
            if missing and not self._foreign:
                reading.problem(f"line {number}", f"#fields lacks {', '.join(missing)}; a conn.log of Zeek has them")
                self._foreign = "rows without the columns of a conn.log"
        elif name == "#path":
            self._fields, self._foreign = [], ""
            if values[:1] != ["conn"]:
                self._foreign = "rows of other logs of Zeek"
                if not reading.skipped[self._foreign]:
                    reading.problem(f"line {number}", f"here begins Zeek's {' '.join(values)} log; conn.log is needed")
        elif name == "#unset_field" and values:
            self._unset = values[0]
        elif name == "#empty_field" and values:
            self._empty = values[0]

    def _separate(self, escaped: str, number: int, reading: Reading) -> None:
        """Take a separator; a damaged one is reported, and the one before it holds."""
        try:
            found = escaped.encode().decode("unicode_escape")
        except UnicodeDecodeError:
            found = ""
        if len(found) == 1 and found.isascii() and found not in '"\r\n':
            self._separator = found
        else:
            reading.problem(f"line {number}", f"separator {escaped!r} is no character; {self._separator!r} is taken")

    def parse(self, block: bytes, first: int, reading: Reading) -> Iterator[Chunk]:
        """The rows of a block of lines: columns by name and line numbers, a chunk for each header. Rows of other logs,
        and those without a header, are counted."""
        at = 0
        while at < len(block):
            if block[at : at + 1] == b"#":
                end = (block.find(b"\n", at) + 1) or len(block)
                self._read(block[at:end].decode().rstrip("\r\n"), first, reading)
                first += 1
            else:
                # Most blocks hold no # at all, which is found out faster.
                end = (block.find(b"\n#", at) + 1 if b"#" in block else 0) or len(block)
                if self._fields:
                    yield self._rows(block[at:end], first, reading)
                else:
                    self._left_out(block[at:end], first, reading)
                first += line_breaks(block[at:end])
            at = end

    def _left_out(self, lines: bytes, first: int, reading: Reading) -> None:
        """Count lines of another log, or before the first header."""
        for number, line in enumerate(lines.decode().split("\n"), first):
            if not line.strip():
                continue
            reading.read += 1
            if self._foreign:
                reading.skipped[self._foreign] += 1
            else:
                reading.bad_row(f"line {number}", f"{line[:120]!r} stands before the line #fields", "before #fields")

    def _rows(self, rows: bytes, first: int, reading: Reading) -> Chunk:
        wanted = [name for name in _FIELDS.values() if name in self._fields]
        found, where = parse_delimited(
            rows,
            first,
            self._fields,
            wanted,
            self._separator,
            quoted=False,
            reading=reading,
            nulls=(self._unset, self._empty),
        )
        return {field: found[name] for field, name in _FIELDS.items() if name in found}, where
