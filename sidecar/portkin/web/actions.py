"""What can be changed from the page, where the settings allow it: end a block, and never block a source again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any, Protocol

from starlette.exceptions import HTTPException

from portkin.errors import PortError
from portkin.json_text import parsed
from portkin.logs import Log
from portkin.net.addresses import Address, unmapped
from portkin.net.ports import Port
from portkin.web.guard import Attempts, bearer, same_origin


class Orders(Protocol):
    """Carries orders out; may be called in any thread, and awaited in the page's loop."""

    async def unblock(self, src: Address, port: Port) -> str:
        """End a block; returns what went wrong, empty for nothing."""

    async def never_block(self, src: Address) -> bool:
        """Add a source to the never-block file; False where it is there already. Raises PortkinError and OSError."""


class Actions:
    """Checks that an order is allowed, has it carried out, and logs it. ``token``: None forbids everything."""

    def __init__(
        self, orders: Orders, token: str | None, log: Log, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._orders = orders
        self._token = token
        self._log = log
        self._attempts = Attempts(clock)

    def authorise(self, headers: Mapping[str, str], client: str) -> None:
        """Raise HTTPException unless the request may change something. No cookie does: it would be sent unasked."""
        if self._token is None:
            raise HTTPException(403, "the page is read-only; page.actions and page.token in the settings change that")
        if not same_origin(headers):
            self._log.warning("a change from the page refused: it came from another site", client=client)
            raise HTTPException(403, "this request came from another site")
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise HTTPException(415, "send JSON, with Content-Type: application/json")
        right = self._attempts.right(bearer(headers), self._token)
        if right is None:
            raise HTTPException(429, "too many wrong tokens; wait a minute", {"Retry-After": "60"})
        if not right:
            self._log.warning("a change from the page refused: wrong token", client=client)
            raise HTTPException(401, "the token is wrong; it is in the file that page.token names", _ASK)

    async def unblock(self, body: bytes) -> dict[str, Any]:
        """End the block of a source and a port; HTTPException where that fails."""
        given = _object(body)
        src, port = address_of(given.get("src")), _port(given)
        failed = await self._orders.unblock(src, port)
        self._log.warning("unblocked from the page", src=str(src), port=str(port), failed=failed or None)
        if failed:
            raise HTTPException(503, failed)
        return {"src": str(src), "port": str(port), "done": "ended; it shows in a second or two"}

    async def never_block(self, body: bytes) -> dict[str, Any]:
        """Never block a source again; its blocks end. HTTPException where that fails."""
        src = address_of(_object(body).get("src"))
        try:
            added = await self._orders.never_block(src)
        except OSError as error:
            raise HTTPException(503, f"the never-block file cannot be written ({error})") from None
        self._log.warning("put on the never-block file from the page", src=str(src), new=added)
        return {"src": str(src), "done": "added; its blocks end in seconds" if added else "it was there already"}


_ASK = {"WWW-Authenticate": "Bearer"}


def _object(body: bytes) -> dict[str, Any]:
    try:
        given: Any = parsed(body)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise HTTPException(400, 'send a JSON object such as {"src": "203.0.113.5", "port": "80/tcp"}')
    return given


def address_of(given: object) -> Address:
    """The address; an IPv4-mapped one as IPv4, as in the database. HTTPException for no address."""
    try:
        address = ip_address(given if isinstance(given, str) else "")
        if getattr(address, "scope_id", None) is not None:  # may be any text, with ends of lines
            raise ValueError(given)
    except ValueError:
        text = f"src is {str(given)[:60]!r}; write an address such as 203.0.113.5 or 2001:db8::5"
        raise HTTPException(400, text) from None
    return unmapped(address)


def _port(given: Mapping[str, Any]) -> Port:
    text = given.get("port")
    try:
        return Port.parse(text if isinstance(text, str) else "")
    except PortError as error:
        raise HTTPException(400, str(error)) from None
