"""Where Suricata's unix socket is looked for, and that the first which answers is taken."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from portkin.errors import BackendError
from portkin.net import suricata_socket
from portkin.net.suricata_socket import USUAL, SuricataSocket, candidates
from support.suricata_socket import Inside


@pytest.mark.parametrize(
    ("yaml", "expected"),
    [
        ("unix-command:\n  enabled: yes\n  filename: /run/x.socket\n\nother: 1\n", ["/run/x.socket"]),
        ("a: b\nunix-command: {enabled: yes, filename: /run/x.socket}\n", ["/run/x.socket"]),
        ("unix-command:\n  filename: mine.socket # relative\n", ["/var/run/suricata/mine.socket"]),
        ("unix-command:\n  enabled: auto\n  #filename: custom.socket\n", []),
        ("unix-command:\n  filename: 7\n", []),
        ("unix-command: [\n", []),
        ("# unix-command:\n#   filename: /run/x.socket\n", []),
        (None, []),
    ],
)
def test_suricata_yaml_says_where(tmp_path, yaml, expected):
    """unix-command.filename first, a relative one in Suricata's own folder; then where 8 and Debian's 7 have it."""
    config = tmp_path / "suricata.yaml"
    if yaml is not None:
        config.write_text("%YAML 1.1\n---\n" + yaml)
    assert [*map(Path, expected), *USUAL] == candidates(config=config)
    assert [Path("/run/named")] == candidates(Path("/run/named"), config)


def test_the_yaml_that_ships():
    """Of the suricata.yaml that is installed here, the socket is found, or none is named."""
    config = suricata_socket.CONFIG
    if not config.exists():
        pytest.skip(f"no {config}")
    named = [line.split(":", 1)[1].strip() for line in config.read_text().splitlines() if "command.socket" in line]
    assert named[:1] + [str(path) for path in USUAL if str(path) not in named[:1]] == list(map(str, candidates()))


def test_all_that_was_tried_is_named(tmp_path, monkeypatch):
    """Where nobody listens, the error has each place with what was wrong there, and the setting."""
    places = (tmp_path / "eight.socket", tmp_path / "seven.socket")
    monkeypatch.setattr(suricata_socket, "USUAL", places)
    with pytest.raises(BackendError) as caught:
        SuricataSocket(config=tmp_path / "none.yaml").connect()
    assert all(f"{place}: No such file or directory" in str(caught.value) for place in places)
    assert "enforce.suricata.socket" in str(caught.value)


@pytest.mark.parametrize("answer", [b"[" * 100_000, b'{"return": ' + b"[" * 100_000 + b"}", b"7", b""])
def test_an_answer_that_is_no_object_is_an_error(answer):
    """One that is nested deeper than it can be read too; the connection is closed, since the rest is not known."""
    ours, theirs = socket.socketpair()
    asker = SuricataSocket(Path("x"), timeout=5)
    asker._opened = ours
    theirs.sendall(answer)
    theirs.shutdown(socket.SHUT_WR)
    with theirs, pytest.raises(BackendError, match="Suricata's socket x"):
        asker.command("version")
    assert asker.closed


@pytest.mark.root
@pytest.mark.suricata
def test_the_first_that_answers_is_taken(root, suricata, tmp_path, monkeypatch):
    """A socket that a stopped Suricata left behind is passed over; the one that answers is used."""
    running = Inside(suricata, tmp_path, ports=(80,))
    running.start()
    running.wait()
    monkeypatch.setattr(suricata_socket, "USUAL", (tmp_path / "left.socket", running.socket))
    import socket

    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "left.socket"))
    try:
        asker = SuricataSocket(config=tmp_path / "none.yaml")
        asker.connect()
        assert (running.socket, "OK") == (asker.path, asker.command("version")["return"])
        asker.close()
    finally:
        running.kill()
