"""Bundles of tables and models."""

from __future__ import annotations

import gzip
import json
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from fuzz.harness import choice, printable, refused, target
from portkin.bundles import forecast_models, source_model
from portkin.bundles.bundle_writer import entries_of
from portkin.bundles.forecast import Forecaster
from portkin.bundles.manifest import MANIFEST, Manifest, content_id
from portkin.bundles.manifest import parse as parse_manifest
from portkin.bundles.table import KIND as TABLE
from portkin.bundles.table import SCHEMA, Table
from portkin.errors import BundleError, shown
from portkin.net.ports import Port
from support.bundles import NEW_YEAR
from support.source_models import table_by_source


@cache
def made() -> Path:
    """A folder with a table, made once."""
    folder = Path(tempfile.mkdtemp(prefix="portkin-fuzz-"))
    table_by_source(folder / "table")
    return folder


_FILES = ("manifest.json", "by-source.json", "tcp-ports.npy", "tcp-steps.npy", "tcp-distances.npy", "tcp-drawn.npy")


def _bundles() -> Iterator[bytes]:
    """A byte that says which file of a table's bundle, and what is in it; arrays are stored unpacked here."""
    source = made() / "table"
    for at, name in enumerate(_FILES):
        if (source / name).exists():
            yield bytes([at]) + (source / name).read_bytes()
        else:
            yield bytes([at]) + gzip.decompress((source / f"{name}.gz").read_bytes())[:8000]
    yield bytes([len(_FILES)]) + _models()


def _models() -> bytes:
    """A description of forecast models."""
    model = {
        "port": "22/tcp", "kind": "linear", "file": "a.onnx", "length": 3, "features": ["22/tcp", "53/udp"],
        "mean": [0.0, 1.0], "std": [2.0, 4.0], "logarithm": True, "threshold_e": 1.5, "threshold_w": None,
        "alarms_e": 1.0, "alarms_w": 0.0, "least_e": 0.25,
    }  # fmt: skip
    return json.dumps({"rules": {"width": 3600, "tz": "UTC", "trend": 3}, "models": [model]}).encode()


@target(_bundles)
def bundles(folder: Path, data: bytes) -> None:
    """Bundles of tables and models whose files are not what their manifest says, or are and make no sense."""
    path = folder / "bundle"
    shutil.rmtree(path, ignore_errors=True)
    which = data[0] % (len(_FILES) + 1) if data else 0
    if which == 0:
        text = data[1:].decode("utf-8", "replace")
        refused(lambda: parse_manifest(path, text, TABLE, SCHEMA), BundleError, naming=MANIFEST)
    if which == len(_FILES):
        path.mkdir()
        (path / forecast_models.MODELS).write_bytes(data[1:])
        _sign(path, forecast_models.KIND, forecast_models.SCHEMA, {})
        refused(lambda: Forecaster.load(path), BundleError, naming=str(path))
        return
    shutil.copytree(made() / "table", path)
    about = json.loads((path / MANIFEST).read_text())["about"]
    (path / _FILES[which]).write_bytes(data[1:])
    if which:
        (path / f"{_FILES[which]}.gz").unlink(missing_ok=True)
        if which > 1:  # of a model too, which is for these arrays alone
            _of_this_table(path)
        _sign(path, TABLE, SCHEMA, about)
    else:
        _signed_again(path)
    table = refused(lambda: Table.load(path), BundleError, naming=str(path))
    if table is None:
        return
    printable(shown(f"{table.id} {table.method} {table.created} {table.known} {table.horizon} {table.cutoff}"))
    for port in (Port(22, "tcp"), Port(53, "udp"), Port(0, "tcp")):
        found = table.predicted(port, 10)
        assert len(found.ports) <= 10 and port not in found.ports
        assert all(0 <= chance <= 1 for chance in found.chances)
    assert table.matrix("tcp").shape == (65536, table.k)
    if table.source_model is not None:
        ports, chances = table.source_model.rank([22, 2222], 2, 1.0, 5)
        assert len(ports) == len(chances) <= 5 and not {22, 2222} & {*ports}
        assert all(0 <= chance <= 1 for chance in chances)


def _sign(path: Path, kind: str, schema: int, about: Any) -> None:
    """Write the manifest that fits the files."""
    (path / MANIFEST).unlink(missing_ok=True)
    entries = entries_of(path)
    made = Manifest(kind, schema, content_id(entries), NEW_YEAR, "test", entries, about)
    (path / MANIFEST).write_text(made.to_json())


def _signed_again(path: Path) -> None:
    """Give a manifest whose fields were changed the files and the id that fit, where it can be read."""
    try:
        fields = json.loads((path / MANIFEST).read_text())
        text = (path / MANIFEST).read_text()
        (path / MANIFEST).unlink()
        entries = entries_of(path)
        fields["files"] = {name: vars(entry) for name, entry in entries.items()} if choice(
            text.encode(), (True, True, False)) else fields["files"]  # fmt: skip
        fields["id"] = content_id(entries)
        (path / MANIFEST).write_text(json.dumps(fields))
    except (ValueError, TypeError, KeyError, RecursionError):
        if not (path / MANIFEST).exists():
            (path / MANIFEST).write_text(text)


def _of_this_table(path: Path) -> None:
    fields = json.loads((path / source_model.BY_SOURCE).read_text())
    (path / MANIFEST).rename(path.parent / MANIFEST)
    fields["table"] = content_id(source_model.files_of_the_table(entries_of(path)))
    (path.parent / MANIFEST).rename(path / MANIFEST)
    (path / source_model.BY_SOURCE).write_text(json.dumps(fields))
