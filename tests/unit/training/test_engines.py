"""The same expressions on DuckDB and on Spark, over every recording: the same counts, to the last one."""

from __future__ import annotations

import importlib.util
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest

from portkin.errors import InputError
from portkin.net.ports import Port
from portkin_training.core.dataset import open_probes
from portkin_training.core.dataset_writer import ProbesWriter
from portkin_training.core.engine import DUCKDB, Engine, _heap
from portkin_training.core.history import histories_by_source
from portkin_training.core.probes import Probes
from portkin_training.ingest.run import IngestOptions, ingest
from portkin_training.ingest.tables.columns import ColumnMap
from portkin_training.rates.affinity.affinity import sequential_sources
from portkin_training.rates.affinity.feature_ports import Affinities
from portkin_training.rates.evaluate import evaluate
from portkin_training.rates.models.registry import profile
from portkin_training.rates.series.queries import port_totals
from portkin_training.rates.series.rate_series import Rates, from_probes
from portkin_training.tables.next_port.method import next_port
from portkin_training.tables.scans import ScanOptions, count_days, count_scans

COLUMNS = {
    "aws-honeypots-2013": ColumnMap({"ts": "datetime", "dst": "host", "sport": "spt", "dport": "dpt"}, names=True),
    "tpot-p0f-syn-2020": ColumnMap({"ts": "ts_utc"}, proto="tcp"),
}
SPARK = Engine("spark", memory_limit="1g")
SETTINGS = {
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.files.openCostInBytes": "0",
}
PORTS = (0, 22, 80, 443, 3389, 40_000, 65_535)
MIDNIGHT = 1_767_225_600_000_000  # 2026-01-01


def written(path: Path, *, days: int = 3, seed: int = 0) -> Path:
    """A dataset of some thousand probes with stamps of microseconds, some of them just before and after midnight."""
    rng = np.random.default_rng(seed)
    n = 1000 * days
    ts = np.sort(MIDNIGHT + rng.integers(0, days * 86_400_000_000, n))
    near = rng.random(n) < 0.2
    ts[near] = MIDNIGHT + 86_400_000_000 + rng.integers(-2_000_000, 2_000_000, near.sum())
    ts = np.sort(ts)
    with ProbesWriter(path) as writer:
        writer.write(
            Probes(
                ts=ts, seq=np.arange(n),
                src=np.column_stack((-rng.integers(0, 2, n), rng.integers(-20, 20, n))),
                dst=np.column_stack((np.zeros(n, np.int64), rng.integers(0, 3, n))),
                sport=np.zeros(n, np.uint16), dport=np.array(PORTS, np.uint16)[rng.integers(0, len(PORTS), n)],
                proto=rng.choice([6, 17], n).astype(np.uint8), flags=np.zeros(n, np.uint8),
            )
        )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def spark() -> Iterator[Engine]:
    """Spark with one session for all tests here, set up to start fast rather than to run fast."""
    if importlib.util.find_spec("pyspark") is None:
        pytest.skip("no pyspark (the spark extra)")
    java = shutil.which("java")
    if java is None or subprocess.run([java, "-version"], capture_output=True).returncode:
        pytest.skip("no Java 17, which Spark needs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto")
        session = SPARK.session()
        for name, value in SETTINGS.items():
            session.conf.set(name, value)
        yield SPARK
        session.stop()


@pytest.fixture(scope="module", params=["made", *COLUMNS])
def dataset(request, tmp_path_factory) -> Path:
    """A recording as a dataset."""
    path = tmp_path_factory.mktemp("engines") / request.param
    if request.param == "made":
        return written(path)
    recording = request.getfixturevalue("shared_data") / "probes" / f"{request.param}.csv.gz"
    ingest([recording], path, IngestOptions(columns=COLUMNS[request.param]))
    return path


def counted(path: Path, engine: Engine) -> dict[str, object]:
    """Everything that is asked of an engine, as values that compare."""
    probes = open_probes(path, engine=engine)
    days = {
        str(day): {
            proto: (scans.counts[proto], edges.source.tolist(), edges.target.tolist(), edges.count.tolist())
            for proto, edges in scans.transitions.items()
        }
        for day, scans in count_days(probes, ScanOptions())
    }
    rates = from_probes(probes, width=3600, absent="zero", share=0.9)
    pairs, watched = sequential_sources(probes, rates.ports[:50])
    return {
        "days": days,
        "top ports": rates.ports,
        "hours": (rates.starts.tolist(), rates.counts.tolist()),
        "pairs": (pairs.tolist(), watched),
    }


class TestSpark:
    def test_counts_alike(self, dataset, spark):
        """Scans, transitions, top ports, hourly counts and sequential pairs are the same on both engines."""
        expected, actual = counted(dataset, DUCKDB), counted(dataset, spark)

        assert sum(len(part["tcp"][3]) for part in expected["days"].values()) > 100
        for name, value in expected.items():
            assert value == actual[name], name

    def test_several_datasets(self, spark, tmp_path):
        """Datasets opened together are one table there too."""
        paths = [written(tmp_path / name, seed=seed) for seed, name in enumerate("ab")]

        expected, actual = (port_totals(open_probes(*paths, engine=engine)).execute() for engine in (DUCKDB, spark))

        assert expected.to_dict() == actual.to_dict()
        assert 6000 == actual.n.sum()

    def test_draws_alike(self, spark, tmp_path):
        """Where a share of the sources is drawn, the same ones are drawn on both engines, and not all of them."""
        path, ports = written(tmp_path / "probes", days=1), [Port(number, "tcp") for number in PORTS]

        def drawn(engine: Engine, sample: float = 0.4) -> int:
            return sequential_sources(open_probes(path, engine=engine), ports, sample=sample, seed=3)[0].sum()

        assert 0 < drawn(DUCKDB) < drawn(DUCKDB, 1.0)
        assert drawn(DUCKDB) == drawn(spark)

    def test_fits_alike(self, spark, tmp_path):
        """The same models are fitted over Spark as by processes of this machine, and kept where a next run looks."""
        rng = np.random.default_rng(5)
        ports = tuple(Port(number, "tcp") for number in (22, 80, 443))
        counts = rng.poisson(5 + 3 * np.sin(np.arange(400) / 4)[:, None], (400, 3)).astype(float)
        rates = Rates(ports, np.arange(400) * 3600, counts, 3600)
        kin = Affinities.of(rates, 24, None, 0)

        def fitted(engine: Engine) -> dict[tuple[Port, str], str]:
            found = evaluate(
                rates, kin, profile("small", 3600), folder=tmp_path / engine.name, seed=1, targets=ports[:2],
                models=["ridge", "EWMA"], jobs=1, engine=engine,
            )  # fmt: skip
            # As text, since NaN, which stands where there is no forecast, is not itself.
            return {(result.port, result.model): str(result.forecast.tolist()) for result in found}

        expected, actual = fitted(DUCKDB), fitted(spark)

        assert 4 == len(expected)
        assert expected == actual
        names = [{path.name for path in (tmp_path / name).iterdir()} for name in ("duckdb", "spark")]
        assert names[0] == names[1]

    def test_kin_alike(self, spark, tmp_path):
        """Kin counts sources a few at a time, alike: the same table to the last bit."""
        path = written(tmp_path / "probes")
        parts = [
            len(list(histories_by_source(open_probes(path, engine=engine), at_once=700))) for engine in (DUCKDB, spark)
        ]

        here, there = (next_port(open_probes(path, engine=engine), ScanOptions(), 4) for engine in (DUCKDB, spark))

        assert [5, 5] == parts
        for proto, built in here.items():
            assert built.counts == there[proto].counts
            for name in ("ports", "neighbors", "distances"):
                assert np.array_equal(getattr(built.rows, name), getattr(there[proto].rows, name))

    def test_listens_to_this_machine_alone(self, spark):
        """The driver is bound to loopback, and there is no page for people."""
        settings = spark.session().sparkContext.getConf()

        assert ("127.0.0.1", "127.0.0.1", "false") == tuple(
            settings.get(name) for name in ("spark.driver.bindAddress", "spark.driver.host", "spark.ui.enabled")
        )


def test_unreachable_master():
    """Where no master listens, the message names it and what to do, at once; so for a URL that is none."""
    pytest.importorskip("pyspark", reason="no pyspark (the spark extra)")
    with pytest.raises(InputError, match=r"--master spark://127\.0\.0\.1:9: no Spark master answers there \("):
        Engine("spark", master="spark://127.0.0.1:9").session()
    with pytest.raises(InputError, match="'here' is not HOST:PORT"):
        Engine("spark", master="spark://here").session()


class TestDuckdb:
    def test_little_memory(self, tmp_path):
        """With a memory limit the counts are the same."""
        path = written(tmp_path / "probes")

        full, tight = (
            count_scans(open_probes(path, engine=engine), ScanOptions())
            for engine in (DUCKDB, Engine(memory_limit="64MB", spill=tmp_path / "spill"))
        )

        assert full.counts == tight.counts
        assert full.transitions["tcp"].count.tolist() == tight.transitions["tcp"].count.tolist()

    def test_no_bar(self, tmp_path):
        """DuckDB draws no progress bar amid what a command prints, also where it takes Python for interactive, as
        with ``-c``."""
        program = (
            "from portkin_training.core.dataset import open_probes; import sys; "
            "connection = open_probes(sys.argv[1]).get_backend().con; "
            "print(connection.sql(\"SELECT current_setting('enable_progress_bar')\").fetchall())"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, written(tmp_path / "probes")], capture_output=True, text=True
        )
        assert "[(False,)]\n" == done.stdout, done.stderr

    def test_refuses_a_limit(self, tmp_path):
        """A limit that is no size is refused."""
        with pytest.raises(InputError, match="memory limit 'lots': give a size as in 4GB"):
            open_probes(written(tmp_path / "probes"), engine=Engine(memory_limit="lots"))

    def test_any_file_system(self, tmp_path):
        """A dataset is read from wherever fsspec reads."""
        path, system = written(tmp_path / "probes"), fsspec.filesystem("memory")
        system.put(str(path), "/telescope", recursive=True)
        try:
            expected, actual = (
                port_totals(open_probes(place)).execute().to_dict() for place in (path, "memory://telescope")
            )
        finally:
            system.rm("/telescope", recursive=True)

        assert expected == actual

    @pytest.mark.parametrize("place", ["memory://nothing-here", "bogus://telescope"])
    def test_refuses_places(self, place):
        """Where there is no dataset, or no such file system, the name is in the message."""
        with pytest.raises(InputError, match=place):
            open_probes(place)

    def test_a_file_is_no_dataset(self, tmp_path):
        """A recording in the place of a dataset: how to make one of it."""
        (tmp_path / "a b.pcap").write_bytes(b"")
        with pytest.raises(InputError, match=r"a b.pcap: a file, and no .*: portkin ingest '.*a b.pcap' -o probes"):
            open_probes(tmp_path / "a b.pcap")

    def test_what_reads_s3_is_added_to_this_installation(self, monkeypatch):
        """Without the extra, the remedy names where portkin was installed from, and no portkin of an index."""
        monkeypatch.setitem(sys.modules, "portkin_training.core.s3_calls", None)
        with pytest.raises(InputError) as refused:
            open_probes("s3://telescope/probes")
        remedy = shlex.split(str(refused.value).rpartition("; ")[2])
        assert sys.executable == remedy[0] and "install" in remedy
        assert not [word for word in remedy if word.startswith("portkin")]

    def test_ports_are_ports(self, tmp_path):
        """The top ports of the telescope are named by number and protocol."""
        rates = from_probes(open_probes(written(tmp_path / "probes")), width=3600, absent="zero", share=1.0)

        assert {Port(n, p) for n in PORTS for p in ("tcp", "udp")} == set(rates.ports)


@pytest.mark.parametrize("master", ["http://x", "local[0]", "local[]", "local[2", "10.0.0.9:7077", "", "yarn-client"])
def test_no_master(master):
    """What Spark does not take for a master is refused before Java starts, which says so in a stack trace."""
    pytest.importorskip("pyspark", reason="no pyspark (the spark extra)")
    with pytest.raises(InputError, match=r"not a Spark master; write local\[2\] .* spark://HOST:7077"):
        Engine("spark", master=master).session()


def test_memory_limit_for_java():
    """DuckDB's sizes, as Java writes them: 4 GB are 4e9 / 2**20 = 3814 MiB."""
    written = {"4GB": "3814m", "4g": "3814m", "4 GiB": "4096m", "1.5gib": "1536m", "500MB": "476m", "1TB": "953674m"}
    assert written == {size: _heap(size) for size in written}


@pytest.mark.parametrize(
    ("size", "why"), [("1XB", "as in 4GB"), ("", "as in 4GB"), ("80%", "as in 4GB"), ("100MB", "500MB or more")]
)
def test_no_memory_limit_for_java(size, why):
    """A size that Java does not take is refused before it starts."""
    pytest.importorskip("pyspark", reason="no pyspark (the spark extra)")
    with pytest.raises(InputError, match=f"memory limit '{size}': .*{why}"):
        Engine("spark", memory_limit=size).session()
