"""One function over many points: on the cores of this machine, or on what a Spark master has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, TypeVar

import joblib

from portkin_training.core.engine import Engine

T = TypeVar("T")


def fan_out(work: Callable[..., T], points: Sequence[tuple[Any, ...]], *, jobs: int, engine: Engine) -> Iterator[T]:
    """``work(*point)`` of each point, as they become known.

    By `jobs` processes here, or, where the engine is Spark, by a Spark job each: what `work` closes over goes to every
    machine once, and nothing but what it returns comes back, so it should write no files.
    """
    if engine.name != "spark":
        yield from joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)(
            joblib.delayed(work)(*point) for point in points
        )
        return
    from pyspark import cloudpickle

    context = engine.session().sparkContext
    packed = context.broadcast(cloudpickle.dumps(work))  # type: ignore[no-untyped-call]

    def there(point: tuple[Any, ...]) -> T:
        done: T = cloudpickle.loads(packed.value)(*point)
        return done

    def run(point: tuple[Any, ...]) -> T:
        return context.parallelize([point], 1).map(there).collect()[0]

    try:
        with ThreadPoolExecutor(context.defaultParallelism, thread_name_prefix="spark-job") as pool:
            for done in as_completed([pool.submit(run, point) for point in points]):
                yield done.result()
    finally:
        packed.unpersist()
