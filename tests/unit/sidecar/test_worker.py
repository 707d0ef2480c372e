"""The worker thread: items in, messages out, in batches, without holding up the event loop."""

from __future__ import annotations

import asyncio
import itertools
import threading

import pytest

from portkin import worker as worker_module
from portkin.worker import Worker


class Work:
    """Records its batches, and waits in each until it may go on."""

    def __init__(self) -> None:
        self.batches, self.threads, self.closed = [], set(), 0
        self.go_on = threading.Event()

    def __call__(self, batch):
        self.threads.add(threading.current_thread())
        self.go_on.wait(10)
        self.batches.append([item for _, item in batch])
        return [item for _, item in batch]

    def close(self) -> None:
        self.closed += 1
        self.threads.add(threading.current_thread())


def made(work: Work, **more) -> Worker:
    return Worker("test", work, **{"queue": 5, "batch": 3, "interval": 60.0, "close": work.close, **more})


async def until(true) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.005)


async def ended(task) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_what_comes_while_it_works_is_the_next_batch():
    """Batches are in order and of limited size, in one thread, and each is reported when it is published."""

    async def scenario():
        work, published, done = Work(), [], []
        worker = made(work, lazy=True, done=lambda batch: done.append([since for since, _ in batch]))
        assert worker.offer("a", 1.0)
        task = asyncio.create_task(worker.run(published.extend))
        await until(lambda: worker.waiting == 0)
        assert all(worker.offer(item, 2.0) for item in "bcde")
        work.go_on.set()
        await until(lambda: len(published) == 5)
        await ended(task)
        assert (list("abcde"), [["a"], ["b", "c", "d"], ["e"]]) == (published, work.batches)
        assert [[1.0], [2.0, 2.0, 2.0], [2.0]] == done
        assert (1, 1) == (work.closed, len(work.threads))

    asyncio.run(scenario())


def test_a_full_queue_takes_nothing():
    """Beyond its size an offer is declined, and nothing that waits is lost."""

    async def scenario():
        worker = made(Work())
        assert [True] * 5 + [False] == [worker.offer(n, 0.0) for n in range(6)]
        assert 5 == worker.waiting

    asyncio.run(scenario())


def test_a_cancelled_worker_finishes_its_batch_first():
    """When it is cancelled, the batch in the thread is finished before `close` is called there."""

    async def scenario():
        work = Work()
        worker = made(work, lazy=True)
        worker.offer("a", 0.0)
        task = asyncio.create_task(worker.run(lambda messages: None))
        await until(lambda: work.threads)
        task.cancel()
        work.go_on.set()
        await asyncio.gather(task, return_exceptions=True)
        assert ([["a"]], 1, 1) == (work.batches, work.closed, len(work.threads))

    asyncio.run(scenario())


def test_it_works_without_items_at_its_interval_and_when_woken():
    """A worker that is not lazy works at once, then at each interval; `wake` does not wait for that."""

    async def scenario():
        work = Work()
        work.go_on.set()
        often = asyncio.create_task(made(work, interval=0.01).run(lambda messages: None))
        await until(lambda: len(work.batches) > 3)
        await ended(often)
        seldom, worker = Work(), None
        seldom.go_on.set()
        worker = made(seldom)
        task = asyncio.create_task(worker.run(lambda messages: None))
        await until(lambda: len(seldom.batches) == 1)
        worker.wake()
        await until(lambda: len(seldom.batches) == 2)
        await ended(task)

    asyncio.run(scenario())


def test_a_defect_of_the_work_ends_the_worker():
    """What is raised in the thread is raised by `run`, so that the sidecar does not go on without its worker."""

    async def scenario():
        closed = []

        def broken(batch):
            raise ZeroDivisionError("a defect")

        worker = Worker("test", broken, queue=5, batch=3, interval=60.0, close=lambda: closed.append(1))
        with pytest.raises(ZeroDivisionError, match="a defect"):
            async with asyncio.timeout(20):
                await worker.run(lambda messages: None)
        assert [1] == closed

    asyncio.run(scenario())


def test_what_cannot_be_published_ends_the_worker():
    """An error of `publish` is that of `run`, after the thread has closed what it has open."""

    async def scenario():
        work = Work()
        work.go_on.set()
        worker = made(work, lazy=True)
        worker.offer("a", 0.0)

        def publish(messages):
            raise RuntimeError("no way")

        with pytest.raises(RuntimeError, match="no way"):
            async with asyncio.timeout(20):
                await worker.run(publish)
        assert 1 == work.closed

    asyncio.run(scenario())


def test_items_offered_while_it_works_are_all_worked_off():
    """Thousands of items, offered between its turns and during them: each is worked off once, in order."""

    async def scenario():
        work, published = Work(), []
        work.go_on.set()
        worker = made(work, queue=100_000, batch=7)
        task = asyncio.create_task(worker.run(published.extend))
        for n in range(5000):
            assert worker.offer(n, 0.0)
            if n % 50 == 0:
                await asyncio.sleep(0)
        await until(lambda: len(published) == 5000)
        await ended(task)
        assert list(range(5000)) == published

    asyncio.run(scenario())


def test_many_messages_leave_the_loop_to_others():
    """Of hundreds of messages one is published in a turn of the loop, and in order; at the end, all that are left."""

    async def scenario():
        loop, turns, published = asyncio.get_running_loop(), itertools.count(), []
        turn = [next(turns)]

        def count() -> None:
            turn[0] = next(turns)
            loop.call_soon(count)

        def work(batch):
            return [(item, part) for _, item in batch for part in range(300)]

        worker = Worker("test", work, queue=5, batch=3, interval=60.0, close=lambda: None)
        task = asyncio.create_task(worker.run(lambda messages: published.extend((turn[0], said) for said in messages)))
        count()
        worker.offer("a", 0.0)
        await until(lambda: len(published) == 300)
        worker.offer("b", 0.0)
        await until(lambda: worker.waiting == 0)
        await ended(task)
        assert [(item, part) for item in "ab" for part in range(300)] == [said for _, said in published]
        assert 300 == len({at for at, _ in published[:300]})

    asyncio.run(scenario())


def test_an_item_wakes_the_thread_whatever_it_is_at():
    """An item is offered as the thread comes to each of its lines in turn; neither it nor the next one waits for the
    interval."""

    async def scenario(line: int) -> bool:
        passed, published = itertools.count(), []
        worker = Worker("test", lambda batch: [item for _, item in batch], queue=5, batch=3, interval=60.0,
                        close=lambda: None)  # fmt: skip

        def trace(frame, event, _):
            if frame.f_code.co_filename != worker_module.__file__:
                return None
            if event == "line" and next(passed) == line:
                worker.offer("as it came there", 0.0)
            return trace

        threading.settrace(trace)
        try:
            task = asyncio.create_task(worker.run(published.extend))
            await until(lambda: any(thread.name == "test" for thread in threading.enumerate()))
        finally:
            threading.settrace(None)
        worker.offer("first", 0.0)
        await until(lambda: "first" in published)
        await asyncio.sleep(0.05)  # at which it has come to rest, or to a line that the first item did not lead to
        came = next(passed) > line
        await until(lambda: not came or "as it came there" in published)
        worker.offer("next", 0.0)
        await until(lambda: "next" in published)
        await ended(task)
        return came

    assert 5 < sum(asyncio.run(scenario(line)) for line in range(40))
