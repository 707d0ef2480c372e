"""``portkin ingest``: any recordings in, one dataset out, and what is reported."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from portkin.errors import InputError
from portkin_training.commands.ingest import ingest as command
from portkin_training.core.dataset import load, manifest
from portkin_training.ingest.inputs import detect
from portkin_training.ingest.run import IngestOptions, ingest
from support import captures as by_hand
from support.captures import BEGIN, ipv4, tcp, udp

A, B = "198.51.100.1", "192.0.2.1"
CAPTURE = by_hand.pcap(
    [
        (BEGIN, ipv4(A, B, 6, tcp(40000, 80))),
        (BEGIN + 1, ipv4(B, A, 6, tcp(80, 40000, by_hand.RST | by_hand.ACK))),
        (BEGIN + 2, ipv4(A, B, 17, udp(40000, 161))),
    ]
)
CONN_LOG = (
    b"#separator \\x09\n#fields\tts\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tconn_state\n"
    b"1.5\t1.2.3.4\t9\t5.6.7.8\t23\ttcp\tS0\n"
)
CSV = b"ts,src,dst,dport,proto\n1,1.2.3.4,5.6.7.8,22,tcp\n"


@pytest.fixture
def inputs(tmp_path) -> list[Path]:
    """One input of each kind."""
    found = {
        "a.pcap": CAPTURE,
        "b.pcapng.gz": gzip.compress(
            by_hand.section() + by_hand.interface() + by_hand.enhanced(BEGIN, ipv4(A, B, 6, tcp(40001, 443)))
        ),
        "conn.log": CONN_LOG,
        "c.csv": CSV,
    }
    for name, data in found.items():
        (tmp_path / name).write_bytes(data)
    pq.write_table(
        pa.table({"ts": [2.0], "src": ["1.2.3.4"], "dst": ["5.6.7.8"], "dport": [25], "proto": ["tcp"]}),
        tmp_path / "d.parquet",
    )
    return [*(tmp_path / name for name in found), tmp_path / "d.parquet"]


def run(*arguments: object) -> tuple[int, str, str]:
    """(exit status, standard output, standard error)."""
    done = CliRunner().invoke(command, [*map(str, arguments)])
    if isinstance(done.exception, InputError):
        return 1, "", str(done.exception)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def test_inputs_of_any_kind_become_one_dataset(tmp_path, inputs):
    """Captures, logs and tables are recognised by their content and put together in the order given."""
    status, out, _ = run(*inputs, "-o", tmp_path / "probes", "--json")
    assert 0 == status
    found = json.loads(out)
    assert ["pcap", "pcapng", "zeek-tsv", "csv", "parquet"] == [one["kind"] for one in found["inputs"]]
    assert [2, 1, 1, 1, 1] == [one["probes"] for one in found["inputs"]]
    assert {"6": 5, "17": 1} == found["probes"]
    probes = load(tmp_path / "probes")
    assert [80, 161, 443, 23, 22, 25] == probes.dport.tolist()
    assert [*range(6)] == probes.seq.tolist()


def test_summary_for_people(tmp_path, inputs):
    """The table shows every input, the probes by protocol, what was left out and why, and the time span."""
    status, out, _ = run(*inputs, "-o", tmp_path / "probes")
    assert 0 == status
    for said in ("a.pcap", "zeek-tsv", "TCP probes", "no probe: TCP but no first SYN", "1970-01-01", "2023-11-14"):
        assert said in out


def test_captures_need_no_pandas(tmp_path, inputs):
    """A capture is ingested without pandas, which takes 30 MB and longer to load than a small capture to read; some
    calls of pyarrow load it."""
    code = "; ".join(
        [
            "import sys",
            "from pathlib import Path",
            "from portkin_training.ingest.run import ingest",
            "ingest([Path(sys.argv[1])], Path(sys.argv[2]))",
            "sys.exit('pandas' in sys.modules)",
        ]
    )
    assert 0 == subprocess.run([sys.executable, "-c", code, inputs[0], tmp_path / "probes"], check=False).returncode


def test_manifest_says_where_the_probes_came_from(tmp_path, inputs):
    """Names, sizes, sha256, counts, rules and their options are in the manifest."""
    run(*inputs, "-o", tmp_path / "probes", "--any-state")
    about = manifest(tmp_path / "probes")["about"]
    first = about["sources"][0]
    # sha256sum of the bytes of CAPTURE, by the program
    expected = subprocess.run(["sha256sum", inputs[0]], capture_output=True, text=True, check=True).stdout.split()[0]
    assert ("a.pcap", "pcap", len(CAPTURE), expected) == tuple(
        first[name] for name in ("name", "kind", "bytes", "sha256")
    )
    assert (3, 2, {"TCP but no first SYN (answers, data, backscatter)": 1}) == tuple(
        first[name] for name in ("read", "probes", "skipped")
    )
    assert {"version": 3, "window_s": 60.0, "any_state": True, "outer": False, "context": "none"} == about["rules"]


def test_flows_are_remembered_from_one_capture_to_the_next(tmp_path):
    """A capture cut into two files has no more probes than the whole; each file's account is its own."""
    (tmp_path / "a").write_bytes(CAPTURE)
    (tmp_path / "b").write_bytes(CAPTURE)
    summary = ingest([tmp_path / "a", tmp_path / "b"], tmp_path / "probes", again=True)
    assert [2, 0] == [reading.probes for reading in summary.readings]
    assert [1, 3] == [sum(reading.skipped.values()) for reading in summary.readings]


def test_window_for_tables_only_where_asked_for(tmp_path):
    """Rows of a table are probes as they are; with a window, repetitions are one."""
    (tmp_path / "a.csv").write_bytes(CSV + b"2,1.2.3.4,5.6.7.8,22,tcp\n")
    assert {6: 2} == ingest([tmp_path / "a.csv"], tmp_path / "one").probes
    assert {6: 1} == ingest([tmp_path / "a.csv"], tmp_path / "two", IngestOptions(window=5)).probes


def test_broken_input_is_reported_and_the_rest_kept(tmp_path):
    """A cut capture is a warning with file and byte, its packets are kept, and the status is 0."""
    (tmp_path / "cut.pcap").write_bytes(CAPTURE[:-5])
    status, _, err = run(tmp_path / "cut.pcap", "-o", tmp_path / "probes")
    assert 0 == status
    at = len(CAPTURE) - 16 - 29  # the last record: its header and 29 bytes
    assert f"warning: {tmp_path / 'cut.pcap'}: byte {at}: the last record is cut" in err.replace("\n", " ")
    assert 1 == len(load(tmp_path / "probes"))


def test_nothing_readable_is_an_error_and_writes_nothing(tmp_path):
    """Where all that was given is broken, the status is 1 and there is no dataset."""
    (tmp_path / "cut.pcap").write_bytes(CAPTURE[:30])
    status, _, err = run(tmp_path / "cut.pcap", "-o", tmp_path / "probes")
    assert 1 == status
    assert "nothing could be read" in err
    assert ["cut.pcap"] == [path.name for path in tmp_path.iterdir()]


def test_mostly_bad_rows_are_no_reason_to_refuse_the_good_one(tmp_path):
    """One good row among many of the wrong width is kept, with a warning."""
    (tmp_path / "a.csv").write_bytes(CSV + b"1,2\n" * 20)
    status, _, err = run(tmp_path / "a.csv", "-o", tmp_path / "probes")
    assert (0, 1) == (status, len(load(tmp_path / "probes")))
    assert "20 bad rows in all" in err


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("nowhere", None, "No such file"),
        ("empty.gz", gzip.compress(b"", mtime=0), "nothing that can be decompressed; name another file"),
        ("noise", b"\x00\x01\x02\x03", "begins no capture"),
        (
            "cut.gz",
            gzip.compress(CAPTURE, mtime=0)[:12],
            "begins no capture|cannot be decompressed",
        ),
    ],
)
def test_inputs_that_are_none_are_refused_before_anything_is_written(tmp_path, inputs, name, data, said):
    """An input that is missing or of no known kind is refused by name, whatever stands before it."""
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=said):
        ingest([inputs[0], tmp_path / name], tmp_path / "probes")
    assert not (tmp_path / "probes").exists()
    assert not [*tmp_path.glob(".probes*")]
    with pytest.raises(InputError, match="is a folder"):
        detect(tmp_path)


def test_an_empty_file_among_others_is_no_reason_to_refuse_them(tmp_path, inputs):
    """A log that was rotated a moment ago is empty: it is reported, and the others are read; alone it is refused."""
    empty = tmp_path / "kern.log"
    empty.touch()
    status, _, said = run(empty, inputs[0], "-o", tmp_path / "probes")
    assert (0, 2) == (status, len(load(tmp_path / "probes")))
    assert f"{empty}: is empty" in said
    for alone in ([empty], [empty, empty]):
        status, _, said = run(*alone, "-o", tmp_path / "other")
        assert (1, True, False) == (status, "is empty" in said, (tmp_path / "other").exists())


def test_format_can_be_named(tmp_path):
    """What an input is can be said where its first bytes do not tell."""
    (tmp_path / "a").write_bytes(b"ts\n1\n")
    status, _, err = run(tmp_path / "a", "-o", tmp_path / "probes", "--format", "csv")
    assert (1, True) == (status, "no column 'src'" in err)


def test_existing_dataset_needs_force(tmp_path, inputs):
    """A dataset that is there is refused, and replaced with --force."""
    run(inputs[0], "-o", tmp_path / "probes")
    status, _, err = run(inputs[1], "-o", tmp_path / "probes")
    assert (1, True) == (status, "--force" in err)
    assert 2 == len(load(tmp_path / "probes"))
    assert 0 == run(inputs[1], "-o", tmp_path / "probes", "--force")[0]
    assert 1 == len(load(tmp_path / "probes"))


def test_bad_map_is_refused(tmp_path, inputs):
    """A map that is no FIELD=COLUMN is refused with an example."""
    status, _, err = run(inputs[3], "-o", tmp_path / "probes", "-c", "ts")
    assert (2, True) == (status, "is not FIELD=COLUMN" in err)


def test_killed_ingest_leaves_no_dataset(tmp_path):
    """An ingest killed while it writes leaves no dataset; the next run says what it removed."""
    big = tmp_path / "big.pcap"
    record = by_hand.pcap([(BEGIN, ipv4(A, B, 17, udp(1, 2)))])[24:]
    with big.open("wb") as out:
        out.write(CAPTURE[:24])
        for _ in range(60):
            out.write(record * 50_000)
    run_it = [sys.executable, "-m", "portkin.cli", "ingest", big, "-o", tmp_path / "probes", "--window", "0"]
    process = subprocess.Popen(run_it, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not any(tmp_path.glob(".probes.*.partial/day=*/*")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert -signal.SIGKILL == process.wait()
    assert not (tmp_path / "probes").exists()
    (tmp_path / "a.pcap").write_bytes(CAPTURE)
    status, _, err = run(tmp_path / "a.pcap", "-o", tmp_path / "probes")
    assert 0 == status
    assert "left by a run that was killed" in err.replace("\n", " ")
    assert 2 == len(load(tmp_path / "probes"))
    assert not [*tmp_path.glob(".probes*")]


@pytest.mark.data
def test_all_recordings_together(shared_data, tmp_path):
    """Every recorded capture and log goes into one dataset, and the account of each adds up."""
    paths = [*sorted((shared_data / "pcaps").iterdir()), shared_data / "mawi" / "20220110-first-half-conn.log.gz"]
    summary = ingest(paths, tmp_path / "probes")
    for reading in summary.readings:
        assert reading.read == reading.probes + sum(reading.skipped.values())
        assert [] == reading.problems
    probes = load(tmp_path / "probes")
    assert sum(summary.probes.values()) == len(probes)
    assert np.all(np.diff(probes.seq) == 1)


def test_the_same_bytes_do_not_count_twice(tmp_path, inputs):
    """A file that is in the dataset is refused whatever its name, nothing is written, and --again insists."""
    output, copy = tmp_path / "probes", tmp_path / "copy.csv"
    copy.write_bytes(CSV)
    run(tmp_path / "c.csv", "-o", output)
    before = manifest(output)
    status, _, said = run("--append", inputs[0], copy, "-o", output)
    assert (1, before) == (status, manifest(output))
    assert f"{copy}: in the dataset already, as c.csv" in said and "--again" in said
    assert 0 == run("--append", "--again", copy, "-o", output)[0]
    assert 2 * before["rows"] == manifest(output)["rows"]


def test_the_same_bytes_given_twice_do_not_count_twice(tmp_path):
    """Two files that are one, or one that is named twice, are refused before anything is written."""
    first, copy, output = tmp_path / "c.csv", tmp_path / "copy.csv", tmp_path / "probes"
    for path in (first, copy):
        path.write_bytes(CSV)
    for two in ((first, copy), (first, first)):
        status, _, said = run(*two, "-o", output)
        assert (1, False) == (status, output.exists())
        assert f"{two[1]}: the same bytes as {first}, and would count twice" in said
    assert 0 == run(first, copy, "--again", "-o", output)[0]
    assert 2 == len(manifest(output)["about"]["sources"])
