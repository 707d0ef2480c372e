"""Every error that portkin raises on purpose.

PortkinError
├── BackendError       a blocking backend that cannot be reached, or refuses
├── BundleError        a table or model bundle that is missing, damaged or foreign
├── ConfigError        a setting that cannot be used: the line, the value, the remedy
├── CutoffError        a chance to cut a table by that is none, or a table without chances
├── InputError         a recording that cannot be read: the file, the offset, what was kept
├── OutputError        a result that cannot be written: where, and what to do
├── PortError          text that is not a port
├── RulesError         Suricata rules that cannot be built, read, checked or installed
├── StorageError       a block or rates database that cannot be read or written
└── TransportError     Zeek cannot be reached or spoke something else

A message names the wrong value, where it is, and what to do; the command line prints it without a traceback.
"""

from __future__ import annotations

from collections.abc import Sequence

MOST_SHOWN = 1000
"""Characters of a line of a message: what a file holds may be quoted in it."""
MOST_NAMES = 20
"""Columns of a file that a message names."""
LONGEST_NAME = 40
"""Characters of each that it shows."""
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code != ord("\n")}
_CONTROL |= {
    code: f"\\u{code:04x}"
    for code in (0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000))
}  # what turns the text around or begins a line, and what stands for bytes of a file name that are no UTF-8


def shown(message: str) -> str:
    """The message as a terminal may have it: control characters as ``\\x1b`` and ``\\u202e``, long lines cut."""
    lines = message.replace("\t", "  ").translate(_CONTROL).split("\n")
    return "\n".join(line if len(line) <= MOST_SHOWN else f"{line[:MOST_SHOWN]} ..." for line in lines)


def listed(names: Sequence[str]) -> str:
    """Names out of a file for a message, the first of many and the beginning of long ones: a remedy comes after."""
    cut = [name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..." for name in names[:MOST_NAMES]]
    return ", ".join([*cut, f"... ({len(names):,} in all)"] if len(names) > MOST_NAMES else cut)


class PortkinError(Exception):
    """Base of the errors meant for people: printed without a traceback."""


class BackendError(PortkinError):
    """A blocking backend that cannot be reached, or refuses."""


class BundleError(PortkinError):
    """A bundle that cannot be used."""


class ConfigError(PortkinError):
    """A configuration that cannot be used."""


class CutoffError(PortkinError):
    """A cut-off that is out of range, or that a table cannot apply."""


class InputError(PortkinError):
    """A recording that cannot be read."""


class OutputError(PortkinError):
    """A result that cannot be written."""


class PortError(PortkinError, ValueError):
    """Text or a number that is not a port."""


class RulesError(PortkinError):
    """Suricata rules that cannot be built, read, checked or installed."""


class StorageError(PortkinError):
    """A block or rates database that cannot be read or written."""


class TransportError(PortkinError):
    """The connection to Zeek failed, or is none to Zeek."""
