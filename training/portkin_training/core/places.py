"""Places: a folder, or what has a URL in a store that fsspec reads (``s3://bucket/probes``).

Credentials, region and endpoint of a store are the environment's and the profile's, as every AWS tool has them
(``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT_URL``, ``~/.aws``). No message repeats what a store answers: it may quote them.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsspec.core import url_to_fs

from portkin.errors import InputError
from portkin.installation import command_to_add

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

Place = Path | str
"""A folder: a path, or the URL of anything that fsspec reads (``s3://bucket/probes``)."""

_CLIENTS = ("botocore", "aiobotocore", "aiohttp")
"""Whose exceptions are a store's, beside OSError."""
TIMEOUT = "PORTKIN_STORE_TIMEOUT"
"""The environment's name for the seconds that a request to a store may take; `TAKES` where it says nothing."""
TAKES = 60.0
SKEW = 300.0
"""Seconds that this machine's clock may be off the store's before a refusal is put down to it; AWS allows 900."""


class StoreError(InputError):
    """A store that does not answer, or refuses: nothing is known of what it holds."""


def is_url(place: Place) -> bool:
    """Whether the place is in a store rather than a path."""
    return "://" in str(place)


def name_of(place: Place) -> str:
    """The last part of the name."""
    return str(place).rstrip("/").rpartition("/")[2]


def located(place: Place) -> tuple[AbstractFileSystem, str]:
    """The file system of a place, and its path there.

    Raises:
        InputError: fsspec knows no such file system, or the URL holds a password; or `TIMEOUT` is no time in the
            environment.
    """
    # What was listed once is asked for again: another writer may have changed it meanwhile.
    options: dict[str, Any] = {"use_listings_cache": False} if is_url(place) else {}
    if "@" in str(place).partition("://")[2].partition("/")[0]:
        raise InputError(
            f"{str(place).partition('://')[0]}://...: a URL with credentials in it; put them into the environment "
            "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) or a profile (AWS_PROFILE)"
        )
    try:
        if str(place).startswith(("s3://", "s3a://")):
            from portkin_training.core.s3_calls import EndingS3

            system: AbstractFileSystem = EndingS3(limit=_limit(), **options)
            return system, system._strip_protocol(str(place))
        system, path = url_to_fs(str(place), **options)
    except ImportError as error:
        remedy = command_to_add("s3") if str(place).startswith(("s3://", "s3a://")) else "install what fsspec names"
        raise InputError(f"{place}: cannot be read here ({error}); {remedy}") from None
    except ValueError as error:
        raise InputError(f"{place}: no such file system ({error}); name a folder or a URL that fsspec reads") from None
    return system, path


def _limit() -> float:
    """Seconds that a request to a store may take.

    Raises:
        InputError: the environment gives no such number.
    """
    said = os.environ.get(TIMEOUT, str(TAKES))
    try:
        seconds = float(said)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise InputError(f"{TIMEOUT}={said!r}: give the seconds that a request to a store may take, as 60")
    return seconds


@contextmanager
def reaching(place: Place) -> Iterator[None]:
    """Say in a line what a store's client raises. FileNotFoundError, and all errors of local files, pass.

    Raises:
        StoreError: the store cannot be reached, refuses, or fails; what it said is reduced to its code.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        if not is_url(place) or not is_of_a_store(error):
            raise
        raise StoreError(f"{place}: {_reason(error)}") from None


def is_of_a_store(error: BaseException) -> bool:
    """Whether a store's client raised this."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _CLIENTS


def _reason(error: BaseException) -> str:
    """What went wrong and what to do, without a word of what the store or the client said, but for its code."""
    kinds = [kind.__name__ for kind in (PermissionError, ConnectionError, TimeoutError) if isinstance(error, kind)]
    return reason_of(code_of(error), *kinds, ahead=_ahead(error))


def _ahead(error: BaseException) -> float:
    """Seconds by which this machine's clock is ahead of the store's, of what it answered; 0 where that is unknown."""
    answered = _answer(error).get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        return time.time() - parsedate_to_datetime(answered).timestamp()
    except (TypeError, ValueError):
        return 0.0


def reason_of(code: str, *kinds: str, ahead: float = 0.0) -> str:
    """What went wrong and what to do, of a store's code or the name of an error, and what kinds of error it is.

    `ahead` is by how many seconds this machine's clock is ahead of the store's: a request is signed with its time.
    """
    said = " ".join((code, *kinds))
    if "Permission" in said and abs(ahead) > SKEW:
        return (
            f"the store refuses ({code}): this machine's clock is {abs(ahead) / 60:.0f} minutes "
            f"{'ahead of' if ahead > 0 else 'behind'} the store's; set it (chrony or systemd-timesyncd), and run again"
        )
    if "Permission" in said or "Credential" in code or "Token" in code:
        return (
            f"the store refuses ({code}); give credentials that may read and write there: AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        )
    if "Connect" in said or "Timeout" in said:
        return (
            f"the store cannot be reached ({code}); see the network, AWS_ENDPOINT_URL and AWS_REGION, and run again; "
            f"{TIMEOUT} is how many seconds a request may take"
        )
    return f"the store failed ({code}); run again"


def code_of(error: BaseException) -> str:
    """The code of a store's answer, as AccessDenied; else the kind of the error."""
    return str(_answer(error).get("Error", {}).get("Code", type(error).__name__))


def _answer(error: BaseException) -> dict[str, Any]:
    """What a store answered, as its client has it; empty where it answered nothing."""
    answer = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    return answer if isinstance(answer, dict) else {}
