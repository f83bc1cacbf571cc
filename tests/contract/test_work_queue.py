"""What every bus' work queues do: hand out, hand out again, give up, confirm."""

import asyncio
import time

import pytest

from tests.contract.conftest import Connect
from tests.support.waiting import fetched, until
from visavis_runtime import subjects
from visavis_runtime.bus import Bus
from visavis_runtime.errors import BusUnavailable

SID = "01HZX"
ACK_WAIT_S = 1.0
MAX_DELIVER = 6


async def test_an_item_carries_its_subject_number_and_time(bus: Bus) -> None:
    queue = await bus.work(subjects.WORK, "llm")
    before = time.time()
    receipt = await bus.store(subjects.work("llm", SID), b"prompt", message_id="id")
    item = await fetched(queue)
    assert (item.subject, item.data) == ("vv.work.llm.01HZX", b"prompt")
    assert (item.sequence, item.deliveries) == (receipt.sequence, 1)
    assert before - 1 < item.time_s < time.time() + 1
    await item.ack()
    await queue.aclose()


async def test_an_item_tells_how_many_more_wait(bus: Bus) -> None:
    queue = await bus.work(subjects.WORK, "asr")
    for number in range(3):
        await bus.store(subjects.work("asr", SID), str(number).encode())
    await bus.store(subjects.work("tts", SID), b"of another queue")
    items = [await fetched(queue) for _ in range(3)]
    assert [item.waiting for item in items] == [2, 1, 0]
    await items[0].nak()  # what was handed out before does not count
    again = await fetched(queue)
    assert (again.deliveries, again.waiting) == (2, 0)
    for item in (*items[1:], again):
        await item.ack()
    await queue.aclose()


async def test_items_come_in_order_and_each_consumer_sees_its_own(bus: Bus) -> None:
    asr, tts = await bus.work(subjects.WORK, "asr"), await bus.work(subjects.WORK, "tts")
    for number in range(6):
        await bus.store(subjects.work(("asr", "tts")[number % 2], SID), str(number).encode())
    seen = {}
    for name, queue in (("asr", asr), ("tts", tts)):
        items = [await fetched(queue) for _ in range(3)]
        seen[name] = [int(item.data) for item in items]
        for item in items:
            await item.ack()
    assert seen == {"asr": [0, 2, 4], "tts": [1, 3, 5]}


async def test_fetch_waits_for_an_item_and_gives_up_in_time(bus: Bus) -> None:
    queue = await bus.work(subjects.WORK, "asr")
    started = time.monotonic()
    assert await queue.fetch(0.3) is None
    assert 0.25 < time.monotonic() - started < 1.5
    waiting = asyncio.create_task(queue.fetch(5))
    await bus.ping()
    await bus.store(subjects.work("asr", SID), b"x")
    item = await waiting
    assert item
    await item.ack()


async def test_two_workers_share_a_queue_without_repeats(connect: Connect) -> None:
    workers = [await connect(), await connect()]
    queues = [await worker.work(subjects.WORK, "asr") for worker in workers]
    for number in range(10):
        await workers[0].store(subjects.work("asr", SID), str(number).encode())
    seen = []
    for turn in range(10):
        item = await fetched(queues[turn % 2])
        seen.append(int(item.data))
        await item.ack()
    assert sorted(seen) == list(range(10))


async def test_an_item_that_nobody_settles_is_delivered_again_after_the_ack_wait(
    bus: Bus,
) -> None:
    queue = await bus.work(subjects.WORK, "asr")
    await bus.store(subjects.work("asr", SID), b"x")
    first = await fetched(queue)
    started = time.monotonic()
    again = await fetched(queue)
    assert ACK_WAIT_S - 0.3 < time.monotonic() - started < ACK_WAIT_S + 1
    assert (again.sequence, again.deliveries, again.time_s) == (first.sequence, 2, first.time_s)
    await again.ack()


async def test_renewed_items_stay_with_their_worker(bus: Bus) -> None:
    queue = await bus.work(subjects.WORK, "asr")
    await bus.store(subjects.work("asr", SID), b"x")
    item = await fetched(queue)
    until_s = time.monotonic() + ACK_WAIT_S * 2.2
    while time.monotonic() < until_s:
        await item.renew()
        assert await queue.fetch(0.3) is None
    await item.ack()
    assert await queue.fetch(ACK_WAIT_S + 0.3) is None


async def test_an_item_given_back_comes_at_once_or_after_the_delay(bus: Bus) -> None:
    queue = await bus.work(subjects.WORK, "asr")
    await bus.store(subjects.work("asr", SID), b"x")
    await (await fetched(queue)).nak()
    second = await fetched(queue, within_s=0.5)
    started = time.monotonic()
    await second.nak(0.4)
    third = await fetched(queue)
    assert time.monotonic() - started > 0.3
    assert third.deliveries == 3
    await third.ack()


async def test_a_settled_item_is_gone_from_the_stream(bus: Bus) -> None:
    queue = await bus.work(subjects.WORK, "asr")
    for verb in ("ack", "term"):
        await bus.store(subjects.work("asr", SID), verb.encode())
        item = await fetched(queue)
        await getattr(item, verb)()
        assert await bus.last(subjects.WORK, subjects.work("asr", SID), leader=True) is None


async def test_an_acked_item_is_not_taken_in_again_under_its_id(bus: Bus) -> None:
    queue = await bus.work(subjects.WORK, "asr")
    work = subjects.work("asr", SID)
    await bus.store(work, b"x", message_id="id")
    await (await fetched(queue)).ack()
    assert (await bus.store(work, b"x", message_id="id")).duplicate
    assert await queue.fetch(0.2) is None


async def test_an_ack_of_an_earlier_delivery_settles_the_later_one(connect: Connect) -> None:
    # The server looks at the number only: why a lease needs the guard, and work its ids.
    slow, fast = await connect(), await connect()
    await slow.store(subjects.work("asr", SID), b"x")
    stale = await fetched(await slow.work(subjects.WORK, "asr"))
    fresh = await fetched(await fast.work(subjects.WORK, "asr"))
    await stale.ack()
    await fresh.ack()
    assert await fast.last(subjects.WORK, subjects.work("asr", SID), leader=True) is None


async def test_after_the_last_delivery_the_item_stays_and_the_dead_letters_tell(bus: Bus) -> None:
    queue = await bus.work(subjects.WORK, "asr")
    receipt = await bus.store(subjects.work("asr", SID), b"crash loop")
    for delivery in range(1, MAX_DELIVER + 1):
        item = await fetched(queue)
        assert item.deliveries == delivery
        await item.nak()
    assert await queue.fetch(0.3) is None
    assert await bus.last(subjects.WORK, subjects.work("asr", SID), leader=True)
    subject = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.VV_WORK.asr"
    letter = await bus.last(subjects.DLQ, subject, leader=True)
    assert letter
    assert f'"stream_seq":{receipt.sequence}' in letter.data.decode().replace(" ", "")


async def test_a_termed_item_is_told_to_the_dead_letters(bus: Bus) -> None:
    queue = await bus.work(subjects.WORK, "tts")
    await bus.store(subjects.work("tts", SID), b"poison")
    await (await fetched(queue)).term()
    told: list[object] = []
    subject = "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.VV_WORK.tts"

    async def look() -> None:
        while not (letter := await bus.last(subjects.DLQ, subject, leader=True)):
            await asyncio.sleep(0.01)
        told.append(letter)

    await asyncio.wait_for(look(), 5)
    await until(lambda: told, "the advisory")


async def test_binding_what_was_never_provisioned_is_unavailable(bus: Bus) -> None:
    with pytest.raises(BusUnavailable):
        await bus.work(subjects.WORK, "nobody")
    with pytest.raises(BusUnavailable):
        await bus.work("VV_NONE", "asr")


async def test_a_closed_queue_leaves_everything_to_the_others(connect: Connect) -> None:
    leaving, staying = await connect(), await connect()
    queue = await leaving.work(subjects.WORK, "asr")
    assert await queue.fetch(0.1) is None
    await queue.aclose()
    await staying.store(subjects.work("asr", SID), b"x")
    item = await fetched(await staying.work(subjects.WORK, "asr"), within_s=0.8)
    assert item.deliveries == 1
    await item.ack()
