"""Real deployments of a Zeek: by its zeekctl, and by the units of its zeek-systemd-generator. Root.

Each runs on copies of the installation's settings, scripts and spool, mounted over them for these processes alone: the
installation stays as it is.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

from support.namespaces import Network
from support.sidecar_process import until
from support.zeek_process import SCRIPTS


class Deployment:
    """Processes of one Zeek installation on a machine of a test network; a subclass says how they start."""

    def __init__(self, net: Network, machine: str, zeek: str, folder: Path, local: str) -> None:
        self._net, self._machine, self._folder = net, machine, folder
        self.prefix = Path(zeek).parents[1]
        site = self.prefix / "share" / "zeek" / "site"
        self.spool = self._copy(self.prefix / "spool", empty=True)
        self.etc = self._copy(self.prefix / "etc")
        self._mounts = [(self.spool, self.prefix / "spool"), (self.etc, self.prefix / "etc")]
        self._mounts += [(self._copy(self.prefix / "logs", empty=True), self.prefix / "logs")]
        self._mounts += [(self._copy(site), site)]
        (folder / "site" / "portkin").symlink_to(SCRIPTS)  # as docs/zeek.md has it
        (folder / "site" / "local.zeek").write_text(local)
        self._namespace: subprocess.Popen[bytes] | None = None

    def _copy(self, original: Path, *, empty: bool = False) -> Path:
        copy = self._folder / original.name
        if empty or not original.is_dir():
            copy.mkdir(parents=True)
        else:
            shutil.copytree(original, copy, symlinks=True)
        return copy

    def __enter__(self) -> Deployment:
        """One process holds the mounts; every other enters its namespace."""
        targets = [target for _, target in self._mounts if not target.is_dir()]
        assert not targets, f"not an installed Zeek: no {targets}"
        mounts = " && ".join(f"mount --bind '{copy}' '{target}'" for copy, target in self._mounts)
        command = [*self._net.inside(self._machine), "sh", "-c", f"{mounts} && echo mounted && exec sleep infinity"]
        self._namespace = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._namespace.stdout.readline() == b"mounted\n"
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            self._namespace.kill()
            self._namespace.wait()
            self._namespace.stdout.close()

    def inside(self) -> list[str]:
        """What a command is put after to run in the machine, with the mounts."""
        return ["nsenter", "-t", str(self._namespace.pid), "-n", "-m", "--"]

    def run(self, *command: str, check: bool = True) -> str:
        ended = subprocess.run([*self.inside(), *command], capture_output=True, text=True, timeout=120, check=False)
        assert not check or ended.returncode == 0, f"{command}: {ended.stdout}{ended.stderr}\n{self.messages()}"
        return ended.stdout

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def messages(self) -> str:
        """What the nodes printed and reported."""
        files = [*self.spool.glob("*/std*.log"), *self.spool.glob("*/.stderr.log"), *self.spool.rglob("reporter.log")]
        return "\n".join(f"{path}:\n{path.read_text(errors='replace')[-1500:]}" for path in sorted(files))

    def rows(self, log: str) -> list[dict[str, str]]:
        """The lines that any node wrote into a log."""
        found = []
        for path in sorted(self.spool.rglob(f"{log}.log")):
            fields: list[str] = []
            for line in path.read_text(errors="replace").splitlines():
                if line.startswith("#fields"):
                    fields = line.split("\t")[1:]
                elif not line.startswith("#"):
                    found.append(dict(zip(fields, line.split("\t"), strict=False)))
        return found


class Zeekctl(Deployment):
    """``zeekctl deploy`` with these nodes and settings."""

    def __init__(self, *place: object, local: str, nodes: str, settings: dict[str, str]) -> None:
        super().__init__(*place, local)
        (self.etc / "node.cfg").write_text(nodes)
        lines = (self.etc / "zeekctl.cfg").read_text().splitlines()
        lines = [line for line in lines if line.partition("=")[0].strip() not in settings]
        lines += [f"{key} = {value}" for key, value in settings.items()]
        (self.etc / "zeekctl.cfg").write_text("\n".join(lines) + "\n")
        self._zeekctl = str(self.prefix / "bin" / "zeekctl")

    def start(self) -> None:
        self.run(self._zeekctl, "deploy")

    def stop(self) -> None:
        self.run(self._zeekctl, "stop", check=False)
        # Whatever of it still runs: each node's process has its number in its folder.
        for path in self.spool.glob("*/.pid"):
            _end(int(path.read_text().split()[0]))


class SystemdUnits(Deployment):
    """The command lines of the units that zeek-systemd-generator writes for this zeek.conf, as systemd runs them."""

    def __init__(self, *place: object, local: str, conf: str) -> None:
        super().__init__(*place, local)
        self._units = self._folder / "units"
        self._units.mkdir()
        base = self._folder / "base"
        base.mkdir()
        for name in ("bin", "share", "lib", "lib64"):
            (base / name).symlink_to(self.prefix / name)
        self.spool = base / "var"
        (self._folder / "zeek.conf").write_text(f"user = root\ngroup = root\nbase_dir = {base}\n{conf}")
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        generator = str(self.prefix / "bin" / "zeek-systemd-generator")
        self.run(generator, "--config", str(self._folder / "zeek.conf"), str(self._units))
        for line in _values(self._units / "zeek-setup.service", "ExecStart"):
            self.run("sh", "-c", line)
        wanted = sorted(self._units.glob("zeek.target.wants/zeek-*.service"))
        for link in wanted:
            if link.name not in ("zeek-setup.service", "zeek-archiver.service"):
                self._processes.append(self._start(link))

    def _start(self, link: Path) -> subprocess.Popen[bytes]:
        """Start one unit: %i is what stands behind the @ of its name."""
        instance = link.stem.partition("@")[2]
        drop_in = self._units / f"{link.name}.d" / "10-zeek-systemd-generator.conf"
        environment = dict(os.environ)
        for unit in (link.resolve(), drop_in):
            for line in _values(unit, "Environment") if unit.exists() else []:
                key, _, value = line.strip('"').replace("%i", instance).partition("=")
                environment[key] = value
        [command] = _values(link.resolve(), "ExecStart")
        [place] = _values(link.resolve(), "WorkingDirectory")
        place = place.replace("%i", instance)
        with (self._folder / f"{link.stem}.out").open("wb") as out:
            line = f"cd '{place}' && exec {command.replace('%i', instance)}"
            return subprocess.Popen([*self.inside(), "sh", "-c", line], stdout=out, stderr=out, env=environment)

    def messages(self) -> str:
        outs = [f"{path}:\n{path.read_text(errors='replace')[-1500:]}" for path in sorted(self._folder.glob("*.out"))]
        return "\n".join([*outs, super().messages()])

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _values(unit: Path, key: str) -> list[str]:
    """The values of a key in a unit file, in order."""
    pairs = (line.partition("=") for line in unit.read_text().splitlines())
    return [value.strip() for name, _, value in pairs if name.strip() == key]


def _end(pid: int) -> None:
    def gone() -> bool:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return True
        return False

    until(gone, lambda: f"process {pid} does not end", 10)
