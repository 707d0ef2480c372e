"""A command that has started processes ends with them, whatever signal ends it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from portkin.commands.stopping import ending_with_children
from support.processes import ended

PORTKIN = [sys.executable, "-m", "portkin.cli"]
WORKERS = """
import signal, time, joblib
from portkin.commands.stopping import ending_with_children
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has those in the background ignore it
signal.signal(signal.SIGHUP, signal.SIG_DFL)
with ending_with_children():
    print("ready", flush=True)
    joblib.Parallel(n_jobs=2)(joblib.delayed(time.sleep)(600) for _ in range(8))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_workers_end_with_the_process(number):
    """Workers end with what has started them, which ends by the signal; nothing is said about it."""
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", WORKERS], **pipes) as started:
        assert -number == ended(started, number)
        assert b"" == started.stderr.read()


def test_training_ends_with_its_workers_and_keeps_its_results(tmp_path):
    """`rates train --jobs 2` that is terminated leaves no worker, and what it has found."""
    simulate = ["rates", "simulate", "-o", tmp_path, "--hours", "600", "--groups", "2", "--alone", "2"]
    subprocess.run([*PORTKIN, *simulate], check=True, capture_output=True)
    work, models = tmp_path / "work", tmp_path / "models"
    command = [*PORTKIN, "rates", "train", tmp_path / "series", "-o", models, "--work", work, "--jobs", "2"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as started:
        while not [*work.rglob("*.npz")]:
            assert started.poll() is None
            time.sleep(0.05)
        assert -signal.SIGTERM == ended(started, signal.SIGTERM)
    assert [*work.rglob("*.npz")]
    assert not models.exists()


def test_signals_that_are_handled_or_ignored_stay_so():
    """What a caller has made of a signal holds within and afterwards."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ending_with_children():
            assert signal.SIG_IGN == signal.getsignal(signal.SIGHUP)
        assert signal.SIG_IGN == signal.getsignal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
