"""Running nft commands: in this process through libnftables, nftables' own library; else by the program nft.

Both take the same text. They make and delete the table; its elements are written by `nfnetlink_write`.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from typing import Protocol

from portkin.errors import BackendError

LIBRARY = "libnftables.so.1"
"""libnftables(3); the name carries its version, 1 since 2019."""
_PROGRAM_TIMEOUT = 30.0


class Runner(Protocol):
    """Runs commands as one transaction: all of them, or none and BackendError with nft's message."""

    name: str

    def run(self, commands: str) -> None: ...

    def close(self) -> None: ...


class Library:
    """libnftables through ctypes, as nftables' own Python module does it. For one thread at a time."""

    name = LIBRARY

    def __init__(self) -> None:
        """Raises OSError where the library is not installed."""
        library = ctypes.CDLL(LIBRARY)
        library.nft_ctx_new.restype = ctypes.c_void_p
        library.nft_ctx_new.argtypes = [ctypes.c_uint32]
        for name in ("nft_ctx_free", "nft_ctx_buffer_output", "nft_ctx_buffer_error"):
            getattr(library, name).argtypes = [ctypes.c_void_p]
        library.nft_ctx_get_error_buffer.argtypes = [ctypes.c_void_p]
        library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
        library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        self._library = library
        self._context = library.nft_ctx_new(0)
        if not self._context:
            raise OSError("libnftables has no memory for a context")
        library.nft_ctx_buffer_output(self._context)
        library.nft_ctx_buffer_error(self._context)

    def run(self, commands: str) -> None:
        """Run the commands in one transaction. Raises BackendError, with what the library says."""
        if self._library.nft_run_cmd_from_buffer(self._context, commands.encode("ascii")):
            raise BackendError(_message(self._library.nft_ctx_get_error_buffer(self._context).decode(errors="replace")))

    def close(self) -> None:
        if self._context:
            self._library.nft_ctx_free(self._context)
            self._context = None


class Program:
    """The program nft, started for each batch."""

    def __init__(self, path: str) -> None:
        self.name = path

    def run(self, commands: str) -> None:
        """Run the commands in one transaction. Raises BackendError, with what the program says."""
        try:
            ended = subprocess.run(  # noqa: S603  (a fixed program; the commands go to its standard input)
                [self.name, "-f", "-"],
                input=commands,
                text=True,
                capture_output=True,
                timeout=_PROGRAM_TIMEOUT,
                env={**os.environ, "LC_ALL": "C"},  # its messages are read
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BackendError(f"{self.name} does not run: {error}") from None
        if ended.returncode:
            raise BackendError(_message(ended.stderr))

    def close(self) -> None:
        pass


def find_runner() -> Runner:
    """The library, or else the program. Raises BackendError, which says what to install, where there is neither."""
    try:
        return Library()
    except OSError:
        path = shutil.which("nft") or shutil.which("nft", path="/usr/sbin:/sbin")
        if path is None:
            raise BackendError(
                f"nftables: neither {LIBRARY} nor the program nft is installed; install nftables (Debian: libnftables1)"
            ) from None
        return Program(path)


def _message(text: str) -> str:
    """The first line of nft's error."""
    for line in text.splitlines():
        if line.strip():
            return f"nftables: {line.strip()}"
    return "nftables: refused without a reason"
