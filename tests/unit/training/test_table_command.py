"""``portkin table``: from probes to a table, and what people and programs get out of it."""

import json
import os
import subprocess
import sys
from functools import partial
from math import exp
from pathlib import Path

import pytest
from click.testing import CliRunner

from portkin.bundles.table import Table, default_table, write_table
from portkin.errors import BundleError, InputError
from portkin.net.ports import Port
from portkin_training.commands.table import table as command
from support.datasets import dataset_of
from support.running import output_of
from support.source_models import table_by_source
from support.tables import small_table

ROOT = Path(__file__).resolve().parents[3]


run = partial(output_of, command)
"""What the command prints; its errors are raised."""
refused = partial(output_of, command, status=2)
"""What the command prints when it refuses its arguments."""


class TestBuild:
    # 80 -> 443 9 times, 443 -> 3306 7, 443 -> 80 5, 80 -> 8080 3, 8080 -> 22 1: the graph of test_graph.py.
    PAPER = ("--method", "shortest-path", "--no-proof")
    SCANS = (
        *[[80, 443, 80, 8080]] * 2,  # 80 -> 443 2, 443 -> 80 2, 80 -> 8080 2
        [443, 80, 8080, 22],  # 443 -> 80 3, 80 -> 8080 3, 8080 -> 22 1
        *[[80, 443, 3306]] * 5,  # 80 -> 443 7, 443 -> 3306 5
        *[[443, 80, 443, 3306]] * 2,  # 443 -> 80 5, 80 -> 443 9, 443 -> 3306 7
    )

    def test_golden(self, tmp_path):
        """From probes to the table, the distances are those worked out by hand."""
        dataset_of(tmp_path / "probes", *self.SCANS)

        said = run("build", tmp_path / "probes", "-o", tmp_path / "table", "-k", 3, *self.PAPER)

        table = Table.load(tmp_path / "table")
        assert f"table {table.id}, 5 tcp ports and 0 udp ports, K=3, shortest-path" in said
        near = table.nearest(Port(80, "tcp"))
        assert ([443, 3306, 8080], (0.0, 0.5, 1.5)) == ([port.number for port in near.ports], near.distances)
        assert () == table.nearest(Port(22, "tcp")).ports

    def test_manifest(self, tmp_path):
        """The manifest says from what and how the table was made."""
        dataset_of(tmp_path / "probes", *self.SCANS, [1, 2])

        run("build", tmp_path / "probes", "-o", tmp_path / "table", "--proto", "tcp", "--max-ports", 20, *self.PAPER)

        about = Table.load(tmp_path / "table").manifest.about
        assert {"min_ports": 3, "max_ports": 20, "protos": ["tcp"]} == about["options"]
        assert {
            "probes": 37, "probes_kept": 35, "scans": 11, "scans_kept": 10, "transitions": 25, "edges": 5,
            "q1": 3.0, "q3": 7.0, "unit": 4.0,
        } == about["counts"]["tcp"]  # fmt: skip
        (made_from,) = about["inputs"]
        assert (37, {"sources": "by hand"}) == (made_from["rows"], made_from["about"])
        assert 64 == len(made_from["manifest_sha256"])
        assert {"python", "portkin", "numba", "duckdb"} <= set(about["versions"])

    def test_same_probes_same_table(self, tmp_path):
        """Built twice, from datasets written twice, the files are the same byte for byte."""
        for name in ("one", "two"):
            dataset_of(tmp_path / f"probes-{name}", *self.SCANS)
            run("build", tmp_path / f"probes-{name}", "-o", tmp_path / name, *self.PAPER)

        one, two = (
            {file.name: file.read_bytes() for file in (tmp_path / name).glob("*.npy")} for name in ("one", "two")
        )
        assert one == two

    def test_datasets_add_up(self, tmp_path):
        """Several datasets make the table that one of all their scans makes."""
        whole = dataset_of(tmp_path / "whole", *self.SCANS)
        parts = [
            dataset_of(tmp_path / "a", *self.SCANS[:4]),
            dataset_of(tmp_path / "b", *self.SCANS[4:], first_source=4),
        ]

        run("build", whole, "-o", tmp_path / "of-whole", *self.PAPER)
        run("build", *parts, "-o", tmp_path / "of-parts", *self.PAPER)

        assert Table.load(tmp_path / "of-whole").id == Table.load(tmp_path / "of-parts").id

    def test_udp(self, tmp_path):
        """UDP probes make a UDP table."""
        dataset_of(tmp_path / "probes", [53, 123, 161], proto=17)

        run("build", tmp_path / "probes", "-o", tmp_path / "table", *self.PAPER)

        assert (Port(123, "udp"), Port(161, "udp")) == Table.load(tmp_path / "table").nearest(Port(53, "udp")).ports

    def test_nothing_passes_the_filter(self, tmp_path):
        """Where no scan passes the filter nothing is learnt, which is said, and no table is written."""
        dataset_of(tmp_path / "probes", [80, 443])

        with pytest.raises(InputError, match="no source probed from --min-ports to --max-ports ports"):
            run("build", tmp_path / "probes", "-o", tmp_path / "table", *self.PAPER)
        assert not (tmp_path / "table").exists()

    def test_cutoff(self, tmp_path):
        """A cut-off is recommended with the figures expected of it; what cannot be reached is said, with what can."""
        dataset_of(tmp_path / "probes", *[[80, 443, 8080]] * 200)

        said = run("build", tmp_path / "probes", "-o", tmp_path / "table", "--usefulness", 0.2)
        chosen = Table.load(tmp_path / "table").manifest.about["cutoff"]
        assert (0.2, True) == (chosen["usefulness_wanted"], chosen["reached"])
        assert chosen["expected"]["usefulness"] >= 0.2
        assert f"a chance of {chosen['min_chance']:g}: of the new ports" in said
        assert chosen == json.loads(run("info", "--json", "-t", tmp_path / "table"))["about"]["cutoff"]

        said = run("build", tmp_path / "probes", "-o", tmp_path / "table", "--usefulness", 1)
        assert "no cut-off reaches 100.0% useful blocks; the closest is a chance of" in said

    def test_refuses(self, tmp_path):
        """What is no dataset, no method or no bound is refused with the remedy, and nothing is written."""
        with pytest.raises(InputError, match=r"no probes dataset.*portkin ingest"):
            run("build", tmp_path, "-o", tmp_path / "table", *self.PAPER)
        assert "choose one of" in refused("build", tmp_path, "-o", tmp_path / "table", "--method", "guess")
        for more in (("--no-proof",), ("--method", "shortest-path")):
            assert "--usefulness needs" in refused("build", tmp_path, "-o", tmp_path / "t", "--usefulness", 0.1, *more)
        assert "no scan can pass" in refused(
            "build", tmp_path, "-o", tmp_path / "t", "--min-ports", 9, "--max-ports", 8
        )
        assert [] == [*tmp_path.iterdir()]

    @pytest.mark.parametrize("damage", ["missing", "cut"])
    def test_damaged_dataset(self, tmp_path, damage):
        """A dataset that lacks a part, or holds half of one, is refused, and no table is written."""
        dataset_of(tmp_path / "probes", [80, 443, 22])
        (part,) = (tmp_path / "probes").rglob("*.parquet")
        part.unlink() if damage == "missing" else part.write_bytes(part.read_bytes()[:-100])

        with pytest.raises(InputError, match=r"damaged.*ingest the recordings again"):
            run("build", tmp_path / "probes", "-o", tmp_path / "table", *self.PAPER)
        assert not (tmp_path / "table").exists()

    def test_does_not_replace_what_is_no_table(self, tmp_path):
        """A dataset named as the output by mistake stays."""
        probes = dataset_of(tmp_path / "probes", *self.SCANS)

        with pytest.raises(BundleError, match=r"kind .probes., so it is not replaced"):
            run("build", probes, "-o", probes, *self.PAPER)


class TestShow:
    def test_for_people(self, tmp_path):
        """Ports, services and distances are shown nearest first, and an unknown port is said to be unknown."""
        small_table(tmp_path / "t")

        said = run("show", "80", "53/udp", "7/tcp", "-t", tmp_path / "t").splitlines()

        assert [["1", "8080/tcp", "http-alt", "0.25"], ["2", "443/tcp", "https", "0.75"]] == [
            line.split() for line in said[4:6]
        ]
        assert any("123/udp" in line for line in said)
        assert "7/tcp (echo): not known to table" in said[-1]

    def test_for_programs(self, tmp_path):
        """--json gives the same, with the ports in the order asked."""
        small_table(tmp_path / "t")

        assert {
            "7/tcp": [],
            "22/tcp": [{"port": "23/tcp", "distance": 0.5, "chance": None, "service": "telnet"}],
        } == json.loads(run("show", "7", "22", "-k", 1, "--json", "-t", tmp_path / "t"))

    def test_of_a_source(self, tmp_path):
        """After 22, 23 comes 24, a step of 1 again: odds of -2 + 3; 2222 too, which both rows hold. After 23 alone the
        row of 23 counts, and a table without a model says that it has none."""
        table_by_source(tmp_path / "t")
        small_table(tmp_path / "plain")

        after = json.loads(run("show", "23", "--after", "22", "--within", 5, "-k", 2, "--json", "-t", tmp_path / "t"))
        alone = json.loads(run("show", "23", "-k", 2, "--json", "-t", tmp_path / "t"))

        assert ["24/tcp", "2222/tcp"] == [entry["port"] for entry in after["23/tcp"]]
        assert [1 / (1 + exp(-1))] * 2 == pytest.approx([entry["chance"] for entry in after["23/tcp"]])
        assert ["2222/tcp"] == [entry["port"] for entry in alone["23/tcp"]]
        assert "after 22/tcp, by table" in run("show", "23", "--after", "22", "-t", tmp_path / "t")
        plain = CliRunner().invoke(command, ["show", "22", "--after", "7", "-t", str(tmp_path / "plain")])
        assert "has no model of sources" in plain.stderr
        assert "telnet" in plain.stdout

    @pytest.mark.parametrize(
        ("options", "why"),
        [
            (["--after", "23"], "name each port once, and not 23/tcp"),
            (["--after", "22,22"], "name each port once"),
            (["--within", "5"], "say with --after"),
        ],
    )
    def test_no_history(self, tmp_path, options, why):
        """A port twice, and a time of nothing, are refused."""
        table_by_source(tmp_path / "t")
        assert why in refused("show", "23", *options, "-t", tmp_path / "t")

    def test_default_table(self):
        """Without --table the table that ships is asked."""
        assert default_table().id in run("show", "80")


class TestInfo:
    def test_for_people(self, tmp_path):
        """The id, the size and what it was made from are said."""
        table = small_table(tmp_path / "t")

        said = run("info", "-t", tmp_path / "t")

        assert table.id in said
        assert "2 tcp ports and 1 udp port, K=3" in said
        assert "by hand" in said

    def test_chances_in_words(self, tmp_path):
        """What the chances are of is said; the lists of numbers that the ranking uses are for programs."""
        about = {"chances": {"horizon": 20000.0}, "counts": {"tcp": {"visits": 7, "calibration": [-9.25, -8.5]}}}
        write_table(tmp_path / "t", small_table(tmp_path / "rows").rows, method="kin", about=about)

        said = " ".join(run("info", "-t", tmp_path / "t").split())

        assert "that a source now at a port probes another, new to it, within 20,000 s" in said
        assert "tcp: visits 7" in said
        assert "-9.25" not in said

    def test_for_programs(self, tmp_path):
        """--json prints the manifest."""
        small_table(tmp_path / "t")

        assert (tmp_path / "t" / "manifest.json").read_text() == run("info", "--json", "-t", tmp_path / "t")

    def test_a_manifest_of_other_contents(self, tmp_path):
        """What is not said there as it is written today is named, with the remedy: here nothing but the cut-off."""
        table_by_source(tmp_path / "t")

        with pytest.raises(BundleError, match=r"manifest\.json: not as this portkin writes it .*'chances'.*build"):
            run("info", "-t", tmp_path / "t")


@pytest.mark.data
class TestDefaultTable:
    @pytest.mark.timeout(520)  # half a minute on an idle machine
    def test_rebuilds_bit_for_bit(self, tmp_path, shared_data):
        """The script that is said to have made the table that ships makes it again."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

        subprocess.run(
            [ROOT / "training" / "default-table.sh", shared_data / "probes", tmp_path / "table", "--no-proof"],
            env={**os.environ, "PATH": path}, check=True, capture_output=True, timeout=500,
        )  # fmt: skip

        rebuilt, shipped = Table.load(tmp_path / "table"), default_table()
        assert shipped.id == rebuilt.id
        assert shipped.manifest.files == rebuilt.manifest.files
        assert shipped.manifest.about["counts"] == rebuilt.manifest.about["counts"]
        assert shipped.manifest.about["options"] == rebuilt.manifest.about["options"]


def ingested(folder: Path, name: str, *ports: int, day: int = 1) -> Path:
    """A dataset in ``folder`` of a recording: a source that probed these ports."""
    from portkin_training.ingest.run import ingest

    recording = folder / f"{name}.csv"
    rows = [f"2026-01-{day:02}T00:00:{at:02}Z,198.51.100.1,192.0.2.1,{port},tcp" for at, port in enumerate(ports)]
    recording.write_text("\n".join(["ts,src,dst,dport,proto", *rows, ""]))
    ingest([recording], folder / name)
    return folder / name


def test_an_update_forgets_no_dataset(tmp_path):
    """A table of two datasets is not updated from one of them; from one that holds both recordings it is."""
    from portkin_training.ingest.run import ingest

    one, other = ingested(tmp_path, "one", 22, 23, 2323), ingested(tmp_path, "other", 80, 443, 8080, day=2)
    run("build", one, other, "-o", tmp_path / "table", "--no-proof")
    before = (tmp_path / "table" / "manifest.json").read_bytes()
    with pytest.raises(InputError, match=r"learnt from 2 datasets, and .*one lacks other\.csv"):
        run("update", one, tmp_path / "table")
    assert before == (tmp_path / "table" / "manifest.json").read_bytes()
    ingest([tmp_path / "other.csv"], one, append=True)
    assert "2 days counted of 2" in run("update", one, tmp_path / "table")


def test_an_update_tells_what_the_dataset_holds_no_more(tmp_path):
    """A table of one dataset is updated from another, and the recordings that it loses are named."""
    run("build", ingested(tmp_path, "one", 22, 23, 2323), "-o", tmp_path / "table", "--no-proof")
    said = run("update", ingested(tmp_path, "other", 80, 443, 8080), tmp_path / "table", notes=True)
    assert "warning: one.csv: in" in said and "not in" in said


def test_no_table_is_made_where_nothing_follows(tmp_path):
    """Sources that probed one port each teach nothing, which is said; no table is written."""
    dataset = ingested(tmp_path, "one", 22)
    with pytest.raises(InputError, match="no source probed a second port"):
        run("build", dataset, "-o", tmp_path / "table", "--no-proof")
    assert not (tmp_path / "table").exists()


def test_more_neighbors_than_the_table_holds(tmp_path):
    """-k beyond the table's K is reported."""
    table = small_table(tmp_path / "table")
    said = run("show", "22", "-t", tmp_path / "table", "-k", 9, notes=True)
    assert f"table {table.id} holds the 3 nearest ports" in said
