"""A log that grows is read as it grows: rotation, restarts, and years that turn between two looks."""

import gzip
import lzma
import os
import threading
import time
from pathlib import Path

import pytest
import zstandard

from portkin.errors import InputError
from portkin_training.core.dataset import load
from portkin_training.ingest.follow import Follower, follow
from portkin_training.ingest.run import IngestOptions, ingest
from portkin_training.ingest.tables.columns import ColumnMap

HEAD = "ts,src,dst,sport,dport,proto\n"
GOOD = "1767225600,198.51.100.7,192.0.2.10,40000,22,tcp\n"


def test_a_growing_log_is_followed_over_a_rotation_and_a_restart(tmp_path):
    """Lines are added as they come, also after the log is renamed, emptied, or the follower was away."""
    log, probes = tmp_path / "log.csv", tmp_path / "probes"

    def line(port: int) -> str:
        return GOOD.replace(",22,", f",{port},")

    def ports_are(expected: list[int]) -> None:
        deadline = time.monotonic() + 60
        while not probes.exists() or load(probes).dport.tolist() != expected:
            assert time.monotonic() < deadline, load(probes).dport.tolist() if probes.exists() else "nothing"
            time.sleep(0.02)

    def follower() -> tuple[threading.Event, threading.Thread]:
        stop = threading.Event()
        thread = threading.Thread(target=follow, args=(log, probes, IngestOptions(), stop), kwargs={"interval": 0.05})
        thread.start()
        return stop, thread

    log.write_text(HEAD + line(1))
    stop, thread = follower()
    try:
        ports_are([1])
        with log.open("a") as opened:
            opened.write(line(2) + line(3)[:20])
            opened.flush()
            ports_are([1, 2])
            opened.write(line(3)[20:])
        ports_are([1, 2, 3])
        log.rename(tmp_path / "log.csv.1")
        log.write_text(HEAD + line(4))
        ports_are([1, 2, 3, 4])
    finally:
        stop.set()
        thread.join(60)
    with log.open("a") as opened:
        opened.write(line(5))
    log.rename(tmp_path / "log.csv.2")
    log.write_text(HEAD + line(6))
    stop, thread = follower()
    try:
        ports_are([1, 2, 3, 4, 5, 6])
    finally:
        stop.set()
        thread.join(60)


def test_a_followed_log_keeps_its_year_from_look_to_look_and_over_a_restart(tmp_path):
    """Each look reads its lines by themselves: the turn of a year lies between two of them, the next after a restart.
    A line of 2024 that comes late is of 2024 all the same."""
    log, probes = tmp_path / "kern.log", tmp_path / "probes"
    packet = "fw kernel: IN=x OUT= SRC=192.0.2.1 DST=192.0.2.2 LEN=60 PROTO=TCP SPT={} DPT=22 WINDOW=0 SYN URGP=0"
    options = IngestOptions(columns=ColumnMap(year=2024))
    looks = [["Dec 31 23:59:58"], ["Jan  1 00:00:01"], ["Dec 31 23:59:59", "Jan  1 00:00:02"], ["Aug  1 00:00:00"]]
    log.touch()
    follower = Follower(log, probes, options)
    for at, times in enumerate([*looks, ["Jan  1 00:00:03"]]):
        if at == len(looks):
            follower.close()
            follower = Follower(log, probes, options)
        with log.open("a") as opened:
            opened.writelines(f"{when} {packet.format(at * 10 + place)}\n" for place, when in enumerate(times))
        reading = follower.look()
        assert reading is not None
        assert len(times) == reading.probes, reading
    follower.close()
    found = load(probes).ts.astype("datetime64[us]").astype("datetime64[s]").astype(str).tolist()
    assert [
        "2024-12-31T23:59:58",
        "2025-01-01T00:00:01",
        "2024-12-31T23:59:59",
        "2025-01-01T00:00:02",
        "2025-08-01T00:00:00",
        "2026-01-01T00:00:03",
    ] == found


AWS = "2 123456789012 eni-0a1 198.51.100.7 192.0.2.10 40000 {} 6 1 40 1767225600 1767225660 REJECT OK\n"
ZEEK = [
    "#separator \\x09\n", "#path\tconn\n",
    "#fields\tts\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tconn_state\n",
    *(f"1767225600.5\t198.51.100.7\t40000\t192.0.2.10\t{port}\ttcp\tS0\n" for port in (1, 2, 3)),
]  # fmt: skip
CSV = ["sep=;\n", "# honeypot\n", "ts;src;dst;sport;dport;proto\n",
       *(GOOD.replace(",22,", f",{port},").replace(",", ";") for port in (1, 2, 3))]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "first"),
    [([AWS.format(port) for port in (1, 2, 3)], 1), (ZEEK, 1), (ZEEK, 2), (ZEEK, 3), (["\n", *ZEEK], 4), (CSV, 4)],
)
def test_a_header_counts_for_all_later_lines_and_a_row_for_none(tmp_path, lines, first):
    """Without header, with one that is not there at once, and with one behind other lines: each row comes once, also
    the last one of a file that was moved away, which has no end."""
    log, probes = tmp_path / "log", tmp_path / "probes"
    log.write_text("".join(lines[:first]))
    follower = Follower(log, probes, IngestOptions("zeek" if "#path" in "".join(lines) else None))
    for line in [*lines[first:-1], lines[-1].rstrip()]:
        follower.look()
        with log.open("a") as opened:
            opened.write(line)
    log.rename(tmp_path / "log.1")
    log.write_text("")
    while follower.look() is not None:
        pass
    follower.close()
    assert [1, 2, 3] == load(probes).dport.tolist()


def rows(*ports):
    """Rows of CSV, one for each port."""
    return "".join(GOOD.replace(",22,", f",{port},") for port in ports)


def looked(follower):
    """What the follower finds until there is nothing left: the notes."""
    notes = []
    while (reading := follower.look()) is not None:
        notes += reading.notes
    return [note for note in notes if "lines behind them" in note]


PACK = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress, ".zst": zstandard.compress}


@pytest.mark.parametrize("packed", PACK)
@pytest.mark.parametrize("names", [("log.csv.2", "log.csv.1"), ("log.csv-20260101", "log.csv-20260102")])
def test_a_log_that_is_rotated_twice_while_nobody_looks(tmp_path, packed, names):
    """The rest of the file that was read, the whole one behind it and the present one follow each other, also where
    they were compressed and the first is another file now."""
    log, probes = tmp_path / "log.csv", tmp_path / "probes"
    log.write_text(HEAD + rows(1, 2))
    follower = Follower(log, probes, IngestOptions())
    assert [] == looked(follower)
    follower.close()
    log.unlink()
    for name, text in zip(names, (HEAD + rows(1, 2, 3), HEAD + rows(4, 5)), strict=True):
        (tmp_path / (name + packed)).write_bytes(PACK[packed](text.encode()))
    log.write_text(HEAD + rows(6))
    follower = Follower(log, probes, IngestOptions())
    assert [] == looked(follower)
    follower.close()
    assert [1, 2, 3, 4, 5, 6] == load(probes).dport.tolist()


@pytest.mark.parametrize("since", [(4,), (4, 5, 6, 7, 8)])
@pytest.mark.parametrize("packed", PACK)
def test_a_log_that_is_copied_and_emptied_between_two_looks(tmp_path, packed, since):
    """What came since the last look and before the copy is found in the copy, also where the log has grown beyond its
    old size since."""
    log, probes = tmp_path / "log.csv", tmp_path / "probes"
    log.write_text(HEAD + rows(1, 2))
    follower = Follower(log, probes, IngestOptions())
    assert [] == looked(follower)
    with log.open("a") as opened:
        opened.write(rows(3))
    (tmp_path / f"log.csv.1{packed}").write_bytes(PACK[packed](log.read_bytes()))
    log.write_text(HEAD + rows(*since))  # the same file
    assert [] == looked(follower)
    follower.close()
    assert [1, 2, 3, *since] == load(probes).dport.tolist()


def test_a_log_that_is_rotated_twice_between_two_looks(tmp_path):
    """The file that was read, the one that came and went, and the present one."""
    log, probes = tmp_path / "log.csv", tmp_path / "probes"
    log.write_text(HEAD + rows(1))
    follower = Follower(log, probes, IngestOptions())
    assert [] == looked(follower)
    log.rename(tmp_path / "log.csv.2")
    (tmp_path / "log.csv.1").write_text(HEAD + rows(2))
    log.write_text(HEAD + rows(3))
    assert [] == looked(follower)
    follower.close()
    assert [1, 2, 3] == load(probes).dport.tolist()


def test_what_cannot_be_found_again_is_reported(tmp_path):
    """A file that is gone, in whose place the file system has put another one, is not taken for it."""
    log, probes = tmp_path / "log.csv", tmp_path / "probes"
    log.write_text(HEAD + rows(1, 2))
    follower = Follower(log, probes, IngestOptions())
    looked(follower)
    follower.close()
    log.write_text(HEAD + rows(3, 4, 5, 6))  # the inode stays
    follower = Follower(log, probes, IngestOptions())
    [note] = looked(follower)
    assert f"the file of which {len(HEAD + rows(1, 2))} bytes were read is gone" in note
    follower.close()
    assert [1, 2, 3, 4, 5, 6] == load(probes).dport.tolist()


def test_several_logs_and_other_recordings_go_into_one_dataset(tmp_path):
    """Each log goes on where it was, whatever else was added meanwhile."""
    one, other, probes = tmp_path / "one.csv", tmp_path / "other.csv", tmp_path / "probes"
    for at in range(3):
        for path, port in ((one, 10 + at), (other, 20 + at)):
            with path.open("a") as opened:
                opened.write((HEAD if not at else "") + rows(port))
            follower = Follower(path, probes, IngestOptions(window=0))
            looked(follower)
            follower.close()
        recording = tmp_path / f"{at}.csv"
        recording.write_text(HEAD + rows(30 + at))
        ingest([recording], probes, append=True)
    assert [10, 20, 30, 11, 21, 31, 12, 22, 32] == load(probes).dport.tolist()


SCANS = Path(__file__).parents[2] / "captures" / "scans.pcap"


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("log.csv.gz", gzip.compress((HEAD + rows(1)).encode()), "compressed, so that no lines are added to it"),
        ("log.pcap", SCANS.read_bytes(), "a pcap file, and no log of lines; .* --append"),
        ("log", (HEAD + rows(1)).encode("utf-16"), "byte 0: text in UTF-16; convert it"),
        ("log", None, "no file that grows, but a folder, pipe or device"),
    ],
)
def test_what_is_no_growing_log_is_refused(tmp_path, name, data, said):
    """With its name and the remedy, and nothing is written: a capture's bytes are no lines, and a pipe has no end."""
    path, probes = tmp_path / name, tmp_path / "probes"
    if data is None:
        os.mkfifo(path)
    else:
        path.write_bytes(data)
    with pytest.raises(InputError, match=f"^{path}.*: {said}"):
        Follower(path, probes, IngestOptions()).look()
    assert not probes.exists()
