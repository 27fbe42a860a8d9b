"""The work queue keeps client-go's promises."""

from __future__ import annotations

import asyncio

import pytest

from engine.client.workqueue import ShutDown, WorkQueue


async def test_a_key_added_often_is_taken_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for key in ("a", "b", "a", "a"):
        queue.add(key)
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    assert len(queue) == 0


async def test_a_key_is_never_worked_on_twice_at_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    queue.add("b")
    assert await queue.get() == "b"
    assert len(queue) == 0
    queue.done("a")
    assert await queue.get() == "a"
    queue.done("a")
    queue.done("b")
    assert queue.idle


async def test_workers_wait_for_keys() -> None:
    queue: WorkQueue[str] = WorkQueue()
    first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    queue.add("b")
    assert {await first, await second} == {"a", "b"}


async def test_the_soonest_delay_wins() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", 3600)
    queue.add_after("a", 0.001)
    queue.add_after("a", 7200)
    assert await queue.get() == "a"
    queue.done("a")
    assert queue.idle
    queue.add_after("b", 0)
    assert len(queue) == 1


async def test_failures_wait_longer_and_longer() -> None:
    queue: WorkQueue[str] = WorkQueue()
    delays = [queue.add_rate_limited("a") for _ in range(20)]
    assert delays[:4] == [0.005, 0.01, 0.02, 0.04]
    assert delays[-1] == 1000
    assert queue.failures("a") == 20
    assert queue.add_rate_limited("b") == 0.005
    queue.forget("a")
    assert queue.failures("a") == 0
    assert queue.add_rate_limited("a") == 0.005
    assert {await queue.get(), await queue.get()} == {"a", "b"}


async def test_thousands_of_failures_do_not_overflow() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for _ in range(2000):
        delay = queue.add_rate_limited("a")
    assert delay == 1000


async def test_shutdown_gives_out_what_waits_and_no_more() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.add_after("b", 0.001)
    queue.shutdown()
    queue.add("c")
    assert await queue.get() == "a"
    with pytest.raises(ShutDown):
        await queue.get()


async def test_shutdown_wakes_every_worker() -> None:
    queue: WorkQueue[str] = WorkQueue()
    workers = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    queue.shutdown()
    results = await asyncio.gather(*workers, return_exceptions=True)
    assert [type(result) for result in results] == [ShutDown] * 3
