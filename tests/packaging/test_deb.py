"""The Debian package in a Debian of its own: installed, upgraded, removed and purged by apt, in a chroot; as root."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.netns import machine_network

ROOT = Path(__file__).resolve().parents[2]
MIRROR = os.environ.get("PORTKIN_DEBIAN_MIRROR", "http://deb.debian.org/debian")
SUITE = "bookworm"

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.timeout(1800)]


def run(*command: object) -> str:
    with machine_network():  # pip, npm, debootstrap and apt fetch from outside
        ran = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert 0 == ran.returncode, f"{command}: {ran.stdout[-4000:]}{ran.stderr[-4000:]}"
    return ran.stdout


@pytest.fixture(scope="module")
def package(root: None) -> Path:
    """The package, as `make deb` builds it; or the one that ``PORTKIN_DEB`` names."""
    if given := os.environ.get("PORTKIN_DEB"):
        return Path(given)
    for program in ("dpkg-buildpackage", "dh", "help2man", "debootstrap"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} on PATH")
    run("make", "-C", ROOT, "deb")
    (built,) = (ROOT / "dist").glob("portkin_*.deb")
    return built


@pytest.fixture(scope="module")
def debian(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small Debian in a folder, or a layer over one: ``PORTKIN_DEBIAN_ROOT=/`` is over this machine's."""
    folder = tmp_path_factory.mktemp("debian") / "root"
    if given := os.environ.get("PORTKIN_DEBIAN_ROOT"):
        memory = folder.parent / "layer"  # of a file system of its own: a layer may not lie in the one below
        for path in (folder, memory):
            path.mkdir()
        run("mount", "-t", "tmpfs", "tmpfs", memory)
        for name in ("upper", "work"):
            (memory / name).mkdir()
        options = f"lowerdir={given},upperdir={memory / 'upper'},workdir={memory / 'work'}"
        run("mount", "-t", "overlay", "overlay", "-o", options, folder)
    else:
        run("debootstrap", "--variant=minbase", "--include=python3,adduser", SUITE, folder, MIRROR)
    (folder / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")  # no service starts in a chroot
    (folder / "usr/sbin/policy-rc.d").chmod(0o755)
    run("mount", "-t", "proc", "proc", folder / "proc")
    try:
        yield folder
    finally:
        run("umount", folder / "proc")
        if given:
            run("umount", folder)
            run("umount", folder.parent / "layer")


def inside(debian: Path, *command: object) -> str:
    environment = (
        "env",
        "-i",
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        "DEBIAN_FRONTEND=noninteractive",
        "LC_ALL=C.UTF-8",
    )
    return run("chroot", debian, *environment, *command)


def install(debian: Path, package: Path) -> None:
    shutil.copy(package, debian / "root" / package.name)
    inside(debian, "apt-get", "install", "-y", "--no-install-recommends", f"/root/{package.name}")


def next_version(package: Path, folder: Path) -> Path:
    """The same package with a higher version."""
    tree = folder / "tree"
    run("dpkg-deb", "-R", package, tree)
    control = tree / "DEBIAN" / "control"
    version = next(line for line in control.read_text().splitlines() if line.startswith("Version: "))
    control.write_text(control.read_text().replace(version, f"{version}+next"))
    run("dpkg-deb", "-b", "-Zgzip", "-z1", tree, folder / "portkin_next.deb")
    return folder / "portkin_next.deb"


def test_the_life_of_the_package(debian, package, tmp_path):
    """Installed, it serves and has its parts; an upgrade keeps what the operator wrote; nothing is left after purge."""
    install(debian, package)

    # Its parts.
    assert "portkin, version " in inside(debian, "portkin", "--version")
    assert "ok       settings        /etc/portkin/portkin.yaml" in doctor(debian)
    for path in (
        "usr/share/portkin/zeek-scripts/__load__.zeek",
        "usr/share/portkin/contrib/grafana/portkin.json",
        "usr/share/man/man1/portkin.1.gz",
        "usr/share/zsh/vendor-completions/_portkin",
        "usr/share/fish/vendor_completions.d/portkin.fish",
    ):
        assert (debian / path).is_file(), path
    assert "_portkin_completion" in (debian / "usr/share/bash-completion/completions/portkin").read_text()
    (unit,) = [debian / path / "portkin.service" for path in ("lib/systemd/system",)]
    assert "ExecStart=/usr/bin/portkin serve -c /etc/portkin/portkin.yaml" in unit.read_text()
    assert "User=portkin" in unit.read_text()

    assert inside(debian, "zcat", "/usr/share/man/man1/portkin.1.gz").count("portkin \\- predicts which ports") == 1

    # Its user, and what only that may read.
    assert "portkin:portkin 750\n" == inside(debian, "stat", "-c", "%U:%G %a", "/var/lib/portkin")
    assert "root:portkin 640\n" == inside(debian, "stat", "-c", "%U:%G %a", "/etc/portkin/portkin.yaml")

    # No torch, no path of the machine that built it, and a remedy that names no portkin on an index.
    assert "\n" == inside(debian, "sh", "-c", "ls -d /opt/portkin/lib/python3*/site-packages/torch 2>/dev/null; echo")
    assert "/opt/portkin/bin/python" in inside(debian, "head", "-1", "/opt/portkin/bin/portkin")
    assert "" == inside(debian, "sh", "-c", f"grep -rlF '{ROOT}' /opt/portkin --include='*' -I || true")
    said = inside(debian, "sh", "-c", "portkin ingest /etc/hostname -o /tmp/x 2>&1 || true")
    assert "/opt/portkin/bin/python" in said and "install" in said and "portkin[" not in said, said

    # What root blocks before the service has run is in a database that the service can open.
    inside(debian, "portkin", "blocks", "add", "203.0.113.9", "80/tcp")
    state = inside(debian, "sh", "-c", "stat -c %U /var/lib/portkin/*")
    assert {"portkin"} == set(state.split())

    # As the unit runs it: its user answers for the settings, and serves until it is stopped.
    served = inside(debian, "sh", "-c", "cd /; timeout 5 setpriv --reuid=portkin --regid=portkin --clear-groups "
                    "env XDG_STATE_HOME=/var/lib portkin serve -c /etc/portkin/portkin.yaml 2>&1 || true")  # fmt: skip
    assert '"event": "serving"' in served and '"event": "ended"' in served, served
    assert "blocking does not work" not in served, served

    # An upgrade keeps the settings, the state, and what pip added.
    settings = debian / "etc/portkin/portkin.yaml"
    settings.write_text(settings.read_text().replace("port: 9477", "port: 9478"))
    (debian / "var/lib/portkin/blocks.sqlite").touch()
    install(debian, next_version(package, tmp_path))
    assert "+next" in inside(debian, "dpkg-query", "-W", "-f", "${Version}", "portkin")
    assert "port: 9478" in settings.read_text()
    assert (debian / "var/lib/portkin/blocks.sqlite").exists()

    # Removed, settings and state stay; purged, nothing does.
    inside(debian, "apt-get", "remove", "-y", "portkin")
    assert [False, False, True, True] == [
        (debian / path).exists()
        for path in ("usr/bin/portkin", "opt/portkin", "etc/portkin/portkin.yaml", "var/lib/portkin")
    ]
    inside(debian, "apt-get", "purge", "-y", "portkin")
    there = [path for path in ("/etc", "/opt", "/usr", "/var/lib") if (debian / path[1:]).exists()]  # dpkg takes /opt
    left = inside(debian, "find", *there, "-xdev", "-name", "*portkin*")
    assert [] == [path for path in left.splitlines() if not path.startswith("/var/lib/dpkg")]
    assert "" == inside(debian, "sh", "-c", "getent passwd portkin || true")


def doctor(debian: Path) -> str:
    return inside(debian, "sh", "-c", "portkin doctor --timeout 1 || true")
