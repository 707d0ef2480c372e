"""Runs fuzz targets with atheris, one after the other, and says what they found.

    python tests/fuzz/run.py [--seconds 60] [--list] [TARGET]...

Without a TARGET all of them run. Inputs that raise something stand in ``build/fuzz/TARGET`` with the traceback beside
them, one for each place in the code, and ``python tests/fuzz/run.py --again FILE`` runs one once more; the status is 1
if there are any. Seeds are made anew, and what was learnt is kept in ``build/fuzz/TARGET/corpus``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import traceback
import zlib
from pathlib import Path
from types import FunctionType, ModuleType

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OUT = ROOT / "build" / "fuzz"
PACKAGES = ("portkin", "portkin_training", "portkin_rules")
SLOWEST = 20
"""Seconds after which an input that is still read is a fault."""
MEMORY_DISK = Path("/dev/shm")
"""Where inputs are written, so that nothing waits for a disk."""
MEMORY = 4096
"""MiB after which an input is one."""

OUTCOMES = 1 << 14
"""How many outcomes of compiled loops are told apart."""

sys.path[:0] = [str(HERE.parent), *(str(ROOT / folder) for folder in ("sidecar", "training", "rules"))]


def compiled_modules() -> list[str]:
    """Modules with loops that numba compiles: it cannot read instrumented functions."""
    found = []
    for folder in ("sidecar", "training", "rules"):
        for file in (ROOT / folder).rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            if "numba" in text or "core.unaligned import" in text:
                found.append(".".join(file.relative_to(ROOT / folder).with_suffix("").parts))
    return found


def load(atheris: ModuleType | None) -> dict[str, object]:
    """All targets; with ``atheris`` what they call is instrumented, but for compiled loops."""
    if atheris is None:
        from fuzz.targets import TARGETS

        return dict(TARGETS)
    apart = compiled_modules()
    with atheris.instrument_imports(include=[*PACKAGES], exclude=apart):
        from fuzz.targets import TARGETS
    for name in apart:
        for value in vars(sys.modules.get(name, ModuleType(name))).values():
            held = [*vars(value).values()] if isinstance(value, type) and value.__module__ == name else [value]
            for function in held:
                if isinstance(function, FunctionType) and function.__module__ == name:
                    atheris.instrument_func(function)
    return dict(TARGETS)


class Session:
    """One target under atheris, in this process, for some seconds; then the process ends."""

    def __init__(self, name: str, seconds: float) -> None:
        import atheris

        self._atheris = atheris
        self._target = load(atheris)[name]
        self._folder = OUT / name
        self._scratch = Path(
            tempfile.mkdtemp(prefix="portkin-fuzz-", dir=MEMORY_DISK if MEMORY_DISK.is_dir() else None)
        )
        self._seconds, self._end, self._told = seconds, 0.0, 0.0
        self._executions = 0
        self._places: set[str] = set()

    def run(self) -> None:
        """Does not return."""
        corpus = self._folder / "corpus"
        corpus.mkdir(parents=True, exist_ok=True)
        self._seeds = [*self._target.seeds()]
        for seed in self._seeds:
            (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
        from fuzz import harness

        for seed in self._seeds:  # compiles what is not compiled yet, which may take a minute
            self._try(seed)
        self._begun = time.monotonic()
        self._end = self._begun + self._seconds
        arguments = [
            "fuzz", f"-max_len={harness.MOST}", f"-timeout={SLOWEST}", f"-rss_limit_mb={MEMORY}", "-len_control=0",
            f"-artifact_prefix={self._folder}/ended-", "-print_final_stats=0", "-verbosity=0", "-close_fd_mask=0",
            "-reload=0", str(corpus),
        ]  # fmt: skip
        counters = [self._atheris._reserve_counter() for _ in range(OUTCOMES)]
        harness.HEARING.append(lambda said: self._atheris._trace_branch(counters[zlib.crc32(said.encode()) % OUTCOMES]))
        self._atheris.Setup(arguments, self._one, custom_mutator=self._mutated)
        self._atheris.Fuzz()

    def _mutated(self, data: bytes, most: int, seed: int) -> bytes:
        """Every other time as libFuzzer does it, else as `harness.mutated`."""
        from fuzz.harness import mutated

        draw = random.Random(seed)
        if draw.randrange(2) and data:
            return self._atheris.Mutate(data, most)
        return mutated(data or draw.choice(self._seeds), draw, draw.choice(self._seeds))[:most]

    def _one(self, data: bytes) -> None:
        now = time.monotonic()
        if now >= self._told + 2 or now >= self._end:
            self._told = now
            self._tell(now)
            if now >= self._end:
                os._exit(0)
        self._executions += 1
        self._try(data)

    def _try(self, data: bytes) -> None:
        try:
            self._target.check(self._scratch, data)
        except Exception as error:
            self._note(data, error)

    def _note(self, data: bytes, error: Exception) -> None:
        """Keep the first input for each place in our code, or in a check, that raised."""
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if any(f"/{package}/" in frame.filename for package in (*PACKAGES, "fuzz"))]
        inside = [frame for frame in ours if "/tests/" not in frame.filename] or ours
        place = f"{type(error).__name__} {Path(inside[-1].filename).name}:{inside[-1].lineno} from {ours[1].lineno}"
        if place in self._places:
            return
        self._places.add(place)
        name = f"fault-{hashlib.sha256(place.encode()).hexdigest()[:8]}"
        (self._folder / name).write_bytes(data)
        (self._folder / f"{name}.txt").write_text(f"{place}\n" + "".join(traceback.format_exception(error)))

    def _tell(self, now: float) -> None:
        stats = {
            "executions": self._executions,
            "seconds": round(now - self._begun, 1),
            "cpu": round(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]), 1),
            "faults": sorted(self._places),
        }
        (self._folder / "stats.json").write_text(json.dumps(stats))


def fuzz(name: str, seconds: float) -> dict[str, object]:
    """Run a target in a process of its own; what came of it. A process that dies is a fault, and another goes on."""
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob("fault-*"):
        left.unlink()
    environment = os.environ | {
        "NUMBA_BOUNDSCHECK": "1",  # of arrays; `harness.Fenced` is for what is read by address
        "NUMBA_CACHE_DIR": str(OUT / "numba"),
        "PYTHONFAULTHANDLER": "1",
    }
    found: dict[str, object] = {"target": name, "executions": 0, "seconds": 0.0, "cpu": 0.0, "faults": []}
    while (left_over := seconds - found["seconds"]) > 1:
        stats = folder / "stats.json"
        stats.unlink(missing_ok=True)
        command = [sys.executable, __file__, "--session", "--seconds", str(left_over), name]
        with (folder / "output.txt").open("wb") as output:
            status = subprocess.run(command, env=environment, stdout=output, stderr=output).returncode
        if not stats.exists():
            found["faults"].append(f"it did not start: see {folder / 'output.txt'}")
            break
        said = json.loads(stats.read_text())
        for field in ("executions", "seconds", "cpu"):
            found[field] = round(found[field] + said[field], 1)
        found["faults"] = sorted({*found["faults"], *said["faults"]})
        if status:
            found["faults"].append(f"the process ended with status {status}: see {folder / 'output.txt'} and ended-*")
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target [default: 60]")
    parser.add_argument("--list", action="store_true", help="name the targets, and what each checks")
    parser.add_argument("--again", type=Path, metavar="FILE", help="check the bytes of a file, and show what it raises")
    parser.add_argument("--session", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.session:
        Session(given.targets[0], given.seconds).run()
    targets = load(None)
    if given.list:
        for name, one in targets.items():
            print(f"{name:<18} {one.about}")
        return
    if given.again:
        with tempfile.TemporaryDirectory() as folder:
            targets[given.again.resolve().parent.name].check(Path(folder), given.again.read_bytes())
        return
    if unknown := {*given.targets} - targets.keys():
        parser.error(f"no target {', '.join(sorted(unknown))}; --list names them")
    faults = 0
    print(f"{'target':<18} {'executions':>10} {'seconds':>8} {'processor':>9}  faults", flush=True)
    for name in given.targets or targets:
        found = fuzz(name, given.seconds)
        faults += len(found["faults"])
        print(
            f"{name:<18} {found['executions']:>10,.0f} {found['seconds']:>8.0f} {found['cpu']:>8.0f}s  "
            f"{len(found['faults'])}",
            flush=True,
        )
        for fault in found["faults"]:
            print(f"  {fault}", flush=True)
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
