#!/usr/bin/env python3
"""How long a query takes and how many a second are answered, with a real Zeek and a real sidecar.

    python tests/bench/bench_query.py [--queries 10000] [--rate 2000] [--seconds 60] [--transport websocket]

The time is measured inside Zeek: from publishing the request to the event of its answer.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from portkin.table import default_path  # noqa: E402
from support.sidecar_process import SidecarProcess  # noqa: E402
from support.tables import small_table  # noqa: E402
from support.zeek_process import SCRIPTS, ZeekProcess, free_port  # noqa: E402

TARGETS = {"median_ms": 0.4, "p99_ms": 1.5}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zeek", default="/opt/zeek/bin/zeek")
    parser.add_argument("--queries", type=int, default=10_000, help="asked one after the other")
    parser.add_argument("--rate", type=int, default=2_000, help="queries a second, sustained")
    parser.add_argument("--seconds", type=int, default=60, help="for how long")
    parser.add_argument("--transport", choices=["websocket", "broker"], default="websocket")
    options = parser.parse_args()
    port = free_port()
    address = {"url": f"ws://127.0.0.1:{port}/v1/messages/json", "broker": f"127.0.0.1:{port}"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = default_path()
        if not table.is_dir():
            print("no default table is built: a table of three neighbors is used, answers are shorter than real ones")
            table = folder / "table"
            small_table(table)
        settings = {
            "zeek": {"transport": options.transport, **address},
            "table": {"path": str(table)},
            "metrics": {"port": 0},
        }
        environment = {
            f"{options.transport.upper()}_PORT": port,
            "QUERIES": options.queries,
            "RATE": options.rate,
            "SECONDS": options.seconds,
        }
        with (
            ZeekProcess(
                options.zeek, folder / "zeek", SCRIPTS / "api.zeek", HERE / "query.zeek", **environment
            ) as zeek,
            SidecarProcess(folder / "sidecar", settings) as sidecar,
        ):
            print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}, {options.transport}")
            for number in (1, 2):
                line = zeek.wait_for("result ", count=number, timeout=120 + 2 * options.seconds)
                show(json.loads(line.removeprefix("result ")))
                if number == 2:
                    # Before Zeek leaves, which ends the connection.
                    show_sidecar(sidecar)


def show(result: dict[str, float | str]) -> None:
    """Print one phase."""
    times = ", ".join(f"{name[:-3]} {result[name]:.3f} ms" for name in ("median_ms", "p90_ms", "p99_ms", "max_ms"))
    pace = result["answered"] / result["seconds"]
    print(f"{result['phase']}: {result['sent']} sent, {result['lost']} lost, {pace:.0f}/s, {times}", end="")
    if result["phase"] == "one at a time":
        for name, target in TARGETS.items():
            kept = "kept" if result[name] <= target else "MISSED"
            print(f"; target {name[:-3]} <= {target} ms {kept}", end="")
    else:
        print(f"; at most {result['most_open']} open at once, {result['neighbors']} ports in an answer", end="")
    print()


def show_sidecar(sidecar: SidecarProcess) -> None:
    """Print what the sidecar counted."""
    metrics = sidecar.metrics()
    counts = ", ".join(f"{name} {metrics[f'portkin_{name}_total']:.0f}" for name in ("requests", "answers", "drops"))
    mean = metrics["portkin_answer_seconds_sum"] / metrics["portkin_answer_seconds_count"]
    processor = metrics_cpu(sidecar.process.pid)
    print(f"sidecar: {counts}, {1e6 * mean:.0f} us per lookup, {sidecar.rss():.1f} MB resident, {processor:.1f} s CPU")


def metrics_cpu(pid: int) -> float:
    """Seconds of processor time that the process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
