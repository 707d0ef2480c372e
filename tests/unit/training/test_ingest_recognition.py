"""What a file is taken for, and what is said of the lines in it that are of another format."""

import json

import pytest

from portkin_training.ingest.inputs import detect, read_input
from portkin_training.ingest.reading import Reading
from support.recorded_lines import KERNEL, A, B

STAMPS = [
    "Nov 30 {hour}:00:00",
    "2026-01-0{digit}T{hour}:00:00+00:00",
    "<4>Jan  1 {hour}:00:00",
    "\x1b[32m[Thu Jan  1 {hour}:00:00 2026]",
]


@pytest.mark.parametrize("stamp", STAMPS)
@pytest.mark.parametrize("lines", [15, 30, 60, 120, 2000])
def test_no_text_is_taken_for_a_capture(tmp_path, stamp, lines):
    """Captures of ERF have no magic: the date of a syslog of some kilobytes reads like the header of a record."""
    for hour in ("00", "10", "20", "07"):
        path = tmp_path / hour
        path.write_text("".join(f"{stamp.format(hour=hour, digit=1)} fw kernel: {KERNEL}\n" for _ in range(lines)))
        assert "netfilter" == detect(path)


EVE = json.dumps({
    "timestamp": "2026-01-01T00:00:00.0+0000", "event_type": "flow", "src_ip": A, "src_port": 40001, "dest_ip": B,
    "dest_port": 22, "proto": "TCP", "flow": {"state": "new"}, "tcp": {"tcp_flags_ts": "02"},
})  # fmt: skip
ASA = f"Jan 01 2026 00:00:00: %ASA-4-106023: Deny tcp src out:{A}/40000 dst in:{B}/23 by access-group"
SYSLOG = f"Jan  1 00:00:00 fw kernel: {KERNEL}"


@pytest.mark.parametrize(
    ("lines", "kind", "said"),
    [
        ([EVE, SYSLOG, EVE], "eve", "line 2 is a record of netfilter"),
        ([ASA, EVE, ASA], "eve", "line 1 is a record of asa"),
        ([EVE, '{"cut": ', ASA, SYSLOG], "eve", "line 3 is a record of asa"),
        ([SYSLOG, "Jan  1 00:00:00 fw cron[1]: ran", ASA, ASA], "netfilter", "line 3 is a record of asa"),
        ([EVE, '{"cut": ', "", "Jan  1 00:00:00 fw cron[1]: ran"], "eve", None),
    ],
)
def test_a_record_of_another_format_is_named(tmp_path, lines, kind, said):
    """Of lines that are none of the file's format, the first that is a record of another one, with how to read it."""
    path = tmp_path / "log"
    path.write_text("\n".join(lines) + "\n")
    assert kind == detect(path)
    reading = Reading(str(path))
    assert [*read_input(path, reading)]
    notes = [note for note in reading.notes if "is a record of" in note]
    assert (1 if said else 0) == len(notes)
    assert all(said in note and "--append --again" in note for note in notes)
