"""Logs that say what was answered are replayed as captures are; of others it is said what cannot be known."""

from functools import partial
from pathlib import Path

import pytest

from portkin.bundles.table import default_table
from portkin_training.commands.replay import replay as command
from portkin_training.evaluation.inputs import read_contacts
from portkin_training.ingest.contacts import ANSWERED, CONTACT, REFUSED
from portkin_training.ingest.reading import Reading
from portkin_training.twin.run import decide, decide_capture
from support.running import output_of

CAPTURES = Path(__file__).parents[2] / "captures"
LOGS = CAPTURES / "logs"
run = partial(output_of, command)


def of_tcp(decisions):
    """(source, port, evidence) of the decisions about TCP, sorted. A datagram that ICMP refuses is in no log."""
    return sorted((one.src, str(one.probed), str(one.evidence)) for one in decisions if str(one.probed).endswith("tcp"))


@pytest.mark.parametrize(
    "name", ["conn.log.gz", "forms/zeek-9.0-millis.json.gz", "eve.json.gz", "forms/suricata-8.json.gz"]
)
def test_decisions_are_those_about_the_capture(name):
    """Zeek's conn.log and Suricata's flows hold answers and refusals: the detector finds the capture's scanners."""
    table = default_table()
    expected = of_tcp(decide_capture(CAPTURES / "scans.pcap", table))
    assert len(expected) > 20
    assert expected == of_tcp(decide([read_contacts(LOGS / name, Reading(name), answers=True)], table))


ROWS = [("S0", "S"), ("REJ", "Sr"), ("SF", "ShADadFf"), ("S1", "Sh"), ("RSTO", "ShR"), ("OTH", "C"), ("SHR", "^h")]


def test_what_came_of_a_connection(tmp_path):
    """Each that its originator began is a contact; its answer or refusal follows at once."""
    path = tmp_path / "conn.log"
    path.write_text(
        "#fields\tts\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tconn_state\thistory\n"
        + "".join(f"{100 - at}\t198.51.100.7\t4\t192.0.2.10\t{at}\ttcp\t{state}\t{history}\n"
                  for at, (state, history) in enumerate(ROWS))
    )  # fmt: skip
    found = read_contacts(path, Reading(str(path)), answers=True)
    answered = [(port, kind) for port in (4, 3, 2) for kind in (CONTACT, ANSWERED)]
    expected = [*answered, (1, CONTACT), (1, REFUSED), (0, CONTACT)]
    assert expected == list(zip(found.dport.tolist(), found.kind.tolist(), strict=True))
    assert [1, 0] == read_contacts(path, Reading(str(path))).dport.tolist()[-2:]  # the probes alone


def test_what_cannot_be_known_is_said(tmp_path):
    """Of records without answers a detector judges less than it would; in a darknet's every contact is a probe."""
    for name, said in (("dmesg.log.gz", True), ("nfdump.csv.gz", True), ("conn.log.gz", False), ("eve.json.gz", False)):
        assert said == ("cannot be known from it" in " ".join(run(LOGS / name, "--detector", "zeek").split())), name
    assert "cannot be known" not in run(LOGS / "dmesg.log.gz")
