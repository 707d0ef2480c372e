"""Bundles are whole or refused, and replaced in one step."""

import os
import shutil
import threading

import pytest

from portkin import files
from portkin.bundles.bundle_reader import read_manifest
from portkin.bundles.bundle_writer import write_bundle
from portkin.errors import BundleError
from support.bundles import NEW_YEAR, opened, write


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
