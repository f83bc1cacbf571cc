"""Which work is void: by epoch, recognition by generation, remembered for a minute."""

import asyncio
import time
from contextlib import suppress

import pytest

from visavis.pipeline.v1 import pipeline_pb2 as pb
from visavis_runtime import subjects
from visavis_runtime.bus import Message
from visavis_runtime.stage import CANCEL_MEMORY_S, Cancels

SID = "01HZX"


class Clock:
    """Seconds, moved by hand."""

    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def message(epoch: int, session_id: str = SID) -> Message:
    cancel = pb.Cancel(session_id=session_id, epoch=epoch)
    return Message(subjects.cancel(session_id), cancel.SerializeToString())


def address(epoch: int = 0, generation: int = 1, session_id: str = SID) -> pb.Address:
    return pb.Address(session_id=session_id, generation=generation, epoch=epoch)


def test_lower_epochs_are_void_and_the_floor_never_falls() -> None:
    cancels = Cancels()
    assert not cancels.is_void(address(1))
    cancels.on_message(message(10))
    cancels.on_message(message(7))
    assert cancels.is_void(address(9))
    assert not cancels.is_void(address(10))
    assert not cancels.is_void(address(1, session_id="another"))


def test_recognition_has_no_epoch_and_is_void_by_generation() -> None:
    cancels = Cancels()
    cancels.on_message(message(subjects.epoch(2, 3)))
    assert cancels.is_void(address(generation=1))
    assert not cancels.is_void(address(generation=2))
    assert cancels.is_void(address(subjects.epoch(2, 2), generation=2))
    assert cancels.is_void(address(subjects.epoch(1, 99), generation=1))


def test_floors_are_forgotten_after_a_minute() -> None:
    clock = Clock()
    cancels = Cancels(clock)
    cancels.on_message(message(10))
    clock.now_s += CANCEL_MEMORY_S - 1
    cancels.on_message(message(1, "another"))
    assert cancels.is_void(address(9))
    clock.now_s += 2
    cancels.on_message(message(2, "another"))
    assert not cancels.is_void(address(9))


async def test_work_ends_with_its_cancel_which_comes_once() -> None:
    cancels, cancelled = Cancels(), list[str]()
    begun, cleaning = asyncio.Event(), asyncio.Event()

    async def handler() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await cleaning.wait()  # closing a connection takes a while
            cancelled.append("cleaned up")
            raise

    running = asyncio.create_task(cancels.run(address(5), handler()))
    await asyncio.wait_for(begun.wait(), 1)
    for _ in range(3):
        cancels.on_message(message(6))
        await asyncio.sleep(0)
    cleaning.set()
    assert await asyncio.wait_for(running, 1) is False
    assert cancelled == ["cleaned up"]


async def test_a_cancel_that_gets_lost_is_given_again() -> None:
    cancels, begun = Cancels(), asyncio.Event()

    async def handler() -> None:
        begun.set()
        with suppress(asyncio.CancelledError):  # as wait_for does now and then
            await asyncio.Event().wait()
        await asyncio.Event().wait()  # the next step of the work

    running = asyncio.create_task(cancels.run(address(5), handler()))
    await asyncio.wait_for(begun.wait(), 1)
    sent = time.monotonic()
    cancels.on_message(message(6))
    assert await asyncio.wait_for(running, 1) is False
    assert time.monotonic() - sent < 0.1


async def test_work_that_is_not_void_tells_how_it_ended() -> None:
    cancels = Cancels()

    async def fine() -> None: ...

    async def fails() -> None:
        raise ValueError("engine")

    assert await cancels.run(address(5), fine()) is True
    with pytest.raises(ValueError, match="engine"):
        await cancels.run(address(5), fails())
    stopped = asyncio.create_task(cancels.run(address(5), asyncio.sleep(60)))
    await asyncio.sleep(0)
    stopped.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopped
