"""Captures that are cut, damaged or something else: what came before is kept, and what is wrong is said."""

from __future__ import annotations

import gzip
import lzma
import re
import struct
from functools import partial

import numpy as np
import pytest
import zstandard

from portkin.errors import InputError
from portkin_training.ingest.captures.pcap import read_capture
from support import captures as by_hand
from support.captures import BEGIN
from support.decoded import EXPECTED, PROBE, read, rows

COMPRESS = [gzip.compress, partial(lzma.compress, preset=0), zstandard.compress]


@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_cut_file_keeps_the_packets_before_the_cut(tmp_path, form):
    """Wherever a file is cut, the whole packets before it are kept and the byte of the broken one is named."""
    if form == "pcap":
        whole = by_hand.pcap([(BEGIN, PROBE)] * 3)
        start, size = 24, 16 + len(PROBE)
    else:
        head = by_hand.section() + by_hand.interface()
        whole = head + by_hand.enhanced(BEGIN, PROBE) * 3
        start, size = len(head), len(by_hand.enhanced(BEGIN, PROBE))
    for cut in range(start, len(whole)):
        packets, reading = read(tmp_path / "a", whole[:cut])
        kept, rest = divmod(cut - start, size)
        assert [EXPECTED] * kept == rows(packets)
        if rest:
            assert f"byte {start + kept * size}:" in reading.problems[0]
        assert bool(rest) == bool(reading.problems)


def test_insane_record_length_ends_the_file_there(tmp_path):
    """A record that claims more bytes than a packet has ends the reading; file, byte and claim are named."""
    data = bytearray(by_hand.pcap([(BEGIN, PROBE)] * 4))
    at = 24 + 2 * (16 + len(PROBE))
    data[at + 8 : at + 12] = struct.pack("<I", 0x7FFF_FFFF)
    packets, reading = read(tmp_path / "broken.pcap", bytes(data))
    assert 2 == len(packets)
    (problem,) = reading.problems
    assert re.search(rf"broken\.pcap: byte {at}: .*2147483647", problem)


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        (by_hand.enhanced(0, PROBE, which=1), "interface that no block describes"),
        (struct.pack("<II", 6, 13) + b"\0" * 20, "claims 13 bytes"),
        (by_hand.block(6, b"\0" * 8), "claims 20 bytes"),
        (by_hand.block(6, struct.pack("<IIIII", 0, 0, 0, 999, 999)), "more captured bytes"),
        (by_hand.enhanced(0, PROBE)[:-4] + b"\x08\0\0\0", "at its end"),
        (by_hand.block(0x0A0D0D0A, b"\1\2\3\4" + b"\0" * 12), "byte-order mark"),
        (by_hand.interface(options=by_hand.option(9, b"\x7f")), "finer than 64 bits"),
    ],
)
def test_broken_pcapng_blocks(tmp_path, blocks, said):
    """A block that makes no sense ends the reading with its byte and what is wrong; the packets before stay."""
    head = by_hand.section() + by_hand.interface() + by_hand.enhanced(BEGIN, PROBE)
    packets, reading = read(tmp_path / "a", head + blocks + by_hand.enhanced(BEGIN, PROBE))
    assert [EXPECTED] == rows(packets)
    (problem,) = reading.problems
    assert f"byte {len(head)}: " in problem
    assert said in problem


def test_stamps_beyond_any_calendar_are_left_out(tmp_path):
    """A pcapng stamp before 1970 or after 9999 gives no row."""
    data = by_hand.section() + by_hand.interface() + by_hand.enhanced(1 << 63, PROBE) + by_hand.enhanced(0, PROBE)
    packets, reading = read(tmp_path / "a", data)
    assert [0] == packets.ts.tolist()
    assert {"stamp out of range": 1} == dict(reading.skipped)


@pytest.mark.parametrize(
    ("resolution", "ticks"), [(0, (1 << 64) // 1_000_000 + 1), (3, 1 << 62), (0x80, 1 << 62), (6, 1 << 62)]
)
def test_stamps_that_64_bits_cannot_hold_are_left_out(tmp_path, resolution, ticks):
    """Counted in seconds, milliseconds, or in binary fractions: none wraps around to a year that there is."""
    interface = by_hand.interface(options=by_hand.option(9, bytes([resolution])))
    data = by_hand.section() + interface + by_hand.enhanced(ticks, PROBE) + by_hand.enhanced(1, PROBE)
    packets, reading = read(tmp_path / "a", data)
    assert (1, {"stamp out of range": 1}) == (len(packets), dict(reading.skipped))


def test_many_interfaces_are_told_apart(tmp_path):
    """Each block's packet has the stamp unit of its own interface, however many there are."""
    interfaces = b"".join(by_hand.interface(options=by_hand.option(9, bytes([at % 7]))) for at in range(40))
    packets, _ = read(tmp_path / "a", by_hand.section() + interfaces + b"".join(
        by_hand.enhanced(5 * 10 ** (at % 7), PROBE, which=at) for at in range(40)
    ))  # fmt: skip
    assert [5_000_000] * 40 == packets.ts.tolist()


@pytest.mark.parametrize("compress", COMPRESS, ids=["gz", "xz", "zst"])
def test_cut_compressed_file_keeps_what_came_before(tmp_path, compress):
    """A compressed file that breaks off gives the packets that could be decompressed, and says so."""
    rng = np.random.default_rng(5)
    noise = rng.integers(0, 256, (6_000, 100), np.uint8)
    packed = compress(by_hand.pcap([(BEGIN, PROBE + row.tobytes()) for row in noise]))
    packets, reading = read(tmp_path / "a", packed[: len(packed) // 2])
    assert 1_500 < len(packets) < 4_500
    assert "byte " in reading.problems[0]


@pytest.mark.parametrize("data", [b"", b"\xa1", b"not a capture at all", b"\x1f\x8bnonsense"])
def test_foreign_file_is_refused(tmp_path, data):
    """A file that does not begin as a capture is refused with its name and first bytes."""
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(InputError, match=r"a: byte 0: .* begins"):
        [*read_capture(tmp_path / "a")]


def test_missing_file_is_refused(tmp_path):
    """A file that is not there is refused by name."""
    with pytest.raises(InputError, match="nowhere"):
        [*read_capture(tmp_path / "nowhere")]
