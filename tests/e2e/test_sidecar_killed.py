"""The sidecar is killed while the whole package watches a capture at the pace it was taken."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from support.sidecar_process import SidecarProcess
from support.zeek_process import SCRIPTS, ZeekProcess, free_port

pytestmark = pytest.mark.zeek
SCANS = Path(__file__).resolve().parents[1] / "captures" / "scans.pcap"

SHOW = """
event Portkin::sidecar_arrived(sidecar: string, table_id: string)
	{
	print "sidecar arrived";
	flush_all();
	}

event Portkin::log_portkin(rec: Portkin::Info)
	{
	if ( rec$kind == Portkin::DECISION )
		{
		print fmt("decision %s %s %s", rec$src, rec$probed, rec$answer);
		flush_all();
		}
	}
"""


@pytest.mark.timeout(240)
def test_no_detection_is_lost_and_predictions_resume(zeek, tmp_path):
    """Killed between two scans and started again, it costs the predictions of that time and not one detection."""
    (tmp_path / "show.zeek").write_text(SHOW)
    port = free_port()
    settings = {
        "zeek": {"url": f"ws://127.0.0.1:{port}/v1/messages/json", "backoff": {"first": 0.1, "cap": 0.2}},
        "metrics": {"enabled": False},
    }

    def watching(name, *arguments):
        return ZeekProcess(zeek, tmp_path / name, "-r", SCANS, SCRIPTS, tmp_path / "show.zeek", *arguments)

    with watching("alone") as alone:
        alone.process.wait(60)
    detections = sorted(re.findall(r"^decision (\S+ \S+)", alone.out, re.MULTILINE))
    assert len(detections) > 20, alone.out

    # As fast as it was taken: there are seconds between its scans, enough to be away and come back.
    arguments = ("--pseudo-realtime", SCRIPTS / "websocket.zeek", f"Portkin::websocket_port={port}/tcp")
    with SidecarProcess(tmp_path / "sidecar", settings) as sidecar, watching("both", *arguments) as both:
        both.wait_for("ASKED")
        both.wait_for("decision", count=15)
        sidecar.signal(signal.SIGKILL)
        sidecar.process.wait(20)
        both.wait_for("NONE")
        sidecar.start()
        both.wait_for("sidecar arrived", count=2)
        both.process.wait(120)
    decisions = re.findall(r"^decision (\S+ \S+) (\S+)$", both.out, re.MULTILINE)
    answers = [answer.rpartition("::")[2] for _, answer in decisions]
    assert detections == sorted({decision for decision, _ in decisions})
    # What was decided without an answer was decided again with one.
    latest = dict(decisions)
    assert {"ASKED", "CACHED"} >= {answer.rpartition("::")[2] for answer in latest.values()}
    last_without = max(n for n, answer in enumerate(answers) if answer == "NONE")
    assert "ASKED" in answers[:last_without]
    assert {"ASKED"} <= set(answers[last_without + 1 :]) <= {"ASKED", "CACHED"}
