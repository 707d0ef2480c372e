"""Bundles are whole or refused, and replaced in one step."""

import gzip
import json
import os
import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from portkin import files
from portkin.bundles import bundle_reader
from portkin.bundles.bundle_reader import open_bundle, read_manifest
from portkin.bundles.bundle_writer import save_packed, write_bundle
from portkin.errors import BundleError

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def write(path: Path, content: bytes = b"some bytes", *, kind: str = "test", created: datetime | None = None) -> Path:
    """A bundle of one array and one file with the content."""
    with write_bundle(path, kind=kind, schema=3, about={"seed": 7}, created=created) as folder:
        np.save(folder / "numbers.npy", np.arange(5, dtype=np.uint16))
        (folder / "other.bin").write_bytes(content)
    return path


def opened(path: Path):
    """The bundle as its owner opens it."""
    return open_bundle(path, kind="test", schema=3)


class TestRoundTrip:
    def test_what_was_written_is_read(self, tmp_path):
        """Files, kind, schema, time and what it is about come back."""
        bundle = opened(write(tmp_path / "b", created=NEW_YEAR))

        assert [0, 1, 2, 3, 4] == bundle.array("numbers.npy").tolist()
        assert b"some bytes" == bytes(bundle.files["other.bin"])
        found = bundle.manifest
        assert ("test", 3, NEW_YEAR, {"seed": 7}) == (found.kind, found.schema, found.created, found.about)

    def test_id_is_of_the_content(self, tmp_path):
        """Equal content has an equal id whenever it was made; another byte makes another id."""
        one = opened(write(tmp_path / "one", created=NEW_YEAR)).manifest.id
        same = opened(write(tmp_path / "same")).manifest.id
        other = opened(write(tmp_path / "other", b"some byteS")).manifest.id

        assert one == same
        assert one != other
        assert 12 == len(one) == len(bytes.fromhex(one)) * 2

    def test_only_the_manifest(self, tmp_path):
        """The manifest is read without the files."""
        write(tmp_path / "b")
        (tmp_path / "b" / "other.bin").unlink()

        assert {"seed": 7} == read_manifest(tmp_path / "b", kind="test", schema=3).about

    def test_arrays_are_read_only(self, tmp_path):
        """What was verified cannot be written to."""
        numbers = opened(write(tmp_path / "b")).array("numbers.npy")

        with pytest.raises(ValueError, match="read-only"):
            numbers[0] = 9

    def test_empty_file(self, tmp_path):
        """A file without bytes is a file."""
        assert b"" == bytes(opened(write(tmp_path / "b", b"")).files["other.bin"])


class TestReplacing:
    @pytest.mark.parametrize("exchange", [True, False], ids=["in one step", "where names cannot be exchanged"])
    def test_replaces_its_own_kind(self, tmp_path, monkeypatch, exchange):
        """An older bundle of the same kind is replaced, and nothing else is left in the folder."""
        if not exchange:
            monkeypatch.setattr(files, "exchange_names", lambda one, other: False)
        write(tmp_path / "b", b"old")

        write(tmp_path / "b", b"new")

        assert b"new" == bytes(opened(tmp_path / "b").files["other.bin"])
        assert ["b"] == [path.name for path in tmp_path.iterdir()]

    def test_open_bundle_outlives_its_replacement(self, tmp_path):
        """What was opened before reads on as it was."""
        bundle = opened(write(tmp_path / "b", b"old"))

        write(tmp_path / "b", b"new")

        assert b"old" == bytes(bundle.files["other.bin"])

    def test_reader_beside_a_writer(self, tmp_path):
        """Who opens a bundle that is replaced again and again sees a whole one every time."""
        write(tmp_path / "b", b"0")
        done = threading.Event()

        def replace() -> None:
            for i in range(40):
                write(tmp_path / "b", str(i).encode() * 1000)
            done.set()

        writer = threading.Thread(target=replace)
        writer.start()
        try:
            while not done.is_set():
                assert 2 == len(opened(tmp_path / "b").files)
        finally:
            writer.join()

    @pytest.mark.parametrize("exchange", [True, False], ids=["in one step", "where names cannot be exchanged"])
    @pytest.mark.parametrize("opens", [1, 2, 3, 4])
    def test_replaced_while_it_is_opened(self, tmp_path, monkeypatch, opens, exchange):
        """After whichever file a bundle is replaced, and again and again, a whole one is read, and never called
        damaged."""
        path = write(tmp_path / "b", b"old")
        if not exchange:
            monkeypatch.setattr(files, "exchange_names", lambda one, other: False)
        # The reader opens the folder, the manifest and two files; the writer opens folders alone.
        real, seen = os.open, []

        def open_then_replace(file, flags, *more, **options):
            found = real(file, flags, *more, **options)
            if file == path or options.get("dir_fd") is not None:
                seen.append(file)
                if len(seen) in (opens, 2 * opens, 3 * opens):
                    write(path, b"new" * len(seen))
            return found

        monkeypatch.setattr(os, "open", open_then_replace)
        bundle = opened(path)
        monkeypatch.undo()

        assert {"numbers.npy", "other.bin"} == set(bundle.files)
        assert [0, 1, 2, 3, 4] == bundle.array("numbers.npy").tolist()
        assert bytes(bundle.files["other.bin"]) in [b"old"] + [b"new" * opens * n for n in (1, 2, 3)]
        assert ["b"] == [left.name for left in tmp_path.iterdir()]

    def test_edited_while_it_is_open(self, tmp_path):
        """A file that is cut off in place does not reach who has opened the bundle."""
        bundle = opened(write(tmp_path / "b", b"old"))

        (tmp_path / "b" / "numbers.npy").write_bytes(b"")

        assert [0, 1, 2, 3, 4] == bundle.array("numbers.npy").tolist()

    def test_pipe_in_the_place_of_a_file(self, tmp_path):
        """What is no file is refused; nobody waits for somebody to write into it."""
        path = write(tmp_path / "b", b"old")
        (path / "other.bin").unlink()
        os.mkfifo(path / "other.bin")

        with pytest.raises(BundleError, match=r"other\.bin: cannot be read \(it is not a regular file\)"):
            opened(path)

    def test_replaced_without_end(self, tmp_path, monkeypatch):
        """Who never gets to the end of a bundle says so, and does not read for ever."""
        path = write(tmp_path / "b", b"0")
        real = os.open

        def open_then_replace(file, flags, *more, **options):
            found = real(file, flags, *more, **options)
            if file == path:
                path.rename(tmp_path / "old")
                shutil.copytree(tmp_path / "old", path)
                shutil.rmtree(tmp_path / "old")
            return found

        monkeypatch.setattr(os, "open", open_then_replace)
        with pytest.raises(BundleError, match="replaced faster than it can be read"):
            opened(path)

    def test_failing_body_leaves_the_old_one(self, tmp_path):
        """Where writing fails the old bundle stays and nothing is left behind."""
        write(tmp_path / "b", b"old")

        with pytest.raises(ZeroDivisionError), write_bundle(tmp_path / "b", kind="test", schema=3, about={}) as folder:
            (folder / "half").write_bytes(b"half")
            _ = 1 / 0

        assert b"old" == bytes(opened(tmp_path / "b").files["other.bin"])
        assert ["b"] == [path.name for path in tmp_path.iterdir()]

    def test_link_goes_on_pointing(self, tmp_path):
        """A link to a bundle still is one after it was written through."""
        write(tmp_path / "real", b"old")
        (tmp_path / "link").symlink_to(tmp_path / "real")

        write(tmp_path / "link", b"new")

        assert (tmp_path / "link").is_symlink()
        assert b"new" == bytes(opened(tmp_path / "real").files["other.bin"])

    def test_empty_folder_is_taken(self, tmp_path):
        """An empty folder may become a bundle."""
        (tmp_path / "b").mkdir()

        assert opened(write(tmp_path / "b")).manifest.id

    def test_refuses_what_is_not_its_own(self, tmp_path):
        """A folder of other things, another kind of bundle or a file is not replaced; the message says so."""
        (tmp_path / "home").mkdir()
        (tmp_path / "home" / "letter.txt").write_text("dear")
        (tmp_path / "file").write_text("text")
        write(tmp_path / "model", kind="model")

        for name, what in (("home", "is not a bundle of portkin"), ("file", "is not a folder"), ("model", "'model'")):
            with pytest.raises(BundleError, match=rf"{name}.*{what}.*name a new folder"):
                write(tmp_path / name)
        assert ["letter.txt"] == [path.name for path in (tmp_path / "home").iterdir()]


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
            (change("id", "0123456789ab"), "its id 0123456789ab is not that of its files"),
            (escape, "names the file '../secret', which is outside the bundle"),
        ],
    )
    def test_is_refused_with_the_remedy(self, tmp_path, damage, says):
        """A damaged or foreign bundle is refused; the message names what is wrong and what to do."""
        damage(write(tmp_path / "b"))

        with pytest.raises(BundleError, match=says):
            opened(tmp_path / "b")

    def test_missing(self, tmp_path):
        """A folder that is not there is named."""
        with pytest.raises(BundleError, match=r"nowhere: not a test bundle \(there is no such folder\)"):
            opened(tmp_path / "nowhere")

    @pytest.mark.parametrize("name", ["other.bin", "absent.npy"])
    def test_array_that_is_none(self, tmp_path, name):
        """A file that is no array, or not there, is no array."""
        with pytest.raises(BundleError, match=name):
            opened(write(tmp_path / "b")).array(name)

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
