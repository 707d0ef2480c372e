"""Logs: one line an entry, for people or for machines."""

from __future__ import annotations

import io
import json

from portkin.logs import Limiter, make_log


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_off_a_terminal_a_line_is_json():
    """Each entry is one JSON object with its level, its time and its pairs."""
    out = io.StringIO()
    make_log(stream=out).info("serving", table="abc", path=None)
    entry = json.loads(out.getvalue())
    assert {"event": "serving", "level": "info", "table": "abc", "path": None} == {
        key: value for key, value in entry.items() if key != "timestamp"
    }
    assert entry["timestamp"].endswith("Z")


def test_on_a_terminal_a_line_is_key_value():
    """People get key=value pairs, the time first."""
    out = Terminal()
    make_log(stream=out).warning("table refused", reason="sha256 differs")
    line = out.getvalue()
    assert line.startswith("timestamp=")
    assert 'level=warning event="table refused" reason="sha256 differs"\n' == line.split(" ", 1)[1]


def test_a_format_can_be_forced():
    """A format that is named wins over what the stream is."""
    out, other = Terminal(), io.StringIO()
    make_log(format="json", stream=out).info("x")
    make_log(format="text", stream=other).info("x")
    assert (True, True) == (out.getvalue().startswith("{"), "event=x" in other.getvalue())


def test_entries_below_the_level_are_not_written():
    """With level warning, an info entry costs no line."""
    out = io.StringIO()
    log = make_log(level="warning", stream=out)
    log.info("quiet")
    log.warning("loud")
    assert ["loud"] == [json.loads(line)["event"] for line in out.getvalue().splitlines()]


def test_the_limiter_passes_the_first_and_counts_the_rest():
    """Of many of a kind the first passes, then one per interval with the number held back; kinds do not mix."""
    now = 0.0
    limiter = Limiter(10.0, lambda: now)
    assert [0, None, None, 0] == [limiter.passes(kind) for kind in ("a", "a", "a", "b")]
    now = 10.0
    assert [2, None, 0] == [limiter.passes(kind) for kind in ("a", "a", "b")]
    now = 20.0
    assert 1 == limiter.passes("a")
