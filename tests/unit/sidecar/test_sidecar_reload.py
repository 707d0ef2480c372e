"""The table is reloaded when its folder changes, and answers go on."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from portkin.net.ports import Port
from portkin.sidecar import TableFolder
from portkin.zeek.event import Count
from portkin.zeek.event_codec import unparse
from portkin.zeek.messages import NearestRequest, NearestResponse, TableChanged
from support.sidecar_shell import Setting
from support.tables import small_table

REQUEST = NearestRequest("r1", Port(22, "tcp"), Count(1), -1.0)


@pytest.fixture
def setting(tmp_path):
    return Setting(tmp_path / "table")


@asynccontextmanager
async def watching(setting, folder):
    """A `TableFolder` at work that looks whenever ``look`` of what is yielded is awaited."""
    looks = asyncio.Queue()
    tables = TableFolder(
        folder, setting.nearest, publish=setting.sidecar.publish, metrics=setting.metrics, log=setting.log
    )

    async def sleep(seconds):
        (await looks.get()).set()

    async def look():
        for _ in range(2):  # the second sleep begins when the first look is over
            seen = asyncio.Event()
            looks.put_nowait(seen)
            await seen.wait()

    task = asyncio.create_task(tables.run(1.0, sleep))
    try:
        yield tables, look
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def test_a_new_table_in_the_folder_is_taken_into_service(setting, tmp_path):
    """When the folder holds another table, answers come from it, and Zeek is notified."""

    async def scenario():
        async with watching(setting, tmp_path / "table") as (_, look):
            await look()
            assert [] == setting.transport.sent
            new = small_table(tmp_path / "table", shift=1)
            await look()
            return new

    new = asyncio.run(scenario())
    assert [TableChanged(new.id, Count(3), False)] == setting.transport.sent
    assert new.id == setting.nearest.table.id
    assert 1 == setting.count("portkin_table_reloads_total", outcome="changed")
    assert 1 == setting.count("portkin_table_info", id=new.id, k="3", method="by hand", by_source="false")


def test_a_damaged_table_is_refused_once_and_the_old_one_stays(setting, tmp_path):
    """A bundle that does not verify changes nothing, is logged once, and does not hinder the next good one."""
    old = setting.nearest.table.id

    async def scenario():
        async with watching(setting, tmp_path / "table") as (_, look):
            (tmp_path / "table" / "manifest.json").write_text("{")
            await look()
            await look()
            assert old == setting.nearest.table.id
            (tmp_path / "table" / "manifest.json").unlink()
            await look()
            small_table(tmp_path / "new", shift=2)
            (tmp_path / "table").rename(tmp_path / "away")
            (tmp_path / "new").rename(tmp_path / "table")
            await look()

    asyncio.run(scenario())
    refused = [entry for entry in setting.logged() if entry["level"] == "error"]
    assert [("new table refused, the old one stays", old)] * 2 == [(e["event"], e["table"]) for e in refused]
    assert [2, 1] == [
        setting.count("portkin_table_reloads_total", outcome=outcome) for outcome in ("refused", "changed")
    ]


def test_a_table_that_is_copied_over_file_by_file_is_taken_into_service(setting, tmp_path):
    """`cp new/* table/` truncates each file and fills it: a whole table answers all the while, at last the new one."""
    port, tables = Port(22, "tcp"), [setting.nearest.table, small_table(tmp_path / "new", shift=3)]
    rows = {table.id: table.nearest(port) for table in tables}

    async def scenario():
        async with watching(setting, tmp_path / "table") as (_, look):
            for file in sorted((tmp_path / "new").iterdir()):
                for content in (b"", file.read_bytes()):
                    (tmp_path / "table" / file.name).write_bytes(content)
                    await look()
                    assert rows[setting.nearest.table.id] == setting.nearest.table.nearest(port)

    asyncio.run(scenario())
    assert [TableChanged(tables[1].id, Count(3), False)] == setting.transport.sent


def test_being_told_to_look_reloads_even_an_unchanged_table(setting, tmp_path):
    """The signal loads the table again; the same content is not announced."""

    async def scenario():
        async with watching(setting, tmp_path / "table") as (tables, _):
            tables.look()
            while setting.count("portkin_table_reloads_total", outcome="same") is None:
                await asyncio.sleep(0.005)

    asyncio.run(scenario())
    assert [] == setting.transport.sent


def test_requests_during_a_reload_are_answered(setting, tmp_path):
    """Every request that arrives while tables change is answered, by the old table or the new one."""
    asked = 300

    async def scenario():
        async with watching(setting, tmp_path / "table") as (tables, _):
            for n in range(asked):
                if n % 50 == 0:
                    small_table(tmp_path / "table", shift=n // 50)
                    tables.look()
                setting.sidecar.received(unparse(REQUEST))
                await asyncio.sleep(0.001)

    asyncio.run(scenario())
    answers = [message for message in setting.transport.sent if isinstance(message, NearestResponse)]
    changes = [message.table_id for message in setting.transport.sent if isinstance(message, TableChanged)]
    assert asked == len(answers)
    assert {answer.table_id for answer in answers} <= {answers[0].table_id, *changes}
    assert len(changes) > 0
