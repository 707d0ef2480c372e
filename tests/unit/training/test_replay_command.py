"""``portkin replay``: what it prints, writes and refuses."""

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from portkin.errors import InputError, PortError
from portkin_training.commands.replay import replay as command
from portkin_training.commands.table import table
from portkin_training.core.dataset_writer import ProbesWriter
from portkin_training.core.probes import Probes
from portkin_training.evaluation.protection import read_rules_file
from support.running import output_of

CAPTURES = Path(__file__).resolve().parents[2] / "captures"


run = partial(output_of, command)
"""What the command prints; its errors are raised."""


@pytest.fixture(scope="module")
def probes(tmp_path_factory) -> Path:
    """Three days of sources that each probe 80, 443 and 8080, and of one that counts upwards."""
    path = tmp_path_factory.mktemp("replay") / "probes"
    n = 3 * 300
    ports = np.array([80, 443, 8080] * 200 + [*range(2000, 2300)], np.uint16)
    source = np.array([*np.repeat(np.arange(200), 3), *([999] * 300)])
    ts = 1_700_000_000 * 10**6 + np.arange(n) * 288 * 10**6
    address = np.column_stack((np.zeros(n, np.int64), source))
    with ProbesWriter(path) as writer:
        writer.write(
            Probes(
                ts=ts, seq=np.arange(n), src=address, dst=address * 0 + 9, sport=np.zeros(n, np.uint16), dport=ports,
                proto=np.full(n, 6, np.uint8), flags=np.full(n, 2, np.uint8),
            )
        )  # fmt: skip
    return path


def test_demo():
    """A capture of scans is shown decision by decision, then summed up beside the baselines."""
    said = run(CAPTURES / "scans.pcap", "--detector", "zeek", "--decisions", "--limit", 3)

    assert "the first 3 of" in said
    assert all(name in said for name in ("predicted", "blocked", "vetoed", "MySelf", "Euclidean", "new-port recall"))


@pytest.mark.parametrize("name", ["browsing", "backscatter", "one-way"])
@pytest.mark.parametrize("detector", ["trw", "count", "zeek"])
def test_benign_captures(name, detector):
    """Where nobody scans nothing is blocked."""
    said = json.loads(run(CAPTURES / f"{name}.pcap", "--detector", detector, "--json"))

    assert {(0, 0)} == {(part["probes"], part["blocks"]) for part in said["predictors"].values()}


@pytest.mark.data
def test_benign_recording(shared_data):
    """Thousands of ordinary connections block nothing."""
    said = json.loads(run(shared_data / "pcaps" / "benign-echo-connections.pcap.gz", "--detector", "zeek", "--json"))

    assert {(0, 0)} == {(part["probes"], part["blocks"]) for part in said["predictors"].values()}


@pytest.mark.parametrize("window", ["nan", "inf", "1e12", "0"])
def test_absurd_times(window):
    """A block holds for more than nothing and at most ten years."""
    assert 2 == CliRunner().invoke(command, [str(CAPTURES / "scans.pcap"), "-t", window]).exit_code


def test_report_that_cannot_be_written():
    """That is said before the work, not after it."""
    refused = CliRunner().invoke(command, [str(CAPTURES / "scans.pcap"), "--report", "/proc/nowhere/out.html"])

    assert 2 == refused.exit_code
    assert "/proc" in refused.output


def test_a_table_of_the_same_probes(probes, tmp_path):
    """Figures on probes that a table was learnt from are reported as no proof."""
    assert 0 == CliRunner().invoke(table, ["build", str(probes), "-o", str(tmp_path / "t"), "--no-proof"]).exit_code

    page = tmp_path / "replay.html"
    assert "learnt from these very probes" in run(probes, "--table", tmp_path / "t", "--report", page)
    assert "so this is no proof" in page.read_text() and "predicts better" not in page.read_text()
    assert "learnt from these very probes" not in run(probes)


def test_report(probes, tmp_path):
    """The report is one file that needs no network and holds tables, curves and ports."""
    run(probes, "--report", tmp_path / "out.html", "--over", "sources")

    page = (tmp_path / "out.html").read_text()
    assert 7 == page.count("<svg")  # over T three, over K, two against blocks, and the reliability
    assert [] == re.findall(r'(?:src|href)="(?!#)[^"]*"', page)
    assert all(text in page for text in ("viewport", "Confusion by port", "443/tcp", "MySelf"))
    assert "Observed against stated chance, in equal bins of chance" in page
    # of the table that ships, and not of what is replayed
    assert "On the probes held out when the table was built." in page and "stated chance, %" in page
    assert "predicts better than the best of the others" in page or "does not predict better" in page
    assert [tmp_path / "out.html"] == [*tmp_path.iterdir()]


def test_sweep(probes):
    """A sweep answers for every K and T; more of either never blocks less."""
    said = json.loads(run(probes, "--sweep", "--json"))

    recall = next(iter(said["curves"].values()))["new_port_recall"]
    assert [str(k) for k in range(17)] == [*recall]
    lines = np.array([recall[k] for k in recall])
    assert (np.diff(lines, axis=0) >= 0).all()
    assert (np.diff(lines, axis=1) >= 0).all()


def test_held_out(probes):
    """Methods and baselines are learnt from the first part and tried on the rest, beside the limit."""
    said = json.loads(run(probes, "--held-out", "--json"))

    named = [name for name in said["predictors"] if name != "kin by source"]  # where sources did enough to learn from
    assert ["kin", "shortest-path", "MySelf", "Euclidean"] == named[:4]
    assert 0 <= said["predictors"]["shortest-path"]["new_port_recall"]["value"] <= said["hindsight_oracle"] <= 1


def test_equal_blocks(probes):
    """What each predictor finds is shown at the numbers of blocks of the others, with the points of its curve."""
    said = json.loads(run(probes, "--held-out", "--json"))

    assert {"kin", "shortest-path", "Euclidean", "hindsight oracle"} <= {*said["frontier"]}
    assert [3, 10] == [row["k"] for row in said["equal_blocks"] if row["over"] == "Euclidean"]
    for points in said["frontier"].values():
        blocks = [point["blocks"] for point in points]
        assert sorted(blocks) == blocks
    assert all(0 <= bin_["observed"] <= 1 for bin_ in said["reliability"])
    assert "these probes" == said["reliability_on"]


@pytest.fixture(scope="module")
def kin_table(probes, tmp_path_factory) -> Path:
    """A table by kin of these probes, not tried."""
    path = tmp_path_factory.mktemp("kin") / "table"
    done = CliRunner().invoke(table, ["build", str(probes), "-o", str(path), "--no-proof"])
    assert 0 == done.exit_code, done.output
    return path


def test_min_chance(probes, kin_table):
    """A higher cut-off blocks less; 1 cuts all but certainty, which leaves the probed port."""
    blocks = []
    for cut in (0, 0.01, 0.2, 1):
        said = json.loads(run(probes, "--table", kin_table, "-k", 32, "--min-chance", cut, "--json"))
        blocks.append(said["predictors"]["kin"]["blocks"])

    assert sorted(blocks, reverse=True) == blocks
    assert blocks[0] > blocks[1] > blocks[-1]
    assert said["predictors"]["MySelf"]["blocks"] == blocks[-1]


@pytest.mark.parametrize("wrong", ["-0.1", "1.01", "nan", "inf"])
def test_min_chance_refused(probes, wrong):
    """A cut-off outside 0..1 is refused with the remedy."""
    done = CliRunner().invoke(command, [str(probes), "--min-chance", wrong])

    assert (2, True) == (done.exit_code, "between 0 (nothing is cut) and 1" in " ".join(done.output.split()))


def test_learn(probes):
    """Baselines that learn appear where there is something to learn from."""
    said = json.loads(run(probes, "--learn", probes, "--json", "--by", "destination"))

    assert {"most popular", "next by count", "next by sources", "same day"} <= {*said["predictors"]}


@pytest.mark.parametrize("more", [("--labels", __file__), ("--decisions",), ("--detector", "trw"), ("--dedupe",)])
def test_held_out_alone(probes, more):
    """What learns its own tables from a darknet takes neither labels nor a detector."""
    assert 2 == CliRunner().invoke(command, [str(probes), "--held-out", *more]).exit_code


def test_nothing_to_replay(tmp_path):
    """A file that is no recording is refused by name."""
    (tmp_path / "a.txt").write_text("nothing")

    with pytest.raises(InputError, match=r"a\.txt"):
        run(tmp_path / "a.txt")


def test_k_beyond_the_table(probes, kin_table):
    """More ports than the table holds are refused: the baselines would be given more."""
    result = CliRunner().invoke(command, [str(probes), "--table", str(kin_table), "-k", "33"])
    assert (2, True) == (result.exit_code, "holds the 32 nearest ports" in result.output)


def test_protected_ports(probes, kin_table):
    """Of all ports two are protected: no other is blocked, and by no probe of another; baselines share the rule."""
    said = json.loads(run(probes, "--table", kin_table, "--ports", "80,443/tcp", "--json"))
    blocked = {row["port"]: row["blocks"] for row in said["ports"] if row["blocks"]}
    assert {"80/tcp", "443/tcp"} == set(blocked)
    # 200 sources probe 80, then 443, then 8080: the first two probes each block their own port.
    assert 400 == said["predictors"]["MySelf"]["blocks"]
    assert 0.0 == said["predictors"]["Euclidean"]["new_port_recall"]["value"]
    assert ("2 ports: 80,443/tcp", None) == (said["settings"]["protected"], said["hindsight_oracle"])


@pytest.mark.parametrize("wrong", ["80-22/tcp", "x", "70000"])
def test_protected_ports_refused(probes, wrong):
    """What is no list of ports is refused with what is wrong."""
    with pytest.raises(PortError):
        run(probes, "--ports", wrong)


def test_rules_of_a_file(tmp_path, kin_table):
    """A file of rules is replayed as it is: its ports, its predictions, its scanners and its times."""
    from portkin.bundles.table import Table
    from portkin.net.ports import Port
    from portkin_rules.build import write_port_rules
    from portkin_rules.plan import Detector, Plan

    file = tmp_path / "portkin.rules"
    plan = Plan(k=2, seconds=600, min_chance=0.0, detector=Detector(count=4, seconds=60, memory=900))
    write_port_rules(plan, Table.load(kin_table), "80,443,8080,53/udp", file)
    played = read_rules_file(file)
    assert (4, 60, 900, 600) == (
        played.config.scan_count, played.config.scan_seconds, played.config.memory, played.config.seconds,
    )  # fmt: skip
    assert [80, 443, 8080, 65_536 + 53] == np.flatnonzero(played.protection.ports).tolist()
    near = [port for port in Table.load(kin_table).nearest(Port(80, "tcp"), 2).ports if port.number in (443, 8080)]
    assert [port.number for port in near] == [code for code in played.nearest[80].tolist() if code >= 0]
    said = json.loads(run(CAPTURES / "scans.pcap", "--rules", file, "--json", "--report", tmp_path / "r.html"))
    assert f"Only {said['predictors']['rules']['new']} probes were of a new port" in (tmp_path / "r.html").read_text()
    assert (["rules", "MySelf", "Euclidean"], 600.0) == ([*said["predictors"]], said["window"])
    assert {"80/tcp", "443/tcp", "8080/tcp"} >= {row["port"] for row in said["ports"] if row["blocks"]}
    assert 0 < said["predictors"]["rules"]["blocks"]


def test_rules_refused(tmp_path):
    """A file that is not ours, and rules that find no scanners, are refused; so are options that rules decide."""
    file = tmp_path / "local.rules"
    file.write_text("alert tcp any any -> any any (sid:1;)\n")
    with pytest.raises(InputError, match="was not generated by portkin"):
        run(CAPTURES / "scans.pcap", "--rules", file)
    file.write_text("# Generated by portkin 1 for Suricata 7 and later.\n")
    with pytest.raises(InputError, match="these rules find no scanners"):
        run(CAPTURES / "scans.pcap", "--rules", file)
    refused = CliRunner().invoke(command, [str(CAPTURES / "scans.pcap"), "--rules", str(file), "-k", "3"])
    assert (2, True) == (refused.exit_code, "--rules says what is blocked" in refused.output)


def test_the_report_says_what_won(probes, kin_table, tmp_path):
    """A verdict, the best of each column in bold, the time, the sources, and how many ports are not shown."""
    page = tmp_path / "replay.html"
    run(probes, "--table", kin_table, "--report", page)
    text = page.read_text()
    # 200 sources go from 80 to 443 to 8080, which the table was taught; one counts upwards, as Euclidean expects.
    assert "learnt from these very probes, so this is no proof: it finds" in text
    assert "2023-11-14 22:13:20 to 2023-11-17 " in text and "201 that probed" in text
    # 303 ports: 80, 443, 8080 and 2000 to 2299; 30 are shown: 3 with 200 probes each, and 27 with one.
    assert "The 30 of 303 ports" in text and "the rest had\n273 probes" in text
    table = text[text.index("<h2>K = 3") :]
    blocked = re.findall(r"<tr><td>(\w+)</td><td( class=\"best\")?>([\d.]+)%", table)[:3]
    best = max(float(share) for _, _, share in blocked)
    assert [float(share) == best for _, _, share in blocked] == [bool(bold) for _, bold, _ in blocked]
