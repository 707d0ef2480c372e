"""The never-block file: sources that are never blocked, beside those of the settings; the page adds to it.

A network or an address a line; what follows ``#`` is a comment.
"""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

from portkin.config.loading import Networks
from portkin.errors import ConfigError
from portkin.files import replacing
from portkin.net.addresses import Address


def read_never_block(path: Path) -> tuple[Networks, ...]:
    """The networks of the file; none where there is no file.

    Raises ConfigError, which names the line, for a file that cannot be used: what people excepted must not be lost.
    """
    found: list[Networks] = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            found.append(ip_network(text, strict=False))
        except ValueError:
            raise ConfigError(
                f"{path}:{number}: {text[:80]!r} is not a network; write it as 192.0.2.0/24, or remove the line"
            ) from None
    return tuple(found)


def add_never_block(path: Path, source: Address, now: float) -> bool:
    """Add a source to the file; False where it has it. Raises OSError, and ConfigError as `read_never_block`."""
    if any(source in network for network in read_never_block(path) if network.version == source.version):
        return False
    text = _text(path)
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    with replacing(path) as written:
        written.write_text(f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{source}  # page, {stamp}\n")
    return True


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # editors of Windows begin with a byte order mark
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); make it readable, or set enforce.never_block") from None
