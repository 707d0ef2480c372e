"""The hook: a program or a web address that is reported of each block, and that blocking never waits for."""

from __future__ import annotations

import asyncio
import http.server
import json
import subprocess
import sys
import threading
import time

import pytest
from click.testing import CliRunner
from prometheus_client import CollectorRegistry

from portkin.blocking.backends.suricata import Suricata
from portkin.blocking.changes import Change
from portkin.blocking.config import EnforceConfig, HookConfig, receiver_of
from portkin.blocking.factory import make_blocking_service
from portkin.blocking.hook import DeliveryError, Hook, HookMetrics, body_of
from portkin.blocking.limits import Limits
from portkin.blocking.receivers import Program, Webhook
from portkin.commands.blocks import blocks
from portkin.errors import ConfigError
from portkin.zeek.dispatcher import Service
from support.enforcing import Bench, Lines, at_work, block, each_of, nets, together, unblock
from support.sidecar_process import until as until_true

SRC = "203.0.113.5"


def until(found):
    """Wait until it is true."""
    until_true(found, lambda: "it does not come true")


def change(port=80):
    return Change("added", 10.0, SRC, f"{port}/tcp", 10.0, 70.0, 0, "shadow", "evidence=TRW")


class Receiver:
    """Takes what it is given, after ``failures`` refusals; waits for ``gate`` first."""

    def __init__(self, failures=0, final=False):
        self.got, self.tried, self.gate = [], 0, threading.Event()
        self.gate.set()
        self._failures, self._final = failures, final

    def deliver(self, body):
        self.gate.wait(20)
        self.tried += 1
        if self.tried <= self._failures:
            raise DeliveryError("away", final=self._final)
        self.got += json.loads(body)["blocks"]

    def abandon(self):
        pass


def hook_to(receiver, **more):
    registry, log = CollectorRegistry(), Lines()
    settings = {"queue": 10, "batch": 4, "attempts": 3, "pause": 0.0, **more}
    hook = Hook(receiver, metrics=HookMetrics(registry), log=log, **settings)

    def count(outcome):
        return registry.get_sample_value("portkin_hook_changes_total", {"outcome": outcome})

    return hook, count, log


def test_all_changes_are_delivered_in_order_and_in_batches():
    """What waits is delivered in order, several changes at once, before the end."""
    receiver = Receiver()
    hook, count, _ = hook_to(receiver)
    hook.notify([change(port) for port in range(1, 10)])
    hook.close()
    assert [f"{port}/tcp" for port in range(1, 10)] == [got["port"] for got in receiver.got]
    assert (9.0, 3) == (count("delivered"), receiver.tried)  # 4 + 4 + 1


def test_a_delivery_that_fails_is_tried_again():
    """Two refusals and a success are one delivery."""
    receiver = Receiver(failures=2)
    hook, count, log = hook_to(receiver)
    hook.notify([change()])
    until(lambda: count("delivered") == 1.0)
    assert (1, 0.0, []) == (len(receiver.got), count("failed"), log.events("error"))


@pytest.mark.parametrize(("final", "tries"), [(False, 3), (True, 1)])
def test_after_the_last_attempt_changes_are_given_up_and_counted(final, tries):
    """What fails to the last attempt, or for good, is counted and logged; what follows is delivered."""
    receiver = Receiver(failures=tries, final=final)
    hook, count, log = hook_to(receiver)
    hook.notify([change(1)])
    until(lambda: count("failed") == 1.0)
    hook.notify([change(2)])
    until(lambda: count("delivered") == 1.0)
    assert (["2/tcp"], ["changes of blocks not delivered to the hook"]) == (
        [got["port"] for got in receiver.got],
        log.events("error"),
    )


def test_a_full_queue_drops_and_never_waits():
    """While the receiver hangs, changes beyond the queue's size are dropped, counted and said once."""
    receiver = Receiver()
    receiver.gate.clear()
    hook, count, log = hook_to(receiver, queue=2, batch=1)
    hook.notify([change(0)])
    until(lambda: hook.waiting == 0)
    for port in range(1, 6):
        hook.notify([change(port)])
    assert (3.0, 1) == (count("dropped"), len(log.events("error")))
    receiver.gate.set()
    hook.close()
    assert ["0/tcp", "1/tcp", "2/tcp"] == [got["port"] for got in receiver.got]


def test_a_program_gets_json_and_no_shell_sees_its_arguments(tmp_path):
    """Arguments reach the program as they are; on its standard input is one JSON document."""
    out = tmp_path / "out"
    copy = "import sys; open(sys.argv[1], 'w').write(sys.argv[2] + sys.stdin.read())"
    Program([sys.executable, "-c", copy, str(out), "$(id); `id`\n"], 20.0).deliver(body_of([change()]))
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
    until(lambda: subprocess.run(["ps", "-o", "stat=", child], capture_output=True, text=True).stdout[:1] in ("", "Z"))


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
        hook.deliver(body_of([change()]))
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
    import ssl

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


def test_a_block_is_reported_from_its_beginning_to_its_end(tmp_path):
    """Added, extended, removed, vetoed and expired are reported; refusals, holdouts and no changes are not."""
    reported = []
    bench = Bench(tmp_path, notify=reported.extend, limits=Limits(never_nets=nets("192.0.2.0/24")))
    bench.enforcer.start()
    bench.ask(block(SRC, "80"), block("192.0.2.1", "80"), block(SRC, "81", rank=1, probed="80"))
    bench.clock.pass_(30)
    bench.ask(block(SRC, "80"), block(SRC, "80"), unblock(SRC, "81"), unblock(SRC, "9"))
    bench.clock.pass_(61)
    bench.enforcer.tick()
    bench.ask(block(SRC, "82"))
    bench.enforcer.set_limits(Limits(never_nets=nets(f"{SRC}/32")))
    assert [
        ("added", "80/tcp"), ("added", "81/tcp"), ("removed", "81/tcp"), ("extended", "80/tcp"), ("expired", "80/tcp"),
        ("added", "82/tcp"), ("vetoed", "82/tcp"),
    ] == [(change.event, change.port) for change in reported]  # fmt: skip
    assert [0, 1] == [change.rank for change in reported[:2]]
    assert "evidence=TRW answered=1 probe=1" == reported[0].reason


def test_a_block_that_never_took_hold_is_not_told(tmp_path):
    """Where the backend cannot be reached, nothing began, and nothing ends."""
    reported = []
    bench = Bench(tmp_path, Suricata(tmp_path / "no.socket"), notify=reported.extend)
    bench.enforcer.start()
    assert "error" == bench.ask(block(SRC, "80"))[0][0]
    assert [] == reported


def test_held_out_blocks_are_not_told(tmp_path):
    """What is left unblocked on purpose is nothing that others should block."""
    reported = []
    bench = Bench(tmp_path, notify=reported.extend, limits=Limits(holdout=1.0), draw=lambda: 0.0)
    bench.enforcer.start()
    bench.ask(block(SRC, "80", rank=0), block(SRC, "81", rank=1, probed="80"))
    assert ["80/tcp"] == [change.port for change in reported]


def test_what_another_process_changes_is_told(tmp_path):
    """`portkin blocks` changes the database; the running sidecar reports it, with its reason."""
    reported = []
    bench = Bench(tmp_path, notify=reported.extend, wall_clock=time.time, monotonic=time.monotonic)
    bench.enforcer.start()
    config = tmp_path / "p.yaml"
    config.write_text(json.dumps({"enforce": {"database": str(bench.path)}}))
    for order in (["add", SRC, "80", "--reason", "by hand"], ["remove", SRC, "80"]):
        CliRunner().invoke(blocks, [*order, "-c", str(config)], catch_exceptions=False)
        bench.enforcer.tick()
    assert [("added", "evidence=OPERATOR note=by hand"), ("removed", "")] == [(c.event, c.reason) for c in reported]


def test_a_hook_that_hangs_holds_up_no_block(tmp_path):
    """With a program that never ends, requests are answered, and the sidecar ends."""

    async def scenario():
        config = EnforceConfig(
            database=tmp_path / "b", hook=HookConfig(command=("/bin/sleep", "600"), timeout=300.0, queue=1)
        )
        registry = CollectorRegistry()
        part = make_blocking_service(config, peers=[], registry=registry, log=Lines())
        said = []
        async with at_work(part, lambda messages: said.extend(each_of(messages))):
            for port in range(1, 101):
                Service(part).receive(together(block(SRC, str(port))), time.monotonic())
            async with asyncio.timeout(60):
                while len(said) < 100:
                    await asyncio.sleep(0.005)
        assert {"added"} == {answer.outcome for answer in said}
        dropped = registry.get_sample_value("portkin_hook_changes_total", {"outcome": "dropped"})
        assert dropped is not None and dropped > 0.0

    asyncio.run(scenario())


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
