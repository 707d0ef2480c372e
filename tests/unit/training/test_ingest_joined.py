"""Captures joined by ``cat``: each is read, whatever its form, and an order that is not that of time is said."""

from __future__ import annotations

import gzip
import itertools
import lzma
import struct

import pytest
import zstandard

from portkin.errors import InputError
from portkin_training.evaluation.inputs import read_contacts
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.run import ingest
from support import captures as by_hand
from support.captures import BEGIN
from support.decoded import EXPECTED, PROBE, read, rows

ETHERNET = b"\2" * 12 + b"\x08\0"
FORMS = {
    "pcap": by_hand.pcap([(BEGIN, PROBE)] * 2),
    "pcap-big": by_hand.pcap([(BEGIN, PROBE)] * 2, order=">"),
    "pcap-nano": by_hand.pcap([(BEGIN, PROBE)] * 2, nano=True),
    "pcap-ethernet": by_hand.pcap([(BEGIN, ETHERNET + PROBE)] * 2, link=1),
    "pcap-modified": struct.pack("<IHHiIII", 0xA1B2CD34, 2, 4, 0, 0, 65535, by_hand.RAW)
    + (struct.pack("<IIIIIHBB", BEGIN // 1_000_000, 0, len(PROBE), len(PROBE), 2, 0x800, 0, 0) + PROBE) * 2,
    "pcapng": by_hand.section() + by_hand.interface() + by_hand.enhanced(BEGIN, PROBE) * 2,
    "pcapng-big": by_hand.section(">") + by_hand.interface(order=">") + by_hand.enhanced(BEGIN, PROBE, order=">") * 2,
}


@pytest.mark.parametrize("forms", [*itertools.product(FORMS, FORMS)], ids="+".join)
def test_all_captures_of_a_file_are_read(tmp_path, forms):
    """Two captures of any forms, one behind the other, give the packets of both."""
    first, second = (FORMS[form] for form in forms)
    packets, reading = read(tmp_path / "a", first + second)
    assert [EXPECTED] * 4 == rows(packets)
    assert [BEGIN] * 4 == packets.ts.tolist()
    assert [] == reading.problems
    assert [f"{tmp_path}/a: 2 captures, one behind the other; they begin at byte 0, {len(first):,}"] == reading.notes


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, zstandard.compress], ids=["gz", "xz", "zst"])
def test_compressed_captures_joined_are_read(tmp_path, compress):
    """Compressed files joined as they are, each a capture, are read to the end."""
    packets, reading = read(tmp_path / "a", b"".join(compress(data) for data in FORMS.values()))
    assert (2 * len(FORMS), []) == (len(packets), reading.problems)


@pytest.mark.parametrize("cut", [-40, -24, -23, -17, -16, -12, -11, -5, -4, -3, -1, 0, 1, 40])
def test_a_header_is_found_where_the_window_ends(tmp_path, cut):
    """A header that lies across the end of what is read at once is one all the same."""
    record = 16 + len(PROBE)
    whole, fill = divmod((1 << 20) + cut - 24 - record, record + 10_000)
    filled = by_hand.pcap([*[(BEGIN, PROBE + b"\0" * 10_000)] * whole, (BEGIN, PROBE + b"\0" * fill)])
    assert (1 << 20) + cut == len(filled)
    packets, reading = read(tmp_path / "a", filled + FORMS["pcap-big"])
    assert (whole + 3, []) == (len(packets), reading.problems)


@pytest.mark.parametrize("rows_at_once", [1, 2, 3, 5])
def test_joined_captures_in_small_chunks(tmp_path, rows_at_once):
    """How many rows a chunk has changes nothing."""
    packets, reading = read(tmp_path / "a", FORMS["pcap"] + FORMS["pcapng"] + FORMS["pcap-nano"], rows=rows_at_once)
    assert ([EXPECTED] * 6, []) == (rows(packets), reading.problems)


def test_captures_that_are_not_joined_by_time_are_named(tmp_path):
    """Where a later capture is of an earlier time, the file, the byte, both times and the remedy are named."""
    early, late = by_hand.pcap([(BEGIN, PROBE)]), by_hand.pcap([(BEGIN + 3_600_000_000, PROBE)])
    packets, reading = read(tmp_path / "a.pcap", late + early)
    assert 2 == len(packets)
    (problem,) = reading.problems
    assert (
        f"{tmp_path}/a.pcap: byte {len(late)}: another capture begins here, of 2023-11-14 22:13:20Z, when the one "
        "before ends at 2023-11-14 23:13:20Z; join them by time (`mergecap -w all.pcap FILES`)" == problem
    )
    _, reading = read(tmp_path / "b.pcap", early + late)
    assert [] == reading.problems


def test_a_cut_header_behind_a_capture_is_named(tmp_path):
    """What came before a header that is cut is kept; the byte where it stands is named."""
    packets, reading = read(tmp_path / "a", FORMS["pcap"] + FORMS["pcap"][:20])
    assert 2 == len(packets)
    (problem,) = reading.problems
    assert f"byte {len(FORMS['pcap'])}: the file ends after 20 of the 24 bytes of a pcap header" in problem


def test_a_joined_capture_of_another_link_type_is_named_and_the_rest_read(tmp_path):
    """A link type that is not read, in one of several captures, loses none of the others."""
    strange = by_hand.pcap([(BEGIN, PROBE)], link=147)
    packets, reading = read(tmp_path / "a", FORMS["pcap"] + strange + FORMS["pcapng"])
    assert 4 == len(packets)
    assert {"unknown link type": 1} == dict(reading.skipped)
    assert "link type 147" in reading.problems[0]
    with pytest.raises(InputError, match="link type 147"):
        read(tmp_path / "b", strange + strange)


def test_empty_packets_are_no_headers(tmp_path):
    """A record of no captured bytes is one, though its length is what a header has at that place."""
    data = by_hand.pcap([(BEGIN, PROBE), (0xA1B2C3D4 * 1_000_000, b""), (BEGIN, PROBE)])
    packets, reading = read(tmp_path / "a", data)
    assert (2, [], []) == (len(packets), reading.problems, reading.notes)


def test_ingest_and_replay_read_joined_captures(tmp_path):
    """One reader: the commands see the probes of every capture of a file."""
    others = [by_hand.ipv4("198.51.100.9", "192.0.2.1", 6, by_hand.tcp(40_000, port)) for port in (80, 81)]
    path = tmp_path / "all.pcap"
    path.write_bytes(
        by_hand.pcap([(BEGIN, PROBE)]) + by_hand.pcap([(BEGIN + at, one) for at, one in enumerate(others)])
    )
    summary = ingest([path], tmp_path / "probes")
    assert 3 == sum(summary.probes.values())
    assert 3 == len(read_contacts(path, Reading(str(path))))
