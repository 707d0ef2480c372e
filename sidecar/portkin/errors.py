"""Every error that portkin raises on purpose.

PortkinError
├── BackendError       a backend of blocking that cannot be reached, or refuses
├── BooksError         books of blocks, or the window of rates, that cannot be written
├── BundleError        a table or model bundle that is missing, damaged or foreign
├── ConfigError        a setting that cannot be used: the line, the value, the remedy
├── InputError         a recording that cannot be read: the file, the offset, what was kept
├── OutputError        a result that cannot be written: where, and what to do
├── PortError          text that names no port
├── RulesError         Suricata rules that cannot be made, read, checked or installed
└── TransportError     Zeek cannot be reached or spoke something else

A message names the wrong value, where it is, and what to do; the command line prints it without a traceback.
"""

from __future__ import annotations


class PortkinError(Exception):
    """Base of the errors meant for people."""


class BackendError(PortkinError):
    """What blocks cannot be reached, or refuses."""


class BooksError(PortkinError):
    """The books of blocks, or the window of rates, cannot be read or written."""


class BundleError(PortkinError):
    """A bundle that cannot be used."""


class ConfigError(PortkinError):
    """A configuration that cannot be used."""


class InputError(PortkinError):
    """A recording that cannot be read."""


class OutputError(PortkinError):
    """A result that cannot be written."""


class PortError(PortkinError, ValueError):
    """Text or a number that names no port."""


class RulesError(PortkinError):
    """Suricata rules that cannot be made, read, checked or installed."""


class TransportError(PortkinError):
    """The way to Zeek is closed or foreign."""
