"""Facts about Zeek on this machine, as far as this user can see: processes, search path, local.zeek, logs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from portkin.doctor.facts import ZeekHere
from portkin.json_text import parsed
from portkin.zeek.programs import zeek_program
from portkin.zeek.scripts import LOAD, built_search_path, folders_of

_LOGS = ("reporter.log", "stderr.log", ".stderr.log")
_TAIL = 256 * 1024
"""Bytes at the end of a log that are read."""
_MOST_SAID = 20
_LOAD = re.compile(r"^\s*@load\s+(\S+)", re.MULTILINE)
_SAID = re.compile(r"portkin: (.*)")


def look_for_zeek() -> ZeekHere:
    """What there is of Zeek on this machine."""
    program = zeek_program("zeek")
    config = zeek_program("zeek-config")
    processes = tuple(_processes())
    # By ``ZEEKPATH`` of the running ones, or else as it was built.
    paths = [text for process in processes if (text := _variable(process, "ZEEKPATH"))]
    folders = folders_of([*paths, built_search_path(config)])
    local = next((path for folder in folders if _is_file(path := folder / "local.zeek")), None)
    return ZeekHere(
        programs=(program,) if program else (),
        processes=processes,
        packages=tuple(folder / "portkin" for folder in folders if _is_file(folder / "portkin" / LOAD)),
        local=local,
        loads=tuple(sorted(_loads(local, folders))) if local else (),
        said=tuple(_said(filter(_same_network, processes)))[-_MOST_SAID:],
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _processes() -> Iterator[int]:
    """The process ids of running Zeeks."""
    for folder in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            if (folder / "comm").read_text(errors="replace").strip() == "zeek":
                yield int(folder.name)
        except OSError:
            continue  # it has ended


def _same_network(process: int) -> bool:
    """Whether it is in our network namespace: no other Zeek can be the one behind a loopback address."""
    try:
        return Path(f"/proc/{process}/ns/net").stat().st_ino == Path("/proc/self/ns/net").stat().st_ino
    except OSError:
        return False


def _variable(process: int, name: str) -> str:
    try:
        environment = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    prefix = name.encode() + b"="
    return next((os.fsdecode(item[len(prefix) :]) for item in environment if item.startswith(prefix)), "")


def _loads(file: Path, folders: list[Path], seen: frozenset[Path] = frozenset()) -> set[str]:
    """What of portkin a script loads, also by the scripts beside it, and by ``packages``."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    seen |= {file}
    found: set[str] = set()
    for name in _LOAD.findall(text):
        if name == "portkin" or name.startswith("portkin/"):
            found.add(name.removesuffix(".zeek"))
        near = [file.parent] if name.startswith(".") else [file.parent, *folders]
        for candidate in (path / name for path in near):
            script = candidate / LOAD if candidate.is_dir() else candidate.with_suffix(".zeek")
            # Scripts of the site are few; Zeek's own never load portkin.
            if script not in seen and _is_file(script) and "portkin" not in script.parts and _of_site(script):
                found |= _loads(script, folders, seen)
                break
    return found


def _of_site(script: Path) -> bool:
    return not {"base", "policy"} & set(script.parts)


def _said(processes: Iterable[int]) -> Iterator[str]:
    """What portkin said in the logs of the running Zeeks, each in its working folder."""
    for process in processes:
        for name in _LOGS:
            for line in _tail(Path(f"/proc/{process}/cwd") / name):
                if said := _SAID.search(_message(line)):
                    # In a TSV log columns follow, behind tabs.
                    yield said[1].partition("\t")[0].strip()


def _message(line: str) -> str:
    """The message in a line of reporter.log as JSON; any other line as it is."""
    if not line.startswith("{"):
        return line
    try:
        return str(parsed(line).get("message", ""))
    except ValueError:
        return line


def _tail(path: Path) -> list[str]:
    try:
        with path.open("rb") as opened:
            opened.seek(max(0, os.fstat(opened.fileno()).st_size - _TAIL))
            return opened.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
