"""What must not leave the machine with a report: passwords, tokens, and the networks of the site."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit, urlunsplit

HIDDEN = "[hidden]"
_SECRET = re.compile(r"token|password|passphrase|secret|api_?key|credential", re.IGNORECASE)
_NETWORKS = {"never_nets"}
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>]+", re.IGNORECASE)


def shown_url(url: str) -> str:
    """A URL without user, password, query and fragment, any of which may be a secret.

    >>> shown_url("https://user:secret@example.org/hook?key=1")
    'https://example.org/hook'
    """
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return HIDDEN
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def shown_text(text: str) -> str:
    """A text with every URL as `shown_url` has it."""
    return _URL.sub(lambda found: shown_url(found[0]), text)


def shown_settings(value: Any, name: str = "") -> Any:
    """Settings as plain values, without what is secret, and with how many networks instead of which."""
    if isinstance(value, dict):
        if name == "hook":
            value = _shown_hook(value)
        return {key: shown_settings(item, str(key)) for key, item in value.items()}
    if name in _NETWORKS and isinstance(value, list):
        return f"[{len(value)} networks]"
    if value is not None and _SECRET.search(name):
        return HIDDEN
    if isinstance(value, list):
        return [shown_settings(item, name) for item in value]
    return shown_text(value) if isinstance(value, str) else value


def _shown_hook(hook: dict[str, Any]) -> dict[str, Any]:
    """The hook without arguments, and without the path of its address: chat services have their secret there."""
    command, url = hook.get("command") or [], hook.get("url")
    return {
        **hook,
        "command": [*command[:1], *([f"[{len(command) - 1} arguments]"] if len(command) > 1 else [])],
        "url": url and f"{shown_url(url).partition('://')[0]}://{urlsplit(shown_url(url)).netloc}/{HIDDEN}",
    }
