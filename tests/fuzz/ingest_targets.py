"""The readers of `portkin ingest`: captures, text, Parquet, compression, and the loops below them."""

from __future__ import annotations

import gzip
import io
import json
import lzma
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from fuzz.harness import Fenced, choice, noticed, refused, target
from fuzz.read_inputs import capture_is_sound, options_of, outcome, text_is_sound, written
from portkin.errors import InputError
from portkin_training.core.unaligned import kernel
from portkin_training.ingest.captures.layers import VLAN, VNI, decode
from portkin_training.ingest.captures.link_types import NAMES, NFLOG_BIG
from portkin_training.ingest.captures.reasons import REASONS, STORED
from portkin_training.ingest.formats.format import first_bytes
from portkin_training.ingest.inputs import InputOptions, detect
from portkin_training.ingest.logs import delimited_scan, json_scan, line_ends
from portkin_training.ingest.logs.json_shape import Shape
from portkin_training.ingest.streams import compression
from portkin_training.ingest.values import stamp_scan, text_numbers
from support import captures as by_hand
from support.captures import BEGIN, ipv4, ipv6, port_unreachable, tcp, udp
from support.encapsulations import ALL, erf
from support.format_records import RECORDS

CAPTURES = Path(__file__).parents[1] / "captures"
A, B, A6, B6 = "198.51.100.1", "192.0.2.1", "2001:db8::9", "2001:db8::1"
INNER = (
    ipv4(A, B, 6, tcp(40000, 80)),
    ipv4(B, A, 1, port_unreachable(ipv4(A, B, 17, udp(40000, 53)))),
    ipv6(B6, A6, 58, b"\1\4\0\0\0\0\0\0" + ipv6(A6, B6, 17, udp(1, 2))),
)
FRAMES = [(link, wrap(packet)) for packet in INNER for link, wrap in ALL.values()]
LINKS = [*NAMES, NFLOG_BIG, 147]
_BUFFER = Fenced()

JSON = (*(kind for kind, record in RECORDS.items() if record[0] in "{["), "zeek")
DELIMITED = ("csv", "nfdump", "argus", "silk", "aws-vpc", "zeek")
LINES = tuple(kind for kind in RECORDS if kind not in (*JSON, *DELIMITED))


def _captures() -> Iterator[bytes]:
    """Every link type and tunnel in pcap and pcapng of either byte order; ERF, the recordings of tests, joined ones."""
    for at, (link, frame) in enumerate(FRAMES):
        timed = [(BEGIN + n, frame) for n in range(3)]
        yield by_hand.pcap(timed, link=link, order="<>"[at % 2], nano=at % 3 == 0)
        order = "><"[at % 2]
        options = by_hand.option(9, bytes([(6, 9, 0x90)[at % 3]]), order) + by_hand.option(14, b"\0" * 8, order)
        blocks = [by_hand.enhanced(us, packet, order=order) for us, packet in timed]
        interfaces = by_hand.interface(link, options=options, order=order) + by_hand.interface(link, order=order)
        yield by_hand.section(order) + interfaces + b"".join(blocks) + by_hand.simple(frame, order)
    yield b"".join(erf(2, b"\0\0" + FRAMES[0][1], us=BEGIN + n) for n in range(3))
    yield from (path.read_bytes()[:6000] for path in sorted(CAPTURES.glob("*.pcap")))
    timed = [(BEGIN + n, FRAMES[0][1]) for n in range(2)]
    one = by_hand.pcap(timed, link=FRAMES[0][0], order=">")
    other = by_hand.section() + by_hand.interface(FRAMES[0][0]) + by_hand.enhanced(BEGIN, FRAMES[0][1])
    yield from (one + other, other + one, other + other, one + by_hand.pcap(timed, link=FRAMES[0][0], nano=True) + one)


@target(_captures)
def captures(folder: Path, data: bytes) -> None:
    """pcap, pcapng and ERF: every packet is a row or has a reason, whatever the window over the file."""
    capture_is_sound(folder, data)


@kernel
def _decoded(begin, end, link, how):
    return decode(begin, end, link, how)


@target(lambda: [bytes([LINKS.index(link)]) + frame for link, frame in FRAMES])
def frames(folder: Path, data: bytes) -> None:
    """One frame of a link type, with tunnels: nothing outside of its bytes is read."""
    link, frame = LINKS[data[0] % len(LINKS)] if data else 1, data[1:]
    how = choice(data, range(8))

    def act(held: np.ndarray) -> tuple[int, ...]:
        return _decoded(held.ctypes.data, held.ctypes.data + len(held), link, how)

    code, *_, sport, dport, proto, flags, seq, context = _BUFFER.both(frame, act)
    noticed(code, link, proto, flags & 0x17, context != 0)
    assert 0 <= code < len(REASONS)
    if code == STORED:
        assert proto in (1, 6, 17, 58)
        assert 0 <= sport < 65536 and 0 <= dport < 65536 and 0 <= flags < 256 and 0 <= seq < 1 << 32
        assert context == 0 or how & (VLAN | VNI)


def _records(kinds: tuple[str, ...], times: int) -> Iterator[bytes]:
    """A log of each kind, of so many records."""
    for kind in kinds:
        head, _, record = RECORDS[kind].rpartition("\n") if kind in DELIMITED else ("", "", RECORDS[kind])
        yield (f"{head}\n{(record + chr(10)) * times}").lstrip("\n").encode()


def _recorded(*names: str) -> Iterator[bytes]:
    """The first lines of logs that programs wrote."""
    for name in names:
        lines = gzip.decompress((CAPTURES / "logs" / f"{name}.gz").read_bytes()).splitlines(keepends=True)
        yield b"".join(lines[:12])[:4000]


def _json_logs() -> Iterator[bytes]:
    yield from _records(tuple(kind for kind in JSON if kind in RECORDS and RECORDS[kind][0] in "{["), 3)
    yield from _recorded("eve.json", "netflow-ipfix.json", "netflow-v5.json", "netflow-v9.json", "nfdump.json",
                         "ulogd.json")  # fmt: skip
    zeek = {"ts": 1767225600.5, "id.orig_h": A, "id.orig_p": 1, "id.resp_h": B, "id.resp_p": 22, "proto": "tcp",
            "conn_state": "S0", "history": "S", "id.ctx.vlan": 7}  # fmt: skip
    yield b"".join(json.dumps(zeek | {"id.resp_p": port}).encode() + b"\n" for port in (22, 23, 24))
    yield b"".join(json.dumps(json.loads(RECORDS[kind]), indent=1).encode() + b"\n" for kind in ("json", "eve"))


@target(_json_logs)
def json_logs(folder: Path, data: bytes) -> None:
    """JSON lines and documents of every format, as a whole and in pieces."""
    text_is_sound(folder, data, JSON)


def line_logs_seeds() -> Iterator[bytes]:
    yield from _records(LINES, 4)
    yield from _recorded("dmesg.log", "ulogd-syslogemu.log", "p0f.log")
    asa = RECORDS["asa"].partition("%")[0]
    yield f"""\
{asa}%ASA-4-106100: access-list a denied udp out/{A}(40000) -> in/{B}(53) hit-cnt 1
{asa}%ASA-2-106001: Inbound TCP connection denied from {A}/40001 to {B}/23 flags SYN on interface out
{asa}%ASA-3-710003: TCP access denied by ACL from {A}/40002 to out:{B}/22
{RECORDS["asa"]}
""".encode()


@target(line_logs_seeds)
def line_logs(folder: Path, data: bytes) -> None:
    """Lines of firewalls and honeypots among other lines, as a whole and in pieces."""
    text_is_sound(folder, data, LINES)


def delimited_logs_seeds() -> Iterator[bytes]:
    yield from _records(DELIMITED, 60)
    yield from _recorded("conn.log", "conn-vlans.log", "nfdump.csv", "ra.csv", "ra-times-without-date.csv")
    head = "date;time;source ip;destination port;src port;protocol;target\n"
    yield (head + f'2026-01-01;00:00:01;"{A}";22;"1";tcp;{B}\n' * 60).encode()


@target(delimited_logs_seeds)
def delimited_logs(folder: Path, data: bytes) -> None:
    """Columns under a header: CSV of any program, Zeek's TSV, flows; as a whole and in pieces."""
    text_is_sound(folder, data, DELIMITED, before=50)


@target(
    lambda: [
        *_json_logs(),
        *line_logs_seeds(),
        *delimited_logs_seeds(),
        *[*_captures()][::9],
        b"PK\3\4",
        b"SQLite format 3\0",
    ]
)
def recognition(folder: Path, data: bytes) -> None:
    """What any file is, also compressed and cut: the same kind and rows as plain; what comes before a cut is kept."""
    path = written(folder, data)
    plain = refused(lambda: detect(path), InputError, naming=str(path))
    if compression(data):
        outcome(path, InputOptions(plain)) if plain else None
        return
    packed = choice(data, (gzip.compress, lzma.compress, zstandard.compress, _in_two_members))(data)
    other = written(folder, packed, "input.packed")
    assert first_bytes(path) == first_bytes(other)
    kind = refused(lambda: detect(other), InputError, naming=str(other))
    assert plain == kind or not data
    if kind is None or kind == "parquet":  # which is read where it lies
        return
    options = options_of(data, kind)
    difference = outcome(path, options).differs(outcome(other, options))
    assert not difference, difference
    cut = choice(data, range(len(packed) + 1), 1)
    damaged = packed[:cut] + bytes(choice(data, (0, 1, 7), 2)) + packed[cut + choice(data, (0, 1), 3) :]
    outcome(written(folder, choice(data, (packed[:cut], damaged), 4), "input.cut"), options)


def _in_two_members(data: bytes) -> bytes:
    half = len(data) // 2
    return gzip.compress(data[:half]) + gzip.compress(data[half:])


_TYPES = (
    pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.dictionary(pa.int32(), pa.string()), pa.bool_(),
    pa.int8(), pa.int64(), pa.uint16(), pa.uint64(), pa.float32(), pa.float64(), pa.decimal128(25, 3), pa.date32(),
    pa.timestamp("s"), pa.timestamp("ns", "UTC"), pa.timestamp("us", "Europe/Berlin"), pa.time64("us"),
    pa.duration("s"), pa.list_(pa.int64()), pa.struct([("a", pa.int64())]), pa.null(),
)  # fmt: skip
_GOOD = {"ts": "1767225600", "src": A, "dst": B, "sport": "40000", "dport": "22", "proto": "tcp"}


def _column(text: str, kind: pa.DataType) -> pa.Array:
    """Values of a type, the text where it can be one, and null."""
    for value in (text, 1_767_225_600, "2026-01-01", True, [1], {"a": 1}):
        with suppress(pa.ArrowException):
            return pa.array([value, None, value]).cast(kind)
    return pa.nulls(3, kind)


def _parquet() -> Iterator[bytes]:
    """A file for each type of a column, for each column in turn."""
    for kind in _TYPES:
        for name in _GOOD:
            columns = {one: pa.array([text] * 3) for one, text in _GOOD.items()} | {name: _column(_GOOD[name], kind)}
            columns["ts"] = columns["ts"] if name == "ts" else pa.array([1_767_225_600] * 3)
            out = io.BytesIO()
            pq.write_table(pa.table(columns), out, compression="none")
            yield out.getvalue()


@target(_parquet)
def parquet(folder: Path, data: bytes) -> None:
    """Parquet with columns of every type."""
    path = written(folder, data)
    outcome(path, options_of(data, "parquet"))


@target(lambda: [*_json_logs(), *delimited_logs_seeds()])
def loops(folder: Path, data: bytes) -> None:
    """Compiled loops over text: nothing before or behind its bytes is read or written."""
    block = data if data.endswith(b"\n") else data + b"\n"
    _BUFFER.both(data, lambda held: (line_ends._count(held), line_ends._oddities(held)))
    ends = line_ends.line_ends(block)
    assert ends.tolist() == _BUFFER.both(block, lambda held: _filled(held, ends))
    rows = len(ends) - 1
    places = np.array([1, -1, 0, 2], np.int64)

    def split(held: np.ndarray) -> list[object]:
        begins, lengths = np.zeros((2, 3, rows), np.int32)
        widths = np.zeros(rows, np.int32)
        delimited_scan._split(held, choice(data, b",\t;| "), places, begins, lengths, widths)
        assert (begins + np.maximum(lengths, 0) <= len(held)).all()
        return [begins.tolist(), lengths.tolist(), widths.tolist()]

    tree = json_scan.PathTree.of([("ts",), ("src_ip",), ("flow", "start"), ("id", "orig_h"), ("é",)])

    def scan(held: np.ndarray) -> list[object]:
        begins, lengths = np.zeros((2, 5, rows), np.int32)
        simple = np.zeros(rows, np.bool_)
        json_scan.scan(held, ends, tree.arrays(), Shape().arrays(), begins, lengths, simple)
        return [begins[:, simple].tolist(), lengths[:, simple].tolist(), simple.tolist()]

    def numbers(held: np.ndarray) -> list[object]:
        offsets, values, us = ends.astype(np.int32), np.zeros((2, rows), np.int64), np.zeros(rows, np.int64)
        text_numbers._numbers(held, offsets, values[0])
        text_numbers._dotted(held, offsets, values[1])
        forms, days = np.zeros(rows, np.uint8), np.zeros(rows, np.int64)
        stamp_scan._scan(held, offsets, us, forms, days)
        return [values.tolist(), us.tolist(), forms.tolist(), days.tolist()]

    for act in (split, scan, numbers):
        _BUFFER.both(block, act)


def _filled(held: np.ndarray, ends: np.ndarray) -> list[int]:
    found = np.zeros_like(ends)
    line_ends._fill(held, found[1:])
    return found.tolist()
