"""Blocking as part of the service: the thread and its queue."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest
from prometheus_client import CollectorRegistry

from portkin.blocking.config import EnforceConfig
from portkin.blocking.factory import make_blocking_service
from portkin.blocking.limits import Limits
from portkin.blocking.service import BlockingService
from portkin.zeek.block_messages import BlockResponse
from portkin.zeek.dispatcher import Service
from portkin.zeek.event import Junk
from portkin.zeek.event_codec import parse, unparse
from support.enforcing import Bench, Lines, at_work, block, each_of, nets, together, unblock

SRC = "203.0.113.5"
SEVERAL = together(block(SRC, "80", 12.5, rank=2, probed="22"), block(SRC, "81", 1.5))


@contextlib.asynccontextmanager
async def running(part):
    """The service at work; yields what it has published so far."""
    said = []
    async with at_work(part, lambda messages: said.extend(each_of(messages))):
        yield said


async def answers(said, count):
    """Wait until so many messages were published."""
    async with asyncio.timeout(20):
        while len(said) < count:
            await asyncio.sleep(0.005)
    return said


def part_of(bench, **more):
    metrics = bench.metrics
    return BlockingService(
        bench.enforcer, **{"queue": 100, "metrics": metrics, "log": bench.log, "clock": time.monotonic, **more}
    )


@pytest.mark.parametrize(
    "message",
    [together(block(SRC, "80", 12.5, rank=2, probed="22"), block(SRC, "81", 1.5)), unblock("2001:db8::1", "53/udp")],
)
def test_the_messages_are_read_as_they_were_written(message):
    """A request survives the way to the wire's types and back; one argument less is junk."""
    event = unparse(message)
    assert message == parse(event)
    event.args.pop()
    assert isinstance(parse(event), Junk)


@pytest.mark.parametrize("longer", range(3, 8))
def test_vectors_of_different_lengths_are_junk(longer):
    """No request is guessed where one vector holds more than the others."""
    event = unparse(together(block(SRC, "80"), block(SRC, "81")))
    event.args[longer] = [*event.args[longer], event.args[longer][0]]
    assert Junk("wrong-type", "Portkin::block_requests: its vectors differ in length") == parse(event)


def test_many_responses_come_in_few_messages(tmp_path):
    """A thousand blocks of one decision are answered in five messages, in order."""

    async def scenario():
        part = part_of(Bench(tmp_path, limits=Limits(max_ports=2000)), queue=1000)
        messages = []
        requests = together(*(block(SRC, str(port)) for port in range(1, 1001)))
        assert [] == Service(part).receive(requests, 0.0)
        async with at_work(part, messages.extend):
            await answers(messages, 5)
        assert [200] * 5 == [len(message.reqids) for message in messages]
        assert list(requests.reqids) == [answer.reqid for answer in each_of(messages)]

    asyncio.run(scenario())


def test_requests_are_answered_in_order_without_being_waited_for(tmp_path):
    """Taking requests answers nothing at once; the answers come by themselves, in order, in few batches."""

    async def scenario():
        bench = Bench(tmp_path)
        part = part_of(bench)
        service = Service(part)
        requests = [block(SRC, str(port)) for port in range(1, 51)]
        async with running(part) as said:
            for request in requests:
                assert [] == service.receive(together(request), time.monotonic())
            await answers(said, 50)
        assert [(r.reqid, "added") for r in requests] == [(a.reqid, a.outcome) for a in said]
        assert 50.0 == bench.metric("portkin_block_requests_total", kind="block")
        assert 50.0 == bench.metric("portkin_block_seconds_count")

    asyncio.run(scenario())


def test_more_than_the_queue_takes_is_answered_with_error(tmp_path):
    """While nobody works, requests beyond the queue's size are refused at once."""

    async def scenario():
        part = part_of(Bench(tmp_path), queue=2)
        service = Service(part)
        outcomes = [service.receive(together(block(SRC, str(port))), 0.0) for port in (1, 2, 3)]
        assert [[], [], "error"] == [*outcomes[:2], each_of(outcomes[2])[0].outcome]

    asyncio.run(scenario())


def test_blocks_that_ran_out_are_reported(tmp_path):
    """Without anybody asking, the end of a block is published."""

    async def scenario():
        bench = Bench(tmp_path, wall_clock=time.time, monotonic=time.monotonic)
        part = part_of(bench)
        async with running(part) as said:
            Service(part).receive(together(block(SRC, "80", 0.2)), 0.0)
            await answers(said, 2)
        assert ["added", "expired"] == [message.outcome for message in said]

    asyncio.run(scenario())


def test_new_limits_hold_at_once(tmp_path):
    """Limits given while it works end what they forbid."""

    async def scenario():
        part = part_of(Bench(tmp_path))
        async with running(part) as said:
            Service(part).receive(together(block(SRC, "80")), 0.0)
            await answers(said, 1)
            part.set_limits(Limits(never_nets=nets(f"{SRC}/32")))
            await answers(said, 2)
        assert ["added", "vetoed"] == [message.outcome for message in said]

    asyncio.run(scenario())


def test_a_defect_ends_neither_the_thread_nor_the_service(tmp_path):
    """An exception nobody thought of is answered with error, logged as a defect, and the next request works."""

    async def scenario():
        bench = Bench(tmp_path)
        part = part_of(bench)
        handle = bench.enforcer.handle
        bench.enforcer.handle = lambda requests: 1 / 0
        async with running(part) as said:
            Service(part).receive(together(block(SRC, "80")), 0.0)
            await answers(said, 1)
            bench.enforcer.handle = handle
            Service(part).receive(together(block(SRC, "80")), 0.0)
            await answers(said, 2)
        assert ["error", "added"] == [message.outcome for message in said]
        assert any("defect" in event for event in bench.log.events("exception"))

    asyncio.run(scenario())


def test_a_database_that_cannot_be_opened_does_not_stop_detection(tmp_path):
    """Where the database cannot be opened, requests are answered with error; nothing else happens."""

    async def scenario():
        (tmp_path / "file").write_text("")
        bench = Bench(tmp_path / "file")
        part = part_of(bench)
        async with running(part) as said:
            Service(part).receive(together(block(SRC, "80")), 0.0)
            await answers(said, 1)
        assert ("error", True) == (said[0].outcome, "database" in said[0].detail)

    asyncio.run(scenario())


def test_a_shadow_that_nobody_asks_writes_nothing(tmp_path):
    """By default no file is made until Zeek asks for the first block; then there is a database."""

    async def scenario():
        path = tmp_path / "state" / "blocks.sqlite"
        config = EnforceConfig(database=path)
        part = make_blocking_service(config, peers=[], registry=CollectorRegistry(), log=Lines())
        async with running(part) as said:
            await asyncio.sleep(0.1)
            assert not path.parent.exists()
            Service(part).receive(together(block(SRC, "80")), 0.0)
            await answers(said, 1)
            assert path.exists()
        assert [BlockResponse] == [type(message) for message in said]

    asyncio.run(scenario())


def test_a_start_that_fails_is_tried_again_at_its_pace(tmp_path):
    """Without a database it tries about once a second, not without pause; when it can, it starts by itself."""

    async def scenario():
        (tmp_path / "file").write_text("")
        bench = Bench(tmp_path / "file")
        starts = []
        start = bench.enforcer.start
        bench.enforcer.start = lambda: starts.append(1) or start()
        async with running(part_of(bench)):
            await asyncio.sleep(0.3)
            assert 1 == len(starts)
            (tmp_path / "file").unlink()
            async with asyncio.timeout(20):
                while len(starts) < 2 or not bench.path.exists():
                    await asyncio.sleep(0.01)

    asyncio.run(scenario())


def test_limits_given_before_it_could_start_hold(tmp_path):
    """New limits that come while there is no database are not lost: when it starts, they win."""

    async def scenario():
        (tmp_path / "file").write_text("")
        bench = Bench(tmp_path / "file")
        part = part_of(bench)
        async with running(part) as said:
            part.set_limits(Limits(never_nets=nets(f"{SRC}/32")))
            await asyncio.sleep(0.1)
            (tmp_path / "file").unlink()
            async with asyncio.timeout(20):
                while not bench.log.events("info"):
                    await asyncio.sleep(0.01)
            Service(part).receive(together(block(SRC, "80")), 0.0)
            await answers(said, 1)
        assert [("vetoed", "never-net")] == [(message.outcome, message.detail) for message in said]

    asyncio.run(scenario())


def test_a_flood_does_not_keep_it_from_looking(tmp_path):
    """While requests never cease, the regular check of backend and database goes on."""

    async def scenario():
        bench = Bench(tmp_path, wall_clock=time.time, monotonic=time.monotonic)
        ticks = []
        tick = bench.enforcer.tick
        bench.enforcer.tick = lambda: ticks.append(1) or tick()
        part = part_of(bench, queue=10_000)
        service = Service(part)
        async with running(part):
            end = time.monotonic() + 1.6
            while time.monotonic() < end:
                for port in range(1, 20):
                    service.receive(together(block(SRC, str(port))), 0.0)
                await asyncio.sleep(0.001)
        assert len(ticks) >= 2

    asyncio.run(scenario())
