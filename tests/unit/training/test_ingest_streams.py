"""Compressed files in every shape that their programs write, cut anywhere; and pipes."""

import gzip
import io
import json
import lzma
import os
import shutil
import subprocess
import threading

import pytest
import zstandard
from click.testing import CliRunner

from portkin.errors import InputError
from portkin_training.commands.ingest import ingest as command
from portkin_training.ingest.run import ingest
from portkin_training.ingest.streams import whole_frames

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
