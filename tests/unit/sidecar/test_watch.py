"""What follows a file while the sidecar runs, whatever is written into it."""

from __future__ import annotations

import asyncio

from portkin.blocking.reload import LimitsFile
from portkin.commands.serve import limits_in
from portkin.config.loading import Given
from portkin.config.pending import PendingSettings
from portkin.config.schema import load_config
from portkin.watch import Watch
from support.enforcing import Lines


class Brittle(Watch):
    """Reads a number from a file."""

    def __init__(self, file) -> None:
        self._log = self.log = Lines()
        self.read = []
        super().__init__(file)

    async def changed(self) -> None:
        self.read.append(int(self._file.read_text()))


async def until(true) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.01)


def test_a_defect_in_one_turn_is_logged_and_the_next_one_comes(tmp_path):
    """What a file makes fail in a way nobody foresaw is one line in the log; the file is looked at again."""
    file = tmp_path / "n"
    file.write_text("1")
    watch = Brittle(file)

    async def scenario() -> None:
        work = asyncio.create_task(watch.run(every=0.02))
        for text, there in (("none", lambda: watch.log.lines), ("2", lambda: watch.read)):
            aside = tmp_path / "aside"
            aside.write_text(text)
            aside.replace(file)
            await until(there)
        assert not work.done()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    asyncio.run(scenario())
    assert [2] == watch.read
    assert [("exception", {"file": str(file)})] == [(level, pairs) for level, _, pairs in watch.log.lines]


def test_an_edit_while_the_sidecar_starts_is_taken_up(tmp_path):
    """Limits written after the settings were read, and before the file is followed, are applied at once."""
    file = tmp_path / "p.yaml"
    file.write_text("enforce: {limits: {max_ports: 5}}")
    config = load_config(file)
    file.write_text("enforce: {limits: {max_ports: 6}}")
    applied, log = [], Lines()
    limits = LimitsFile(file, limits_in(file, config), applied.append, log)
    limits.look()

    async def scenario() -> None:
        work = asyncio.create_task(limits.run(every=60.0))
        await until(lambda: applied)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    asyncio.run(scenario())
    assert [6] == [each.max_ports for each in applied]
    assert ["info"] == [level for level, *_ in log.lines]


def test_settings_that_need_a_restart_are_named_until_they_are_in_force(tmp_path):
    """Of an edited file what is not reloaded is reported, but neither limits nor what a flag overrides; and its end."""
    file, flags = tmp_path / "p.yaml", {"table.path": Given(tmp_path, "--table")}
    before = "enforce: {backend: shadow, limits: {max_ports: 5}}"
    file.write_text(before)
    reported, log = [], Lines()
    config = load_config(file, flags)
    pending = PendingSettings(file, config, lambda: load_config(file, flags), reported.append, log)
    for text in (
        before,
        "enforce: {backend: nftables, check: 9, limits: {max_ports: 6}}\ntable: {path: /elsewhere, poll: 3}",
        "enforce: {backend: wrong}",
        "enforce: {limits: {max_ports: 7}}",
    ):
        file.write_text(text)
        asyncio.run(pending.changed())
    assert [("enforce.backend", "enforce.check", "table.poll"), ()] == [tuple(sorted(each)) for each in reported]
    assert ["warning", "info"] == [level for level, *_ in log.lines]
