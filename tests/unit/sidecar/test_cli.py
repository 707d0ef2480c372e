"""The command line's ends: each failure is one line and a status, never a traceback."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import click
import pytest

from portkin import cli
from portkin.errors import InputError, OutputError, shown
from portkin.files import claim_folder, replacing


def ended(monkeypatch, capsys, raised: BaseException) -> tuple[int, str]:
    """Status and standard error of the command line where a command raises."""

    def main(**_: object) -> None:
        raise raised

    monkeypatch.setattr(cli, "portkin", main)
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (InputError("x.csv: no column"), 1, "portkin: x.csv: no column\n"),
        (
            PermissionError(13, "Permission denied", "/root/x"),
            1,
            "portkin: /root/x: Permission denied; name another file or folder, or make this one usable\n",
        ),
        (OSError(28, "No space left on device", b"/x"), 1, "portkin: /x: No space left on device; name another "),
        (click.Abort(), 130, "portkin: interrupted; files are written whole or not at all"),
        (KeyboardInterrupt(), 130, "portkin: interrupted; "),
        (click.UsageError("no such option"), 2, "Error: no such option\n"),
    ],
)
def test_each_failure_is_a_line_and_a_status(monkeypatch, capsys, raised, status, said):
    """1 for an error, 2 for wrong usage, 130 for Ctrl-C."""
    code, err = ended(monkeypatch, capsys, raised)
    assert (status, said) == (code, err[: len(said)])


def test_a_defect_keeps_its_traceback(monkeypatch):
    """What is no error of a file, nor one meant for people, is a defect: its traceback is wanted."""
    monkeypatch.setattr(cli, "portkin", lambda **_: {}["gone"])
    with pytest.raises(KeyError):
        cli.main()


def test_what_a_file_holds_reaches_no_terminal():
    """Escape sequences, C1 controls and carriage returns are written out; a line ends after a thousand characters."""
    assert "a\\x1b[31mb\\x0d\\x9bc  d\ne" == shown("a\x1b[31mb\r\x9bc\td\ne")
    assert "a\\u202eb\\u2028c\\udcff.log" == shown("a\u202eb\u2028c\udcff.log")
    assert [1004, 1] == [len(line) for line in shown("x" * 5000 + "\ny").split("\n")]


WAITS = "    time.sleep(60)\n"
# As DuckDB 2.0 does, which raises a RuntimeError for Ctrl-C.
RAISES_ITS_OWN = (
    "    try:\n        time.sleep(60)\n    except KeyboardInterrupt:\n        raise RuntimeError from None\n"
)


@pytest.mark.parametrize("work", [WAITS, RAISES_ITS_OWN])
def test_ctrl_c_says_what_stands(work):
    """A real process in the middle of its work, ended by SIGINT, whatever the work raises for that."""
    code = (
        "import signal, time, portkin.cli as cli\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a test run in the background ignores it
        f"def work(**_):\n    print('begun', flush=True)\n{work}cli.portkin = work\ncli.main()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert "begun\n" == run.stdout.readline()
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=30)
    assert (130, True) == (run.returncode, said.startswith("portkin: interrupted; ")), said


def write(path: Path, text: str = "new") -> None:
    with replacing(path) as written:
        written.write_text(text)


def test_folders_of_an_output_are_made(tmp_path):
    """As many as are missing; nothing else is left beside the file."""
    write(tmp_path / "a" / "b" / "c.csv")
    assert ["new", ["c.csv"]] == [
        (tmp_path / "a" / "b" / "c.csv").read_text(),
        [path.name for path in (tmp_path / "a" / "b").iterdir()],
    ]


@pytest.mark.parametrize("name", ["file/x.csv", "folder"])
def test_an_output_that_cannot_be_is_named_as_it_was_given(tmp_path, name):
    """Below a file, or where a folder is: the error names that path, not the hidden file beside it."""
    (tmp_path / "file").touch()
    (tmp_path / "folder" / "kept").mkdir(parents=True)
    with pytest.raises(OSError) as refused:
        write(tmp_path / name)
    assert (str(tmp_path / name), ["file", "folder"]) == (
        refused.value.filename,
        sorted(path.name for path in tmp_path.iterdir()),
    )


def test_an_error_about_another_file_keeps_its_name(tmp_path):
    """What the body reads is not what it writes."""
    with pytest.raises(FileNotFoundError) as refused, replacing(tmp_path / "out"):
        (tmp_path / "input").read_text()
    assert (str(tmp_path / "input"), []) == (refused.value.filename, list(tmp_path.iterdir()))


def test_a_folder_with_something_else_is_left_as_it_is(tmp_path):
    """Names that are ours, hidden ones and an empty folder are taken; anything else refuses, and is named."""
    ours = r"[0-9a-f]{4}\.npz"
    claim_folder(tmp_path / "new" / "work", ours, "a work folder")
    work = tmp_path / "new" / "work"
    for name in ("00ff.npz", ".hidden"):
        (work / name).touch()
    claim_folder(work, ours, "a work folder")
    (work / "thesis.tex").touch()
    with pytest.raises(OutputError, match=r"holds 'thesis\.tex', which is not of a work folder"):
        claim_folder(work, ours, "a work folder")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be used"):
        claim_folder(tmp_path / "file", ours, "a work folder")


def test_the_shell_completes_commands_and_options():
    """What bash asks, as the installed completion does: commands by their beginning, and the options of one."""

    def completed(words: str, at: int) -> list[str]:
        code = "import sys; sys.argv = ['portkin']; from portkin.cli import main; main()"
        asked = {"_PORTKIN_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(at)}
        said = subprocess.run([sys.executable, "-c", code], env={**os.environ, **asked}, capture_output=True, text=True)
        return [line.partition(",")[2] for line in said.stdout.split()]

    assert ["serve"] == completed("portkin ser", 1)
    assert {"--config", "--table"} <= set(completed("portkin serve --", 2))


def test_no_output_takes_the_place_of_a_device_or_a_link(tmp_path):
    """A pipe, and so a device, is refused and stays; a link stays, and the file that it names is replaced."""
    pipe, link, file = tmp_path / "pipe", tmp_path / "link", tmp_path / "file"
    os.mkfifo(pipe)
    with pytest.raises(OutputError, match="pipe: is no file"), replacing(pipe):
        pass
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    file.write_text("before")
    link.symlink_to(file)
    with replacing(link) as written:
        written.write_text("after")
    assert (True, "after") == (link.is_symlink(), file.read_text())
