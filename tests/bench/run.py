"""Runs the benchmarks beside it, each in a process of its own, and writes what they say as Markdown and JSON.

    python tests/bench/run.py [--size smoke|small|full] [--only NAME]... [--resume] [--into DOCUMENT]

The results are written after every figure, so that a run that is killed has kept what it found; ``--resume`` goes on
from there. A benchmark that fails is reported at the end, and the status is then 1.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console

from bench.figures import SIZES, Figure
from bench.machine import describe
from bench.report import Bench, Results, from_json, write, write_into

HERE = Path(__file__).resolve().parent
OUT = HERE.parents[1] / "build" / "bench"
LIMIT = 600.0
"""Seconds that one benchmark may take."""
CHILDREN: set[subprocess.Popen[str]] = set()
"""The benchmarks under way."""


def modules() -> dict[str, Path]:
    """The benchmarks by name."""
    return {path.stem.removeprefix("bench_"): path for path in sorted(HERE.glob("bench_*.py"))}


def about(path: Path) -> str:
    """The first line of a module's documentation."""
    return path.read_text(encoding="utf-8").partition('"""')[2].partition("\n")[0].removesuffix('"""')


def run(name: str, path: Path, size: str, limit: float, told: Callable[[Bench], None]) -> Bench:
    """Run one benchmark; ``told`` hears of it at its start and after each of its figures."""
    bench = Bench(name, about(path), before=os.getloadavg()[0])
    told(bench)
    began = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        child = subprocess.Popen(
            [sys.executable, path, "--size", size, "--json"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True,
            env=environment, start_new_session=True,
        )  # fmt: skip
        CHILDREN.add(child)
        alarm = threading.Timer(limit, os.kill, (child.pid, signal.SIGTERM))
        alarm.start()
        try:
            for line in child.stdout:
                bench = replace(bench, figures=(*bench.figures, Figure(**json.loads(line))))
                told(bench)
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = status = os.waitstatus_to_exitcode(status)
        finally:
            alarm.cancel()
            end(child)
            CHILDREN.discard(child)
        errors.seek(0)
        words = errors.read().strip().splitlines()
    error = ""
    if status:
        taken = time.monotonic() - began
        error = f"ended after {limit:.0f} s" if taken >= limit else words[-1] if words else f"status {status}"
    elif not bench.figures:
        status, error = 1, "no figure"
    return replace(
        bench, state="failed" if status else "ok", error=error, after=os.getloadavg()[0],
        wall=time.monotonic() - began, cpu=used.ru_utime + used.ru_stime,
    )  # fmt: skip


def end(child: subprocess.Popen[str]) -> None:
    """End a benchmark and what it started: first it may clean up."""
    if child.poll() is None:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(20)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def earlier(folder: Path, size: str) -> Results | None:
    """What an earlier run of this size left behind, without what it did not finish."""
    path = folder / "results.json"
    if not path.is_file():
        return None
    found = from_json(path.read_text(encoding="utf-8"))
    kept = tuple(bench for bench in found.benches if bench.state == "ok")
    return replace(found, benches=kept, complete=False) if found.size == size else None


def main() -> int:
    """Run what is asked for; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="small", help="how much to measure [small]")
    parser.add_argument("--only", action="append", choices=modules(), metavar="NAME", help=", ".join(modules()))
    parser.add_argument("--out", type=Path, default=OUT, help="folder for results.md and results.json [build/bench]")
    parser.add_argument("--resume", action="store_true", help="keep what an earlier run of this size finished")
    parser.add_argument("--into", type=Path, help="also write the tables into this document, below its mark")
    parser.add_argument("--jobs", type=int, default=1, help="so many at once, where figures do not matter [1]")
    parser.add_argument("--limit", type=float, default=LIMIT, help=f"seconds for one benchmark [{LIMIT:.0f}]")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console(stderr=True)
    began = datetime.now(UTC).isoformat(" ", "minutes").removesuffix("+00:00")
    results = (earlier(given.out, given.size) if given.resume else None) or Results(given.size, began, describe())
    done = {bench.name for bench in results.benches}
    wanted = {name: path for name, path in modules().items() if name in (given.only or modules()) and name not in done}

    lock = threading.Lock()

    def told(bench: Bench) -> None:
        nonlocal results
        with lock:
            results = results.having(bench)
            write(results, given.out)
        if bench.state == "running":
            what = str(bench.figures[-1]) if bench.figures else f"[{[*wanted].index(bench.name) + 1}/{len(wanted)}]"
            console.print(f"{bench.name}: {what}", highlight=False, markup=False, soft_wrap=True)

    def measured(item: tuple[str, Path]) -> None:
        told(run(*item, given.size, given.limit, told))

    with console.status("measuring"), ThreadPoolExecutor(given.jobs) as pool:
        try:
            list(pool.map(measured, wanted.items()))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in [*CHILDREN]:
                child.terminate()
            raise
    results = replace(results, complete=True)
    write(results, given.out)
    console.print(f"{given.out / 'results.md'} and results.json are written", highlight=False, soft_wrap=True)
    if given.into:
        write_into(results, given.into)
    for bench in results.failed():
        console.print(f"{bench.name} failed: {bench.error}", style="red", highlight=False, markup=False, soft_wrap=True)
    return 1 if results.failed() else 0


if __name__ == "__main__":
    sys.exit(main())
