"""The benchmarks at their smallest size, and what is made of their figures. How long anything took is never judged."""

from __future__ import annotations

import importlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench.figures import MICRO, Figure, Missing, Spent, Unit, Work, compare, missing, number, quantity, spread
from bench.report import MARK, Bench, Results, from_json, to_json, to_markdown, write, write_into
from bench.run import modules

RUN = Path(__file__).with_name("run.py")
OURS = Figure("decode", 9e6, "packets/s", "more", "dpkt", 3e4, 300.0, 9.5e6, 3.1e4, 306.5, 3, "a note")
RESULTS = Results(
    "small", "2026-01-01 00:00", {"cores": "2"}, True,
    (
        Bench("ingest", "How fast.", "ok", 0.5, 1.5, 12.0, 11.0, "", (OURS, missing("live", "needs root"))),
        Bench("query", "How long.", "failed", error="no answer"),
    ),
)  # fmt: skip


def run(*flags: object, **more) -> subprocess.CompletedProcess[str]:
    """The runner, to its end."""
    command = [sys.executable, str(RUN), *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, **more)


@pytest.mark.timeout(300)
def test_smoke(tmp_path):
    """Every benchmark runs at its smallest size, and says a figure or why there is none."""
    ended = run("--size", "smoke", "--jobs", 2, "--out", tmp_path)
    assert 0 == ended.returncode, ended.stderr
    results = from_json((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert results.complete
    assert [*modules()] == sorted(bench.name for bench in results.benches)
    table = (tmp_path / "results.md").read_text(encoding="utf-8")
    for bench in results.benches:
        assert f"### {bench.name}\n" in table
        assert bench.figures
        for figure in bench.figures:
            numbers = (figure.value, figure.cpu, figure.peer_value, figure.peer_cpu, figure.ratio, figure.cpu_ratio)
            assert all(math.isfinite(found) and found >= 0 for found in numbers if found is not None), figure
            assert figure.value is not None or figure.note.startswith("not measured: "), figure
            if figure.ratio is not None:
                assert 1e-6 < figure.ratio < 1e8, figure


class TestRunner:
    """What the runner does when a benchmark does not do what it should."""

    @pytest.fixture
    def folder(self, tmp_path):
        """A runner beside benchmarks of our own."""
        here = tmp_path / "bench"
        here.mkdir()
        for path in RUN.parent.glob("*.py"):
            if not path.name.startswith(("bench_", "test_")):
                (here / path.name).symlink_to(path)
        (here / "run.py").unlink()
        (here / "run.py").write_text(RUN.read_text(encoding="utf-8"), encoding="utf-8")
        return here

    def bench(self, folder: Path, name: str, body: str) -> None:
        lines = "\n".join(f"    {line}" for line in body.splitlines())
        (folder / f"bench_{name}.py").write_text(
            f'"""Says {name}."""\nimport time\nfrom bench.figures import Figure, script\n'
            f"def measure(size):\n{lines}\nscript(measure, __doc__)\n",
            encoding="utf-8",
        )

    def results(self, folder: Path) -> Results:
        return from_json((folder / "out" / "results.json").read_text(encoding="utf-8"))

    def command(self, folder: Path, *flags: str) -> list[str]:
        return [sys.executable, str(folder / "run.py"), "--size", "smoke", "--out", str(folder / "out"), *flags]

    ONE = 'yield Figure("one", 1.0, "s", "less")\n'

    def test_a_failure(self, folder):
        """A benchmark that fails keeps its figures, the next ones run, and the status and the last line say so."""
        self.bench(folder, "a", self.ONE + 'raise ValueError("no luck")')
        self.bench(folder, "b", "print('chatter')\n" + self.ONE)
        self.bench(folder, "c", "return iter(())")
        ended = subprocess.run(self.command(folder), capture_output=True, text=True, timeout=60, check=False)
        assert 1 == ended.returncode
        assert ["a failed: ValueError: no luck", "c failed: no figure"] == ended.stderr.splitlines()[-2:]
        found = [(bench.name, bench.about, bench.state, len(bench.figures)) for bench in self.results(folder).benches]
        assert [("a", "Says a.", "failed", 1), ("b", "Says b.", "ok", 1), ("c", "Says c.", "failed", 0)] == found

    def test_too_long(self, folder):
        """A benchmark that takes longer than its limit is ended, after it has cleaned up."""
        clean = folder / "clean"
        self.bench(folder, "a", self.ONE + f"try:\n    time.sleep(60)\nfinally:\n    open({str(clean)!r}, 'w').close()")
        ended = subprocess.run(self.command(folder, "--limit", "3"), capture_output=True, timeout=60, check=False)
        assert 1 == ended.returncode
        (bench,) = self.results(folder).benches
        assert ("failed", "ended after 3 s", 1) == (bench.state, bench.error, len(bench.figures))
        assert clean.exists()

    def test_killed(self, folder):
        """A run that is killed has kept its figures; --resume runs what it did not finish."""
        self.bench(folder, "a", self.ONE)
        self.bench(folder, "b", self.ONE + "time.sleep(60)")
        running = subprocess.Popen(self.command(folder), stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + 30
            while not (folder / "out" / "results.json").exists() or len(self.results(folder).benches) < 2 or not (
                self.results(folder).benches[1].figures
            ):  # fmt: skip
                assert time.monotonic() < end
                time.sleep(0.05)
        finally:
            os.kill(running.pid, signal.SIGTERM)
            running.wait(30)
        found = self.results(folder)
        assert not found.complete
        assert [(True, 1), (False, 1)] == [(bench.state == "ok", len(bench.figures)) for bench in found.benches]
        self.bench(folder, "a", "raise AssertionError")
        self.bench(folder, "b", self.ONE)
        ended = subprocess.run(self.command(folder, "--resume"), capture_output=True, timeout=60, check=False)
        assert 0 == ended.returncode
        assert [("ok", 1), ("ok", 1)] == [(bench.state, len(bench.figures)) for bench in self.results(folder).benches]


class TestWithout:
    """What is not here is a row that says so."""

    @pytest.mark.parametrize(("name", "program"), [("query", "zeek"), ("blocking_live", "zeek"), ("rules", "suricata")])
    def test_a_program(self, monkeypatch, name, program):
        """Without its program a benchmark has one row, with the reason."""
        module = importlib.import_module(f"bench.bench_{name}")
        monkeypatch.setattr(module, "program", lambda name: None)
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        (figure,) = module.measure("smoke")
        assert (None, f"not measured: no {program} on PATH") == (figure.value, figure.note.partition(" or ")[0])

    @pytest.mark.parametrize("name", ["blocking", "blocking_live"])
    def test_root(self, monkeypatch, name):
        """Whoever is not root gets a message that says so."""
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        (figure,) = importlib.import_module(f"bench.bench_{name}").measure("smoke")
        assert figure.note.startswith("not measured: needs root")


class TestCompare:
    """Figures of work beside its peers, by a clock of the test's: what is done says how long it took."""

    @pytest.fixture(autouse=True)
    def clock(self, monkeypatch):
        monkeypatch.setattr("bench.figures.timed", lambda action: Spent(*action()))

    def test_a_peer_each(self):
        """Every peer has a row with the median of its ratios turn by turn; one that is not here has the reason."""
        turns = []
        # one turn to get warm, then three
        walls = {"ours": iter([9, 1.0, 2.0, 4.0]), "theirs": iter([9, 0.5, 0.1, 0.2])}

        def do(who: str) -> tuple[float, float]:
            turns.append(who)
            return next(walls[who]), 0.5

        ours, theirs = Work("ours", lambda: do("ours"), 1000), Work("theirs", lambda: do("theirs"), 10)
        peers = [theirs, Missing("absent", "not installed")]
        found, absent = compare("small", "work", ours, peers, Unit("things/s", "more"))
        assert ["ours", "theirs"] * 4 == turns
        # 1000 / 2 and 10 / 0.2 a second; by processor 1000 / 0.5 and 10 / 0.5.
        # Ratios (0.5 / 10) / (1 / 1000) = 50, (0.1 / 10) / (2 / 1000) = 5, (0.2 / 10) / (4 / 1000) = 5
        assert (500, 50, 2000, 20, 5, 100, 3) == pytest.approx(
            (found.value, found.peer_value, found.cpu, found.peer_cpu, found.ratio, found.cpu_ratio, found.n)
        )
        assert (500, "absent", None, "not measured: not installed") == (
            absent.value, absent.peer, absent.peer_value, absent.note
        )  # fmt: skip

    def test_a_start(self):
        """What a start takes is taken off; where nothing is left, nothing was measured."""
        slow = Work("slow", lambda: (0.03, 0.02), 2, lambda: (0.01, 0.01))
        (figure,) = compare("smoke", "work", slow, [], MICRO)
        assert (10_000, 5_000) == pytest.approx((figure.value, figure.cpu))  # 20 ms and 10 ms for two
        lost = Work("lost", lambda: (0.01, 0.02), 1, lambda: (0.02, 0.01))
        (figure,) = compare("smoke", "work", slow, [lost], MICRO)
        assert (None,) * 4 == (figure.peer_value, figure.ratio, figure.peer_cpu, figure.cpu_ratio)
        assert figure.note.startswith("not measured")
        (figure,) = compare("smoke", "work", lost, [slow], MICRO)
        assert (None, None) == (figure.value, figure.ratio)
        assert figure.note.startswith("not measured")

    def test_spread(self):
        """The median of a hundred, and the 99th percentile beside it, in milliseconds."""
        figure = spread("trips", [n / 1000 for n in range(1, 101)])
        assert (50.5, "ms", 100, "99th percentile 100 ms") == (figure.value, figure.unit, figure.n, figure.note)
        assert spread("none", []).value is None


class TestReport:
    """What becomes of results."""

    @pytest.mark.parametrize(
        ("value", "text"),
        [(0.0, "0"), (0.012345, "0.0123"), (9.876, "9.88"), (12345.6, "12,300"), (99.96, "100"), (-1.5, "-1.50")],
    )
    def test_number(self, value, text):
        """Three digits that count."""
        assert text == number(value)

    def test_quantity(self):
        """Millions as such; what is missing is marked as such."""
        assert ("9.50 M packets/s", "not measured", "1,000 s") == (
            quantity(9.5e6, "packets/s"), quantity(None, "s"), quantity(1000, "s")
        )  # fmt: skip

    def test_json(self):
        """What is written is read again; another schema is refused."""
        assert RESULTS == from_json(to_json(RESULTS))
        with pytest.raises(ValueError, match="is needed"):
            from_json(json.dumps(json.loads(to_json(RESULTS)) | {"schema": "portkin.bench/0"}))

    def test_markdown(self):
        """A row a figure, with the peer and both ratios; reasons and failures are there, too."""
        text = to_markdown(RESULTS)
        row = "decode | 9.00 M packets/s | 9.50 M packets/s | dpkt | 30,000 packets/s | 31,000 packets/s | 300 | 306"
        assert f"\n| {row} | 3 | a note |\n" in text
        assert "| not measured: needs root |\n" in text
        assert "**failed** no answer\n" in text
        assert "Load average 0.5 before, 1.5 after; 12.0 s, 11.0 s of processor time." in text
        assert "Not complete" not in text
        assert "Not complete" in to_markdown(replace(RESULTS, complete=False))

    def test_document(self, tmp_path):
        """What stands below the mark is replaced, what stands above stays; a document without a mark is refused."""
        document = tmp_path / "benchmarks.md"
        document.write_text(f"# Benchmarks\n\n{MARK}old\n", encoding="utf-8")
        write_into(RESULTS, document)
        assert f"# Benchmarks\n\n{MARK}\n{to_markdown(RESULTS)}" == document.read_text(encoding="utf-8")
        document.write_text("# Benchmarks\n", encoding="utf-8")
        with pytest.raises(ValueError, match="no line"):
            write_into(RESULTS, document)

    def test_folder(self, tmp_path):
        """Both files are written, and nothing else is left."""
        write(RESULTS, tmp_path / "new")
        assert ["results.json", "results.md"] == sorted(path.name for path in (tmp_path / "new").iterdir())
