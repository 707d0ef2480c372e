"""The order of time, of files and of rows; years over New Year; and what would count twice."""

import gzip
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from portkin.errors import InputError
from portkin_training.core.dataset import load, manifest
from portkin_training.core.probes import Probes
from portkin_training.ingest import time_order
from portkin_training.ingest.run import IngestOptions, ingest
from portkin_training.ingest.tables.columns import ColumnMap
from portkin_training.ingest.time_order import by_time, in_time_order

BEGIN = 1_767_225_600
"""2026-01-01T00:00:00Z."""
HEAD = "ts,src,dst,sport,dport,proto\n"
GOOD = f"{BEGIN},198.51.100.7,192.0.2.10,40000,22,tcp\n"


def kernel(day, port):
    """A line of the kernel's log, as syslog writes it, at noon of a day."""
    return (
        f"{day} 12:00:00 fw kernel: IN=eth0 OUT= SRC=198.51.100.7 DST=192.0.2.10 LEN=44 TOS=0x00 PREC=0x00 TTL=64 "
        f"ID=1 PROTO=TCP SPT=40000 DPT={port} WINDOW=1024 RES=0x00 SYN URGP=0\n"
    )


def us(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1e6)


def rotated(folder, files):
    """Files (name, days, when changed) of kernel lines; of the first day's port 1, and so on. Their paths by name."""
    folder.mkdir()
    port, paths = 0, []
    for name, days, changed in files:
        text = ""
        for day in days:
            port += 1
            text += kernel(day, port)
        path = folder / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        os.utime(path, ns=(us(changed) * 1000,) * 2)
        paths.append(path)
    return sorted(paths)


def read(paths, output, year=None, tz="UTC"):
    """(port, day) of each probe, in the order of the dataset; and the notes."""
    summary = ingest(paths, output, IngestOptions(columns=ColumnMap(year=year, tz=tz)))
    found = load(output)
    days = [str(np.datetime64(int(ts), "us"))[:10] for ts in found.ts]
    return list(zip(found.dport.tolist(), days, strict=True)), [note for one in summary.readings for note in one.notes]


def test_rotated_files_are_read_in_the_order_of_their_times(tmp_path):
    """Whatever the order of their names, files of one kind come by their first stamps."""
    paths = []
    for at, name in enumerate(("log", "log.1", "log.2.gz")):
        text = HEAD + GOOD.replace(str(BEGIN), str(BEGIN - at * 3600)).replace(",22,", f",{22 + at},")
        paths.append(tmp_path / name)
        paths[-1].write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    assert paths[::-1] == [one.path for one in in_time_order(paths, IngestOptions())]
    empty = tmp_path / "log.0"
    empty.touch()
    assert [empty, *paths[::-1]] == [
        one.path for one in in_time_order([*paths[:1], empty, *paths[1:]], IngestOptions())
    ]
    ingest(paths, tmp_path / "probes")
    assert [24, 23, 22] == load(tmp_path / "probes").dport.tolist()


NEW_YEAR = [
    ("kern.log.3.gz", ["Oct  5", "Oct 30"], "2023-10-31"),
    ("kern.log.2.gz", ["Nov  1", "Nov 30"], "2023-12-01"),
    ("kern.log.1", ["Dec  1", "Dec 31", "Jan  2"], "2024-01-03"),
    ("kern.log", ["Jan  5", "Feb 29"], "2024-03-01"),
]
DAYS = ["2023-10-05", "2023-10-30", "2023-11-01", "2023-11-30", "2023-12-01", "2023-12-31", "2024-01-02", "2024-01-05",
        "2024-02-29"]  # fmt: skip


@pytest.mark.parametrize("copied", [None, "2026-11-30", "2026-01-15"], ids=["as written", "copied", "copied in winter"])
@pytest.mark.parametrize("tz", ["UTC", "Asia/Tokyo"])
def test_the_year_that_is_given_is_that_of_the_first_of_rotated_files(tmp_path, copied, tz):
    """Rotated files over New Year are in order, each with its own year, also where copying has changed their dates."""
    files = [(name, days, copied or changed) for name, days, changed in NEW_YEAR]
    found, notes = read(rotated(tmp_path / "logs", files), tmp_path / "probes", 2023, tz)
    assert list(enumerate(DAYS, 1)) == found
    assert ["2023", "2023", "2023", "2024"] == [note[-4:] for note in notes if "name no year" in note]


def test_two_logs_of_one_machine_turn_their_years_together(tmp_path):
    """The year that is given is that of the earliest line of all inputs, of whatever log."""
    first = rotated(tmp_path / "a", [("kern.log", ["Dec 30", "Jan  1"], "2024-01-02")])
    second = rotated(tmp_path / "b", [("ufw.log", ["Jan  2"], "2024-01-02")])
    assert [(1, "2023-12-30"), (2, "2024-01-01"), (1, "2024-01-02")] == read(second + first, tmp_path / "p", 2023)[0]


def test_years_of_files_that_were_written_over_more_than_one(tmp_path):
    """A whole year lies between two files of one season: when they were changed tells."""
    files = [("kern.log.1", ["Mar  1"], "2022-03-02"), ("kern.log", ["Mar  3", "Mar  5"], "2024-03-05")]
    found, _ = read(rotated(tmp_path / "logs", files), tmp_path / "probes", 2022)
    assert [(1, "2022-03-01"), (2, "2024-03-03"), (3, "2024-03-05")] == found


def test_without_a_year_a_log_of_more_than_one_is_reported(tmp_path):
    """Times are the last before the change of the file; where they go back by that, --year is asked for."""
    paths = rotated(tmp_path / "logs", [("kern.log", ["Nov 30", "Dec 31", "Jan  1", "Dec  1"], "2024-12-02")])
    found, notes = read(paths, tmp_path / "probes")
    assert (1, "2024-11-30") == found[[port for port, _ in found].index(1)]
    assert ["--year is needed"] == [text for note in notes for text in ("--year is needed",) if text in note]
    assert not any("is needed" in note for note in read(rotated(tmp_path / "b", NEW_YEAR[2:]), tmp_path / "q")[1])


def probes_at(*seconds):
    """Rows of one flow at these seconds."""
    n = len(seconds)
    return Probes(
        np.array(seconds) * 1_000_000, np.arange(n), np.ones((n, 2), np.int64), np.ones((n, 2), np.int64),
        np.full(n, 4, np.uint16), np.full(n, 22, np.uint16), np.full(n, 6, np.uint8), np.zeros(n, np.uint8),
    )  # fmt: skip


def test_rows_are_put_in_the_order_of_time(monkeypatch):
    """Rows up to `ROOM` rows late find their places; chunks that are in order are passed on as they are."""
    monkeypatch.setattr(time_order, "ROOM", 4)
    chunks = [probes_at(1, 0), probes_at(3), probes_at(), probes_at(2, 6, 5), probes_at(4, 7, 8, 9), probes_at(8)]
    found = [*by_time(chunks)]
    assert [0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 9] == [int(ts) // 1_000_000 for chunk in found for ts in chunk.ts]
    assert [1, 0, 0, 0, 0, 2, 1, 1, 2, 0, 3] == [int(seq) for chunk in found for seq in chunk.seq]
    ordered = [probes_at(1, 2), probes_at(2), probes_at(3)]
    assert [*map(id, ordered)] == [*map(id, by_time(ordered))]


@pytest.mark.parametrize("seconds", [(80, 0, 40), (40, 80, 0), (0, 40, 80)])
@pytest.mark.parametrize("kind", ["csv", "zeek", "nfdump"])
def test_one_probe_whatever_the_order_of_the_log(tmp_path, kind, seconds):
    """Records less than 60 s apart, one after the other, are one probe, the earliest, in whatever order they stand."""
    flow = "198.51.100.7", "192.0.2.10"
    if kind == "csv":
        text = HEAD + "".join(GOOD.replace(str(BEGIN), str(BEGIN + at)) for at in seconds)
    elif kind == "zeek":
        text = "#fields\tts\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tconn_state\thistory\n"
        text += "".join(f"{BEGIN + at}\t{flow[0]}\t4\t{flow[1]}\t22\ttcp\tS0\tS\n" for at in seconds)
    else:
        times = [str(np.datetime64(BEGIN + at, "s")).replace("T", " ") for at in seconds]
        text = "ts,te,td,sa,da,sp,dp,pr,flg\n" + "".join(
            f"{at},{at},0,{','.join(flow)},4,22,TCP,......S.\n" for at in times
        )
    path = tmp_path / "log"
    path.write_text(text)
    ingest([path], tmp_path / "probes")
    assert [BEGIN * 1_000_000] == load(tmp_path / "probes").ts.tolist()


def test_a_question_that_is_logged_behind_its_answer(tmp_path):
    """nfdump has both directions of a flow of UDP, in any order: the earlier one is the probe."""
    path = tmp_path / "flows.csv"
    path.write_text(
        "ts,te,td,sa,da,sp,dp,pr,flg\n"
        "2026-01-01 00:00:01,x,0,192.0.2.10,198.51.100.7,9999,40000,UDP,........\n"
        "2026-01-01 00:00:00,x,0,198.51.100.7,192.0.2.10,40000,9999,UDP,........\n"
    )
    ingest([path], tmp_path / "probes")
    assert [9999] == load(tmp_path / "probes").dport.tolist()


def lines(n):
    return HEAD + "".join(GOOD.replace(",40000,", f",{40000 + at},") for at in range(n))


@pytest.mark.parametrize("n", [1, 100, 3000])
def test_a_log_and_its_compressed_copy_do_not_count_twice(tmp_path, n):
    """A glob that matches both, and a file compressed since it was ingested, are refused before anything is written."""
    plain, packed, output = tmp_path / "x.log", tmp_path / "x.log.gz", tmp_path / "probes"
    plain.write_text(lines(n))
    packed.write_bytes(gzip.compress(lines(n).encode()))
    with pytest.raises(InputError, match=r"x\.log.* begins as .*x\.log.* would count twice.*--again"):
        ingest([plain, packed], output)
    assert not output.exists()
    ingest([plain], output)
    with pytest.raises(InputError, match=r"x\.log\.gz: begins with all that x\.log begins with.*would count twice"):
        ingest([packed], output, append=True)
    ingest([packed], output, append=True, again=True)
    assert ["x.log", "x.log.gz"] == [source["name"] for source in manifest(output)["about"]["sources"]]


def test_a_log_that_has_grown_does_not_count_twice(tmp_path):
    """What was ingested before and is given again, longer than it was, is refused: --follow reads such a log."""
    path, output = tmp_path / "x.log", tmp_path / "probes"
    path.write_text(lines(100))
    ingest([path], output)
    path.write_text(lines(200))
    with pytest.raises(InputError, match="grown since, and would count twice"):
        ingest([path], output, append=True)
    path.write_text(lines(200).replace("192.0.2.10", "192.0.2.11"))
    ingest([path], output, append=True)
    assert 300 == manifest(output)["rows"]


def test_files_without_a_record_are_no_repeats(tmp_path):
    """Captures of an idle interface are equal to the last byte, and the headers of tables are alike."""
    empty = [tmp_path / f"{at}.pcap" for at in range(2)]
    for path in empty:
        path.write_bytes(bytes.fromhex("d4c3b2a1020004000000000000000000000004000100000000")[:24])
    columns = HEAD.strip() + "".join(f",column {at}" for at in range(150)) + "\n"
    heads = [tmp_path / f"{at}.csv" for at in range(4)]
    for path in heads:
        path.write_text(columns)
    row = GOOD.strip() + "," * 150 + "\n"
    heads[-2].write_text(columns + row)
    ingest([*empty, *heads[:-1]], tmp_path / "probes")
    heads[-1].write_text(columns + row.replace("22", "23"))
    ingest([heads[-1]], tmp_path / "probes", append=True)
    assert 2 == manifest(tmp_path / "probes")["rows"]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_what_several_programs_saw_is_one_probe(tmp_path, order):
    """Zeek's conn.log, Suricata's EVE and the capture of the same packets together have the probes of the capture."""
    captures = Path(__file__).parents[2] / "captures"
    inputs = [captures / "scans.pcap", captures / "logs" / "conn.log.gz", captures / "logs" / "eve.json.gz"]
    expected = ingest(inputs[:1], tmp_path / "capture").probes
    assert expected == ingest([inputs[at] for at in order], tmp_path / "all").probes
