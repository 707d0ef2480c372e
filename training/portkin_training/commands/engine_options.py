"""The options that choose an engine, for every command that reads probes datasets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import click


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add to a command ``--engine``, ``--master``, ``--memory-limit`` and ``--spill``, as one argument, `engine`."""

    @click.option("--engine", "name", type=click.Choice(["duckdb", "spark"]), default="duckdb", show_default=True,
                  help="What reads the probes: DuckDB here, or Spark (the spark extra, Java 17).")  # fmt: skip
    @click.option("--master", default="local[2]", show_default=True, metavar="URL",
                  help="Spark: its master, as in spark://host:7077. The driver binds to loopback unless SPARK_LOCAL_IP "
                  "says otherwise.")  # fmt: skip
    @click.option("--memory-limit", metavar="SIZE", help="What the engine may hold before it spills, as in 4GB. "
                  "Default: 80 % of the machine; Spark: 1g.")  # fmt: skip
    @click.option("--spill", type=click.Path(path_type=Path), metavar="FOLDER",
                  help="For what does not fit into memory. Default: the folder for temporary files.")  # fmt: skip
    @wraps(command)
    def chosen(
        *args: Any, name: str, master: str, memory_limit: str | None, spill: Path | None, **options: Any
    ) -> None:
        from portkin_training.core.engine import Engine

        with engine_errors():
            command(*args, engine=Engine(name, memory_limit, spill, master), **options)  # type: ignore[arg-type]

    return chosen


@contextmanager
def engine_errors() -> Iterator[None]:
    """Within it, what DuckDB raises about datasets is said in words: InputError or StoreError."""
    import duckdb

    from portkin.errors import InputError
    from portkin_training.core.dataset import mixed
    from portkin_training.core.engine import told_by_a_store
    from portkin_training.core.places import StoreError

    try:
        yield
    except duckdb.Error as error:
        if reason := told_by_a_store(error):
            raise StoreError(reason) from None
        said = str(error).partition("\n")[0]
        if "schema mismatch" in said:
            raise InputError(mixed(said.partition(";")[0])) from None
        if "No files found" in said:
            raise InputError(f"a dataset was replaced or removed while it was read ({said}); run again") from None
        raise
