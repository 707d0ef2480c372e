"""The receivers of changes of blocks, a program and a web address: what they get, and when a delivery has failed."""

from __future__ import annotations

import http.server
import json
import ssl
import subprocess
import sys
import threading

import pytest

from portkin.blocking.changes import Change
from portkin.blocking.config import HookConfig, receiver_of
from portkin.blocking.hook import DeliveryError, body_of
from portkin.blocking.receivers import Program, Webhook
from portkin.errors import ConfigError
from support.sidecar_process import until

SRC = "203.0.113.5"
CHANGE = Change("added", 10.0, SRC, "80/tcp", 10.0, 70.0, 0, "shadow", "evidence=TRW")


def test_a_program_gets_json_and_no_shell_sees_its_arguments(tmp_path):
    """Arguments reach the program as they are; on its standard input is one JSON document."""
    out = tmp_path / "out"
    copy = "import sys; open(sys.argv[1], 'w').write(sys.argv[2] + sys.stdin.read())"
    Program([sys.executable, "-c", copy, str(out), "$(id); `id`\n"], 20.0).deliver(body_of([CHANGE]))
    arguments, text = out.read_text().split("\n", 1)
    assert "$(id); `id`" == arguments
    assert {
        "event": "added", "at": "1970-01-01T00:00:10.000Z", "src": SRC, "port": "80/tcp",
        "since": "1970-01-01T00:00:10.000Z", "until": "1970-01-01T00:01:10.000Z", "rank": 0, "mode": "shadow",
        "reason": "evidence=TRW",
    } == json.loads(text)["blocks"][0]  # fmt: skip


def test_a_program_that_hangs_is_killed_with_what_it_started(tmp_path):
    """After its time a program and its children are gone, and the delivery has failed."""
    children = tmp_path / "pid"
    script = f"sleep 600 & echo $! > {children}; wait"
    with pytest.raises(DeliveryError, match="took longer than 1 s"):
        Program(["/bin/sh", "-c", script], 1.0).deliver(b"{}")
    child = children.read_text().strip()
    until(
        lambda: subprocess.run(["ps", "-o", "stat=", child], capture_output=True, text=True).stdout[:1] in ("", "Z"),
        lambda: "the child is still there",
    )


def test_a_program_that_fails_says_why():
    """Status and standard error are in the failure; a program that reads nothing is no failure."""
    with pytest.raises(DeliveryError, match="ended with status 3: no such list"):
        Program(["/bin/sh", "-c", "echo no such list >&2; exit 3"], 20.0).deliver(b"x" * 1_000_000)
    Program(["/bin/true"], 20.0).deliver(b"x" * 1_000_000)


@pytest.fixture
def web():
    """A web server that answers what the test wants; has the requests that came."""
    found = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            found.append((self.path, dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(server.status)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.status, server.found = 204, found
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_web_address_is_posted_to_with_its_token(web, tmp_path):
    """The document is posted as JSON; the token is read again each time."""
    token = tmp_path / "token"
    hook = Webhook(f"http://127.0.0.1:{web.server_port}/a/b?c=d", 20.0, token)
    for secret in ("one", "two"):
        token.write_text(f"{secret}\n")
        hook.deliver(body_of([CHANGE]))
    assert ["Bearer one", "Bearer two"] == [headers["Authorization"] for _, headers, _ in web.found]
    path, headers, body = web.found[0]
    assert ("/a/b?c=d", "application/json", SRC) == (
        path,
        headers["Content-Type"],
        json.loads(body)["blocks"][0]["src"],
    )


@pytest.mark.parametrize(("status", "final"), [(302, True), (401, True), (408, False), (429, False), (500, False)])
def test_no_redirection_is_followed_and_what_is_refused_for_good_is_not_tried_again(web, status, final):
    """A status outside 200 to 299 is a failure; one that says "later" is worth another attempt."""
    web.status = status
    with pytest.raises(DeliveryError, match=f"127.0.0.1 answered {status}") as raised:
        Webhook(f"http://127.0.0.1:{web.server_port}/secret", 20.0).deliver(b"{}")
    assert (final, 1, False) == (raised.value.final, len(web.found), "secret" in str(raised.value))


def test_a_certificate_that_nobody_signed_is_refused(web, tmp_path):
    """Over TLS the receiver must be who the address says: nothing is sent to another."""
    names = [str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")]
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x"]
    subprocess.run([*request, "-keyout", names[0], "-out", names[1]], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(names[1], names[0])
    web.socket = context.wrap_socket(web.socket, server_side=True)
    with pytest.raises(DeliveryError, match="certificate verify failed"):
        Webhook(f"https://127.0.0.1:{web.server_port}/", 20.0).deliver(b"{}")
    assert [] == web.found


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        (HookConfig(url="http://example.org/x"), "unencrypted; write https://"),
        (HookConfig(url="ftp://example.org/x"), "no web address"),
        (HookConfig(url="https://me:hunter2@example.org/"), "has a user in it"),
        (HookConfig(url="https://example.org/a b"), "has characters"),
        (HookConfig(url="https://example.org:99999/"), "no web address"),
        (HookConfig(command=("true",)), "write its whole path"),
        (HookConfig(command=("/nowhere/true",)), "no program that can be run"),
        (HookConfig(command=("/bin/true",), url="https://example.org/"), "keep one of them"),
    ],
)
def test_a_hook_that_can_never_work_is_a_wrong_setting(hook, said):
    """The settings are refused at the start, and no secret is in what is said."""
    with pytest.raises(ConfigError, match=said) as raised:
        receiver_of(hook)
    assert "hunter2" not in str(raised.value)


def test_a_token_that_everybody_reads_is_refused(tmp_path):
    """The settings are refused where others may read the token's file, with the remedy; with it they are taken."""
    token = tmp_path / "token"
    token.write_text("secret\n")
    token.chmod(0o644)
    config = HookConfig(url="https://example.org/blocks", token=token)
    with pytest.raises(ConfigError, match=r"enforce\.hook\.token: .*everybody can read or write it; chmod o= "):
        receiver_of(config)
    token.chmod(0o640)
    assert isinstance(receiver_of(config), Webhook)
