"""Who may ask what."""

from __future__ import annotations

import pytest

from portkin.web.guard import Attempts, bearer, host_in, same_origin


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("localhost", "localhost"),
        ("LOCALHOST:9477", "localhost"),
        ("127.0.0.1:9477", "127.0.0.1"),
        ("[::1]:9477", "::1"),
        ("sensor.example.", "sensor.example"),
        ("", ""),
        ("a b", ""),
        ("localhost/", ""),
        ("localhost@evil.example", ""),
        ("evil.example#localhost", ""),
        ("localhost:port", ""),
        ("localhost:99999", ""),
        ("[::1", ""),
    ],
)
def test_the_host_of_a_header(header, host):
    """Without port and brackets; of what is no host there is none."""
    assert host == host_in(header)


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({}, True),
        ({"host": "localhost:1", "origin": "http://localhost:1"}, True),
        ({"host": "sensor.example", "origin": "https://sensor.example"}, True),  # a proxy with TLS
        ({"host": "localhost:1", "origin": "http://localhost:2"}, False),
        ({"host": "localhost:1", "origin": "null"}, False),
        ({"host": "", "origin": ""}, True),
        ({"host": "localhost", "origin": "http://[::1"}, False),
        ({"host": "localhost", "sec-fetch-site": "cross-site"}, False),
        ({"host": "localhost", "sec-fetch-site": "same-site"}, False),
        ({"host": "localhost", "sec-fetch-site": "none"}, True),
    ],
)
def test_orders_come_from_our_own_page(headers, ours):
    """By Origin and Sec-Fetch-Site, as far as they are sent."""
    assert ours == same_origin(headers)


def test_a_bearer_is_read_from_its_own_scheme():
    """The scheme in any case; no token from another one."""
    values = ("Bearer x y", "bearer x", "Basic x", "Bearer", "")
    assert ["x y", "x", "", "", ""] == [bearer({"authorization": value}) for value in values]


def test_after_ten_wrong_tokens_none_is_looked_at_for_a_minute():
    """The eleventh is not, right or wrong; a minute after the first they are again."""
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    assert [False] * 10 == [attempts.right(f"{n}", "token") for n in range(10)]
    assert None is attempts.right("token", "token")
    now[0] = 60.0
    assert True is attempts.right("token", "token")


def test_a_token_beyond_ascii_is_wrong():
    """It is compared like any other."""
    assert False is Attempts(lambda: 0.0).right("tökén", "token")
