"""The hook: it is notified of each block, retries what fails, and blocking never waits for it."""

from __future__ import annotations

import asyncio
import json
import threading
import time

import pytest
from click.testing import CliRunner
from prometheus_client import CollectorRegistry

from portkin.blocking.backends.suricata import Suricata
from portkin.blocking.changes import Change
from portkin.blocking.config import EnforceConfig, HookConfig
from portkin.blocking.factory import make_blocking_service
from portkin.blocking.hook import DeliveryError, Hook, HookMetrics
from portkin.blocking.limits import Limits
from portkin.commands.blocks import blocks
from portkin.zeek.dispatcher import Service
from support.enforcing import Bench, Lines, at_work, block, each_of, nets, together, unblock
from support.sidecar_process import until as until_true

SRC = "203.0.113.5"


def until(found):
    """Wait until it is true."""
    until_true(found, lambda: "it does not come true")


def change(port=80):
    return Change("added", 10.0, SRC, f"{port}/tcp", 10.0, 70.0, 0, "shadow", "evidence=TRW")


class Receiver:
    """Takes what it is given, after ``failures`` refusals; waits for ``gate`` first."""

    def __init__(self, failures=0, final=False):
        self.got, self.tried, self.gate = [], 0, threading.Event()
        self.gate.set()
        self._failures, self._final = failures, final

    def deliver(self, body):
        self.gate.wait(20)
        self.tried += 1
        if self.tried <= self._failures:
            raise DeliveryError("away", final=self._final)
        self.got += json.loads(body)["blocks"]

    def abandon(self):
        pass


def hook_to(receiver, **more):
    registry, log = CollectorRegistry(), Lines()
    settings = {"queue": 10, "batch": 4, "attempts": 3, "pause": 0.0, **more}
    hook = Hook(receiver, metrics=HookMetrics(registry), log=log, **settings)

    def count(outcome):
        return registry.get_sample_value("portkin_hook_changes_total", {"outcome": outcome})

    return hook, count, log


def test_all_changes_are_delivered_in_order_and_in_batches():
    """What waits is delivered in order, several changes at once, before the end."""
    receiver = Receiver()
    hook, count, _ = hook_to(receiver)
    hook.notify([change(port) for port in range(1, 10)])
    hook.close()
    assert [f"{port}/tcp" for port in range(1, 10)] == [got["port"] for got in receiver.got]
    assert (9.0, 3) == (count("delivered"), receiver.tried)  # 4 + 4 + 1


def test_a_delivery_that_fails_is_tried_again():
    """Two refusals and a success are one delivery."""
    receiver = Receiver(failures=2)
    hook, count, log = hook_to(receiver)
    hook.notify([change()])
    until(lambda: count("delivered") == 1.0)
    assert (1, 0.0, []) == (len(receiver.got), count("failed"), log.events("error"))


@pytest.mark.parametrize(("final", "tries"), [(False, 3), (True, 1)])
def test_after_the_last_attempt_changes_are_given_up_and_counted(final, tries):
    """What fails to the last attempt, or for good, is counted and logged; what follows is delivered."""
    receiver = Receiver(failures=tries, final=final)
    hook, count, log = hook_to(receiver)
    hook.notify([change(1)])
    until(lambda: count("failed") == 1.0)
    hook.notify([change(2)])
    until(lambda: count("delivered") == 1.0)
    assert (["2/tcp"], ["changes of blocks not delivered to the hook"]) == (
        [got["port"] for got in receiver.got],
        log.events("error"),
    )


def test_a_full_queue_drops_and_never_waits():
    """While the receiver hangs, changes beyond the queue's size are dropped, counted and said once."""
    receiver = Receiver()
    receiver.gate.clear()
    hook, count, log = hook_to(receiver, queue=2, batch=1)
    hook.notify([change(0)])
    until(lambda: hook.waiting == 0)
    for port in range(1, 6):
        hook.notify([change(port)])
    assert (3.0, 1) == (count("dropped"), len(log.events("error")))
    receiver.gate.set()
    hook.close()
    assert ["0/tcp", "1/tcp", "2/tcp"] == [got["port"] for got in receiver.got]


def test_a_block_is_reported_from_its_beginning_to_its_end(tmp_path):
    """Added, extended, removed, vetoed and expired are reported; refusals, holdouts and no changes are not."""
    reported = []
    bench = Bench(tmp_path, notify=reported.extend, limits=Limits(never_nets=nets("192.0.2.0/24")))
    bench.enforcer.start()
    bench.ask(block(SRC, "80"), block("192.0.2.1", "80"), block(SRC, "81", rank=1, probed="80"))
    bench.clock.pass_(30)
    bench.ask(block(SRC, "80"), block(SRC, "80"), unblock(SRC, "81"), unblock(SRC, "9"))
    bench.clock.pass_(61)
    bench.enforcer.tick()
    bench.ask(block(SRC, "82"))
    bench.enforcer.set_limits(Limits(never_nets=nets(f"{SRC}/32")))
    assert [
        ("added", "80/tcp"), ("added", "81/tcp"), ("removed", "81/tcp"), ("extended", "80/tcp"), ("expired", "80/tcp"),
        ("added", "82/tcp"), ("vetoed", "82/tcp"),
    ] == [(change.event, change.port) for change in reported]  # fmt: skip
    assert [0, 1] == [change.rank for change in reported[:2]]
    assert "evidence=TRW answered=1 probe=1" == reported[0].reason


def test_a_block_that_never_took_hold_is_not_reported(tmp_path):
    """Where the backend cannot be reached, nothing began, and nothing ends."""
    reported = []
    bench = Bench(tmp_path, Suricata(tmp_path / "no.socket"), notify=reported.extend)
    bench.enforcer.start()
    assert "error" == bench.ask(block(SRC, "80"))[0][0]
    assert [] == reported


def test_held_out_blocks_are_not_reported(tmp_path):
    """What is left unblocked on purpose is nothing that others should block."""
    reported = []
    bench = Bench(tmp_path, notify=reported.extend, limits=Limits(holdout=1.0), draw=lambda: 0.0)
    bench.enforcer.start()
    bench.ask(block(SRC, "80", rank=0), block(SRC, "81", rank=1, probed="80"))
    assert ["80/tcp"] == [change.port for change in reported]


def test_what_another_process_changes_is_reported(tmp_path):
    """`portkin blocks` changes the database; the running sidecar reports it, with its reason."""
    reported = []
    bench = Bench(tmp_path, notify=reported.extend, wall_clock=time.time, monotonic=time.monotonic)
    bench.enforcer.start()
    config = tmp_path / "p.yaml"
    config.write_text(json.dumps({"enforce": {"database": str(bench.path)}}))
    for order in (["add", SRC, "80", "--reason", "by hand"], ["remove", SRC, "80"]):
        CliRunner().invoke(blocks, [*order, "-c", str(config)], catch_exceptions=False)
        bench.enforcer.tick()
    assert [("added", "evidence=OPERATOR note=by hand"), ("removed", "")] == [(c.event, c.reason) for c in reported]


def test_a_hook_that_hangs_holds_up_no_block(tmp_path):
    """With a program that never ends, requests are answered, and the sidecar ends."""

    async def scenario():
        config = EnforceConfig(
            database=tmp_path / "b", hook=HookConfig(command=("/bin/sleep", "600"), timeout=300.0, queue=1)
        )
        registry = CollectorRegistry()
        part = make_blocking_service(config, peers=[], registry=registry, log=Lines())
        said = []
        async with at_work(part, lambda messages: said.extend(each_of(messages))):
            for port in range(1, 101):
                Service(part).receive(together(block(SRC, str(port))), time.monotonic())
            async with asyncio.timeout(60):
                while len(said) < 100:
                    await asyncio.sleep(0.005)
        assert {"added"} == {answer.outcome for answer in said}
        dropped = registry.get_sample_value("portkin_hook_changes_total", {"outcome": "dropped"})
        assert dropped is not None and dropped > 0.0

    asyncio.run(scenario())
