"""The WebSocket over TLS: whom it trusts, and who it is."""

from __future__ import annotations

import asyncio
import ssl
import subprocess

import pytest

from portkin.errors import TransportError
from portkin.zeek.peer_addresses import tls_context
from support.listening import running, to
from support.zeek_peer import zeek_peer


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A key and a certificate for 127.0.0.1 that trusts itself, by openssl."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    try:
        subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("no openssl to make a certificate with")
    return str(cert), str(key)


def server_tls(certificate, *, ask):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    if ask:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificate[0])
    return context


def first_state(certificate, mine, *, ask=False):
    """What is reported first when connecting by wss to a peer with that certificate."""

    async def scenario():
        async with zeek_peer(tls=server_tls(certificate, ask=ask)) as peer:
            transport = to(f"wss://127.0.0.1:{peer.port}/", tls=mine)
            async with running(transport) as listener:
                return await asyncio.wait_for(listener.states.get(), 20)

    return asyncio.run(scenario())


def test_a_trusted_certificate_is_accepted(certificate):
    """With the authority that signed it, a wss peer is connected to."""
    assert "connected" == first_state(certificate, tls_context(certificate[0], None, None))[0]


def test_an_unknown_certificate_is_refused(certificate):
    """Without its authority, a wss peer is not trusted."""
    state, told, _ = first_state(certificate, tls_context(None, None, None))
    assert ("failed", True) == (state, "CERTIFICATE_VERIFY_FAILED" in told)


def test_our_own_certificate_is_shown_when_asked(certificate):
    """A Zeek that verifies its peers accepts a sidecar with a certificate."""
    assert "connected" == first_state(certificate, tls_context(certificate[0], *certificate), ask=True)[0]


def test_a_certificate_that_cannot_be_used_is_named(tmp_path):
    """A file that is no PEM, or is not there, is an error that names it."""
    (tmp_path / "no.pem").write_text("no certificate")
    for name in ("no.pem", "gone.pem"):
        with pytest.raises(TransportError, match=name):
            tls_context(str(tmp_path / name), None, None)


def test_a_key_that_cannot_be_used_is_named(certificate, tmp_path):
    """A key that is not there is named itself, not the certificate; one of something else together with it."""
    (tmp_path / "no.pem").write_text("no key")
    cert, _ = certificate
    with pytest.raises(TransportError) as gone:
        tls_context(None, cert, str(tmp_path / "gone.pem"))
    assert str(gone.value).startswith(f"{tmp_path / 'gone.pem'}: cannot be used for TLS (No such file or directory)")
    with pytest.raises(TransportError) as other:
        tls_context(None, cert, str(tmp_path / "no.pem"))
    assert str(other.value).startswith(f"{cert} with the key {tmp_path / 'no.pem'}: cannot be used for TLS (")
