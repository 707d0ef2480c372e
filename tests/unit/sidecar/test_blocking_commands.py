"""``portkin blocks`` and ``portkin nft``: what people type."""

from __future__ import annotations

import fcntl
import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from portkin.blocking.database import BlockDatabase
from portkin.commands.blocks import blocks
from portkin.commands.nft import nft
from portkin.errors import PortError, StorageError
from support.disks import filled
from support.netns import private_network

SRC = "203.0.113.5"


@pytest.fixture(params=["shadow", "nftables"])
def portkin(request, tmp_path):
    """Runs a command with settings of its own; with nftables as root in a network namespace."""
    config = tmp_path / "portkin.yaml"
    settings = {
        "backend": request.param,
        "database": str(tmp_path / "blocks.sqlite"),
        "limits": {"never_nets": ["192.0.2.0/24"]},
    }
    config.write_text(json.dumps({"enforce": settings}))

    def run(group, *arguments, **more):
        return CliRunner().invoke(group, [*arguments, "-c", str(config)], catch_exceptions=False, **more)

    if request.param == "shadow":
        yield run
        return
    request.getfixturevalue("root")
    with private_network():
        assert 0 == run(nft, "setup").exit_code
        yield run


def rows(portkin, *arguments):
    return [json.loads(line) for line in portkin(blocks, "list", "--json", *arguments).output.splitlines()]


def test_blocks_are_added_listed_and_removed(portkin):
    """What is added by hand is listed with its reason; removed, it is listed only with --all."""
    added = portkin(blocks, "add", SRC, "80", "53/udp", "--for", "600", "--reason", "too curious")
    assert (0, f"{SRC} 80/tcp added\n{SRC} 53/udp added\n") == (added.exit_code, added.output)
    listed = rows(portkin)
    assert ["53/udp", "80/tcp"] == [row["port"] for row in listed]
    assert {"evidence=OPERATOR note=too curious"} == {row["reason"] for row in listed}
    assert ["80/tcp"] == [row["port"] for row in rows(portkin, "--port", "80")]
    assert [] == rows(portkin, "--src", "203.0.113.6")
    assert f"{SRC} 80/tcp removed\n" == portkin(blocks, "remove", SRC, "80").output
    assert ["53/udp"] == [row["port"] for row in rows(portkin)]
    assert {"80/tcp": "removed", "53/udp": None} == {row["port"]: row["outcome"] for row in rows(portkin, "--all")}
    table = portkin(blocks, "list").output
    assert ("53/udp" in table, "active" in table, "80/tcp" in table) == (True, True, False)


@pytest.mark.parametrize("note", ["evidence=TRW", "note=x evidence=DARKNET darknet=9", "probe=1 evidence=NETCONTROL"])
def test_a_note_is_never_read_as_evidence(portkin, note):
    """Whatever the note says, the order is an operator's: it needs no proof, and grace does not hinder it."""
    portkin(blocks, "add", SRC, "80")
    portkin(blocks, "remove", SRC, "80")
    assert f"{SRC} 80/tcp added\n" == portkin(blocks, "add", SRC, "80", "--reason", note).output
    assert [f"evidence=OPERATOR note={note}"] == [row["reason"] for row in rows(portkin)]


def test_a_listing_waits_for_nobody_and_writes_nothing(portkin, tmp_path):
    """While another process holds the lock and writes, blocks are listed; the file is not touched, and stays sound."""
    portkin(blocks, "add", SRC, "80")
    path = tmp_path / "blocks.sqlite"
    writer = sqlite3.connect(path, isolation_level=None)
    with Path(f"{path}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        writer.execute("BEGIN IMMEDIATE")
        before = path.read_bytes()
        assert ["80/tcp"] == [row["port"] for row in rows(portkin)]
        assert before == path.read_bytes()
    writer.execute("ROLLBACK")
    writer.close()


@pytest.fixture
def now(monkeypatch):
    """The time, which stands still: a listing says how many seconds ago something was."""
    stopped = time.time()
    monkeypatch.setattr("time.time", lambda: stopped)
    return stopped


def test_a_listing_says_what_the_backend_does_not_hold(portkin, now, tmp_path):
    """What the sidecar last found out about its backend is said on standard error, apart from the blocks."""
    portkin(blocks, "add", SRC, "80")
    with sqlite3.connect(tmp_path / "blocks.sqlite") as db:
        db.execute("INSERT INTO backend VALUES (1, 'suricata', 0, 'Suricata 7.0.10 keeps', ?)", (now - 7,))
    db.close()
    listed = portkin(blocks, "list")
    said = listed.stderr.splitlines()
    assert said[0].startswith("suricata does not hold these blocks, as of 7 s ago;")
    assert "no IPv6 source is blocked, as of 7 s ago: Suricata 7.0.10 keeps" == said[1]
    assert SRC in listed.stdout


def test_a_listing_without_a_database_says_so(portkin, tmp_path):
    """Where the settings name no database that is there, its path is said beside "no blocks"."""
    listed = portkin(blocks, "list")
    assert ("no blocks\n", True) == (listed.stdout, str(tmp_path / "blocks.sqlite") in listed.stderr)
    assert not (tmp_path / "blocks.sqlite").exists()


def test_a_listing_says_that_nobody_looks(portkin, now, tmp_path):
    """Where the sidecar looked at its backend long ago, a listing says that it does not know."""
    portkin(blocks, "add", SRC, "80")
    with sqlite3.connect(tmp_path / "blocks.sqlite") as db:
        db.execute("INSERT INTO backend VALUES (1, 'suricata', 1, '', ?)", (now - 1000,))
        db.execute("UPDATE blocks SET mode = 'suricata'")
    db.close()
    assert "no sidecar has looked at suricata for 1000 s" in portkin(blocks, "list").stderr


@pytest.mark.root
def test_a_listing_shows_what_the_kernel_counted_and_what_it_lost(root, tmp_path):
    """Packets are the kernel's, not those of the last reading; a block, or the table, that is gone there is said."""
    config = tmp_path / "p.yaml"
    config.write_text(json.dumps({"enforce": {"backend": "nftables", "database": str(tmp_path / "b")}}))

    def run(group, *arguments):
        return CliRunner().invoke(group, [*arguments, "-c", str(config)], catch_exceptions=False)

    with private_network():
        run(blocks, "add", SRC, "80", "81", "--for", "600")
        assert "" == run(blocks, "list").stderr
        counted = f"add element inet portkin tcp4 {{ {SRC} . 80 counter packets 3 bytes 180 timeout 600s }}"
        subprocess.run(["nft", f"delete element inet portkin tcp4 {{ {SRC} . 80, {SRC} . 81 }}"], check=True)
        subprocess.run(["nft", counted], check=True)
        listed = run(blocks, "list", "--json")
        found = {
            row["port"]: (row["packets"], row["bytes"], row["hit"])
            for row in map(json.loads, listed.stdout.splitlines())
        }
        assert {"80/tcp": (3, 180, True), "81/tcp": (0, 0, False)} == found
        assert "nftables does not hold 1 of these blocks" in listed.stderr
        subprocess.run(["nft", "add element inet portkin tcp4 { 203.0.113.99 . 22 }"], check=True)
        listed = run(blocks, "list", "--src", "203.0.113.6")
        assert "nftables also holds 1 elements that are in no database, such as 203.0.113.99 22/tcp" in listed.stderr
        assert 0 == run(blocks, "remove", "203.0.113.99", "22").exit_code
        assert "also holds" not in run(blocks, "list").stderr
        assert 0 == run(nft, "teardown").exit_code
        assert "nftables drops nothing" in run(blocks, "list").stderr


@pytest.mark.parametrize("command", [("list",), ("add", SRC, "80"), ("remove", SRC, "80"), ("flush", "--yes")])
@pytest.mark.parametrize("content", [b"hosts: files dns\n", b"SQLite format 3\0" + b"\0" * 84, None])
def test_a_file_that_is_not_ours_is_left_as_it_is(portkin, tmp_path, command, content):
    """A path that names another program's file is refused by every command; nothing is written, renamed or created."""
    path = tmp_path / "blocks.sqlite"
    if content is None:
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE theirs (x)")
        db.close()
    else:
        path.write_bytes(content)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(StorageError, match="this is not a block database of portkin, and is left as it is"):
        portkin(blocks, *command)
    assert before == {file.name: file.read_bytes() for file in tmp_path.iterdir()}


def test_no_shadow_among_real_blocks(portkin, tmp_path):
    """Without the sidecar's settings nothing is added to a database of real blocks: it would unblock."""
    portkin(blocks, "add", SRC, "80")
    real = "nftables" in (tmp_path / "portkin.yaml").read_text()
    shadow = tmp_path / "shadow.yaml"
    shadow.write_text(json.dumps({"enforce": {"database": str(tmp_path / "blocks.sqlite")}}))

    added = CliRunner().invoke(blocks, ["add", SRC, "80", "-c", str(shadow)])

    assert (2 if real else 0) == added.exit_code
    assert ("-c" in added.output) == real


def test_a_program_reads_whole_addresses(portkin):
    """Without a terminal a block is one line, its address whole and its reason too, however long."""
    source, why = "2001:db8:1111:2222:3333:4444:5555:6666", "why " * 40
    portkin(blocks, "add", source, "80", "--reason", why)
    _, line = portkin(blocks, "list").output.splitlines()
    assert (True, True) == (line.startswith(f"{source}  80/tcp "), why.strip() in line)


def test_an_ipv4_mapped_source_is_found_as_ipv4(portkin):
    """However a source is written when it is added, listed and removed, it is the same."""
    portkin(blocks, "add", f"::ffff:{SRC}", "80")
    assert [SRC] == [row["src"] for row in rows(portkin, "--src", f"::ffff:{SRC}")]
    assert f"{SRC} 80/tcp removed\n" == portkin(blocks, "remove", f"::ffff:{SRC}", "80").output


@pytest.mark.parametrize(("seconds", "status"), [("nan", 2), ("inf", 2), ("-inf", 2), ("0.5", 2), ("1e300", 0)])
def test_any_number_of_seconds_is_a_block_or_a_usage_error(portkin, seconds, status):
    """What is no time is a wrong usage; too much time is shortened."""
    assert status == portkin(blocks, "add", SRC, "80", "--for", seconds).exit_code


def test_what_may_never_be_blocked_is_refused(portkin):
    """A never-block net is refused with its reason and status 1; nothing is listed."""
    refused = portkin(blocks, "add", "192.0.2.7", "80", "--json")
    assert 1 == refused.exit_code
    assert {"src": "192.0.2.7", "port": "80/tcp", "outcome": "vetoed", "detail": "never-net"} == json.loads(
        refused.output
    )
    assert "no blocks\n" == portkin(blocks, "list").output


def test_all_blocks_are_flushed_when_confirmed(portkin):
    """Flushing asks first; with yes every block ends."""
    portkin(blocks, "add", SRC, "80", "81")
    assert 1 == portkin(blocks, "flush", input="n\n").exit_code
    assert 2 == len(rows(portkin))
    assert 0 == portkin(blocks, "flush", "--yes").exit_code
    assert [] == rows(portkin)


@pytest.mark.parametrize("order", [("remove", SRC, "80"), ("flush", "--yes")])
def test_what_a_full_disk_does_not_record_is_said(small_disk, tmp_path, order):
    """An order that released and could not be recorded ends with status 1, and says what a sidecar makes of that."""
    config = tmp_path / "portkin.yaml"
    config.write_text(json.dumps({"enforce": {"database": str(small_disk / "blocks.sqlite")}}))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "portkin.cli", "blocks", *arguments, "-c", str(config)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert 0 == run("add", SRC, "80").returncode
    with closing(BlockDatabase(small_disk / "blocks.sqlite")), filled(small_disk):  # open, as beside a sidecar
        ran = run(*order)
        assert (1, True) == (ran.returncode, "a running sidecar blocks it again" in ran.stderr)
        assert "full" in ran.stdout + ran.stderr
    again = run(*order)
    assert (0, "") == (again.returncode, again.stderr)


def test_text_that_is_no_address_or_port_is_refused(portkin):
    """A wrong address is a usage error that names it; a wrong port names itself."""
    wrong = portkin(blocks, "add", "1.2.3.4; flush ruleset", "80")
    assert (2, True) == (wrong.exit_code, "is not an address" in wrong.output)
    with pytest.raises(PortError, match="80; drop"):
        portkin(blocks, "add", SRC, "80; drop")


def test_the_settings_of_the_installed_service_are_the_default(root, tmp_path, monkeypatch):
    """Without -c a block is carried out, and ended, by the backend of /etc/portkin/portkin.yaml; nft finds it too."""
    file = tmp_path / "portkin.yaml"
    enforce = {"backend": "nftables", "database": str(tmp_path / "b.sqlite"), "nftables": {"table": "installed"}}
    file.write_text(json.dumps({"enforce": enforce}))
    monkeypatch.setattr("portkin.config.state_paths.INSTALLED", file)

    def run(group, *arguments: str) -> str:
        ran = CliRunner().invoke(group, arguments, catch_exceptions=False)
        assert 0 == ran.exit_code, ran.output
        return ran.output

    with private_network():
        run(nft, "setup")
        run(blocks, "add", SRC, "80")
        assert f"{SRC} 80/tcp" in run(nft, "show")
        assert "nftables" in run(blocks, "list")
        run(blocks, "remove", SRC, "80")
        assert run(nft, "show").startswith("0 blocks")
        run(nft, "teardown")
        assert "" == subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
