"""Labelled captures read side by side: the figures of reading one after the other, to the last count."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from portkin_training.commands.replay import replay as command
from portkin_training.replay import blocking
from support.labelled_traces import write_traces


@pytest.fixture(scope="module")
def traces(tmp_path_factory) -> Path:
    """Four labelled captures."""
    return write_traces(tmp_path_factory.mktemp("mawi"))


@pytest.fixture
def fed(monkeypatch) -> list[int]:
    """How many rows replays are fed at once."""
    sizes, feed = [], blocking.Replay.feed

    def noted(self, events):
        sizes.append(len(events))
        feed(self, events)

    monkeypatch.setattr(blocking.Replay, "feed", noted)
    return sizes


def said(folder: Path, *more: object) -> dict:
    """What the command says of all of them, as JSON."""
    words = [*sorted(folder.glob("*.pcap")), "--labels", folder, "--json", *more]
    done = CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=False)
    assert 0 == done.exit_code, done.output
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "options", [("-t", 15, "--dedupe"), ("-t", 15, "--by", "destination"), ("-t", 600, "--level", "anomalous")]
)
def test_as_one_after_the_other(traces, options, fed):
    """Every figure of every predictor, the settings and the notes are the same."""
    expected = said(traces, *options)
    assert max(fed) >= 2000
    fed.clear()

    actual = said(traces, *options, "--jobs", 2)

    assert expected == actual
    assert expected["predictors"]
    assert 0 < max(fed) < 2000  # the rows of others than scanners were left out


def test_blocks_that_last_into_the_next_capture(traces, fed):
    """Where a block may last until the next capture, they are replayed one after the other all the same."""
    expected = said(traces, "-t", 2 * 86_400)
    fed.clear()

    assert expected == said(traces, "-t", 2 * 86_400, "--jobs", 2)
    assert max(fed) >= 2000


@pytest.mark.parametrize("words", [("--jobs", 2), ("--engine", "spark"), ("--spill", "there")])
def test_what_is_not_read_side_by_side(traces, words):
    """Without labels there is nothing to share out: the command says so."""
    done = CliRunner().invoke(command, [str(next(traces.glob("*.pcap"))), *map(str, words)])
    assert 2 == done.exit_code
    assert "for labelled captures" in done.output
