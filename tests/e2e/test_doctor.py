"""``portkin doctor`` beside real programs: Zeek, the sidecar, nftables and Suricata, well and not."""

from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from portkin.bundles.bundle_writer import write_bundle
from portkin.bundles.table_format import KIND, SCHEMA
from portkin.commands.doctor import doctor
from portkin.zeek.messages import PROTOCOL
from support.examined import COMMAND, Live, examined, settings
from support.namespaces import Network
from support.sidecar_process import SidecarProcess, until
from support.suricata_socket import Inside
from support.tables import small_table
from support.zeek_process import free_port


@pytest.mark.root
def test_a_backend_that_is_not_in_force_is_named(root, tmp_path):
    """A sidecar whose file was edited, and one that is asked about with another file, do not pass for blocking."""
    small_table(tmp_path / "table")
    sections = {
        "zeek": {"url": f"ws://127.0.0.1:{free_port()}/v1/messages/json"},
        "table": {"path": str(tmp_path / "table")},
        "metrics": {"port": free_port()},
        "enforce": {"backend": "nftables", "database": str(tmp_path / "blocks.sqlite"), "nftables": {"table": "other"}},
    }
    sidecar = SidecarProcess(tmp_path / "sidecar", sections)
    file = tmp_path / "sidecar" / "portkin.yaml"
    shadow = {**sections["enforce"], "backend": "shadow"}
    others = settings(tmp_path, **{**sections, "enforce": shadow})
    try:
        with sidecar:
            sidecar.wait_for("blocking")
            _, found, _ = examined(others)
            assert "enforce.backend is shadow, and the sidecar's is nftables" == found["sidecar.other-backend"]["what"]
            assert "sidecar.other-backend" not in examined(file)[1]
            file.write_text(json.dumps({**sections, "table": {"poll": 3}, "enforce": shadow}))
            line = sidecar.wait_for("settings changed that only a restart applies")
            assert {"table.path", "table.poll", "enforce.backend"} == set(line["settings"].split(", "))
            _, found, _ = examined(file)
            assert "problem" == found["sidecar.other-backend"]["level"]
            pending = "changed in the settings, and not in force: table.path, table.poll"
            assert pending == found["sidecar.settings-pending"]["what"]
            file.write_text(json.dumps(sections))
            sidecar.wait_for("the settings are again those in force")
            assert not {"sidecar.other-backend", "sidecar.settings-pending"} & examined(file)[1].keys()
    finally:
        subprocess.run(["nft", "delete", "table", "inet", "other"], check=False)


@pytest.mark.zeek
def test_zeek_and_its_sidecar_are_well_but_for_packets(zeek, tmp_path):
    """Greeted on both sides; what Zeek loads is named. A Zeek without an interface sees no packets: the one warning."""
    live = Live(zeek, tmp_path)
    with live.zeek, live.sidecar:
        live.sidecar.wait_for("Zeek answered")
        live.zeek.wait_for("up")
        status, found, facts = examined(live.file)
    version = facts["zeek"]["version"]
    (node,) = facts["zeek"]["nodes"]
    assert (1, ["zeek.no-packets"]) == (status, [code for code, f in found.items() if f["level"] != "ok"])
    assert f"connected, and greeted by zeek (Zeek {version})" == found["sidecar.connected"]["what"]
    assert (version, PROTOCOL, True, "BLOCK") == (node["zeek_version"], node["protocol"], node["sidecar"], node["mode"])
    assert {"block", "websocket", "detection"} <= set(node["scripts"])
    assert small_table(tmp_path / "again").id == node["table_id"]


@pytest.mark.root
@pytest.mark.zeek
def test_a_site_that_blocks_is_well(root, zeek, tmp_path):
    """Zeek on an interface with packets, the sidecar with nftables, in one namespace: status 0, and the table is seen.

    Then the sidecar is stopped, and the table deleted: each is named.
    """
    live = Live(zeek, tmp_path)
    live.settings["enforce"]["backend"] = "nftables"
    live.file.write_text(json.dumps(live.settings))
    with Network() as net:
        net.machine("sensor")
        live.zeek.prefix = live.sidecar.prefix = net.inside("sensor")
        live.zeek.command[1:1] = ["-i", "lo"]
        command = [*COMMAND, "-c", str(live.file), "--json"]

        def report() -> dict:
            return json.loads(net.run("sensor", *command, check=False))

        with live.zeek:
            with live.sidecar:
                live.sidecar.wait_for("Zeek answered", timeout=60)
                live.sidecar.wait_for("blocking")
                # The doctor's own packets are the first on this interface.
                until(lambda: report()["facts"]["zeek"]["nodes"][0]["packets"], lambda: live.zeek.out)
                well = report()
                assert [] == [finding for finding in well["findings"] if finding["level"] != "ok"]
                assert ("ok", 0) == (well["verdict"], well["status"])
                assert ("present", True) == (
                    well["facts"]["nftables"]["state"],
                    well["facts"]["nftables"]["privileged"],
                )
                assert "table inet portkin" in str(well["findings"])
                # Stopped, so that it cannot put the table back meanwhile; its page still listens.
            net.run("sensor", "nft", "delete", "table", "inet", "portkin")
            ill = {finding["code"] for finding in report()["findings"] if finding["level"] != "ok"}
    assert {"sidecar.not-running", "zeek.no-sidecar"} == ill


@pytest.mark.root
def test_without_privileges_the_kernel_is_not_asked(root, tmp_path):
    """A user without CAP_NET_ADMIN: the finding is skipped, with what to do, and counts for nothing."""
    file = settings(tmp_path, enforce={"backend": "nftables", "database": "/nonexistent/portkin/blocks.sqlite"})
    command = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", "--"]
    ran = subprocess.run(
        [*command, *COMMAND, "-c", file, "--json", "--timeout", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    found = {finding["code"]: finding["level"] for finding in json.loads(ran.stdout)["findings"]}
    assert ("skipped", 2) == (found["blocking.unprivileged"], ran.returncode)


@pytest.mark.root
@pytest.mark.suricata
def test_suricata_is_asked_without_a_trace(root, suricata, tmp_path):
    """Version, capture, whether it is inline, which bits its rules test; and a Suricata without our rules."""
    inside = Inside(suricata, tmp_path / "suricata", ports=(22, 443))
    with (tmp_path / "suricata" / "kin.rules").open("a") as rules:
        rules.write("alert tcp any any -> any any (nonsense:1; sid:9;)\n")  # line 4, after those of 22, 443 and 53
    file = settings(tmp_path, enforce={"backend": "suricata", "suricata": {"socket": str(inside.socket)}})
    inside.start()
    try:
        inside.wait()
        _, found, facts = examined(file)
        asked = facts["suricata"]
        said = subprocess.run([suricata, "-V"], capture_output=True, text=True).stdout
        assert asked["version"].split()[0] in said
        assert (["pk22", "pk443"], "AF_PACKET_DEV") == (asked["tested"], asked["mode"])
        assert "blocking.suricata" in found
        assert (3, 1) == (asked["rules_loaded"], asked["rules_failed"])
        assert "1 rule failed to load, at kin.rules:4; 3 are loaded" in found["blocking.rules-failed"]["what"]
        assert (16 << 20, "ok") == (asked["host_memcap"], found["blocking.host-memcap"]["level"])  # the default
        if asked["version"].startswith("7.0.10 "):
            assert "upgrade Suricata to 7.0.14" in found["blocking.ipv6"]["remedy"]
    finally:
        inside.kill()
    _, found, _ = examined(file)
    assert "unix-command.enabled" in found["blocking.no-suricata"]["remedy"]


def test_the_bundle_holds_no_secret(tmp_path):
    """Password and token of the URL, and the networks of the site, are in no file of it; only its owner can read it."""
    file = settings(
        tmp_path,
        zeek={"url": f"ws://operator:hunter2@127.0.0.1:{free_port()}/v1/messages/json?token=s3cret"},
        enforce={"database": str(tmp_path / "b"), "limits": {"never_nets": ["192.0.2.0/24", "2001:db8::/32"]}},
    )
    bundle = tmp_path / "out.tar.gz"
    _, _, facts = examined(file, "--bundle", str(bundle))
    with tarfile.open(bundle) as archive:
        files = {member.name: archive.extractfile(member).read().decode() for member in archive}
    assert ["README.txt", "report.json", "report.txt", "versions.txt"] == sorted(Path(name).name for name in files)
    for hidden in ("hunter2", "operator", "s3cret", "192.0.2.0", "2001:db8"):
        assert hidden not in "".join(files.values()), hidden
    assert "[2 networks]" == facts["settings"]["values"]["enforce"]["limits"]["never_nets"]
    assert 0o600 == bundle.stat().st_mode & 0o777


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("zeek:\n  urk: x\n", "did you mean 'url'"),
        ("zeek: {url: 'ws://me:hunter2@[bad'}\n", "is no address of a WebSocket"),
    ],
)
def test_settings_that_cannot_be_used_are_the_problem(tmp_path, text, named):
    """One problem, which names the line; nothing else is looked at, and no secret is shown."""
    file = tmp_path / "portkin.yaml"
    file.write_text(text)
    ran = CliRunner().invoke(doctor, ["-c", str(file)])
    assert (2, True, False) == (ran.exit_code, named in ran.output, "hunter2" in ran.output)


def test_what_a_table_holds_is_looked_at(tmp_path):
    """A table whose files are as its manifest says, and hold none of the ports that it counts, cannot be used."""
    with write_bundle(tmp_path / "table", kind=KIND, schema=SCHEMA, about={"k": 3, "method": "kin", "ports": {}}):
        pass
    _, found, _ = examined(
        settings(tmp_path, table={"path": str(tmp_path / "table")}, zeek={"url": f"ws://127.0.0.1:{free_port()}/"})
    )
    assert "the arrays do not fit the manifest" in found["table.unusable"]["what"]


def test_a_table_that_is_not_there_is_named(tmp_path):
    """The settings are valid, the table is not: its own finding, and the other checks go on."""
    _, found, _ = examined(
        settings(tmp_path, table={"path": str(tmp_path / "gone")}, zeek={"url": f"ws://127.0.0.1:{free_port()}/"})
    )
    assert {"settings.valid", "table.unusable"} <= set(found)
    assert str(tmp_path / "gone") in found["table.unusable"]["what"]
