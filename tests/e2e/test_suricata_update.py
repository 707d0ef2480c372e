"""`portkin rules install` with the real suricata-update, offline, and a running Suricata on its unix socket."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from portkin.errors import RulesError
from portkin_rules.build import write_port_rules
from portkin_rules.commands import rules as command
from portkin_rules.plan import Plan
from portkin_rules.rule import read_rules
from portkin_rules.suricata import check_rules, find_suricata, reload_rules
from portkin_rules.update import install, with_local_source
from support.suricata import write_config
from support.suricata_socket import listens
from support.tables import small_table

BLOCK = {22: 1_500_022, 23: 1_500_023, 80: 1_500_080}
THEIRS = 'alert icmp any any -> any any (msg:"THEIRS"; itype:8; sid:2100366; rev:8;)\n'


@pytest.fixture
def rules(tmp_path):
    path = tmp_path / "built" / "portkin.rules"
    write_port_rules(Plan(), small_table(tmp_path / "table"), "22,23,80", path)
    return path


@pytest.fixture
def site(tmp_path):
    """A site of its own: update.yaml with a comment and a local source, drop.conf, disable.conf."""
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "none").mkdir()  # in place of the many rules that come with Suricata
    (folder / "theirs.rules").write_text(THEIRS)
    (folder / "local.rules").write_text(THEIRS.replace("THEIRS", "LOCAL").replace("2100366", "1000001"))
    (folder / "drop.conf").write_text("re:PORTKIN blocked port .*ssh\n1500080\n")
    (folder / "disable.conf").write_text("1500023\n")
    (folder / "update.yaml").write_text(
        "# ours\n"
        f"dist-rule-directory: {folder}/none\n"
        f"drop-conf: {folder}/drop.conf\n"
        f"disable-conf: {folder}/disable.conf  # what we do not want\n"
        "sources:\n"
        f"  - file://{folder}/theirs.rules\n"
        "local:\n"
        f"  - {folder}/local.rules\n"
    )
    return folder


def update_program() -> str:
    beside = Path(sys.executable).with_name("suricata-update")
    path = str(beside) if beside.exists() else shutil.which("suricata-update")
    if path is None:
        pytest.skip("no suricata-update")
    return path


def update(site: Path, *more: str) -> dict[int, object]:
    """Run suricata-update as an operator would, but in a folder of its own; the merged rules by sid."""
    data = site.parent / "data"
    config = write_config(site.parent / "suricata", home="[192.0.2.0/24]", external="!$HOME_NET")
    options = ["-c", site / "update.yaml", "-D", data, "--no-reload", "--suricata-conf", config]
    run = subprocess.run([update_program(), *options, *more], capture_output=True, text=True, timeout=100)
    assert run.returncode == 0, run.stderr + run.stdout
    merged = data / "rules" / "suricata.rules"
    return {rule.sid: rule for rule in read_rules(merged)}


@pytest.mark.suricata
def test_merged(suricata, rules, site, tmp_path):
    """After the installation a plain run of suricata-update merges our rules with theirs, and drop.conf and
    disable.conf hold for them."""
    there, new = install(rules, folder=tmp_path / "lib", config=site / "update.yaml", merged=tmp_path / "none")
    assert (True, rules.read_text()) == (new, there.read_text())
    merged = update(site)
    assert ("THEIRS", "LOCAL") == (merged[2_100_366].msg, merged[1_000_001].msg)
    ours = {rule.sid for rule in read_rules(rules)}
    assert ours <= merged.keys()
    actions = {port: (merged[sid].action, merged[sid].enabled) for port, sid in BLOCK.items()}
    assert {22: ("drop", True), 23: ("alert", False), 80: ("drop", True)} == actions
    # Rules that count must not drop, whatever drop.conf says.
    assert {BLOCK[22], BLOCK[80]} == {sid for sid, rule in merged.items() if rule.action == "drop"}
    check_rules(site.parent / "data" / "rules" / "suricata.rules", program=suricata)


@pytest.mark.suricata
@pytest.mark.parametrize("line", ["re:PORTKIN", "group:portkin.rules"])
def test_never_blocked_is_not_dropped(suricata, site, tmp_path, line):
    """However broadly drop.conf names our rules, those that never block stay as they are, and those that count too."""
    rules, passed = tmp_path / "built" / "portkin.rules", tmp_path / "pass.txt"
    passed.write_text("192.0.2.0/24\n")
    write_port_rules(Plan(), small_table(tmp_path / "table"), "22,23,80,53/udp", rules, pass_list=passed)
    install(rules, folder=tmp_path / "lib", config=site / "update.yaml", merged=tmp_path / "none")
    (site / "drop.conf").write_text(f"{line}\n")
    (site / "disable.conf").write_text("")
    merged = update(site)
    expected = {rule.sid: rule.action for rule in read_rules(rules)}
    loud = {rule.sid for rule in read_rules(rules) if not any(option.name == "noalert" for option in rule.options)}
    assert {sid: "drop" if sid in loud else action for sid, action in expected.items()} == {
        sid: merged[sid].action for sid in expected
    }
    assert ["pass", "pass"] == [merged[sid].action for sid in expected if merged[sid].msg == "PORTKIN never blocked"]


def test_operators_file_is_kept(rules, site, tmp_path):
    """Registering adds one line to update.yaml and keeps the rest, comments too; doing it again changes nothing."""
    config = site / "update.yaml"
    before = config.read_text()
    there, _ = install(rules, folder=tmp_path / "lib", config=config, merged=tmp_path / "none")
    assert before + f"  - {there}\n" == config.read_text()
    assert (there, False) == install(rules, folder=tmp_path / "lib", config=config, merged=tmp_path / "none")
    assert before + f"  - {there}\n" == config.read_text()


@pytest.mark.parametrize("before", [None, "", "# nothing yet", "local:\n", "drop-conf: /x\n", "local: []\n"])
def test_any_update_yaml(tmp_path, before):
    """With no update.yaml, an empty one, or one without local sources, ours becomes the only one."""
    config = tmp_path / "update.yaml"
    if before is not None:
        config.write_text(before)
    text, new = with_local_source(config, Path("/lib/portkin.rules"))
    assert new
    loaded = yaml.safe_load(text)
    assert ["/lib/portkin.rules"] == loaded.pop("local")
    assert (yaml.safe_load(before or "") or {}).items() >= loaded.items()
    assert before is None or before.split("\n")[0].rstrip(": []") in text


@pytest.mark.parametrize("before", ["local: /x\n", "- a\n", "a: [\n", "text\n"])
def test_strange_update_yaml(rules, tmp_path, before):
    """An update.yaml that suricata-update would not take either is left alone, and nothing is installed."""
    config = tmp_path / "update.yaml"
    config.write_text(before)
    with pytest.raises(RulesError, match=r"update\.yaml"):
        install(rules, folder=tmp_path / "lib", config=config, merged=tmp_path / "none")
    assert before == config.read_text()
    assert not (tmp_path / "lib").exists()


def test_taken_ids(rules, site, tmp_path):
    """Ids that other merged rules have are refused; our own from last time are not."""
    merged = tmp_path / "suricata.rules"
    merged.write_text(rules.read_text())
    install(rules, folder=tmp_path / "lib", config=site / "update.yaml", merged=merged)
    merged.write_text(THEIRS.replace("2100366", "1500022"))
    with pytest.raises(RulesError, match="sid 1500022 is used by 'THEIRS'"):
        install(rules, folder=tmp_path / "other", config=site / "update.yaml", merged=merged)
    assert not (tmp_path / "other").exists()


@pytest.mark.suricata
def test_bad_rules_are_not_installed(suricata, site, tmp_path):
    """Rules that Suricata does not accept, or warns of, are refused with its words."""
    bad = tmp_path / "bad.rules"
    bad.write_text('alert tcp any any -> any any (msg:"x"; nonsense:1; sid:1500000; rev:1;)\n')
    options = ["install", bad, "--folder", tmp_path / "lib", "--config", site / "update.yaml"]
    done = CliRunner().invoke(command, list(map(str, options)))
    assert isinstance(done.exception, RulesError)
    assert "does not accept it" in str(done.exception)
    assert "nonsense" in str(done.exception)
    assert not (tmp_path / "lib").exists()


@contextmanager
def running(suricata: str, folder: Path, rules: Path):
    """A Suricata that waits on its unix socket with these rules, reading an interface of its own: none but loopback."""
    config = write_config(folder, socket="yes", more=f"default-rule-path: /\nrule-files:\n  - {rules}\n")
    address = folder / "command.socket"
    command = [suricata, "-c", config, "-l", folder, "--runmode=single", "--af-packet=lo"]
    command += ["--set", f"unix-command.filename={address}", "--pidfile", folder / "pid"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while not listens(address):
            assert process.poll() is None, (folder / "suricata.log").read_text()
            assert time.monotonic() < deadline, "Suricata does not open its socket"
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def ask(address: Path, **request) -> dict:
    """One command over the unix socket, as suricatasc sends it."""
    with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rwb") as stream:
        connection.connect(str(address))
        for message in ({"version": "0.2"}, request):
            stream.write(json.dumps(message).encode() + b"\n")
            stream.flush()
            answer = json.loads(stream.readline())
    return answer


def loaded(address: Path) -> int:
    return ask(address, command="ruleset-stats")["message"][0]["rules_loaded"]


@pytest.mark.suricata
@pytest.mark.root
def test_installed_and_reloaded(suricata, root, rules, site, tmp_path):
    """With --reload a running Suricata has the merged rules soon after, and takes host bits for them."""
    merged = tmp_path / "data" / "rules" / "suricata.rules"
    merged.parent.mkdir(parents=True)
    merged.write_text(THEIRS)
    config = write_config(tmp_path / "suricata")
    with running(suricata, tmp_path / "run", merged) as address:
        assert 1 == loaded(address)
        options = ["install", rules, "--folder", tmp_path / "lib", "--config", site / "update.yaml"]
        options += ["--merged", merged, "--reload", "--socket", address, "--", "-D", tmp_path / "data"]
        options += ["--suricata-conf", config]
        done = CliRunner().invoke(command, list(map(str, options)), catch_exceptions=False)
        assert 0 == done.exit_code, done.output
        # Ours without the one that disable.conf takes away, theirs, and a local one.
        expected = len(read_rules(rules)) - 1 + 2
        deadline = time.monotonic() + 30
        while loaded(address) != expected and time.monotonic() < deadline:
            time.sleep(0.1)
        assert expected == loaded(address)
        bit = {"ipaddress": "198.51.100.7", "hostbit": "pk22"}
        assert "OK" == ask(address, command="add-hostbit", arguments={**bit, "expire": 60})["return"]


def test_nobody_listens(tmp_path):
    """Where no Suricata runs, a reload says which socket and what to do."""
    with pytest.raises(RulesError, match=r"none\.socket: No such file.*--socket"):
        reload_rules(tmp_path / "none.socket")


def test_strange_listener(tmp_path):
    """Something else on the socket, that hangs up or talks nonsense, is an error too, not a hang."""
    import threading

    for reply in (b"", b"nonsense\n", b"[]\n", b'{"return": "NOK", "message": "no"}\n' * 2):
        address = tmp_path / f"socket{len(reply)}"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(address))
            server.listen()

            def serve(server=server, reply=reply):
                connection, _ = server.accept()
                with connection:
                    connection.recv(100)
                    connection.sendall(reply)
                    connection.recv(100)

            thread = threading.Thread(target=serve)
            thread.start()
            with pytest.raises(RulesError, match="socket"):
                reload_rules(address, timeout=5)
            thread.join(10)


@pytest.mark.suricata
def test_find_suricata(suricata):
    """A Suricata on this machine is new enough."""
    assert suricata == find_suricata(suricata)
