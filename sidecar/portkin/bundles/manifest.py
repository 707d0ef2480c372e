"""The manifest of a bundle: what it says, and whether it can be right.

A bundle is a folder of flat files and a ``manifest.json`` with its kind, schema number, the size and sha256
of each file, when it was created and, under ``about``, whatever its kind records (input, options, counts,
versions). `bundle_writer` writes one, `bundle_reader` verifies one byte by byte before it is used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from portkin import __version__
from portkin.errors import BundleError
from portkin.json_text import parsed

MANIFEST = "manifest.json"
ID_DIGITS = 12
WRITERS = {"portkin-table": "`portkin table build`", "portkin-rates": "`portkin rates train`"}
"""What writes the bundles of each kind."""
PACKED = ".gz"
"""The suffix of files that hold a compressed array."""


@dataclass(frozen=True)
class FileEntry:
    """One file, as the manifest has it."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The manifest of one bundle.

    ``id`` is the first 12 hex digits of the sha256 of the lines ``<sha256>  <name>`` of all files in order of
    name: two bundles with equal content have equal ids, whenever they were created.
    """

    kind: str
    schema: int
    id: str
    created: datetime
    writer: str
    files: Mapping[str, FileEntry]
    about: Mapping[str, Any]

    def to_json(self) -> str:
        """The text of ``manifest.json``."""
        return (
            json.dumps(
                {
                    "kind": self.kind,
                    "schema": self.schema,
                    "id": self.id,
                    "created": self.created.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "writer": self.writer,
                    "files": {name: vars(entry) for name, entry in sorted(self.files.items())},
                    "about": self.about,
                },
                indent=2,
            )
            + "\n"
        )


def content_id(files: Mapping[str, FileEntry]) -> str:
    """The id of a bundle with these files; see `Manifest`."""
    lines = "".join(f"{entry.sha256}  {name}\n" for name, entry in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:ID_DIGITS]


def parse(path: Path, text: str, kind: str, schema: int) -> Manifest:
    """The manifest of the bundle at ``path``, from the text of its file; BundleError for one that cannot be used."""
    where = path / MANIFEST
    try:
        fields = parsed(text)
    except ValueError as error:
        raise BundleError(f"{where}: damaged, it is not JSON ({error}); build the bundle again") from None
    if not isinstance(fields, dict) or fields.get("kind") != kind:
        found = fields.get("kind") if isinstance(fields, dict) else None
        wanted = f"a folder that {WRITERS[kind]} wrote" if kind in WRITERS else f"the folder of a {kind}"
        raise BundleError(f"{where}: this is a bundle of kind {found!r}, not {kind!r}; name {wanted}")
    if fields.get("schema") != schema:
        raise BundleError(
            f"{where}: schema {fields.get('schema')!r}, but this version of portkin ({__version__}) reads "
            f"schema {schema}; {_made_again(kind, str(fields.get('writer', 'unknown')))}"
        )
    try:
        files = {name: FileEntry(int(entry["bytes"]), str(entry["sha256"])) for name, entry in fields["files"].items()}
        manifest = Manifest(
            kind,
            schema,
            str(fields["id"]),
            datetime.strptime(fields["created"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC),
            str(fields["writer"]),
            files,
            dict(fields["about"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BundleError(
            f"{where}: damaged, a field is missing or wrong ({error!r}); build the bundle again"
        ) from None
    for name in files:
        if name != Path(name).name or name in ("", ".", "..") or "\0" in name:
            raise BundleError(f"{where}: names the file {name!r}, which is outside the bundle; do not use it")
    if manifest.id != content_id(files):
        raise BundleError(f"{where}: damaged, its id {manifest.id} is not that of its files; build the bundle again")
    return manifest


def _made_again(kind: str, writer: str) -> str:
    """What to do about a bundle of another schema."""
    again = f"make it again with {WRITERS[kind]}" if kind in WRITERS else "build the bundle again with it"
    # Before a release, schemas change and the version does not.
    return again if writer == f"portkin {__version__}" else f"{again}, or install the portkin that wrote it ({writer})"
