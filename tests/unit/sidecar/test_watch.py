"""What follows a file while the sidecar runs, whatever is written into it."""

from __future__ import annotations

import asyncio

from portkin.blocking.config import limits_of
from portkin.config.reload import SettingsReload
from portkin.config.schema import load_config
from portkin.config.sections import Given
from portkin.watch import Watch
from support.enforcing import Lines


class Brittle(Watch):
    """Reads a number from a file."""

    def __init__(self, file) -> None:
        self._log = self.log = Lines()
        self.read = []
        super().__init__(file)

    async def changed(self) -> None:
        self.read.append(int(self._watched[0].read_text()))


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


class Settings:
    """A settings file and a never-block file that are followed, as `portkin serve` does."""

    def __init__(self, folder, text: str, flags=None) -> None:
        self.file, self.never_block = folder / "p.yaml", folder / "never"
        self.write(text)
        self.applied, self.reported, self.log = [], [], Lines()
        config = load_config(self.file, flags)
        self.reload = SettingsReload(
            self.file,
            config,
            lambda: load_config(self.file, flags),
            limits=limits_of(config.enforce),
            apply=self.applied.append,
            report=self.reported.append,
            log=self.log,
        )

    def write(self, text: str) -> None:
        self.file.write_text(text.replace("{", f"{{never_block: {self.never_block}, ", 1))

    def changed(self) -> None:
        asyncio.run(self.reload.changed())

    def levels(self) -> list[str]:
        return [level for level, *_ in self.log.lines]


def test_an_edit_while_the_sidecar_starts_is_taken_up(tmp_path):
    """Limits written after the settings were read, and before the files are followed, are applied at once."""
    settings = Settings(tmp_path, "enforce: {limits: {max_ports: 5}}")
    settings.write("enforce: {limits: {max_ports: 6}}")
    settings.reload.look()

    async def scenario() -> None:
        work = asyncio.create_task(settings.reload.run(every=60.0))
        await until(lambda: settings.applied)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    asyncio.run(scenario())
    assert [6] == [each.max_ports for each in settings.applied]
    assert ["info"] == settings.levels()


def test_limits_follow_the_file(tmp_path):
    """A changed file brings new limits; a broken one is refused and the old stay."""
    settings = Settings(tmp_path, "enforce: {limits: {max_ports: 5}}")

    async def scenario() -> None:
        work = asyncio.create_task(settings.reload.run(every=0.02))
        for text in ("enforce: {limits: {max_ports: many}}", "enforce: {limits: {max_ports: 6}}"):
            before = len(settings.log.lines)
            settings.write(text)
            await until(lambda before=before: len(settings.log.lines) > before)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    asyncio.run(scenario())
    assert [6] == [each.max_ports for each in settings.applied]
    assert ["error", "info"] == settings.levels()


def test_settings_that_need_a_restart_are_named_until_they_are_in_force(tmp_path):
    """Of an edited file what is not reloaded is reported, but neither limits nor what a flag overrides; and its end."""
    before = "enforce: {backend: shadow, limits: {max_ports: 5}}"
    settings = Settings(tmp_path, before, {"table.path": Given(tmp_path, "--table")})
    for text in (
        before,
        "enforce: {backend: nftables, check: 9, limits: {max_ports: 6}}\ntable: {path: /elsewhere, poll: 3}",
        "enforce: {backend: wrong}",
        "enforce: {limits: {max_ports: 7}}",
    ):
        settings.write(text)
        settings.changed()
    assert [("enforce.backend", "enforce.check", "table.poll"), ()] == [
        tuple(sorted(each)) for each in settings.reported
    ]
    assert [6, 7] == [each.max_ports for each in settings.applied]
    # Limits that are reloaded, and what needs a restart; the wrong file, once; and all in force again.
    assert ["warning", "info", "error", "info", "info"] == settings.levels()


def test_a_wrong_file_keeps_the_other_from_nothing(tmp_path):
    """Sources of the never-block file count while the settings are wrong, and limits while the never-block file is."""
    settings = Settings(tmp_path, "enforce: {limits: {max_ports: 5}}")
    settings.write("enforce: {limits: {max_ports: many}}")
    settings.never_block.write_text("192.0.2.1")
    settings.changed()
    settings.never_block.write_text("192.0.2.1\nmy own host")
    settings.write("enforce: {limits: {max_ports: 6}}")
    settings.changed()
    assert [(5, ["192.0.2.1/32"]), (6, ["192.0.2.1/32"])] == [
        (each.max_ports, [str(net) for net in each.never_nets]) for each in settings.applied
    ]
    said = [(level, pairs.get("reason", "")) for level, _, pairs in settings.log.lines]
    assert ["error", "info", "error", "info"] == [level for level, _ in said]
    assert "p.yaml:1" in said[0][1]
    assert f"{settings.never_block}:2: 'my own host'" in said[2][1]


def test_without_a_settings_file_the_never_block_file_is_followed(tmp_path):
    """Defaults and a never-block file: what is added to it is never blocked."""
    config = load_config(None, {"enforce.never_block": tmp_path / "never"})
    applied = []
    reload = SettingsReload(
        None,
        config,
        lambda: load_config(None),
        limits=limits_of(config.enforce),
        apply=applied.append,
        report=applied.append,
        log=Lines(),
    )
    (tmp_path / "never").write_text("192.0.2.1")
    asyncio.run(reload.changed())
    assert [["192.0.2.1/32"]] == [[str(net) for net in each.never_nets] for each in applied]
