"""The fast scan of kernel lines reads what it takes as the pattern does, and leaves alone what it cannot read."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from portkin_training.ingest.formats import netfilter_scan
from portkin_training.ingest.formats.netfilter import NETFILTER, PATTERN
from portkin_training.ingest.inputs import InputOptions, read_input
from portkin_training.ingest.reading import Reading

SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PIECES = st.sampled_from(
    [
        "IN=",
        "IN=eth0",
        "OUT=",
        "OUT=eth1",
        "PHYSIN=p1",
        "MAC=02:00",
        "SRC=192.0.2.1",
        "SRC=",
        "DST=198.51.100.1",
        "LEN=60",
        "PROTO=TCP",
        "PROTO=",
        "PROTO=UDP",
        "PROTO=17",
        "SPT=1",
        "DPT=22",
        "SPT=x",
        "WINDOW=0",
        "RES=0x00",
        "SYN",
        "ACK",
        "CWR",
        "URGP=0",
        "[SRC=10.0.0.1",
        "]",
        "x\v",
        "\t",
        "SYNACK",
        "DPT=",
        "ID=1",
        "kernel:",
        "LOG_IN=",
        "é",
    ]
)
WHOLE = "IN=eth0 OUT= MAC=1 SRC=192.0.2.1 DST=198.51.100.1 LEN=60 PROTO=TCP SPT=1 DPT=22 WINDOW=0 RES=0x00 SYN URGP=0"
TIMES = st.sampled_from(
    [
        "Jan  1 00:00:00",
        "Jan 11 00:00:00",
        "Jan 1 00:00:00",
        "2026-01-01T00:00:00.5+01:00",
        "2026-01-01 00:00:00,123",
        "",
        "<4>Jan  1 00:00:00",
        "Jan  1 00:00:00 2026",
        "Thu Jan  1 00:00:00 2026",
        "Jan  1 00:00:00.25",
        "2026/01/01 00:00:00",
        "1767225600.25",
        "[Thu Jan  1 00:00:00 2026]",
        "Jan  1 00:00:00 UTC",
        "2026-01-01T00:00:00",
    ]
)


@st.composite
def kernel_lines(draw) -> str:
    words = WHOLE.split()
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(words) - 1))
        words[at : at + draw(st.integers(0, 1))] = [draw(PIECES)]
    text = f"{draw(TIMES)} fw kernel: {' '.join(words)}{draw(st.sampled_from(['', ' ', chr(13)]))}\n"
    return text.replace(" ", draw(st.sampled_from([" ", "  "])), 1)


@SETTINGS
@given(st.lists(kernel_lines(), min_size=1, max_size=30))
@example(["Jan  1 00:00:00 fw kernel: " + WHOLE + "\n", "I\n", "IN=\n", "\n", "Jan  1 00:00:00 fw IN"])
def test_parts_of_usual_kernel_lines_are_those_of_the_pattern(lines):
    columns, usual = netfilter_scan.scan(pa.array(lines, pa.string()))
    by_pattern = pc.extract_regex(pa.array(lines, pa.string()), PATTERN).to_pylist()
    for row in np.flatnonzero(usual):
        assert by_pattern[row] == {name: columns[name][row].as_py() for name in netfilter_scan.PARTS}


def test_kernel_lines_as_firewalls_write_them_are_usual():
    lines = [f"{time} fw kernel: [12.5] [UFW BLOCK] {WHOLE} \n" for time in ("Jan  1 00:00:00", "2026-01-01T00:00:00Z")]
    assert netfilter_scan.scan(pa.array(lines))[1].all()


def test_kernel_lines_of_all_shapes_keep_their_order(tmp_path):
    """Every third line is for the pattern alone, every fifth is no record."""
    path = tmp_path / "kern.log"
    heads = [("<4>" if at % 3 == 0 else "") + f"Jan  1 00:00:{at:02d}" for at in range(20)]
    path.write_text("".join(
        f"{head} fw kernel: {'IN=x PROTO=TCP' if at % 5 == 4 else WHOLE.replace('SPT=1', f'SPT={at}')}\n"
        for at, head in enumerate(heads)
    ))  # fmt: skip
    reading = Reading("kern.log")
    chunks = [*read_input(path, reading, InputOptions("netfilter"))]
    assert [at for at in range(20) if at % 5 != 4] == [port for chunk in chunks for port in chunk.sport.tolist()]
    assert 4 == reading.bad == reading.bad_reasons["no record"]
    assert NETFILTER.name == reading.kind
