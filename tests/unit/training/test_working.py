"""What long work shows of itself where there is no terminal."""

import threading

from portkin_training.commands.working import working


def test_a_line_now_and_then(capsys, monkeypatch):
    """Lines say what goes on and how far it is, on standard error, and the thread ends with the work."""
    told = threading.Event()
    said = []

    def echo(line, *, err):
        assert err
        said.append(line)
        if "3 of 9" in line:
            told.set()

    monkeypatch.setattr("portkin_training.commands.working.click.echo", echo)
    with working("replaying", every=0.001) as tell:
        tell("3 of 9")
        assert told.wait(60)
    assert said[-1].startswith("portkin: replaying: 3 of 9, ") and said[-1].endswith(" s so far")
    assert [] == [thread for thread in threading.enumerate() if thread.name == "progress"]


def test_short_work_says_nothing(capsys):
    """Work that is done before its first line is due leaves standard error empty."""
    with working("counting what is new"):
        pass
    assert "" == capsys.readouterr().err
