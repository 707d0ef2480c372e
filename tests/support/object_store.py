"""An S3-compatible store on loopback: moto's server in this process, behind a gate that tests can shut.

The gate sees every request before moto does. It checks the access key, which moto does not, counts, and answers itself
where a test says so: with an error, as after a death of the client (nothing arrives any more), or by an answer that is
lost after the request was carried out.
"""

from __future__ import annotations

import importlib.util
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from io import BytesIO
from typing import Any

import pytest

KEY, SECRET = "AKIAPORTKINTESTS", "a secret that nobody prints"
PASS, LOSE = None, "lose"
"""What a gate says: let it pass; carry it out and lose the answer. Else a status and a code, as (503, "SlowDown")."""
Gate = Callable[[int, str, str], Any]
"""Called with the number of a request, its method, and the key in the bucket."""


_numbers = itertools.count(1)
"""Of buckets: moto's are those of this process, whichever server made them."""


@dataclass
class Store:
    """A store that runs.

    Attributes:
        url: where it listens.
        gate: what becomes of a request.
        requests: method and key of each, in order.
        clock: how many seconds its clock is ahead of this machine's; beyond fifteen minutes it refuses, as AWS does.
        takes_bodies: whether who wants to put something is told to go on ("100 Continue"); else nothing is.
    """

    url: str = ""
    gate: Gate = lambda number, method, key: PASS
    requests: list[tuple[str, str]] = field(default_factory=list)
    clock: float = 0.0
    takes_bodies: bool = True

    def bucket(self) -> str:
        """The URL of a new, empty bucket."""
        from s3fs import S3FileSystem

        name = f"bucket{next(_numbers)}"
        S3FileSystem().mkdir(name)
        self.requests.clear()
        return f"s3://{name}"

    def keys(self, place: str) -> list[str]:
        """What lies below a place."""
        from s3fs import S3FileSystem

        root = place.removeprefix("s3://")
        found = S3FileSystem(use_listings_cache=False).find(root)
        return sorted(key.removeprefix(root).lstrip("/") for key in found)

    @contextmanager
    def gated(self, gate: Gate) -> Iterator[None]:
        """With this gate, counting requests from 1."""
        self.requests.clear()
        self.gate = gate
        try:
            yield
        finally:
            self.gate = lambda number, method, key: PASS


def forget_clients() -> None:
    """Have the next request made by a new client, which looks at the environment again."""
    from s3fs import S3FileSystem

    from portkin_training.core.s3_calls import EndingS3

    for kind in (S3FileSystem, EndingS3):
        kind.clear_instance_cache()


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """A store for the tests of a file, named to the clients by the environment."""
    for name, extra in (("s3fs", "s3"), ("moto", "dev")):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"no {name} (the {extra} extra)")
    from moto.moto_server.werkzeug_app import create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, type: str, message: str, *args: Any) -> None:
            """Say nothing."""

        def handle_expect_100(self) -> bool:
            """Tell a client to go on, or leave it waiting."""
            return running.takes_bodies and super().handle_expect_100()

    running, lock = Store(), threading.Lock()
    moto = create_backend_app("s3")  # which service a request is for need not be found out each time

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        method, key = environ["REQUEST_METHOD"], environ["PATH_INFO"].lstrip("/").partition("/")[2]
        with lock:
            running.requests.append((method, key))
            said = running.gate(len(running.requests), method, key)
        if f"Credential={KEY}/" not in environ.get("HTTP_AUTHORIZATION", ""):
            said = (403, "InvalidAccessKeyId")
        elif abs(running.clock) > 900:
            said = (403, "RequestTimeTooSkewed")
        if said is PASS:
            return moto(environ, start)
        if said == LOSE:
            list(moto(environ, lambda *_: None))
            # Without this the connection would stay open, and the client would wait for an answer until it gives up.
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionAbortedError
        status, code = said
        # S3 quotes the key and what was signed.
        text = (f"<Error><Code>{code}</Code><Message>refused</Message><AWSAccessKeyId>{KEY}</AWSAccessKeyId>"
                f"<StringToSign>{environ.get('HTTP_AUTHORIZATION')}</StringToSign></Error>").encode()  # fmt: skip
        date = formatdate(time.time() + running.clock, usegmt=True)
        headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(text))), ("Date", date)]
        start(f"{status} {code}", headers)
        return [] if method == "HEAD" else [text]

    server = make_server("127.0.0.1", 0, answer, threaded=True, request_handler=Quiet)
    server.daemon_threads = True
    running.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", running.url)
        patch.setenv("AWS_ACCESS_KEY_ID", KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_REGION", "us-east-1")
        patch.setenv("AWS_CONFIG_FILE", "/dev/null")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.delenv("AWS_PROFILE", raising=False)
        forget_clients()
        yield running
        forget_clients()
    server.shutdown()
    thread.join()
