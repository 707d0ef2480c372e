"""``portkin table export`` and ``plot``: a table for other programs, and its picture."""

from __future__ import annotations

import csv
import subprocess
import tracemalloc
from functools import partial

import networkx as nx
import numpy as np
import pytest

from portkin.bundles.table import Rows, write_table
from portkin_training.commands.table import table as command
from portkin_training.tables.drawing import closest_pairs
from portkin_training.tables.exports import export
from support.running import output_of
from support.tables import small_table

run = partial(output_of, command)
"""What the command prints; its errors are raised."""
refused = partial(output_of, command, status=2)
"""What the command prints when it refuses its arguments."""


class TestExport:
    def test_csv(self, tmp_path):
        """The CSV has a row per port and neighbor, by rank."""
        small_table(tmp_path / "t")

        run("export", "-t", tmp_path / "t", "-o", tmp_path / "kin.csv")

        with (tmp_path / "kin.csv").open(newline="") as opened:
            assert [
                ["proto", "port", "rank", "neighbor", "distance"],
                ["tcp", "22", "1", "23", "0.5"],
                ["tcp", "22", "2", "2222", "1.0"],
                ["tcp", "22", "3", "80", "1.5"],
                ["tcp", "80", "1", "8080", "0.25"],
                ["tcp", "80", "2", "443", "0.75"],
                ["udp", "53", "1", "123", "2.0"],
            ] == list(csv.reader(opened))

    def test_graphml(self, tmp_path):
        """networkx reads the GraphML back, with numbers, services, distances and ranks."""
        small_table(tmp_path / "t")

        run("export", "-t", tmp_path / "t", "-o", tmp_path / "kin.graphml")

        graph = nx.read_graphml(tmp_path / "kin.graphml")
        assert {"distance": 0.75, "rank": 2} == graph.edges["80/tcp", "443/tcp"]
        assert {"number": 443, "proto": "tcp", "service": "https"} == graph.nodes["443/tcp"]
        assert 6 == graph.number_of_edges()
        assert "by hand" == graph.graph["method"]

    def test_graphml_holds_no_graph(self, tmp_path):
        """GraphML of a table with many entries is written with little memory."""
        ports = np.arange(1000, dtype=np.uint16)
        neighbors = (ports[:, None] + np.arange(1, 33)).astype(np.uint16)
        distances = np.tile(np.arange(1, 33, dtype=np.float32), (1000, 1))
        table = write_table(tmp_path / "t", {"tcp": Rows(ports, neighbors, distances)}, method="by hand")

        tracemalloc.start()
        export(table, tmp_path / "kin.graphml", "graphml")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

        assert most < 4e6, "bytes: 32,000 edges"
        assert 32_000 == nx.read_graphml(tmp_path / "kin.graphml").number_of_edges()

    @pytest.mark.zeek
    def test_zeek_reads_it(self, tmp_path, zeek):
        """Zeek's Input framework reads the file into a table of ports."""
        table = small_table(tmp_path / "t")
        lonely = Rows(np.array([9], np.uint16), np.zeros((1, 3), np.uint16), np.full((1, 3), np.inf, np.float32))
        table = write_table(tmp_path / "t", {"tcp": table.rows["tcp"], "udp": lonely}, method="by hand")
        export(table, tmp_path / "kin.tsv", "zeek")
        script = tmp_path / "read.zeek"
        script.write_text("""
            type Idx: record { p: port; };
            type Kin: record { ports: vector of port; distances: vector of double; };
            global kin: table[port] of Kin = table();
            redef exit_only_after_terminate = T;
            event zeek_init()
                {
                Input::add_table([$source="kin.tsv", $name="kin", $idx=Idx, $val=Kin, $destination=kin]);
                }
            event Input::end_of_data(name: string, source: string)
                {
                print |kin|, kin[22/tcp]$ports, kin[80/tcp]$distances, |kin[9/udp]$ports|;
                terminate();
                }
        """)

        ran = subprocess.run([zeek, "-b", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)

        assert ("3, [23/tcp, 2222/tcp, 80/tcp], [0.25, 0.75], 0\n", 0) == (ran.stdout, ran.returncode), ran.stderr

    def test_unknown_suffix(self, tmp_path):
        """A name that tells no format is refused, and nothing is written."""
        assert ".graphml" in refused("export", "-o", tmp_path / "kin.xls")
        assert [] == [*tmp_path.iterdir()]

    def test_failing_leaves_the_old_file(self, tmp_path, monkeypatch):
        """Where writing fails, what was there stays and nothing is left beside it."""
        table = small_table(tmp_path / "t")
        (tmp_path / "kin.csv").write_text("old")
        monkeypatch.setattr(csv, "writer", lambda *_, **__: 1 / 0)

        with pytest.raises(ZeroDivisionError):
            export(table, tmp_path / "kin.csv", "csv")

        assert "old" == (tmp_path / "kin.csv").read_text()
        assert {"t", "kin.csv"} == {path.name for path in tmp_path.iterdir()}


class TestPlot:
    def test_closest_pairs(self):
        """The closest pairs come once, by the shorter of their two directions, ties by the lower ports."""
        rows = Rows(
            np.array([1, 2, 3], np.uint16),
            np.array([[2, 3], [1, 3], [1, 0]], np.uint16),
            np.array([[4.0, 5.0], [3.0, 5.0], [5.0, np.inf]], np.float32),
        )

        # 1-2: 4 and 3, so 3 from 2 to 1; 1-3: 5 and 5, from the lower; 2-3: 5 one way.
        assert [(2, 1, 3.0), (1, 3, 5.0), (2, 3, 5.0)] == closest_pairs(rows, 60)
        assert [(2, 1, 3.0), (1, 3, 5.0)] == closest_pairs(rows, 2)

    def test_same_table_same_picture(self, tmp_path):
        """The default table's sixty closest pairs are drawn, and drawn alike each time."""
        for name in ("one.svg", "two.svg"):
            assert "60 pairs of tcp ports" in run("plot", "-o", tmp_path / name)

        assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()

    @pytest.mark.parametrize(("suffix", "starts"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")])
    def test_formats(self, tmp_path, suffix, starts):
        """The suffix says the format; a table with one pair is drawn as well."""
        small_table(tmp_path / "t")

        said = run("plot", "-t", tmp_path / "t", "--proto", "udp", "-o", tmp_path / f"kin{suffix}")

        assert "1 pair of udp ports" in said
        assert (tmp_path / f"kin{suffix}").read_bytes().startswith(starts)

    def test_nothing_to_draw(self, tmp_path):
        """A table without neighbors gives a picture that says so."""
        none = Rows(np.empty(0, np.uint16), np.empty((0, 4), np.uint16), np.empty((0, 4), np.float32))
        write_table(tmp_path / "t", {"tcp": none}, method="by hand")

        assert "0 pairs" in run("plot", "-t", tmp_path / "t", "-o", tmp_path / "kin.png")

    def test_unknown_suffix(self, tmp_path):
        """A name that tells no format is refused."""
        assert ".svg" in refused("plot", "-o", tmp_path / "kin.doc")
