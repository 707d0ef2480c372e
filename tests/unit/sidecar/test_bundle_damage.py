"""Damaged bundles are refused with the remedy, and packed arrays come back."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from portkin.bundles import bundle_reader
from portkin.bundles.bundle_writer import save_packed, write_bundle
from portkin.bundles.table import Table
from portkin.errors import BundleError
from support.bundles import opened, write


def cut_manifest(path: Path) -> None:
    text = (path / "manifest.json").read_text()
    (path / "manifest.json").write_text(text[: len(text) // 2])


def flip_a_byte(path: Path) -> None:
    damaged = bytearray((path / "other.bin").read_bytes())
    damaged[3] ^= 1
    (path / "other.bin").write_bytes(damaged)


def change(field: str, value: object):
    """Damage that gives a field of the manifest another value."""

    def damage(path: Path) -> None:
        fields = json.loads((path / "manifest.json").read_text())
        fields[field] = value
        (path / "manifest.json").write_text(json.dumps(fields))

    return damage


def escape(path: Path) -> None:
    (path.parent / "secret").write_text("secret")
    change("files", {"../secret": {"bytes": 6, "sha256": "0" * 64}})(path)


def nest(path: Path) -> None:
    (path / "manifest.json").write_text('{"kind": ' + "[" * 100_000)


def array_file(shape: str, descr: str = "'<u2'") -> bytes:
    """An array file without data whose header says this."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


class TestDamage:
    @pytest.mark.parametrize(
        ("damage", "says"),
        [
            (flip_a_byte, "other.bin: damaged, its sha256 is .* build the bundle again or copy"),
            (lambda path: (path / "other.bin").write_bytes(b"some"), "other.bin: damaged, 4 bytes where .* says 10"),
            (lambda path: (path / "other.bin").unlink(), "other.bin: cannot be read .* build the bundle again"),
            (cut_manifest, "manifest.json: damaged, it is not JSON"),
            (lambda path: (path / "manifest.json").write_text("[]"), "of kind None, not 'test'"),
            (lambda path: (path / "manifest.json").unlink(), "not a test bundle .it has no manifest.json."),
            (change("kind", "portkin-model"), "of kind 'portkin-model', not 'test'; name the folder of a test"),
            (change("schema", 4), r"schema 4, but this version of portkin \(.*\) reads schema 3; build"),
            (change("files", {"other.bin": {}}), "a field is missing or wrong"),
            (change("created", "yesterday"), "a field is missing or wrong"),
            (change("files", {"other.bin": {"bytes": float("inf"), "sha256": ""}}), "a field is missing or wrong"),
            (change("files", {"a\0b": {"bytes": 1, "sha256": ""}}), "which is outside the bundle"),
            (change("about", "\ud800"), "not JSON .it holds half of a surrogate pair"),
            (nest, "not JSON .it is nested too deeply"),
            (change("id", "0123456789ab"), "its id 0123456789ab is not that of its files"),
            (escape, "names the file '../secret', which is outside the bundle"),
        ],
    )
    def test_is_refused_with_the_remedy(self, tmp_path, damage, says):
        """A damaged or foreign bundle is refused; the message names what is wrong and what to do."""
        damage(write(tmp_path / "b"))

        with pytest.raises(BundleError, match=says):
            opened(tmp_path / "b")

    def test_kind_of_another_command(self, tmp_path):
        """Where a table is wanted and models are named, the message says what writes tables."""
        with pytest.raises(BundleError, match=r"'test', not 'portkin-table'; name a folder that `portkin table build`"):
            Table.load(write(tmp_path / "b"))

    def test_missing(self, tmp_path):
        """A folder that is not there is named."""
        with pytest.raises(BundleError, match=r"nowhere: not a test bundle \(there is no such folder\)"):
            opened(tmp_path / "nowhere")

    @pytest.mark.parametrize("name", ["other.bin", "absent.npy"])
    def test_array_that_is_none(self, tmp_path, name):
        """A file that is no array, or not there, is no array."""
        with pytest.raises(BundleError, match=name):
            opened(write(tmp_path / "b")).array(name)

    @pytest.mark.parametrize(
        "content",
        [
            array_file("(4294967296, 4294967296)"),
            array_file("(-1,)"),
            array_file("(3,)"),
            array_file("((((((("),
            array_file("(" * 3000),
            array_file("(0,)", "'nonsense'"),
            array_file("(0,)", "'V0'"),
        ],
    )
    def test_array_that_cannot_be(self, tmp_path, content):
        """A header whose shape, size or type no array has is refused, whatever numpy raises for it."""
        with write_bundle(tmp_path / "b", kind="test", schema=3, about={}) as folder:
            (folder / "odd.npy").write_bytes(content)

        with pytest.raises(BundleError, match=r"odd\.npy: not a usable"):
            opened(tmp_path / "b").array("odd.npy")

    @pytest.mark.parametrize("content", [b"[" * 100_000, b"[]", b"\xff", None])
    def test_fields_that_are_none(self, tmp_path, content):
        """A file of fields that is no JSON object, or is not there, is refused."""
        with write_bundle(tmp_path / "b", kind="test", schema=3, about={}) as folder:
            if content is not None:
                (folder / "fields.json").write_bytes(content)

        with pytest.raises(BundleError, match=r"fields\.json"):
            opened(tmp_path / "b").fields("fields.json")

    def test_array_of_objects(self, tmp_path):
        """An array of Python objects is never unpickled."""
        with write_bundle(tmp_path / "b", kind="test", schema=3, about={}) as folder:
            np.save(folder / "objects.npy", np.array([{}], object), allow_pickle=True)

        with pytest.raises(BundleError, match="objects"):
            opened(tmp_path / "b").array("objects.npy")


class TestPacked:
    def bundle(self, path: Path, content: bytes | None = None):
        """A bundle of one packed array, or of this instead."""
        with write_bundle(path, kind="test", schema=3, about={}) as folder:
            save_packed(folder / "zeros.npy", np.zeros((1000, 8), np.uint16))
            if content is not None:
                (folder / "zeros.npy.gz").write_bytes(content)
        return opened(path)

    def test_comes_back(self, tmp_path):
        """A packed array is small on disk, and read by its own name."""
        found = self.bundle(tmp_path / "b")

        assert found.manifest.files["zeros.npy.gz"].bytes < 200
        assert ((1000, 8), np.uint16, 0) == (
            (array := found.array("zeros.npy")).shape, array.dtype, array.max(),
        )  # fmt: skip

    def test_writes_the_same_bytes(self, tmp_path):
        """The same array packs to the same bytes, whenever that is."""
        one, two = (self.bundle(tmp_path / name).manifest.id for name in "ab")

        assert one == two

    @pytest.mark.parametrize(
        ("content", "says"),
        [(b"no gzip", "not a gzip file"), (b"", "cut off"), (gzip.compress(b"x", mtime=0), "not a usable")],
    )
    def test_damaged(self, tmp_path, content, says):
        """What does not unpack to an array is refused, saying what to do."""
        with pytest.raises(BundleError, match=f"{says}.*build"):
            self.bundle(tmp_path / "b", content).array("zeros.npy")

    def test_bomb(self, tmp_path, monkeypatch):
        """An array that unpacks to more than any should is not unpacked to its end."""
        monkeypatch.setattr(bundle_reader, "LARGEST", 1000)

        with pytest.raises(BundleError, match="more than 1000 bytes"):
            self.bundle(tmp_path / "b").array("zeros.npy")
