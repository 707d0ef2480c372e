"""Engines: where the Ibis expressions over probes run. They do not know it, and give the same on both.

DuckDB, the default, reads Parquet on this machine and spills what does not fit into memory. Spark runs the same
expressions on as many machines as its master has; alone it is slower at every size that DuckDB can hold.

Both, and Ibis, are imported where they are used: `ingest` does without.

What the two do not share, expressions keep away from: Spark has no unsigned integers, its hash is another, and its
rows come in no order unless asked for.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from portkin.errors import InputError
from portkin_training.core.places import Place, is_url, located, reason_of

if TYPE_CHECKING:
    import duckdb
    import ibis.expr.types as ir
    from pyspark.sql import SparkSession

MASTER_ANSWERS = 10.0
"""Seconds in which a Spark master takes a connection, or is taken for unreachable."""
_MASTERS = re.compile(
    r"local(\[(\*|[1-9]\d*)(,\d+)?\])?|local-cluster\[\d+,\d+,\d+\]|spark://.+|k8s://.+|yarn", re.ASCII
)
"""Spark 4.0's documentation, Submitting Applications, Master URLs."""
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT])(I?)B?\s*", re.ASCII | re.IGNORECASE)
_LEAST_HEAP = 450 << 20
"""Bytes below which Spark's driver does not start."""


@dataclass(frozen=True)
class Engine:
    """Where expressions run, and with what.

    Attributes:
        name: "duckdb" or "spark".
        memory_limit: DuckDB: what it may hold before it spills, as in "4GB"; its own default is 80 % of the machine.
            Spark: the driver's heap, which in local mode is all there is.
        spill: the folder for what does not fit; None: one of our own in that for temporary files, which goes with us.
        master: Spark's master; ``local[2]`` runs it in this process's machine, on two cores.
    """

    name: Literal["duckdb", "spark"] = "duckdb"
    memory_limit: str | None = None
    spill: Path | None = None
    master: str = "local[2]"

    def read_parquet(self, datasets: Sequence[tuple[Place, Sequence[str]]], schema: pa.Schema) -> ir.Table:
        """Folders and the files below them, all of one schema, as one table, read when asked for.

        The folders between (``day=2026-11-20``) are a column too: `day`, a date.
        """
        if self.name == "spark":
            import ibis

            parts = [self._spark(place, files, schema) for place, files in datasets]
            return ibis.union(*parts) if len(parts) > 1 else parts[0]
        return self._duckdb([file for _, files in datasets for file in files])

    def _duckdb(self, files: Sequence[str]) -> ir.Table:
        import duckdb
        import ibis

        # What does not fit into memory goes there, not into the folder that we happen to run in.
        spill = self.spill or Path(tempfile.gettempdir()) / f"portkin-{os.getpid()}"
        options = {} if self.memory_limit is None else {"memory_limit": self.memory_limit}
        try:
            # Groups come in any order: keeping that of insertion would take memory for nothing.
            backend = ibis.duckdb.connect(temp_directory=str(spill), preserve_insertion_order=False, **options)
        except duckdb.ParserException as error:
            raise InputError(f"memory limit {self.memory_limit!r}: give a size as in 4GB ({error})") from error
        # It draws one on standard output, amid what is printed there, wherever it takes Python for interactive.
        backend.con.execute("SET enable_progress_bar = false")
        for scheme in {file.partition("://")[0] for file in files if is_url(file)}:
            backend.con.register_filesystem(located(f"{scheme}://")[0])
        # Not by ibis: it would have DuckDB fetch an extension of its own for S3, though fsspec reads it.
        backend.con.read_parquet(list(files), hive_partitioning=True).create_view("probes")
        return backend.table("probes")

    def _spark(self, place: Place, files: Sequence[str], schema: pa.Schema) -> ir.Table:
        import ibis

        session = self.session()
        fields = ", ".join(f"{field.name} {_SPARK_TYPES[field.type]}" for field in schema)
        base = _for_spark(str(place) if is_url(place) else str(Path(place).resolve()))
        reader = session.read.schema(f"{fields}, day date").option("basePath", base)
        try:
            frame = reader.parquet(*map(_for_spark, files))
        except Exception as error:
            if "S3AFileSystem" not in str(error):
                raise
            raise InputError(
                f"{place}: Spark cannot read S3 here; give it hadoop-aws of its own Hadoop's version, in "
                "spark.jars.packages of conf/spark-defaults.conf, or put the dataset on a shared folder"
            ) from None
        name = f"probes_{uuid.uuid4().hex}"
        frame.createOrReplaceTempView(name)
        return ibis.pyspark.connect(session).table(name)

    def session(self) -> SparkSession:
        """The Spark session of this process; the first one asked for decides its master.

        Raises:
            InputError: there is no Java, or no master where one should be; a master or memory limit that is none.
            ModuleNotFoundError: there is no pyspark (the ``spark`` extra).
        """
        from pyspark.errors import PySparkRuntimeError
        from pyspark.sql import SparkSession

        local = self.master.startswith("local")
        if not _MASTERS.fullmatch(self.master):
            raise InputError(
                f"--master {self.master}: not a Spark master; write local[2] for two cores of this machine, "
                "spark://HOST:7077, yarn or k8s://https://HOST:6443"
            )
        if self.master.startswith("spark://"):
            _refuse_unreachable(self.master)
        settings = {
            "spark.sql.session.timeZone": "UTC",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.log.level": "ERROR",
            # Folders of days are listed here, not by a job of their own each.
            "spark.sql.sources.parallelPartitionDiscovery.threshold": "10000",
            "spark.executorEnv.PYTHONHASHSEED": "0",
        }
        if local:
            cores = os.cpu_count() or 2
            settings |= {"spark.sql.shuffle.partitions": str(2 * cores), "spark.driver.host": "127.0.0.1"}
        if self.memory_limit is not None:
            settings["spark.driver.memory"] = _heap(self.memory_limit)
        if self.spill is not None:
            settings["spark.local.dir"] = str(self.spill)
        # Nothing listens for the world unless somebody says so.
        settings["spark.driver.bindAddress"] = os.environ.get("SPARK_LOCAL_IP", "127.0.0.1")
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        builder = SparkSession.builder.master(self.master).appName("portkin")
        for name, value in settings.items():
            builder = builder.config(name, value)
        try:
            return builder.getOrCreate()
        except PySparkRuntimeError as error:
            raise InputError(
                f"--engine spark: Spark does not start ({error.getMessage()}); it needs Java 17, and JAVA_HOME to "
                "name it where `java` is not on the path"
            ) from error


def _refuse_unreachable(master: str) -> None:
    """Raise InputError where none of the masters (``spark://one:7077,other:7077``) takes a connection: Spark itself
    says so after a minute, in a stack trace."""
    said = []
    for one in master.removeprefix("spark://").split(","):
        host, _, port = one.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=MASTER_ANSWERS):
                return
        except ValueError:
            said.append(f"{one!r} is not HOST:PORT")
        except OSError as error:
            said.append(f"{one}: {error.strerror or error}")
    raise InputError(
        f"--master {master}: no Spark master answers there ({'; '.join(said)}); start one, or name the "
        "URL that its log gives"
    )


def _heap(limit: str) -> str:
    """A memory limit as Java writes it, in MiB: a GB is 10^9 bytes and a GiB 2^30, as for DuckDB."""
    found = _SIZE.fullmatch(limit)
    if found is None:
        raise InputError(f"memory limit {limit!r}: give a size as in 4GB")
    number, unit, binary = found.groups()
    size = int(float(number) * (1024 if binary else 1000) ** ("KMGT".index(unit.upper()) + 1))
    if size < _LEAST_HEAP:
        raise InputError(f"memory limit {limit!r}: Spark's driver needs 500MB or more")
    return f"{size >> 20}m"


def told_by_a_store(error: duckdb.Error) -> str | None:
    """What a store's client raised while DuckDB read through it, and what to do; None where it is DuckDB's own error,
    or that a file is not there.

    DuckDB hands over neither the exception nor its class: the text is a traceback, in which the last line that is not
    indented begins with the name.
    """
    import duckdb

    if type(error) is not duckdb.Error or "Traceback (most recent call last)" not in str(error):
        return None
    named = re.findall(r"^(?:\w+\.)*(\w+)(?::|$)", str(error), re.MULTILINE)
    name = named[-1] if named else type(error).__name__
    return None if name == "FileNotFoundError" else reason_of(name)


def _for_spark(place: str) -> str:
    """S3 as Hadoop calls it."""
    return f"s3a://{place.removeprefix('s3://')}" if place.startswith("s3://") else place


DUCKDB = Engine()
"""The default."""

_SPARK_TYPES = {
    pa.timestamp("us", tz="UTC"): "timestamp",
    pa.int64(): "bigint",
    pa.int32(): "int",
    pa.int16(): "smallint",
    pa.int8(): "tinyint",
}
