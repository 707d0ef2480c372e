"""Our rules among suricata-update's local sources. What suricata-update makes of them is tried in tests/e2e."""

from __future__ import annotations

from portkin_rules.update import install

RULE = 'alert tcp any any -> any any (msg:"PORTKIN x"; sid:1500000; rev:1;)\n'


def test_a_link_stays_a_link(tmp_path):
    """An update.yaml that is a link, as under configuration management, stays one, and its file gets the line."""
    rules, link, real = tmp_path / "portkin.rules", tmp_path / "etc" / "update.yaml", tmp_path / "real" / "update.yaml"
    rules.write_text(RULE)
    for path in (link, real):
        path.parent.mkdir()
    real.write_text("# mine\nlocal:\n  - /a.rules\n")
    real.chmod(0o640)
    link.symlink_to("../real/update.yaml")
    there, new = install(rules, folder=tmp_path / "rules", config=link, merged=tmp_path / "none")
    assert (new, True) == (True, link.is_symlink())
    assert f"# mine\nlocal:\n  - /a.rules\n  - {there}\n" == real.read_text()
    assert 0o640 == real.stat().st_mode & 0o777
