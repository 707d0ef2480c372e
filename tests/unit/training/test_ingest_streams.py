"""Compressed files in every shape that their programs write, cut anywhere; pipes; and what is read of a file once."""

import contextlib
import gzip
import hashlib
import io
import json
import lzma
import os
import shutil
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import zstandard
from click.testing import CliRunner

from portkin.errors import InputError
from portkin_training.commands.ingest import ingest as command
from portkin_training.core.dataset import manifest
from portkin_training.core.protocols import TCP
from portkin_training.ingest.reading import Reading
from portkin_training.ingest.run import ingest
from portkin_training.ingest.streams import StreamBuffer, open_stream, whole_frames
from portkin_training.ingest.twice import Digest
from support.captures import BEGIN, ipv4, pcap, tcp

N = 40
FLOW = "198.51.100.7,192.0.2.10"
ROWS = [f"{1_767_225_600 + at},{FLOW},{at * 977 % 64000 + 1},{at * 7919 % 65521},tcp" for at in range(N)]
TEXT = "\n".join(["ts,src,dst,sport,dport,proto", *ROWS, ""]).encode()
COMPRESS = {"gz": gzip.compress, "xz": lzma.compress, "zst": zstandard.compress}


@pytest.mark.parametrize("compress", COMPRESS.values(), ids=COMPRESS)
@pytest.mark.parametrize("shape", ["two", "empty members"])
def test_members_one_behind_the_other(tmp_path, compress, shape):
    """Files put together, and empty members before, between and behind them, are read to the end."""
    parts = [TEXT[:700], TEXT[700:]] if shape == "two" else [b"", TEXT[:700], b"", TEXT[700:], b""]
    path = tmp_path / "log"
    path.write_bytes(b"".join(map(compress, parts)))
    summary = ingest([path], tmp_path / "probes")
    assert (N, []) == (summary.probes[6], summary.readings[0].problems)


@pytest.mark.parametrize("compress", COMPRESS.values(), ids=COMPRESS)
def test_a_cut_file_says_so(tmp_path, compress):
    """Wherever a file breaks off, what came before is kept, and a problem says that it is cut."""
    data = compress(TEXT)
    path = tmp_path / "log"
    for size in range(len(data) // 2, len(data) - 8, 23):
        path.write_bytes(data[:size])
        try:
            summary = ingest([path], tmp_path / str(size))
        except InputError as error:
            assert "decompressed" in str(error) or "is cut" in str(error)  # nothing came out of it yet
            continue
        assert "the file is cut or damaged" in summary.readings[0].problems[0]


@pytest.mark.skipif(shutil.which("zstd") is None, reason="needs zstd")
@pytest.mark.parametrize(
    "options", [["-1"], ["-19", "--no-check"], ["--long=27"], ["--no-content-size"], ["-T2", "-B1MB"]]
)
def test_frames_of_zstd(options):
    """Frames as the program writes them, with and without sizes and sums, are whole, and cut nowhere else are."""
    for text in (TEXT, b"\0" * 300_000, b""):
        data = subprocess.run(["zstd", "-q", *options], input=text, capture_output=True, check=True).stdout
        assert whole_frames(io.BytesIO(data))
        assert [] == [size for size in range(1, len(data)) if whole_frames(io.BytesIO(data[:size]))]
        skipped = b"\x50\x2a\x4d\x18\x04\0\0\0size"  # as pzstd begins
        assert whole_frames(io.BytesIO(skipped + data + data))


def test_a_file_of_pzstd(tmp_path):
    """A frame without data stands first."""
    path = tmp_path / "log"
    path.write_bytes(b"\x50\x2a\x4d\x18\x04\0\0\0size" + zstandard.compress(TEXT))
    assert {6: N} == ingest([path], tmp_path / "probes").probes


def test_a_pipe_is_an_input(tmp_path):
    """What `<(command)` of a shell names is read like a file."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(gzip.compress(TEXT),))
    writer.start()
    done = CliRunner().invoke(command, [str(path), "-o", str(tmp_path / "probes"), "--json"])
    writer.join()
    assert {"6": N} == json.loads(done.stdout)["probes"]
    assert [str(path)] == [one["path"] for one in json.loads(done.stdout)["inputs"]]


@pytest.mark.parametrize("size", [7, 64, 1 << 12])
@pytest.mark.parametrize("used", [0, 3, 50])
def test_bytes_are_taken_as_they_are_read(tmp_path, size, used):
    """Whatever stays in the window, whoever is given the pieces gets each byte once, also when late."""
    path = tmp_path / "bytes"
    data = np.random.default_rng(1).bytes(1000)
    path.write_bytes(data)
    with ThreadPoolExecutor(1) as thread, path.open("rb", buffering=0) as opened:
        late = threading.Event()
        thread.submit(late.wait, 0.02)
        digest = Digest(path, thread)
        window, seen = StreamBuffer(opened, size, taken=digest.take), b""
        while window.more(min(used, window.filled)):
            seen = seen[: window.offset] + window.data[: window.filled].tobytes()
        late.set()
        assert data == seen
        assert hashlib.sha256(data).hexdigest() == digest.result()


@pytest.mark.parametrize("taken", [0, 1, 600, 1000])
def test_a_digest_is_of_the_whole_file(tmp_path, taken):
    """What nobody read, as behind a damaged record, is read for the digest."""
    path = tmp_path / "bytes"
    data = np.arange(1000, dtype=np.uint16).astype(np.uint8)
    path.write_bytes(data.tobytes())
    with ThreadPoolExecutor(1) as thread:
        digest = Digest(path, thread)
        digest.take(data[:taken]).result()
        assert not digest.begun
        assert [hashlib.sha256(data).hexdigest()] * 2 == [digest.result(), digest.result()]
        assert digest.begun


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("damage", [b"", b"\xff" * 3_000_000], ids=["whole", "damaged"])
def test_the_manifest_has_the_sum_of_each_capture(tmp_path, suffix, damage):
    """Of captures in pieces, damaged and compressed ones."""
    syns = ((BEGIN + at, ipv4("192.0.2.1", "198.51.100.1", TCP, tcp(at + 1, 23))) for at in range(40_000))
    data = pcap(syns) + damage
    path = tmp_path / f"x.pcap{suffix}"
    path.write_bytes(gzip.compress(data, 1) if suffix else data)
    assert 40_000 == ingest([path], tmp_path / "probes").probes[6]
    (source,) = manifest(tmp_path / "probes")["about"]["sources"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == source["sha256"]


@pytest.mark.parametrize("how", ["by itself", "below it"])
def test_position_of_a_file_that_is_closed_meanwhile(tmp_path, how):
    """The thread that reads a file may close it at any time while another asks how far it is."""
    path = tmp_path / "some.pcap"
    path.write_bytes(b"x" * 100)
    reading = Reading(str(path))
    stream = open_stream(path, reading)
    stream.read(40)
    assert 40 == reading.position()
    if how == "by itself":
        stream.close()
    else:
        os.close(stream.fileno())
    assert 0 == reading.position()
    with contextlib.suppress(OSError):
        stream.close()
