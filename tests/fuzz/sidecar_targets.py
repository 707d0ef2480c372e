"""What the sidecar reads from outside: Zeek's messages, files of the administrator, Suricata, the page."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from functools import cache
from pathlib import Path
from urllib.parse import quote

from starlette.exceptions import HTTPException

from fuzz.bundle_targets import made
from fuzz.harness import choice, printable, refused, target
from portkin.blocking.backends.backend import Batch, TimedKey
from portkin.blocking.backends.suricata import Suricata
from portkin.blocking.block import BlockKey
from portkin.blocking.never_block import add_never_block, read_never_block
from portkin.bundles.table import Table
from portkin.config.loading import build, to_yaml
from portkin.config.schema import SAMPLE, Config
from portkin.config.sections import read_yaml
from portkin.errors import BackendError, ConfigError, RulesError, shown
from portkin.net.addresses import Nets, ip_of, number_of
from portkin.net.ports import Port
from portkin.net.suricata_socket import candidates
from portkin.web.actions import Actions
from portkin.web.guard import Guard, bearer, host_in, same_origin
from portkin.zeek.block_messages import BlockRequests, UnblockRequest
from portkin.zeek.dispatcher import Nearest, Service
from portkin.zeek.event import Event, Junk
from portkin.zeek.event_codec import parse, unparse
from portkin.zeek.transport.json_v1 import acknowledged, decode, encode
from portkin_rules.passlist import read_networks
from portkin_rules.ruleset import MARK, read_previous
from support.enforcing import Bench, Lines

FRAMES = Path(__file__).parents[1] / "contract" / "frames"


@cache
def _service() -> Service:
    return Service(Nearest(Table.load(made() / "table")))


@cache
def _bench() -> Bench:
    (made() / "blocks").mkdir()
    bench = Bench(made() / "blocks")
    bench.enforcer.start()
    return bench


def _messages() -> list[bytes]:
    return [json.loads(path.read_text())["frame"].encode() for path in sorted(FRAMES.glob("*.json"))]


@target(_messages)
def zeek_messages(folder: Path, data: bytes) -> None:
    """Frames of Zeek's WebSocket: an event or junk, a message or junk, and answers that can be sent."""
    for frame in (data, data.decode("utf-8", "replace")):
        read, greeted = decode(frame), acknowledged(frame)
    for said in (read, greeted):
        if isinstance(said, Junk):
            assert len(said.detail) <= 240
            said.detail.encode()
        elif isinstance(said, tuple):
            "".join(said).encode()
    if not isinstance(read, Event):
        return
    message = parse(read)
    if isinstance(message, Junk):
        assert len(message.detail) <= 240
        message.detail.encode()
        return
    if not {"inf", "nan"} & {*re.findall(r"\w+", repr(message))}:  # numbers that JSON has not
        again = decode(encode("/t", unparse(message)))
        assert isinstance(again, Event)
        assert parse(again) == message
    answers = _service().receive(message, 1.0)
    if not isinstance(answers, Junk):
        for answer in answers:
            encode("/t", unparse(answer)).encode()
    if isinstance(message, BlockRequests):
        _bench().ask(*message.each())
    elif isinstance(message, UnblockRequest):
        _bench().ask(message)


RULE = (
    b'drop tcp any any -> $HOME_NET 22 (msg:"PORTKIN"; flags:S; metadata:created_at 2026_01_01; sid:4200000; rev:1;)\n'
)
_LISTS = (
    b"192.0.2.0/24 # ours\n2001:db8::/32\n\n198.51.100.7\n::ffff:10.0.0.0/104\n",
    b"\xef\xbb\xbf# none\r\n10.0.0.0/8\r\n",
    MARK.encode() + b" 1.0\n" + RULE * 2,
)


@target(lambda: _LISTS)
def lists(folder: Path, data: bytes) -> None:
    """Networks that are never blocked or are passed, and rules to be replaced: read, or the line that is none."""
    path = folder / "never-block"
    path.write_bytes(data)
    for sid, rule in (refused(lambda: read_previous(path), RulesError, naming=str(path)) or {}).items():
        assert isinstance(sid, int)
        str(rule).encode()
    for net in refused(lambda: read_networks(path), RulesError, naming=str(path)) or ():
        printable(net)
    nets = refused(lambda: read_never_block(path), ConfigError, naming=str(path))
    if nets is None:
        return
    source = choice(data, [ip_of(number_of(text)) for text in ("198.51.100.9", "2001:db8:1::9")])
    add_never_block(path, source, 1e9)
    after = read_never_block(path)
    assert {*nets} <= {*after}
    assert any(source in net for net in after if net.version == source.version)
    assert not add_never_block(path, source, 1e9)


_YAML = (
    b"zeek:\n  url: ws://127.0.0.1:1/v1\nenforce: {never_block_nets: [10.0.0.0/8]}\n",
    b"%YAML 1.1\n---\nunix-command:\n  enabled: yes\n  filename: /run/s.socket\n",
)


@target(lambda: [SAMPLE.read_bytes()[:6000], *_YAML])
def settings(folder: Path, data: bytes) -> None:
    """Settings, and the section of Suricata's that says where its socket is."""
    text = data.decode("utf-8", "replace")
    config = refused(lambda: build(Config, read_yaml(text, "portkin.yaml")), ConfigError, naming="portkin.yaml")
    if config is not None:
        assert build(Config, read_yaml(to_yaml(config), "again")) == config
    (folder / "suricata.yaml").write_bytes(data)
    for place in candidates(None, folder / "suricata.yaml"):
        assert isinstance(place, Path)


class Scripted:
    """The end of a socket that answers with the given bytes, whatever is asked, in pieces of odd sizes."""

    def __init__(self, answers: list[bytes]) -> None:
        self._answers, self._now = iter(answers), b""

    def sendall(self, data: bytes) -> None:
        assert data.endswith(b"\n") and json.loads(data)
        self._now = next(self._answers, b"")

    def recv(self, most: int) -> bytes:
        size = min(most, choice(self._now, (1, 7, 4000)) if self._now else 0)
        part, self._now = self._now[:size], self._now[size:]
        return part

    def close(self) -> None:
        self._now = b""


OK, NOK = b'{"message": "done", "return": "OK"}\n', b'{"message": "hostbit not found", "return": "NOK"}\n'
BITS = b'{"message": {"count": 1, "hostbits": [{"name": "pk22", "expire": 30}]}, "return": "OK"}'


_TRIED = [OK, BITS, OK, OK, BITS]
_ANSWERS = (
    [b'{"message": "8.0.3 RELEASE", "return": "OK"}', *_TRIED, b'{"message": {}, "return": "OK"}', OK, OK],
    [b'{"message": "7.0.10 RELEASE", "return": "OK"}', NOK, NOK, OK],
    [OK, *_TRIED, BITS, OK, OK, OK, OK],
)


@target(lambda: [b"\0".join(answers) for answers in _ANSWERS])
def suricata_replies(folder: Path, data: bytes) -> None:
    """Answers on Suricata's socket: taken, or an error of the backend, which then connects anew."""
    backend = Suricata(folder / "socket")
    connection = backend._suricata
    connection._opened = Scripted(data.split(b"\0"))  # type: ignore[assignment]
    connection.connect = lambda: None  # type: ignore[method-assign]
    keys = [BlockKey(number_of(text), Port(22, "tcp")) for text in ("192.0.2.1", "2001:db8::1")]
    batch = Batch([TimedKey(key, 60.0) for key in keys], [TimedKey(keys[0], 9.0)], keys)

    def work() -> None:
        backend.setup()
        why = backend.apply(batch)
        assert {*why} <= {*keys}
        printable(shown(f"{why} {backend.ipv6_fault()}"))

    refused(work, BackendError)


class _Orders:
    """Takes every order."""

    async def unblock(self, src: object, port: object) -> str:
        return f"{src} {port}" if "1" in str(src) else ""

    async def never_block(self, src: object) -> bool:
        return "1" in str(src)


@target(lambda: [b'{"src": "203.0.113.5", "port": "80/tcp"}', b'{"src": "2001:db8::5", "port": "53/udp", "more": [1]}',
                 b"http://localhost:9477\0localhost:9477\0Bearer secret"])  # fmt: skip
def page_requests(folder: Path, data: bytes) -> None:
    """Bodies and headers of requests to the page: done, or refused with a status."""
    heads = [part.decode("latin-1") for part in data.split(b"\0")] + [""] * 4
    headers = {"origin": heads[0], "host": heads[1], "authorization": heads[2], "content-type": "application/json"}
    sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    bearer(headers), host_in(heads[0])
    guard = Guard(lambda *_: None, clients=Nets(["127.0.0.0/8"]), hosts=["sensor.example"])  # type: ignore[arg-type,return-value]
    for client in ("127.0.0.1", heads[1]):
        said = guard.refusal({"headers": sent, "client": (client, 1)})
        assert said is None or printable(said) is None
    actions = Actions(_Orders(), "secret", Lines(), itertools.count().__next__)  # type: ignore[arg-type]

    async def ask() -> None:
        for act in (actions.unblock, actions.never_block):
            try:
                json.dumps(await act(data)).encode()
            except HTTPException as error:
                assert 400 <= error.status_code < 600
                printable(shown(error.detail))
        try:
            actions.authorise(headers, quote(heads[1]))
        except HTTPException as error:
            assert 400 <= error.status_code < 500

    asyncio.run(ask())
    same_origin(headers)
