"""Zeek's conn.log: both forms, any column order, and what is said of bad rows."""

import gzip
import json
import lzma
from pathlib import Path

import numpy as np
import pytest
import zstandard

from portkin.errors import InputError
from portkin_training.core.probes import Probes
from portkin_training.ingest.captures.packets import IPV4_MAPPED
from portkin_training.ingest.inputs import InputOptions, read_input, refuse_nothing
from portkin_training.ingest.reading import Reading

ROW = {
    "ts": "1641790800.143522",
    "uid": "C1",
    "id.orig_h": "93.81.158.106",
    "id.orig_p": "29011",
    "id.resp_h": "163.21.105.240",
    "id.resp_p": "9090",
    "proto": "tcp",
    "conn_state": "S0",
    "history": "S",
}
FIELDS = [*ROW]


def tsv(*rows: dict[str, str], fields: list[str] = FIELDS, separator: str = "\t", end: str = "\n") -> str:
    """A log with Zeek's header lines; what a row does not say is as in ROW, None is unset."""
    shown = "\\x" + separator.encode().hex()
    lines = [f"#separator {shown}"]
    for name, *values in (("#set_separator", ","), ("#empty_field", "(empty)"), ("#unset_field", "-")):
        lines.append(separator.join([name, *values]))
    lines += [separator.join(["#path", "conn"]), separator.join(["#fields", *fields])]
    lines.append(separator.join(["#types", *("string" for _ in fields)]))
    for row in rows:
        lines.append(separator.join("-" if (ROW | row)[name] is None else (ROW | row)[name] for name in fields))
    lines.append(separator.join(["#close", "2022-01-10-05-05-00"]))
    return end.join(lines) + end


def as_json(*rows: dict) -> str:
    """The same as JSON lines, with numbers as numbers."""
    out = []
    for row in rows:
        whole = {name: value for name, value in (ROW | row).items() if value is not None}
        for name, kind in (("ts", float), ("id.orig_p", int), ("id.resp_p", int)):
            whole[name] = kind(whole[name])
        out.append(json.dumps(whole))
    return "\n".join(out) + "\n"


def read(path: Path, text: str | bytes, **options) -> tuple[Probes, Reading]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    reading = Reading(str(path))
    return Probes.concat(read_input(path, reading, InputOptions("zeek", **options))), reading


@pytest.mark.parametrize(("form", "kind"), [(tsv, "zeek-tsv"), (as_json, "zeek-json")])
def test_both_forms(tmp_path, form, kind):
    """A log of either form gives the probes in it, with all their columns."""
    udp = {"proto": "udp", "history": "D", "id.orig_h": "2001:db8::9", "id.resp_p": "53"}
    answered = {"conn_state": "SF", "history": "ShADadFf"}
    probes, reading = read(tmp_path / "conn.log", form({}, answered, udp, {"proto": "icmp"}))
    assert [1641790800_143522] * 2 == probes.ts.tolist()
    assert [0, 1] == probes.seq.tolist()
    assert [[0, IPV4_MAPPED | 0x5D519E6A], [0x20010DB8 << 32, 9]] == probes.src.tolist()
    assert [[0, IPV4_MAPPED | 0xA31569F0]] * 2 == probes.dst.tolist()
    assert [(29011, 9090, 6, 0), (29011, 53, 17, 0)] == [
        *zip(probes.sport, probes.dport, probes.proto, probes.flags, strict=True)
    ]
    assert (kind, 4, 0, []) == (reading.kind, reading.read, reading.bad, reading.problems)
    assert {"answered or used": 1, "neither TCP nor UDP": 1} == dict(reading.skipped)


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, zstandard.compress])
def test_compressed(tmp_path, compress):
    """Compressed logs are read as plain ones."""
    assert 2 == len(read(tmp_path / "a", compress(tsv({}, {}).encode()))[0])


def test_columns_in_any_order_and_any_separator(tmp_path):
    """The header says which column is which and what separates them."""
    probes, _ = read(tmp_path / "a", tsv({"id.resp_p": "22"}, fields=FIELDS[::-1], separator="|"))
    assert [22] == probes.dport.tolist()


@pytest.mark.parametrize("damaged", ["\\x", "\\", "", "\\x09\\x09", "\\x22", "é"])
def test_a_damaged_separator_is_reported_and_the_usual_one_taken(tmp_path, damaged):
    path = tmp_path / "conn.log"
    path.write_text(tsv({}).replace("#separator \\x09", f"#separator {damaged}"))
    reading = Reading("conn.log")
    assert 1 == sum(map(len, read_input(path, reading, InputOptions("zeek"))))
    assert [f"conn.log: line 1: separator {damaged!r} is no character; '\\t' is taken"] == reading.problems


def test_windows_line_ends(tmp_path):
    """Carriage returns at the ends of lines are no part of the values."""
    assert 1 == len(read(tmp_path / "a", tsv({}, end="\r\n"))[0])


def test_logs_put_together(tmp_path):
    """Several logs in one file, with other columns, are read each by its own header."""
    probes, reading = read(tmp_path / "a", tsv({}) + tsv({"id.resp_p": "22"}, fields=FIELDS[::-1]))
    assert [9090, 22] == probes.dport.tolist()
    assert (2, []) == (reading.read, reading.problems)


def test_history_may_be_missing(tmp_path):
    """Without a history the state alone decides."""
    fields = [name for name in FIELDS if name != "history"]
    probes, _ = read(tmp_path / "a", tsv({}, {"conn_state": "SF"}, {"conn_state": "RSTO"}, fields=fields))
    assert 1 == len(probes)


def test_any_state(tmp_path):
    """On demand answered connections count too, backscatter never."""
    rows = ({"conn_state": "SF", "history": "ShADadFf"}, {"conn_state": "OTH", "history": "^h"})
    assert 1 == len(read(tmp_path / "a", tsv(*rows), any_state=True)[0])


def test_stamps_as_iso_text(tmp_path):
    """JSON logs with ISO 8601 stamps are read, with microseconds."""
    text = as_json({}).replace("1641790800.143522", '"2022-01-10T05:00:00.143522Z"')
    probes, reading = read(tmp_path / "a", text)
    assert [1641790800_143522] == probes.ts.tolist()
    assert [] == reading.problems


def test_bad_rows_are_named_by_line_and_the_rest_is_kept(tmp_path):
    """Rows of another width or with values that make no sense are counted and named by line; the others stay."""
    lines = tsv({}, {"id.orig_h": "nobody"}, {"id.resp_p": "70000"}, {"ts": "yesterday"}, {}).splitlines()
    lines.insert(9, "cut\toff")  # between the first row (line 8) and the second
    probes, reading = read(tmp_path / "a", "\n".join(lines) + "\n")
    assert (2, 4, 6) == (len(probes), reading.bad, reading.read)
    assert [
        "line 10: 2 columns where the header has 9",
        "line 9: src 'nobody' is no address",
        "line 11: dport '70000' is no port from 0 to 65535",
        "line 12: ts 'yesterday' is no time",
    ] == [problem.removeprefix(f"{tmp_path / 'a'}: ").partition(";")[0] for problem in reading.problems]


def test_bad_json_lines_are_named_and_the_rest_is_kept(tmp_path):
    """A line that is no JSON object is counted and named; the others stay."""
    good = as_json({})
    probes, reading = read(tmp_path / "a", good + '{"ts": 1, \n' + "[]\n\n" + good)
    assert (2, 2, 4) == (len(probes), reading.bad, reading.read)
    assert ["line 2", "line 3"] == [problem.split(": ")[1] for problem in reading.problems]


def test_only_the_first_bad_rows_are_named(tmp_path):
    """However many rows are bad, few are named and all are counted."""
    _, reading = read(tmp_path / "a", tsv(*[{"id.orig_h": "x"}] * 50))
    assert (50, 5) == (reading.bad, len(reading.problems))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("#separator \\x09\n#fields\tts\tuid\n", "#fields lacks id.orig_h, id.orig_p"),
        ("#separator \\x09\n#path\tdns\n#fields\tts\n1\n", "line 2: here begins Zeek's dns log; conn.log is needed"),
        ("#separator \\x09\n1\t2\t3\n", "line 2: '1\\t2\\t3' stands before the line #fields"),
    ],
)
def test_foreign_logs_are_refused(tmp_path, text, said):
    """A log that is no conn.log gives nothing, and what is missing is said."""
    probes, reading = read(tmp_path / "a", text)
    assert (0, 1) == (len(probes), len(reading.problems))
    assert said in reading.problems[0]
    with pytest.raises(InputError, match="no probe in"):
        refuse_nothing([reading], len(probes))


def test_other_logs_behind_a_conn_log_lose_nothing_of_it(tmp_path):
    """Logs put together: the rows of other logs are counted, those of conn.log are kept before and behind them."""
    dns = tsv({}).replace("\tconn\n", "\tdns\n")
    probes, reading = read(tmp_path / "a", tsv({"id.orig_p": "1"}) + dns + tsv({"id.orig_p": "2"}))
    assert [1, 2] == probes.sport.tolist()
    assert (3, 1) == (reading.read, reading.skipped["rows of other logs of Zeek"])


def test_cut_log_keeps_what_came_before(tmp_path):
    """A compressed log that breaks off gives the rows before the cut, and says so."""
    rng = np.random.default_rng(5)
    rows = [{"id.orig_p": str(port)} for port in rng.integers(0, 65536, 20_000)]
    packed = gzip.compress(tsv(*rows).encode())
    probes, reading = read(tmp_path / "a", packed[: len(packed) // 2])
    assert 5_000 < len(probes) < 15_000
    assert "the file is cut or damaged" in reading.problems[0]


@pytest.mark.data
def test_recording(shared_data):
    """On the recorded log, every row is accounted for, and the probes are those that plain Python counts."""
    path = shared_data / "mawi" / "20220110-first-half-conn.log.gz"
    reading = Reading(str(path))
    probes = Probes.concat(read_input(path, reading))
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    rows = [line.split("\t") for line in lines if line[0] != "#"]
    assert len(rows) == reading.read == len(probes) + sum(reading.skipped.values())

    def is_probe(proto: str, state: str, history: str) -> bool:
        if proto == "udp":
            return state == "S0" and history[0] == "D"
        if proto != "tcp" or history[0] != "S":
            return False
        if state in ("S0", "REJ", "RSTOS0", "SH"):
            return "A" not in history
        if state in ("RSTR", "S1"):
            return "A" not in history and "D" not in history
        return state == "RSTO" and "D" not in history

    expected = [row for row in rows if is_probe(row[6], row[11], row[15])]
    assert [int(row[5]) for row in expected] == probes.dport.tolist()
    assert [round(float(row[0]) * 1e6) for row in expected] == probes.ts.tolist()
