"""What people's files get wrong, as kinds: nothing usable, odd protocols, addresses and times, repeats."""

# ruff: noqa: E501  # lines as programs write them

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from portkin.errors import ConfigError, InputError
from portkin_training.commands.ingest import ingest as command
from portkin_training.core.dataset import manifest
from portkin_training.evaluation.inputs import read_contacts
from portkin_training.ingest.inputs import detect, read_input, refuse_nothing
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.run import IngestOptions, ingest
from portkin_training.ingest.tables.columns import ColumnMap
from portkin_training.ingest.values.addresses import addresses
from portkin_training.ingest.values.stamps import Clock
from portkin_training.ingest.values.transport import ports, protos, tcp_flags
from portkin_training.tables.build import build_table
from portkin_training.tables.scans import ScanOptions

BEGIN = 1_767_225_600
"""2026-01-01T00:00:00Z."""
HEAD = "ts,src,dst,sport,dport,proto\n"
GOOD = f"{BEGIN},198.51.100.7,192.0.2.10,40000,22,tcp\n"
ZEEK = "#separator \\x09\n#path\tconn\n#fields\tts\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tconn_state\thistory\n"
SENT = (0, 1, 3, 7, 15, 31, 63)
"""Seconds at which Linux sends an unanswered SYN."""


def text_file(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        HEAD,
        HEAD + GOOD.replace("tcp", "icmp"),
        HEAD + GOOD.replace("192.0.2.10", "nowhere"),
        ZEEK,
        ZEEK + f"{BEGIN}\t198.51.100.7\t4\t192.0.2.10\t22\ttcp\tSF\tShADadFf\n",
        json.dumps({"timestamp": "2026-01-01T00:00:00Z", "event_type": "dns", "src_ip": "192.0.2.1"}) + "\n",
    ],
)
def test_an_input_of_which_nothing_is_usable_replaces_nothing(tmp_path, text):
    """No probe is an error that says what the rows were, and a dataset that is there stays; replay has the same rule."""
    good, bad = text_file(tmp_path / "good", HEAD + GOOD), text_file(tmp_path / "bad", text)
    ingest([good], tmp_path / "probes")
    before = manifest(tmp_path / "probes")
    with pytest.raises(InputError, match=r"nothing (usable|could be read)\. .*bad: no probe in \d+ rows of"):
        ingest([bad], tmp_path / "probes", force=True)
    with pytest.raises(InputError, match="no probe"):
        ingest([bad], tmp_path / "probes", append=True)
    assert before == manifest(tmp_path / "probes")
    reading = Reading(str(bad))
    contacts = read_contacts(bad, reading)
    with pytest.raises(InputError, match="no probe in"):
        refuse_nothing([reading], len(contacts))


def test_one_unusable_input_among_good_ones_is_a_warning(tmp_path):
    """What other inputs hold is kept; the one without a probe is named."""
    good, bad = text_file(tmp_path / "good", HEAD + GOOD), text_file(tmp_path / "bad", HEAD)
    done = CliRunner().invoke(command, [str(good), str(bad), "-o", str(tmp_path / "probes")])
    assert 0 == done.exit_code
    assert f"warning: {bad}: no probe in 0 rows of csv" in done.stderr


def test_no_table_is_made_of_a_dataset_without_probes(tmp_path):
    """A dataset without rows is refused, and the table that is there stays as it is."""
    from portkin_training.core.dataset_writer import ProbesWriter

    with ProbesWriter(tmp_path / "empty"):
        pass
    with pytest.raises(InputError, match="no probes, so nothing can be learnt"):
        build_table([tmp_path / "empty"], tmp_path / "table", k=3, options=ScanOptions())
    assert not (tmp_path / "table").exists()


@pytest.mark.parametrize("text", ["tcp6", "6.0", "006", "TCP", "6", "IPPROTO_TCP", "tcp4", " tcp ", "06", "6.000"])
def test_protocols(text):
    """TCP and UDP are known however they are written."""
    udp = text.replace("tcp", "udp").replace("TCP", "UDP").replace("6", "17") if text[-1] not in "46" else "udp6"
    assert [6, 17, 0] == protos(pa.array([text, udp, "icmp"])).tolist()


def test_addresses():
    """Padding zeros are decimal; brackets, zones, quotes and the length of a host's prefix are taken off."""
    text = [
        "198.051.100.007",
        "[2001:db8::1]",
        "fe80::1%eth0",
        "192.0.2.1/32",
        '"192.0.2.1"',
        "::ffff:192.0.2.1",
        "3221225985",
    ]
    found, bad = addresses(pa.array([*text, "192.0.2.256", "192.0.2", "192.0.2.1.1", "host", "", None]))
    host = [0, 0xFFFF_0000_0000 | 0xC0000201]
    assert [[0, 0xFFFF_0000_0000 | 0xC6336407], [0x20010DB8 << 32, 1]] == found[:2].tolist()
    assert [host] * 4 == found[3:7].tolist()
    assert [False] * 7 + [True] * 6 == bad.tolist()


def test_ports_and_flags():
    """Ports may be names, per protocol; flags may be words, letters with dots, or a number."""
    found, bad = ports(pa.array(["ssh", "22.0", "0022", "domain", "no-such", "65536"]), np.array([6, 6, 6, 17, 6, 6]))
    assert ([22, 22, 22, 53], [False] * 4 + [True] * 2) == (found[:4].tolist(), bad.tolist())
    assert [2, 18, 18, 18, 0] == tcp_flags(pa.array(["SYN ", "ACK SYN", ".A..S.", "0x12", "......"])).tolist()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1767225600000", 0), ("1767225600000000", 0), ("1767225600000000000", 0), ("1767225600.25", 0.25),
        ("2026-01-01T00:00:00.250+0000", 0.25), ("2026/01/01 00:00:00", 0), ("2026-01-01 00:00:00,250", 0.25),
        ("[2026/01/01 00:00:00]", 0), ("Jan  1 00:00:00", 0), ("Jan 01 2026 00:00:00", 0), ("Dec 31 23:59:59", -1),
        ("Thu Jan  1 00:00:00 2026", 0), ("01/Jan/2026:01:00:00 +0100", 0), ("2026-01-01 00:00:00 UTC", 0),
        ("2026-01-01T00:00:00.123456789Z", 0.123456), ("jan/01/2026 00:00:00", 0), ("2025-12-31T23:00:00-01", 0),
    ],
)  # fmt: skip
def test_times(text, seconds):
    """A time is the same however it is written, alone and among others; without a year it is not after the file."""
    for column in ([text], [text, "never", None, "2026-13-01 00:00:00", "1e30", "-5", "12:00:00"]):
        found, bad = Clock(latest=BEGIN * 1_000_000).stamps(pa.array(column))
        assert [False] + [True] * (len(column) - 1) == bad.tolist()
        assert round((BEGIN + seconds) * 1e6) == found[0]


def test_years_turn_with_the_log():
    """With the year of the first stamp given, January after December is of the next one."""
    clock = Clock(year=2024)
    found, _ = clock.stamps(pa.array(["Dec 31 23:59:59", "Jan  1 00:00:00", "Feb 28 00:00:00"]))
    days = [datetime.fromtimestamp(us / 1e6, UTC).date().isoformat() for us in found.tolist()]
    assert (["2024-12-31", "2025-01-01", "2025-02-28"], 3) == (days, clock.yearless)


def test_changes_of_clocks_are_reported(tmp_path):
    """Local times that clocks repeat or skip are counted; the remedy is named. Others move by the zone's offset."""
    clock = Clock(tz="Europe/Berlin")
    found, bad = clock.stamps(pa.array(["2026-10-25 02:30:00", "2026-03-29 02:30:00", "2026-07-01 12:00:00"]))
    assert (2, 3, False) == (clock.ambiguous, clock.local, bad.any())
    assert datetime(2026, 7, 1, 10, tzinfo=UTC).timestamp() * 1e6 == found[2]
    path = text_file(tmp_path / "a.csv", HEAD + GOOD.replace(str(BEGIN), "2026-10-25 02:30:00"))
    summary = ingest([path], tmp_path / "probes", IngestOptions(columns=ColumnMap(tz="Europe/Berlin")))
    assert any("a change of clocks in Europe/Berlin" in note for note in summary.readings[0].notes)
    with pytest.raises(ConfigError, match="time zone 'Mars' is not known"):
        ColumnMap(tz="Mars")


@pytest.mark.parametrize(("stamp", "said"), [("5", "dated before 1993"), ("9999999999", "dated in the future")])
def test_times_far_out_are_reported(tmp_path, stamp, said):
    """Few probes of a clock that was never set, or set wrongly, are kept and reported."""
    path = text_file(tmp_path / "a.csv", HEAD + GOOD + GOOD.replace(str(BEGIN), stamp))
    assert [f"1 probes are {said}"] == [one.partition(", ")[0] for one in ingest([path], tmp_path / "probes").warnings]


def test_probes_far_from_all_others_are_reported(tmp_path):
    """A row years before the others is kept and reported: 2019-01-01 to 2026-01-01 are 2,557 days."""
    path = text_file(
        tmp_path / "a.csv", HEAD + GOOD + GOOD.replace("22", "23") + GOOD.replace(str(BEGIN), "2019-01-01")
    )
    assert ["1 probes lie 2,557 days away from all others"] == ingest([path], tmp_path / "probes").warnings


def test_a_syn_sent_seven_times_is_one_probe_in_every_kind_of_log(tmp_path):
    """Zeek's conn.log of it (five records), kernel lines, CSV and JSON all count one; after a minute's rest, two."""
    zeek = "".join(f"{BEGIN + at}\t198.51.100.7\t4\t192.0.2.10\t22\ttcp\tS0\tS\n" for at in (0, 7, 15, 31, 63))
    rows = [(BEGIN + at, "198.51.100.7", "192.0.2.10", 4, 22, "tcp") for at in SENT]
    kernel = "".join(f"{ts}.000000 h kernel: IN=e OUT= SRC={src} DST={dst} LEN=4 PROTO=TCP SPT={sp} DPT={dp} WINDOW=1 SYN URGP=0\n"
                     for ts, src, dst, sp, dp, _ in rows)  # fmt: skip
    texts = {
        "zeek": ZEEK + zeek,
        "csv": HEAD + "".join(",".join(map(str, one)) + "\n" for one in rows),
        "json": "".join(json.dumps(dict(zip(HEAD.strip().split(","), one, strict=True))) + "\n" for one in rows),
        "netfilter": kernel,
    }
    for kind, text in texts.items():
        path = text_file(tmp_path / kind, text)
        assert kind == detect(path)
        assert {6: 1} == ingest([path], tmp_path / f"{kind}-probes").probes, kind
    again = text_file(tmp_path / "again", texts["csv"] + f"{BEGIN + 123},198.51.100.7,192.0.2.10,4,22,tcp\n")
    assert {6: 2} == ingest([again], tmp_path / "two").probes  # 123 s is 60 s after the last
    assert {6: 8} == ingest([again], tmp_path / "all", IngestOptions(window=0)).probes


def test_standard_input(tmp_path):
    """- is standard input, of any format and compression."""
    done = CliRunner().invoke(
        command, ["-", "-o", str(tmp_path / "probes"), "--json"], input=gzip.compress((HEAD + GOOD).encode())
    )
    assert {"6": 1} == json.loads(done.stdout)["probes"]
    done = CliRunner().invoke(command, ["-", "-o", str(tmp_path / "others")], input="a,b\n1,2\n")
    assert str(done.exception).startswith("standard input: no column")


def test_standard_input_that_is_closed_is_refused(tmp_path, monkeypatch):
    """As a service may be started: in a sentence, and without a traceback."""
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(click.UsageError, match="standard input is closed"):
        command.main(["-", "-o", str(tmp_path / "probes")], standalone_mode=False)


@pytest.mark.parametrize(
    ("text", "guessed"),
    [
        ("Timestamp,Source IP,Destination IP,Source Port,Destination Port,Protocol\n", "ts=Timestamp, src=Source IP"),
        ("time;srcip;dstip;spt;dpt;proto\n", "ts=time, src=srcip, dst=dstip, sport=spt, dport=dpt"),
    ],
)
def test_usual_names_of_columns_are_guessed_and_printed(tmp_path, text, guessed):
    """Columns are found by the names people give them, and the guess is printed."""
    mark = ";" if ";" in text else ","
    path = text_file(tmp_path / "a.csv", text + GOOD.replace(",", mark))
    done = CliRunner().invoke(command, [str(path), "-o", str(tmp_path / "probes")])
    assert (0, True) == (done.exit_code, guessed in done.stderr)


def test_values_of_json_are_mapped_by_paths(tmp_path):
    """A path names a nested value; keys with dots in them are keys too."""
    one = {"when": BEGIN, "a.b": "198.51.100.7", "to": {"host": "192.0.2.10", "p": 22}, "from": {"p": 4}, "l4": "tcp"}
    path = text_file(tmp_path / "a", json.dumps(one) + "\n")
    columns = ColumnMap(
        {"ts": "when", "src": "a.b", "dst": "to.host", "dport": "to.p", "sport": "from.p", "proto": "l4"}
    )
    assert {6: 1} == ingest([path], tmp_path / "probes", IngestOptions(columns=columns)).probes
    with pytest.raises(InputError, match=r"there are when, a.b, to.host, to.p, from.p, l4"):
        ingest([path], tmp_path / "others")


def test_text_in_utf16_is_refused_with_the_remedy(tmp_path):
    """What PowerShell writes is named, not taken for bad rows or for binary."""
    file = text_file(tmp_path / "a", (HEAD + GOOD).encode("utf-16"))
    for kind in ("csv", None):
        with pytest.raises(InputError, match=r"UTF-16; convert it with `iconv"):
            ingest([file], tmp_path / "p", IngestOptions(kind=kind))


SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SETTINGS
@example(junk=[b"'\r\"\\"], at=4)  # a carriage return by itself ends no line
@example(junk=[b'"_source"', b'{"log":"{\\"a\\":1}"}', b"CEF:0|a|b", b"1 [**] [2]"], at=0)  # what others' records hold
@given(junk=st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line), max_size=6), at=st.integers(0, 4))
@pytest.mark.parametrize("kind", ["csv", "json", "netfilter", "zeek"])
def test_no_line_of_junk_takes_a_good_one_with_it(tmp_path, kind, junk, at):
    """Any bytes between good lines, quotes and cut encodings among them, lose none of these."""
    good = [GOOD.replace(",22,", f",{port},") for port in range(1, 6)]
    if kind == "json":
        good = [
            json.dumps(dict(zip(HEAD.strip().split(","), one.strip().split(","), strict=True))) + "\n" for one in good
        ]
    elif kind == "zeek":
        good = [f"{BEGIN}\t198.51.100.7\t4\t192.0.2.10\t{port}\ttcp\tS0\tS\n" for port in range(1, 6)]
    elif kind == "netfilter":
        good = [f"{BEGIN}.0 h kernel: IN=e OUT= SRC=192.0.2.1 DST=192.0.2.10 LEN=4 PROTO=TCP SPT=4 DPT={port} WINDOW=1 SYN URGP=0\n"
                for port in range(1, 6)]  # fmt: skip
    lines = [one.encode() for one in good]
    if kind in ("json", "netfilter"):
        at = max(at, 1)  # the first bytes of a file may say that it is compressed
    lines[at:at] = [line.replace(b"#", b"") + b"\n" for line in junk]
    head = {"csv": HEAD, "zeek": ZEEK}.get(kind, "").encode()
    path = text_file(tmp_path / "log", head + b"".join(lines))
    reading = Reading(str(path))
    found = [int(port) for chunk in read_input(path, reading, IngestOptions(kind=kind)) for port in chunk.dport]
    assert [1, 2, 3, 4, 5] == [port for port in found if port in range(1, 6)][:5]
    assert reading.read <= 5 + len(junk)
