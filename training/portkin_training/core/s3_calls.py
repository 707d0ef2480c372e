"""S3 through s3fs, where every request comes to an end.

Alone s3fs may wait forever: aiohttp, by which it asks, begins to count once a request is written, and before the body
of a put it waits for the store's "100 Continue". A store that takes connections and says nothing holds such a put for
good, and a read for half an hour, since three layers repeat it five times each.
"""

from __future__ import annotations

import asyncio
from typing import Any

from s3fs import S3FileSystem

ATTEMPTS = 2
"""How often s3fs makes a request; below it botocore repeats what the store answers with an error."""
SLOWEST = 50_000
"""Bytes a second that an upload is allowed to come down to."""


class EndingS3(S3FileSystem):  # type: ignore[misc]
    """S3FileSystem whose requests are given up.

    Attributes:
        limit: seconds that a request may take with all that repeats it, beside the time that its body takes to be sent.
    """

    retries = ATTEMPTS

    def __init__(self, *args: Any, limit: float, config_kwargs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """The arguments of S3FileSystem, and how long a request may take."""
        self.limit = limit
        config = {"read_timeout": min(self.read_timeout, limit), "connect_timeout": min(self.connect_timeout, limit)}
        super().__init__(*args, config_kwargs=config | (config_kwargs or {}), **kwargs)

    async def _call_s3(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Make a request, with all that repeats it.

        Raises:
            TimeoutError: it took too long.
        """
        body = kwargs.get("Body")
        sent = len(body) / SLOWEST if body else 0
        return await asyncio.wait_for(super()._call_s3(method, *args, **kwargs), self.limit + sent)
